"""Fair shares: at least one each, never more than the cluster, max-min fair in proportion to the priorities."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_ray.engine.shares import Demand, targets

demands = st.lists(
    st.builds(
        Demand,
        st.just(""),
        st.integers(0, 40),
        st.sampled_from([1 / 2, 1 / 4, 1 / 8, 1 / 16]),
        st.sampled_from([0.5, 1.0, 2.0, 10.0]),
    ),
    min_size=2,
    max_size=6,
).map(lambda found: [Demand(f"j{i}", d.workers, d.size, d.priority) for i, d in enumerate(found)])


def test_a_job_alone_gets_all_it_asks_for() -> None:
    assert targets([Demand("a", 100, 0.25)]) == {"a": 100}


def test_two_jobs_halve_the_cluster() -> None:
    assert targets([Demand("a", 100, 1 / 8), Demand("b", 100, 1 / 8)]) == {"a": 4, "b": 4}


def test_what_one_job_does_not_need_goes_to_the_other() -> None:
    assert targets([Demand("a", 100, 1 / 8), Demand("b", 1, 1 / 8)]) == {"a": 7, "b": 1}


def test_priorities_weigh() -> None:
    assert targets([Demand("a", 100, 1 / 8, priority=3.0), Demand("b", 100, 1 / 8)]) == {"a": 6, "b": 2}


def test_an_urgent_job_leaves_one_worker_to_the_others() -> None:
    assert targets([Demand("a", 100, 1 / 4, priority=1000.0), Demand("b", 100, 1 / 4)]) == {"a": 3, "b": 1}


def test_more_jobs_than_workers_go_by_priority() -> None:
    found = targets([Demand(f"j{i}", 5, 1 / 2, priority=1.0 + i) for i in range(4)])
    assert found == {"j0": 0, "j1": 0, "j2": 1, "j3": 1}


def test_larger_workers_are_fewer() -> None:
    assert targets([Demand("a", 100, 1 / 4), Demand("b", 100, 1 / 8)]) == {"a": 2, "b": 4}


@given(demands, st.integers(0, 99))
def test_the_laws_of_a_fair_share(jobs: list[Demand], seed: int) -> None:
    found = targets(jobs)
    shuffled = list(jobs)
    random.Random(seed).shuffle(shuffled)
    assert targets(shuffled) == found
    left = 1.0 - sum(found[d.job] * d.size for d in jobs)
    assert left >= -1e-6
    for demand in jobs:
        assert 0 <= found[demand.job] <= demand.workers
        # Nothing that is wanted and would fit is left over.
        assert found[demand.job] == demand.workers or demand.size > left - 1e-9
        if demand.workers and found[demand.job] == 0:
            assert all(found[other.job] <= 1 or other.size < demand.size for other in jobs)
    for a in jobs:
        for b in jobs:
            # No job could have one worker more without making another one poorer that has no more than it.
            if found[a.job] < a.workers and found[b.job] > 1 and a.size <= b.size + left + 1e-9:
                assert found[b.job] * b.size / b.priority <= (found[a.job] + 1) * a.size / a.priority + 1e-9


@pytest.mark.parametrize("wrong", [{"size": 0.0}, {"priority": 0.0}, {"priority": float("nan")}])
def test_sizes_and_priorities_are_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        targets([Demand(**{"job": "a", "workers": 1, "size": 0.5, **wrong})])
