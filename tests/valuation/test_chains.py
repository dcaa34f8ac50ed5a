"""Jobs on permutations use the chains of a game: same values as its coalitions, same bits whatever cuts, kills or moves the work."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from xai_ray.api import explain, open_result
from xai_ray.coalitions import Exhaustive, Permutations, Strata, Unit
from xai_ray.coalitions.owen_orders import OwenOrders
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine import InlineEngine
from xai_ray.engine.chains import chained, free_rows
from xai_ray.engine.units import unit_draws
from xai_ray.engine.worker import evaluate
from xai_ray.errors import ModelOutputError, NonFiniteValue, SpecError
from xai_ray.stores import MemoryStore, open_store
from xai_ray.types import Coalitions, Floats, Ints, Values
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.ridge import LinearRidgeFits

R = np.random.default_rng(3)
N, M = 30, 25
X, TEST = R.normal(size=(N, 4)), R.normal(size=(M, 4))
LABELS, TEST_LABELS = (X[:, 0] + 0.3 * R.normal(size=N) > 0).astype(int), (TEST[:, 0] > 0).astype(int)
TARGETS, TEST_TARGETS = X @ [1.0, -2.0, 0.5, 0.0], TEST @ [1.0, -2.0, 0.5, 0.0]
DRAWS = 15


def regression() -> TrainingGame:
    return TrainingGame(Ridge(0.5), X, TARGETS, TEST, TEST_TARGETS, scores=("r2", "neg_mean_squared_error"))


def classifier(groups: Ints | None = None) -> TrainingGame:
    return TrainingGame(RidgeClassifier(), X, LABELS, TEST, TEST_LABELS, scores=("accuracy",), groups=groups)


def logistic() -> TrainingGame:
    return TrainingGame(LogisticRegression(), X, LABELS, TEST, TEST_LABELS, scores=("neg_log_loss",))


@dataclass
class Chains:
    """The sum of products of neighbours along 0..n-1, with chains; counts the permutations and coalitions asked of it."""

    n_players: int = 6
    chains: bool = True
    stochastic: bool = False
    spoil: str = ""
    rows: int = 0
    orders: list[Ints] = field(default_factory=list)
    n_outputs: int = 1
    block: int = 4
    digest: str = "00"
    player_names: tuple[str, ...] = tuple("abcdef")
    output_names: tuple[str, ...] = ("sum",)

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        self.rows += len(coalitions)
        x = coalitions * np.arange(1.0, self.n_players + 1)
        return (x[:, :1] * 0 + (x[:, 1:] * x[:, :-1]).sum(axis=1, keepdims=True)) / 7

    def chain_values(self, permutations: Ints, context: Ints) -> Floats:
        self.orders.append(permutations)
        place = np.argsort(permutations, axis=1)
        prefixes = place[:, None, :] < np.arange(self.n_players + 1)[None, :, None]
        x = prefixes * np.arange(1.0, self.n_players + 1)
        out = ((x[..., 1:] * x[..., :-1]).sum(axis=-1) / 7)[..., None]
        if self.spoil == "nan":
            out[:, 3] = np.nan
        return {"short": out[:, 1:], "float32": out.astype(np.float32)}.get(self.spoil, out)


@pytest.mark.parametrize("make", [regression, classifier, lambda: classifier(np.arange(N) * 7 % 5), Chains])
@pytest.mark.parametrize("kind", ["permutations", "owen_orders"])
def test_the_rows_of_a_unit_are_the_coalitions_of_its_draws(make, kind: str) -> None:
    game = make()
    n = game.n_players
    levels = (tuple(i * 3 // n for i in range(n)),)
    design = Permutations(n, 5) if kind == "permutations" else OwenOrders(n, 5, False, levels)
    draw = design.draw(0, DRAWS)
    found = evaluate(Unit(0, DRAWS), game, design).values
    expected = game.values(draw.coalitions, draw.context)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("make", [regression, classifier, logistic, Chains])
def test_units_of_any_size_have_the_same_bits(make, size: int) -> None:
    game = make()
    design = Permutations(game.n_players, 2)
    whole = evaluate(Unit(0, DRAWS), game, design).values
    cuts = [*range(0, DRAWS, size), DRAWS]
    parts = [evaluate(Unit(a, b), game, design).values for a, b in itertools.pairwise(cuts)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_no_coalition_is_evaluated_twice() -> None:
    game = Chains()
    record = evaluate(Unit(0, 9), game, Permutations(6, 1))
    assert game.rows == game.block  # the empty and the grand coalition, padded to a block
    orders = np.concatenate(game.orders)
    assert orders.shape == (16, 6)
    assert np.array_equal(orders[0::2], orders[1::2, ::-1])
    assert np.array_equal(orders[0::2], Permutations(6, 1).orders(np.arange(8)))
    assert record.values.shape == (2 + 8 * 10, 1)
    assert record.facts["evaluations"] == 82


def test_chains_are_used_where_design_and_game_have_them() -> None:
    orders, noisy = Permutations(6, 0), Permutations(6, 0, stochastic=True)
    assert chained(Chains(), orders)
    assert not chained(Chains(chains=False), orders)
    assert not chained(Chains(stochastic=True), noisy)
    for design in (Exhaustive(6), Strata(6, 0, uniform_law(6))):
        assert not chained(Chains(), design)
    assert chained(regression(), Permutations(N, 0))
    assert chained(logistic(), Permutations(N, 0))
    game = Chains(chains=False)
    evaluate(Unit(0, 3), game, orders)
    assert not game.orders


def test_units_of_chains_are_not_held_to_the_block() -> None:
    game, design = regression(), Permutations(N, 0)
    assert (game.block, free_rows(game, design)) == (64, 1)
    assert unit_draws(design, free_rows(game, design), 20_000) > unit_draws(design, game.block, 20_000)
    assert free_rows(game, Exhaustive(N)) == game.block


@pytest.mark.parametrize("spoil", ["short", "float32"])
def test_chains_of_the_wrong_shape_or_type_are_refused(spoil: str) -> None:
    with pytest.raises(ModelOutputError, match=r"unit \[1, 4\): the game's chains are .* of shape \(6, 7, 1\)"):
        evaluate(Unit(0, 4), Chains(spoil=spoil), Permutations(6, 0))


def test_a_prefix_that_is_not_finite_is_named() -> None:
    order = Permutations(6, 0).orders(np.array([0]))[0]
    members = ", ".join(str(i) for i in sorted(order[:3]))
    with pytest.raises(NonFiniteValue, match=rf"unit \[0, 4\), row 4: output 'sum' is nan .*\{{{members}\}} of 6"):
        evaluate(Unit(0, 4), Chains(spoil="nan"), Permutations(6, 0))


def test_a_single_player_has_no_inner_prefix() -> None:
    game = classifier(np.zeros(N, dtype=np.int64))
    assert evaluate(Unit(0, 1), game, Permutations(1, 0)).values.shape == (2, 1)


def bits(result) -> bytes:
    return b"".join(e.values.tobytes() + e.std_errors.tobytes() for e in result.estimates)


def asked(game: TrainingGame, store, budget: int = 6000):
    return explain(game, "SV", estimator="levelled", budget=budget, seed=4, store=store)


@dataclass
class Broken:
    """Breaks off after some chains, as a kill would."""

    inner: TrainingGame
    left: int

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def chain_values(self, permutations: Ints, context: Ints) -> Floats:
        if self.left <= 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.inner.chain_values(permutations, context)


@pytest.mark.parametrize("make", [regression, classifier])
@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_run_that_was_broken_off_ends_with_the_same_bits(make, place: str, tmp_path: Path) -> None:
    straight = asked(make(), MemoryStore())
    store = MemoryStore() if place == "memory" else open_store(f"file://{tmp_path / 'runs'}")
    for chains in (0, 2, 5):
        with pytest.raises(KeyboardInterrupt):
            asked(Broken(make(), chains), store)
    resumed = asked(make(), store)
    assert bits(resumed) == bits(straight)
    assert resumed.evaluations == straight.evaluations == 5976
    stored = open_result(resumed.job, store)
    assert bits(stored.ask("SV")) == bits(straight.ask("SV"))
    for index, parameters in (("BETA", {"alpha": 4.0, "beta": 1.0}), ("BV", {}), ("WBV", {"p": 0.3})):
        assert bits(stored.ask(index, **parameters)) == bits(straight.ask(index, **parameters))


def test_an_extended_job_has_the_bits_of_a_longer_one(tmp_path: Path) -> None:
    store = f"file://{tmp_path / 'runs'}"
    asked(regression(), store, 300)
    assert bits(asked(regression(), store, 900)) == bits(asked(regression(), MemoryStore(), 900))


def test_engines_are_told_apart_in_a_jobs_identity() -> None:
    """A job on chains is not continued on coalitions, whose last bits differ."""
    chained_game, plain = Chains(), Chains(chains=False)
    first = explain(chained_game, "SV", estimator="permutation", budget=60, engine=InlineEngine())
    second = explain(plain, "SV", estimator="permutation", budget=60, engine=InlineEngine())
    assert first.digest != second.digest
    np.testing.assert_allclose(first.values, second.values, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_have_the_threads_of_the_game(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a product is split over threads moves last bits, so it is the game's, not the machine's."""
    seen: list[int] = []
    game = TrainingGame(Ridge(0.5), X, TARGETS, TEST, TEST_TARGETS, scores=("r2",), threads=threads)
    whole = LinearRidgeFits.prefixes

    def watched(self: LinearRidgeFits, order: Ints):
        seen.extend(int(i["num_threads"]) for i in threadpool_info() if i["user_api"] == "blas")
        return whole(self, order)

    monkeypatch.setattr(LinearRidgeFits, "prefixes", watched)
    with threadpool_limits(limits=3 - threads):
        game.chain_values(np.arange(N)[None], np.zeros(1, dtype=np.int64))
    assert seen
    assert set(seen) == {threads}
    with pytest.raises(SpecError, match="at least 1"):
        TrainingGame(Ridge(), X, TARGETS, TEST, TEST_TARGETS, scores=("r2",), threads=0)


@pytest.mark.ray
def test_the_same_bits_on_ray() -> None:
    from xai_ray.engine import RayEngine

    straight = asked(regression(), MemoryStore())
    spread = explain(
        regression(), "SV", estimator="levelled", budget=6000, seed=4, engine=RayEngine(actors=2, gpus_per_actor=0)
    )
    assert bits(spread) == bits(straight)
