"""How a long job goes: ranks that still move, time to go, and what the run notes for others to read."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.engine.job_games import Counting
from xai_ray.api import explain
from xai_ray.coalitions import Permutations
from xai_ray.commands.jobs import _line
from xai_ray.engine import looked
from xai_ray.estimators import Estimate, Pool, Verdict, boundaries
from xai_ray.estimators.agreement import NOISE, agreement_words, rank_agreement
from xai_ray.following import Look, looks
from xai_ray.indices import Question
from xai_ray.progress import Bar
from xai_ray.standing import job_status
from xai_ray.stores import MemoryStore

R = np.random.default_rng(0)


def given(values: np.ndarray, evaluations: int) -> Estimate:
    shaped = values[:, None] if values.ndim == 1 else values
    sets = tuple((i,) for i in range(len(shaped)))
    return Estimate(Question("SV", 1), sets, shaped, np.ones_like(shaped), "given", evaluations)


def test_agreement_is_spearmans_with_the_nearest_half() -> None:
    now, half, early = R.normal(size=20).round(1), R.normal(size=20).round(1), R.normal(size=20)
    found = rank_agreement(given(now, 100), [given(early, 35), given(half, 52), given(early, 90)])
    assert found == pytest.approx(spearmanr(now, half).statistic, abs=1e-12)
    assert rank_agreement(given(now, 100), [given(early, 20), given(early, 71)]) is None
    assert rank_agreement(given(now, 100), []) is None
    assert rank_agreement(given(now[:2], 100), [given(half[:2], 50)]) is None
    assert rank_agreement(given(now, 100), [given(np.zeros(20), 50)]) is None
    assert rank_agreement(given(np.where(now > 1, np.nan, now), 100), [given(half, 50)]) is None
    others = replace(given(half, 50), coalitions=tuple((i, i + 1) for i in range(20)))
    assert rank_agreement(given(now, 100), [others]) is None
    two = np.stack([now, -now], axis=1)
    assert rank_agreement(given(two, 100), [given(np.stack([now, now], axis=1), 50)]) == pytest.approx(-1.0)


def test_estimates_of_noise_agree_as_it_is_said() -> None:
    draws = R.normal(size=(40, 4_000))
    found = rank_agreement(given(draws.mean(axis=0), 40), [given(draws[:20].mean(axis=0), 20)])
    assert found == pytest.approx(NOISE, abs=0.03)
    assert agreement_words(None) == ""


class Marked:
    """Notes what was estimated."""

    def __init__(self) -> None:
        self.seen: list[Estimate] = []

    def started(self, job: str, evaluations: int, done: int) -> None:
        pass

    def advanced(self, done: int) -> None:
        pass

    def estimated(self, estimates: Sequence[Estimate]) -> None:
        self.seen.append(estimates[0])

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        pass


def test_a_short_run_ranks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = list[int]()
    monkeypatch.setattr(looked, "rank_agreement", lambda now, earlier: ranked.append(now.evaluations))
    store, watcher = MemoryStore(), Marked()
    explain(Counting(10), budget=900, store=store, estimator="permutation", watcher=watcher)
    assert len(watcher.seen) > 1
    assert ranked == []


def test_a_run_that_nobody_watches_answers_once_and_ranks_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, answer = list[int](), Pool.answer

    def counted(pool: Pool, question: Question, estimator: str = "auto") -> Estimate:
        answered.append(pool.evaluations)
        return answer(pool, question, estimator)

    monkeypatch.setattr(Pool, "answer", counted)
    found = explain(Counting(10), budget=300, estimator="leverage")
    assert answered == [found.evaluations]
    agreement = found.rank_agreement
    assert agreement is not None
    assert len(answered) == 2
    assert (
        agreement
        == found.rank_agreement
        == pytest.approx(rank_agreement(found.estimates[0], found.convergence), abs=1e-3)
    )
    assert len(answered) == len(found.convergence)
    assert found.ask("BV").rank_agreement is None


def test_a_long_run_notes_its_estimates_and_a_short_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    store, watcher = MemoryStore(), Marked()
    short = explain(Counting(10), budget=900, store=store, estimator="permutation")
    assert not [e for e in store.events(short.job) if e["event"] == looked.LOOKED]
    monkeypatch.setattr(looked, "_EVERY", 0.0)
    found = explain(Counting(10), budget=900, store=store, estimator="permutation", name="long", watcher=watcher)
    notes = [e for e in store.events(found.job) if e["event"] == looked.LOOKED]
    assert [n["evaluations"] for n in notes] == [e.evaluations for e in watcher.seen]
    want = [rank_agreement(e, watcher.seen[:i]) for i, e in enumerate(watcher.seen)]
    assert [n["agreement"] for n in notes] == want
    assert want[-1] is not None
    assert found.rank_agreement == pytest.approx(rank_agreement(found.estimates[0], found.convergence), abs=1e-3)


def running(store: MemoryStore, job: str) -> None:
    """As if the last run of a finished job were under way, begun 100 s ago."""
    here = {"host": socket.gethostname(), "pid": os.getpid()}
    store.append(job, {"event": "started", "at": time.time() - 100, "evaluations": 900, "done": 92, **here})
    store.append(job, {"event": looked.LOOKED, "at": 0, "evaluations": 452, "agreement": 0.912, "std_error": 0.0123})


def test_status_tells_rate_time_to_go_and_the_newest_estimates() -> None:
    store = MemoryStore()
    job = explain(Counting(10), budget=900, store=store, estimator="permutation").job
    assert not {"rate", "eta", "estimate"} & job_status(store, job).keys()
    running(store, job)
    facts = job_status(store, job)
    assert facts["state"] == "running"
    assert float(facts["rate"].removesuffix("/s")) == pytest.approx((facts["evaluations"] - 92) / 100, rel=0.05)
    assert facts["eta"] == "0:00:00"
    assert facts["estimate"] == (
        "after 452 evaluations: largest standard error 0.0123, ranks agree 0.91 with half of it (noise 0.7)"
    )
    shown = _line(facts | {"eta": "0:01:00"}, Look(facts, None))
    assert shown == f"{facts['evaluations']} / {facts['budget']} evaluations, ETA 0:01:00, running"


def test_following_sees_the_ranks_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    found = explain(Counting(10), budget=900, store=store, estimator="permutation")
    passed = list(boundaries(Permutations(10, 0), 50))[:-1]
    ahead = iter(passed)
    monkeypatch.setattr("xai_ray.following._boundary", lambda store, job: next(ahead))
    facts, left = job_status(store, found.job), len(passed)

    def status() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return facts | {"state": "running" if left >= 0 else "done"}

    seen = list(looks(store, found.job, status, 0.0))
    estimates = [look.result.estimates[0] for look in seen if look.result is not None]
    shown = [look.agreement for look in seen if look.result is not None]
    assert shown == [rank_agreement(e, estimates[:i]) for i, e in enumerate(estimates)]
    assert seen[-1].ended
    assert seen[-1].agreement is not None
    assert "ranks agree" in _line(seen[-1].facts, seen[-1])


def test_the_bar_says_how_far_the_ranking_moves(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    with bar:
        bar.started("j", 200, 0)
        values = R.normal(size=9)
        bar.estimated([given(values, 50)])
        bar.estimated([given(values, 100)])
    said = capsys.readouterr().err
    assert "50 / 200 evaluations" in said
    assert said.count("ranks agree 1.00 with half of it") == 1
