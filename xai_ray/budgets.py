"""What a stored job may take: the budget of its newest run, and the larger one that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xai_ray.errors import SpecError

if TYPE_CHECKING:
    from xai_ray.estimators import Stop
    from xai_ray.spec import Spec
    from xai_ray.stores import Store


def last_budget(store: Store, job: str) -> dict[str, Any]:
    """The budget of the newest run or submission of a job."""
    from xai_ray.coalitions import EachInput, RowBlocks
    from xai_ray.engine.job import design_of
    from xai_ray.engine.stages import stages
    from xai_ray.estimators import Stop

    manifest = store.manifest(job)
    first, design = dict((manifest.document.get("spec") or manifest.document)["budget"]), design_of(manifest)
    # Of rows it is what each row takes, which is part of the job; a run notes what all of them may take.
    each_row = {"evaluations": first["evaluations"]} if isinstance(design, RowBlocks) else {}
    for event in reversed(store.events(job)):
        if event.get("event") == "started":
            if isinstance(design, EachInput):
                each_row = {"evaluations": stages(store, job)[design.stage(event["draws"])]["evaluations"]}
            return {"evaluations": event["evaluations"], **Stop.of(event).document(), **each_row}
        if event.get("event") == "submitted":
            return dict(event["wanted"]["budget"])
    return first


def extended(store: Store, job: str, evaluations: int, stop: Stop) -> dict[str, Any]:
    """The budget of a job that is given `evaluations` in all. Raises SpecError where there is nothing to extend."""
    document = store.manifest(job).document
    if document["identity"]["design"]["kind"] == "rows":
        had = (document.get("spec") or document)["budget"]["evaluations"]
        raise SpecError(
            f"job {job} explains rows of a dataset, and its {had} evaluations a row size its units: run the spec "
            f"with evaluations = {evaluations} under [budget] as a new job; xai-ray resume {job} finishes this one"
        )
    had = last_budget(store, job)["evaluations"]
    # Of texts the newest budget is the job's, of others the first one says whether it is of all coalitions.
    each = document["identity"]["design"]["kind"] == "each"
    exact = (had if each else (document.get("spec") or document)["budget"]["evaluations"]) == "exact"
    if exact and not unspent(store, job):
        every = "all coalitions of each text" if each else "all there are" if had == "exact" else f"all {had} there are"
        raise SpecError(f"job {job} has evaluated {every}; there is nothing to extend")
    if had == "exact":
        if not exact:
            raise SpecError(f"job {job} has a budget of all evaluations already; there is nothing to extend")
    elif evaluations < had or (evaluations == had and not unspent(store, job)):
        raise SpecError(f"job {job} has a budget of {had} evaluations already; --evaluations must be larger")
    return {"evaluations": "exact" if exact else evaluations, **stop.document()}


def unspent(store: Store, job: str) -> bool:
    """Whether the newest run of a job ended before its budget."""
    outcome = store.outcome(job) or {}
    return outcome.get("stop", {}).get("by") in ("rules", "seconds")


def with_budget(spec: Spec, budget: dict[str, Any]) -> Spec:
    """The same spec with another budget; one that asks for all coalitions goes on asking for them, except of texts, whose stages say
    themselves what each takes.
    """
    from xai_ray.spec import Budget
    from xai_ray.text_games import holds_texts

    exact = spec.budget.evaluations == "exact" and not holds_texts(spec)
    evaluations = "exact" if exact else budget["evaluations"]
    return spec.model_copy(update={"budget": Budget.model_validate({**budget, "evaluations": evaluations})})
