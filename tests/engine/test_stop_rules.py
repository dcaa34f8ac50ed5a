"""Stop rules in the life of a job: each ends a run at a boundary, whatever it was killed at, and the clock leaves no bits to chance."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import cli
from tests.cli.runs import Cli, written
from tests.engine.job_games import Counting
from tests.engine.test_job import Stopping, bits, ended, units_of
from tests.engine.test_job_kills import MODULE, committed, resumed, speed, started, undisturbed, wait
from xai_ray.api import explain, open_result, result_of
from xai_ray.engine import InlineEngine, job, rounds
from xai_ray.engine.job import Run, manifest_of
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Pool, Stop, plan
from xai_ray.indices import Question
from xai_ray.reports import Result
from xai_ray.stores import ArrowFileStore, MemoryStore, Store

__all__ = ["cli"]

ASKS = [Ask(Question("SV"), "leverage"), Ask(Question("SII"), "cells")]

RULES: list[dict[str, Any]] = [
    {"std_error": 0.1},
    {"relative_error": 0.03},
    {"top": 1},
    {"top": 1, "bottom": 1},
    {"ranking": 0.3},
    {"std_error": 0.2, "relative_error": 0.05, "top": 1, "ranking": 0.2, "seconds": 1e6},
]


def asks_of(rules: dict[str, Any]) -> list[Ask]:
    """Most of the 45 pairs are near one another, so their order is settled by the complete table alone."""
    return ASKS[:1] if {"ranking", "top"} & rules.keys() else ASKS


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(3))


def document(found: Result) -> bytes:
    """What `--out` writes as result.json."""
    return json.dumps(found.to_document(), allow_nan=False).encode()


@pytest.mark.parametrize("rules", RULES, ids=" ".join)
def test_a_killed_run_stops_where_an_undisturbed_one_does(rules: dict[str, Any], tmp_path: Path) -> None:
    def run(store: Store, after: int | None = None) -> Result:
        watcher = None if after is None else Stopping(after)
        return explain(Counting(10, 2), asks=asks_of(rules), budget=900, store=store, watcher=watcher, **rules)

    undisturbed = run(MemoryStore())
    assert 44 < undisturbed.evaluations < 900
    assert undisturbed.to_document()["stop"] == {"by": "rules", "asked": rules, "precise": True, "open": []}
    for after in (6, 50, undisturbed.evaluations - 6):
        store = ArrowFileStore(tmp_path / str(after))
        with pytest.raises(KeyboardInterrupt):
            run(store, after)
        resumed = run(store)
        assert document(resumed) == document(undisturbed)
        assert bits(resumed) == bits(undisturbed)
        assert document(open_result(resumed.job, store)) == document(undisturbed)


@pytest.mark.parametrize("rules", [*RULES[:5], {"seconds": 1e6, "top": 2}], ids=" ".join)
def test_sigkill_and_resume_end_at_the_same_bytes(cli: Cli, tmp_path: Path, rules: dict[str, Any]) -> None:
    rough = MODULE.replace("np.sin(rows * rows[:, ::-1]).sum(axis=1)", "np.cos(np.tanh(rows) @ np.arange(10.0) / 12)")
    assert rough != MODULE
    (tmp_path / "slowly.py").write_text(rough)
    (tmp_path / "rows.csv").write_text(",".join("abcdefghij") + "\n" + ",".join(str(i / 7) for i in range(10)) + "\n")
    made = {
        "kind": "model",
        "model": {"factory": "slowly:slow"},
        "input": {"table": "rows.csv", "row": 0},
        "players": {"kind": "columns"},
        "removal": {"kind": "zeros"},
        "behaviour": {"kind": "raw", "target": 1},
    }
    budget = {"evaluations": 1000, **rules}
    spec = written(
        tmp_path,
        {"game": made, "ask": [{"index": "SV", "estimator": "leverage"}], "budget": budget, "compute": {"batch": 4}},
    )
    whole = undisturbed(cli, spec)
    stop = json.loads(whole)["stop"]
    assert (stop["asked"], stop["by"]) == (rules, "rules")
    speed(spec, 0.05)
    with started(spec, "run", spec, "--engine", "inline") as child:
        wait(child, lambda: committed(spec) >= 2)
        child.kill()
        child.wait(timeout=60)
    (row,) = cli("list", "--json").json
    assert row["state"] == "killed"
    assert resumed(cli, spec, row["job"]) == whole


def test_all_precisions_must_hold() -> None:
    ends = {}
    for rules in RULES[:4]:
        found = explain(Counting(10), budget=1000, **rules)
        assert found.provenance["stop"]["by"] == "rules"
        ends[next(iter(rules))] = found.evaluations
    assert len(set(ends.values())) > 1
    together = {name: value for rules in RULES[:4] for name, value in rules.items()}
    assert explain(Counting(10), budget=1000, **together).evaluations == max(ends.values())


def test_each_rule_holds_at_the_stop_and_not_before() -> None:
    for rules in RULES[:4]:
        stop = Stop(**rules)
        found = explain(Counting(10), budget=1000, **rules)
        verdicts = [stop.judge(e, look)[0].met for look, e in enumerate(found.convergence, start=1)]
        assert verdicts == [False] * (len(verdicts) - 1) + [True]


def test_a_budget_that_ends_first_names_what_is_open(tmp_path: Path) -> None:
    store = ArrowFileStore(tmp_path)
    found = explain(Counting(10), budget=100, std_error=10.0, ranking=True, store=store)
    stop = found.provenance["stop"]
    assert (stop["by"], stop["precise"]) == ("budget", False)
    (open_rule,) = stop["open"]
    assert "ranking of SV settled, asked 100%" in open_rule
    assert ended(store, found.job)["state"] == "imprecise"
    assert open_result(found.job, store).to_document()["stop"] == stop


def test_a_budget_alone_says_nothing_of_rules() -> None:
    assert "stop" not in explain(Counting(10), budget=100).to_document()


def test_no_estimate_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []
    real = Pool.answer

    def answer(pool: Pool, question: Question, estimator: str = "auto") -> Any:
        found = real(pool, question, estimator)
        asked.append((pool.draws, question.index))
        return found

    monkeypatch.setattr(Pool, "answer", answer)
    for rules in ({}, *RULES, {"std_error": 1e-9}):
        asked.clear()
        found = explain(Counting(10), asks=asks_of(rules), budget=900, **rules)
        # The curve is answered when it is looked at, and only where nothing was on the way.
        assert len(found.convergence) > 1
        assert len(asked) > 3
        assert len(asked) == len(set(asked))


class Clock:
    """Seconds that pass when somebody looks."""

    def __init__(self, step: float = 1.0) -> None:
        self.ticks = itertools.count()
        self.step = step

    def __call__(self) -> float:
        return next(self.ticks) * self.step


def timed(
    store: Store, seconds: float, clock: Callable[[], float], anew: bool = False, after: int | None = None, **rules: Any
) -> Result:
    """A run of 1,000 evaluations with a clock of ours."""
    game = Counting(10)
    planned = plan(ASKS, 10, 1000, 0)
    run = Run(
        manifest=manifest_of("timed", game, planned, {}),
        game=game,
        asks=planned.asks,
        draws=planned.draws,
        store=store,
        engine=InlineEngine(),
        stop=Stop(seconds=seconds, **rules),
        anew=anew,
        clock=clock,
    )
    if after is not None:
        run.watcher = Stopping(after)
    return result_of(run.execute())


def test_the_clock_ends_a_run_at_a_boundary_and_a_resume_ends_there_again(tmp_path: Path) -> None:
    store = ArrowFileStore(tmp_path)
    found = timed(store, 40.0, Clock())
    assert found.provenance["stop"] == {"by": "seconds", "asked": {"seconds": 40.0}, "precise": True, "open": []}
    assert 44 < found.evaluations < 1000
    # The boundary's result is that of a budget which ends there.
    fresh = explain(Counting(10), asks=ASKS, budget=found.evaluations)
    assert [e.values.tobytes() for e in found.estimates] == [e.values.tobytes() for e in fresh.estimates]
    # However fast the second run is, it stops at the recorded boundary.
    again = timed(store, 40.0, lambda: 0.0)
    assert document(again) == document(found)
    assert document(open_result(found.job, store)) == document(found)
    assert store.committed(found.job)


def test_a_run_killed_after_the_clock_decided_resumes_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    whole = timed(MemoryStore(), 40.0, Clock())
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(rounds.Rounds, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            timed(store, 40.0, Clock())
    (name,) = store.jobs()
    assert ended(store, name)["state"] == "interrupted"
    assert document(timed(store, 40.0, lambda: 0.0)) == document(whole)


def test_the_first_decision_in_the_log_holds_for_every_process() -> None:
    store = MemoryStore()
    early = timed(store, 40.0, Clock())
    # A process that began before the decision and comes to its own later.
    late = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        timed(late, 40.0, lambda: 0.0, after=400)
    (name,) = late.jobs()
    decision = next(e for e in store.events(name) if e["event"] == "time over")
    late.append(name, decision)
    late.append(name, {**decision, "draws": decision["draws"] + 10})
    assert document(timed(late, 40.0, lambda: 0.0)) == document(early)


def test_other_limits_or_a_new_allowance_go_on() -> None:
    store = MemoryStore()
    short = timed(store, 40.0, Clock())
    longer = timed(store, 80.0, Clock())
    assert longer.evaluations > short.evaluations
    assert timed(store, 40.0, lambda: 0.0).evaluations == short.evaluations
    further = timed(store, 40.0, Clock(), anew=True)
    assert further.evaluations > short.evaluations
    assert timed(store, 40.0, lambda: 0.0).evaluations == further.evaluations


def test_time_that_is_over_at_once_still_gives_an_estimate() -> None:
    found = timed(MemoryStore(), 1e-9, Clock())
    assert found.provenance["stop"]["by"] == "seconds"
    assert all(np.isfinite(e.std_errors).all() for e in found.estimates)
    assert found.evaluations < 200


def test_the_clock_ends_a_run_that_is_not_precise_yet() -> None:
    store = MemoryStore()
    found = timed(store, 40.0, Clock(), std_error=1e-9)
    assert found.provenance["precise"] is False
    assert found.provenance["stop"]["by"] == "seconds"
    assert "standard error of SV" in found.provenance["stop"]["open"][0]
    assert ended(store, found.job)["state"] == "imprecise"


def test_precision_reached_in_time_wins() -> None:
    found = timed(MemoryStore(), 40.0, Clock(1e-6), std_error=0.5)
    assert found.provenance["stop"]["by"] == "rules"


def test_the_watcher_hears_what_is_open() -> None:
    heard: list[tuple[str, bool]] = []

    class Hearing(Stopping):
        def judged(self, verdicts: Any) -> None:
            heard.append((verdicts[-1].rule, verdicts[-1].met))

    explain(Counting(10), budget=900, std_error=0.2, top=1, watcher=Hearing(10**9))
    assert heard[-1] == ("top", True)
    assert ("top", False) in heard[:-1]


def test_python_refuses_what_cannot_be_asked() -> None:
    for wrong, said in [
        ({"top": 10}, "top = 10: SV of 10 players has 10 values; give 1 to 9"),
        ({"bottom": 10}, "bottom = 10: SV of 10 players has 10 values; give 1 to 9"),
        ({"relative_error": 1.0}, "relative_error"),
        ({"seconds": -1}, "seconds"),
    ]:
        with pytest.raises(SpecError, match=said):
            explain(Counting(10), budget=100, **wrong)
    with pytest.raises(SpecError, match="at least two"):
        explain(Counting(1), budget=2, ranking=True)
