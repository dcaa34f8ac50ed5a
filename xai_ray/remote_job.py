"""The driver of a submitted job: `python -m xai_ray.remote_job --job JOB --store URL [--attempt N]`, which Ray starts on the cluster.

Everything else it needs is in the store: the spec in the manifest, budget and options in the submission. It may be started any
number of times; each time it goes on where the store ends. The exit code is 0 once the store has an answer (also one less precise
than asked) or the job was cancelled; otherwise that of `xai-ray run`, and whoever starts it again loses nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xai_ray import wanted as w
from xai_ray.budgets import last_budget, with_budget
from xai_ray.errors import Cancelled, EngineError, SpecError, StoreError, XaiRayError
from xai_ray.estimators import RowPool
from xai_ray.launch import continued, imprecise_words, run_to_end, spec_of
from xai_ray.progress import Bar
from xai_ray.standing import job_state
from xai_ray.stores import Store, open_store
from xai_ray.stores.addresses import without_password
from xai_ray.talk import say

if TYPE_CHECKING:
    from xai_ray.engine import Engine
    from xai_ray.engine.job import Run
    from xai_ray.games import Game
    from xai_ray.stores import Manifest


def main(arguments: list[str] | None = None) -> int:
    """Run a submitted job; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xai_ray.remote_job", description="The driver of a submitted job.")
    parser.add_argument("--job", required=True, help="job id")
    parser.add_argument("--store", required=True, help="where values live, as the cluster reaches it")
    parser.add_argument("--attempt", type=int, help="number of the submission; default: the newest")
    given = parser.parse_args(arguments)
    try:
        store = open_store(given.store)
        submission = _submission(store, given.job, given.attempt)
    except XaiRayError as error:
        say(
            f"xai-ray: {error}; the nodes of the cluster must reach {without_password(given.store)} as the submitter does"
        )
        return error.exit_code
    return _drive(store, given.job, submission)


def _drive(store: Store, job: str, submission: w.Submission) -> int:
    """Run, and note how it ended: a job that fails before its run begins must not look queued for ever."""
    code, note = 0, {}
    try:
        if submission.cancelled:
            raise Cancelled(f"job {job} was cancelled before it began; xai-ray resume {job} goes on")
        finished = run_to_end(_run(store, job, submission.wanted))
        if not finished.precise:
            code, note = 4, {"message": imprecise_words(job, finished.ending, isinstance(finished.pool, RowPool))}
    except KeyboardInterrupt:
        code, note = 130, {"kind": "Cancelled", "message": "the driver was told to stop; what was committed stays"}
    except XaiRayError as error:
        code, note = error.exit_code, {"kind": type(error).__name__, "message": str(error)}
    if note.get("kind") != "Fenced":  # what is said of the job now is another driver's to say
        with suppress(StoreError):
            _note(store, job, code, note)
    if note:
        say(f"xai-ray: {note['message']}")
    return 0 if code in (0, 4) or note.get("kind") == "Cancelled" else code


def _note(store: Store, job: str, code: int, note: dict[str, Any]) -> None:
    if code not in (0, 4) and job_state(store, job) == "submitted":
        state = "cancelled" if code == 130 else "failed"
        store.append(job, {"event": state, "at": time.time(), "reason": note["message"]})
    store.append(job, {"event": w.DRIVER_ENDED, "at": time.time(), "code": code, **note})


def _submission(store: Store, job: str, attempt: int | None) -> w.Submission:
    store.manifest(job)
    made = w.submissions(store, job)
    found = [s for s in made if attempt in (None, s.attempt)]
    if found:
        return found[-1]
    if attempt is None and not made:
        # A job that was only run elsewhere so far: to the end of what was asked there.
        return w.Submission(0, 0.0, w.Wanted(last_budget(store, job)))
    raise SpecError(f"job {job} in {store.url} has no submission {attempt}; it has {[s.attempt for s in made]}")


def _run(store: Store, job: str, wanted: w.Wanted) -> Run:
    manifest = store.manifest(job)
    game, budget = _game(manifest, wanted)
    run = continued(manifest, game, budget, store, _engine(wanted), Heedful(store, job), note=True)
    run.recompute, run.anew, run.skip_killers = wanted.recompute, wanted.anew, wanted.skip_killers
    return run


class Heedful(Bar):
    """The progress of a driver, in its log. A run that starts clears the cancel flag of the one before; a cancel that came while this
    one loaded its model is set again.
    """

    def __init__(self, store: Store, job: str) -> None:
        super().__init__()
        self._store, self._name = store, job

    def started(self, job: str, evaluations: int, done: int) -> None:
        """Heeds, and shows the bar."""
        made = w.submissions(self._store, self._name)
        if made and made[-1].cancelled:
            self._store.cancel(self._name, True)
        super().started(job, evaluations, done)


def _game(manifest: Manifest, wanted: w.Wanted) -> tuple[Game, dict[str, Any]]:
    """The game, and the budget with all its keys."""
    from xai_ray.build import game_of

    if wanted.pickle is not None:
        from xai_ray.trusted_game import load

        return load(Path.cwd(), wanted.pickle), wanted.budget
    spec = with_budget(spec_of(manifest)[0], wanted.budget)
    return game_of(spec, Path.cwd() / wanted.base), spec.budget.model_dump()


def _engine(wanted: w.Wanted) -> Callable[[], Engine]:
    from xai_ray.api import engine_of

    def engine() -> Engine:
        if not os.environ.get("RAY_ADDRESS"):
            raise EngineError("RAY_ADDRESS is not set: this driver is started by a cluster (`xai-ray submit`)")
        return engine_of("ray", wanted.actors, None, wanted.priority)

    return engine


if __name__ == "__main__":
    sys.exit(main())
