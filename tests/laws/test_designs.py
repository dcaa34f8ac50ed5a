"""Designs: seekable, without replacement, paired, fixed counts, append only."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from xai_ray.coalitions import Exhaustive, Permutations, Strata, from_description
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.shuffle import shuffled, shuffled_each
from xai_ray.coalitions.strata import uniform_law
from xai_ray.coalitions.subsets import draw_subsets, unrank


@given(n=st.integers(1, 11), seed=st.integers(0, 2**63 - 1), edges=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_full_budget_of_strata_is_every_coalition_once(n, seed, edges):
    design = Strata(n, seed, uniform_law(n), edges=min(edges, n // 2))
    codes = pack(design.draw(0, design.capacity).coalitions)
    assert (np.sort(codes) == np.arange(1 << n)).all()


DESIGNS = [
    Strata(9, 3, uniform_law(9)),
    Strata(10, 3, uniform_law(10), edges=1),
    Strata(10, 3, uniform_law(10), stochastic=True),
    Strata(49, 2**62, uniform_law(49), edges=1),
    Strata(300, 1, uniform_law(300)),
    Permutations(7, 3),
    Permutations(7, 3, stochastic=True),
    Exhaustive(9),
]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{d.describe()['kind']}-{d.n_players}")
def test_any_cut_of_the_sequence_gives_the_same_draws(design):
    whole = design.draw(0, 40)
    assert len(whole.coalitions) == design.evaluations(40)
    fresh = from_description(design.describe())
    for start, stop in [(0, 1), (0, 7), (1, 2), (13, 29), (39, 40)]:
        part = fresh.draw(start, stop)
        rows = slice(design.evaluations(start), design.evaluations(stop))
        assert (part.coalitions == whole.coalitions[rows]).all()
        assert (part.context == whole.context[rows]).all()
        assert (part.owner + start == whole.owner[rows]).all()
        assert (part.stratum == whole.stratum[start:stop]).all()
        assert (part.index == whole.index[start:stop]).all()


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{d.describe()['kind']}-{d.n_players}")
def test_what_is_affordable_never_exceeds_the_budget_and_wastes_less_than_a_draw(design):
    for budget in range(2, 200):
        draws = design.affordable(budget)
        assert design.evaluations(draws) <= budget
        if design.capacity is None or draws < design.capacity:
            assert design.evaluations(draws + 1) > budget


def test_strata_pair_a_coalition_with_its_complement():
    draw = Strata(12, 0, uniform_law(12)).draw(0, 300)
    assert (draw.coalitions[0::2] == ~draw.coalitions[1::2]).all()
    assert (draw.coalitions[0::2].sum(axis=1) == draw.stratum).all()


def test_strata_draw_no_coalition_twice():
    rows = Strata(49, 8, uniform_law(49)).draw(0, 20_000).coalitions
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_counts_follow_the_law_and_only_grow():
    law = (1.0, 2.0, 3.0, 4.0, 5.0, 2.5)
    design = Strata(12, 0, law)
    before = np.zeros(7, dtype=int)
    for draws in range(1, 400):
        counts = np.bincount(design.draw(0, draws).stratum, minlength=7)
        assert (counts >= before).all()
        before = counts
    open_strata = [h for h in range(1, 7) if before[h] < design.pool(h)]
    rates = np.array([before[h] / law[h - 1] for h in open_strata])
    assert rates.max() - rates.min() <= 1.0 / min(law[h - 1] for h in open_strata) + 1e-9


def test_edges_are_exhausted_first():
    draw = Strata(20, 0, uniform_law(20), edges=2).draw(0, 1 + 20 + comb(20, 2) + 5)
    assert (draw.stratum[:21] <= 1).all()
    assert (np.bincount(draw.stratum)[:3] == [1, 20, comb(20, 2)]).all()


def test_stochastic_strata_go_on_in_new_contexts():
    draw = Strata(4, 0, uniform_law(4), stochastic=True).draw(0, 200)
    assert (draw.context[0::2] == draw.context[1::2]).all()
    inner = draw.context[2::2]
    assert len(np.unique(inner)) == len(inner)
    assert (draw.context[:2] == -1).all()


def test_permutations_come_with_their_reverse():
    design = Permutations(6, 1)
    draw = design.draw(1, 2)
    forward, backward = draw.coalitions[:5], draw.coalitions[5:]
    assert (forward.sum(axis=1) == np.arange(1, 6)).all()
    assert (backward == ~forward[::-1]).all()
    assert (np.sort(design.orders(np.arange(30)), axis=1) == np.arange(6)).all()


def test_unranking_is_a_bijection():
    for n, size in [(7, 3), (10, 5), (6, 1), (5, 5)]:
        rows = unrank(np.arange(comb(n, size)), n, size)
        assert (rows.sum(axis=1) == size).all()
        assert len(np.unique(rows, axis=0)) == comb(n, size)


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 65_536, 65_537, 100_003])
def test_shuffles_are_permutations(size):
    assert (np.sort(shuffled(9, 4, size, np.arange(size))) == np.arange(size)).all()


def test_large_shuffles_reach_everywhere_evenly():
    drawn = shuffled(1, 2, 2**61 + 12345, np.arange(20_000))
    assert len(np.unique(drawn)) == len(drawn)
    observed = np.histogram(drawn, bins=50, range=(0, 2**61 + 12345))[0]
    assert ((observed - 400.0) ** 2 / 400.0).sum() < chi2.ppf(0.9999, 49)


def test_permutations_walked_together_are_those_walked_alone():
    sizes, rng = [1, 5, 65_537, 2**40 + 7, 2**62], np.random.default_rng(0)
    of = rng.integers(0, len(sizes), 300)
    items = rng.integers(0, np.array(sizes)[of])
    together = shuffled_each(4, [3, 9, 2, 2**23, 0], sizes, of, items)
    for row, (g, item) in enumerate(zip(of, items, strict=True)):
        alone = shuffled(4, [3, 9, 2, 2**23, 0][g], sizes[g], np.array([item]))
        assert together[row] == alone[0]


@pytest.mark.parametrize(("n", "size"), [(8, 3), (40, 20), (200, 90)])
def test_every_player_is_drawn_equally_often(n, size):
    rows = draw_subsets(3, 1, n, size, np.arange(50 if n == 8 else 4000))
    share = rows.mean(axis=0)
    spread = np.sqrt(size / n * (1 - size / n) / len(rows))
    assert (np.abs(share - size / n) < 5 * spread).all()


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_ten_thousand_players_are_seekable(n):
    design = Strata(n, 5, uniform_law(n))
    far = design.draw(700, 702)
    assert (far.coalitions == design.draw(690, 710).coalitions[20:24]).all()
    assert (far.coalitions[0::2].sum(axis=1) == far.stratum).all()


def test_a_law_needs_positive_weights_of_the_right_number():
    with pytest.raises(ValueError, match="law needs 3 positive weights"):
        Strata(6, 0, (1.0, 0.0, 1.0))


def test_strata_drawn_a_little_at_a_time_deal_a_few_times_and_let_old_deals_go(monkeypatch):
    dealt = []
    deal = Strata._deal
    monkeypatch.setattr(Strata, "_deal", lambda self, draws: dealt.append(draws) or deal(self, draws))
    design = Strata(40, 3, uniform_law(40), edges=1)
    draws = [design.draw(start, start + 64) for start in range(0, 64 * 256, 64)]
    assert sum(dealt) < 4 * 64 * 256
    assert all(part.base is None for draw in draws for part in (draw.stratum, draw.index))
    straight = Strata(40, 3, uniform_law(40), edges=1).draw(0, 64 * 256)
    assert np.array_equal(np.concatenate([draw.coalitions for draw in draws]), straight.coalitions)


@pytest.mark.parametrize(("n", "stochastic"), [(5, False), (9, False), (40, False), (40, True), (3_000, False)])
def test_draws_that_are_made_ahead_are_those_of_a_call(n: int, stochastic: bool) -> None:
    """Small calls are served from larger pieces: the same bits in any order, at their edges and at the end of the design."""
    ahead = Strata(n, 3, uniform_law(n), stochastic=stochastic)
    rng = np.random.default_rng(n)
    last = 600 if ahead.capacity is None else min(600, ahead.capacity)
    cuts = [(0, 1), (127, 128), (127, 129), (128, 256), (last - 1, last)]
    cuts += [(int(a), int(a) + int(b)) for a, b in zip(rng.integers(0, last, 30), rng.integers(1, 70, 30), strict=True)]
    for start, stop in [(a, min(b, last)) for a, b in cuts if a < last]:
        got = ahead.draw(start, stop)
        want = Strata(n, 3, uniform_law(n), stochastic=stochastic)._drawn(start, stop)
        for name in ("start", "coalitions", "context", "owner", "stratum", "index"):
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
        # Whoever changes what it drew changes nobody else's draws.
        got.coalitions[:] = True
        got.context[:] = 7
