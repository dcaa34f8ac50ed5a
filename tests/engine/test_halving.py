"""A device that runs out of memory: smaller batches, told in the facts, the event log and the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.engine.engine_games import SumOfProducts
from tests.engine.job_games import network
from xai_ray.api import explain, open_result
from xai_ray.coalitions import Exhaustive, Unit
from xai_ray.engine.halving import Bench, out_of_memory
from xai_ray.engine.worker import evaluate
from xai_ray.errors import XaiRayError
from xai_ray.stores import MemoryStore
from xai_ray.types import Coalitions, Ints, Values

DESIGN = Exhaustive(7)


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@dataclass(frozen=True)
class Small(SumOfProducts):
    """A device that holds batches of `fits` coalitions."""

    block: int = 8
    fits: int = 2

    def halved(self) -> Small | None:
        return replace(self, block=self.block // 2) if self.block > 1 else None

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        if self.block > self.fits:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().values(coalitions, context)


def nothing() -> None:
    pass


def test_the_batch_is_halved_until_it_fits_and_the_facts_say_so() -> None:
    bench = Bench(Small(), DESIGN)
    for unit in (Unit(0, 16), Unit(16, 32)):
        record = bench.evaluate(unit, nothing)
        assert record.facts["halved"] == 2
        assert record.values.tobytes() == evaluate(unit, SumOfProducts(block=2), DESIGN).values.tobytes()


def test_a_game_that_fits_says_nothing() -> None:
    assert "halved" not in Bench(Small(fits=8), DESIGN).evaluate(Unit(0, 16), nothing).facts


def test_one_coalition_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError):
        Bench(Small(fits=0), DESIGN).evaluate(Unit(0, 16), nothing)


def test_only_an_accelerators_memory_counts() -> None:
    assert out_of_memory(OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(MemoryError("no memory"))
    assert not out_of_memory(RuntimeError("CUDA out of memory? no, a device-side assert"))


def test_the_result_of_a_job_says_that_a_batch_was_halved() -> None:
    store = MemoryStore()
    found = explain(Small(), "SV", budget=60, store=store)
    (note,) = found.provenance["notes"]
    assert "batch halved" in note
    (event,) = [e for e in store.events(found.job) if e["event"] == "batch halved"]
    assert event["halved"] == 2
    assert open_result(found.job, store).provenance["notes"] == [note]
    assert "notes" not in explain(Small(fits=8), "SV", budget=60).provenance


def test_an_error_that_halving_does_not_mend_ends_the_job() -> None:
    with pytest.raises(XaiRayError, match="OutOfMemoryError: CUDA out of memory"):
        explain(Small(fits=0), "SV", budget=60)


@pytest.mark.parametrize("samples", [None, 2])
def test_half_a_model_game_gives_the_same_values_in_smaller_passes(samples: int | None) -> None:
    game = network(batch=8, samples=samples)
    half = game.halved()
    assert half is not None
    assert (half.batch, half.block, half.digest) == (4, max(1, game.block // 2), game.digest)
    rows = np.random.default_rng(0).random((8, 9)) < 0.5
    context = np.zeros(8, dtype=np.int64)
    np.testing.assert_allclose(half.values(rows, context), game.values(rows, context), rtol=1e-5, atol=1e-6)
    assert network(batch=1).halved() is None
