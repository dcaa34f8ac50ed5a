"""Identities between indices on random games with v(empty) not zero: properties P1-P10 of interactions, and more."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_ray.indices import Question, exact, pair_profile_weights, semivalue_weights
from xai_ray.indices.cardinal import TAGS, dividend_weights
from xai_ray.indices.transforms import coalition_sizes, subset_sums
from xai_ray.indices.weights import PAIRWISE, cardinal_weights

TOLERANCE = {"rtol": 0, "atol": 1e-10}


@st.composite
def games(draw: st.DrawFn, smallest: int = 3) -> np.ndarray:
    n = draw(st.integers(smallest, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    offset = draw(st.floats(-5, 5))
    return np.random.default_rng(seed).normal(size=(2**n, 2)) + offset


def n_of(table: np.ndarray) -> int:
    return len(table).bit_length() - 1


def phi(table: np.ndarray) -> np.ndarray:
    """phi^(m)(i), shape (player, m, output)."""
    return exact(table, Question("PHIM")).values


def square(table: np.ndarray) -> np.ndarray:
    """I^(m)(i,j) for ordered pairs, shape (i, j, m, output), zero for i = j."""
    n, answer = n_of(table), exact(table, Question("MOI"))
    out = np.zeros((n, n, *answer.values.shape[1:]))
    for (i, j), profile in zip(answer.coalitions, answer.values, strict=True):
        out[i, j] = out[j, i] = profile
    return out


def mean_curve(table: np.ndarray) -> np.ndarray:
    sizes = coalition_sizes(n_of(table))
    return np.array([table[sizes == s].mean(axis=0) for s in range(n_of(table) + 1)])


def values(table: np.ndarray, tag: str, **options) -> np.ndarray:
    return exact(table, Question(tag, **options)).values


@settings(max_examples=40, deadline=None)
@given(games())
def test_p1_marginal_contribution(table: np.ndarray) -> None:
    n = n_of(table)
    np.testing.assert_allclose(np.diff(phi(table), axis=1), square(table).sum(axis=1) / (n - 1), **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p2_accumulation(table: np.ndarray) -> None:
    n = n_of(table)
    gained = np.cumsum(square(table).sum(axis=1) / (n - 1), axis=1)
    np.testing.assert_allclose(phi(table)[:, 1:], phi(table)[:, :1] + gained, **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p3_efficiency_over_ordered_pairs(table: np.ndarray) -> None:
    n = n_of(table)
    weights = (n - 1 - np.arange(n - 1)) / (n * (n - 1))
    shared = phi(table)[:, 0].sum(axis=0) + np.einsum("m,ijmk->k", weights, square(table))
    np.testing.assert_allclose(shared, table[-1] - table[0], **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p4_linearity(table: np.ndarray) -> None:
    total = square(table.sum(axis=1, keepdims=True))[..., 0]
    np.testing.assert_allclose(total, square(table).sum(axis=-1), **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games(), st.floats(-3, 3))
def test_p5_a_dummy_has_no_interactions(table: np.ndarray, worth: float) -> None:
    n = n_of(table)
    with_dummy = np.concatenate([table, table + worth])
    np.testing.assert_allclose(square(with_dummy)[n], 0, **TOLERANCE)
    np.testing.assert_allclose(phi(with_dummy)[n], worth, **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p6_symmetric_players_interact_alike(table: np.ndarray) -> None:
    # Players 0 and 1 are made interchangeable given the rest; alone or together they may differ from one another's sum.
    rows = np.arange(len(table))
    swapped = (rows & ~3) | ((rows & 1) << 1) | ((rows >> 1) & 1)
    symmetric = (table + table[swapped]) / 2
    profile = square(symmetric)
    np.testing.assert_allclose(profile[0, 2:], profile[1, 2:], **TOLERANCE)
    np.testing.assert_allclose(phi(symmetric)[0], phi(symmetric)[1], **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p7_summability(table: np.ndarray) -> None:
    n = n_of(table)
    first, whole = phi(table), len(table) - 1
    alone = np.array([table[whole] - table[whole ^ (1 << i)] - table[1 << i] + table[0] for i in range(n)])
    np.testing.assert_allclose(first[:, -1] - first[:, 0], alone, **TOLERANCE)
    np.testing.assert_allclose(square(table).sum(axis=(1, 2)) / (n - 1), alone, **TOLERANCE)
    sii = values(table, "SII")
    for i in range(n):
        mine = [row for row, pair in enumerate(combinations(range(n), 2)) if i in pair]
        np.testing.assert_allclose(sii[mine].sum(axis=0), alone[i], **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p8_means_over_players_and_pairs_follow_the_mean_curve(table: np.ndarray) -> None:
    curve = mean_curve(table)
    np.testing.assert_allclose(np.diff(curve, axis=0), phi(table).mean(axis=0), **TOLERANCE)
    np.testing.assert_allclose(np.diff(curve, n=2, axis=0), values(table, "MOI").mean(axis=0), **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p9_mean_shapley_interaction(table: np.ndarray) -> None:
    n, whole = n_of(table), len(table) - 1
    alone = np.mean([table[whole] - table[whole ^ (1 << i)] - table[1 << i] + table[0] for i in range(n)], axis=0)
    np.testing.assert_allclose(values(table, "SII").mean(axis=0), alone / (n - 1), **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(games())
def test_p10_two_sizes_of_the_mean_curve(table: np.ndarray) -> None:
    n, curve, profile = n_of(table), mean_curve(table), square(table)
    for s1, s2 in combinations(range(1, n + 1), 2):
        weights = np.zeros(n - 1)
        for k in range(n - 1):
            if k <= s1 - 2:
                weights[k] = (s2 / s1 - 1) * (k + 1) / (n * (n - 1))
            elif k <= s2 - 2:
                weights[k] = (s2 - 1 - k) / (n * (n - 1))
        expected = (1 - s2 / s1) * table[0] + np.einsum("m,ijmk->k", weights, profile)
        np.testing.assert_allclose(curve[s2] - s2 / s1 * curve[s1], expected, **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games(smallest=2))
def test_pairwise_indices_are_read_from_the_profile(table: np.ndarray) -> None:
    n, profile = n_of(table), values(table, "MOI")
    for tag in PAIRWISE:
        pairs = values(table, tag)[-comb(n, 2) :]
        np.testing.assert_allclose(np.einsum("m,cmk->ck", pair_profile_weights(tag, n), profile), pairs, **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_shapley_interaction_is_a_difference_of_shapley_values(table: np.ndarray) -> None:
    """I(i,j) is the Shapley value of i with j always in, minus that with j always out, over the players without j."""
    n = n_of(table)
    sii = dict(zip(combinations(range(n), 2), values(table, "SII"), strict=True))
    cube = table.reshape(2, -1, 2)
    inside, outside = (values(np.ascontiguousarray(half), "SV") for half in (cube[1], cube[0]))
    for i in range(n - 1):
        np.testing.assert_allclose(sii[i, n - 1], (inside - outside)[i], **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_special_cases_of_the_shapley_value(table: np.ndarray) -> None:
    n, shapley = n_of(table), values(table, "SV")
    everyone = tuple(range(n))
    for same in (
        values(table, "BETA", alpha=1, beta=1),
        values(table, "SEMI", weights=(1 / n,) * n),
        values(table, "Owen", groups=(everyone,)),
        values(table, "Owen", groups=tuple((i,) for i in everyone)),
        phi(table).mean(axis=1),
        *(values(table, tag, order=1) for tag in ("SII", "k-SII", "STII", "FSII", "CHII", "SGV", "CHGV", "JointSV")),
    ):
        np.testing.assert_allclose(same, shapley, **TOLERANCE)
    fourier = exact(table, Question("Fourier"))
    for i in everyone:
        odd = [
            -2 * b / len(S) for S, b in zip(fourier.coalitions, fourier.values, strict=True) if i in S and len(S) % 2
        ]
        np.testing.assert_allclose(np.sum(odd, axis=0), shapley[i], **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_special_cases_of_the_banzhaf_value(table: np.ndarray) -> None:
    banzhaf = values(table, "BV")
    for same in (values(table, "WBV", p=0.5), *(values(table, tag, order=1) for tag in ("BII", "FBII", "BGV"))):
        np.testing.assert_allclose(same, banzhaf, **TOLERANCE)
    fourier = values(table, "Fourier", order=1)
    np.testing.assert_allclose(-2 * fourier[1:], banzhaf, **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_orders_that_reach_all_players_give_dividends(table: np.ndarray) -> None:
    n = n_of(table)
    dividends = exact(table, Question("Moebius")).values
    for tag in ("STII", "FSII", "FBII"):
        np.testing.assert_allclose(values(table, tag, order=n), dividends[1:], **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_owen_values_of_a_group_sum_to_the_shapley_value_of_the_quotient(table: np.ndarray) -> None:
    n = n_of(table)
    groups = ((0, 2), (1, *range(3, n)))
    owen = values(table, "Owen", groups=groups)
    masks = [sum(1 << i for i in group) for group in groups]
    quotient = values(table[[0, masks[0], masks[1], len(table) - 1]], "SV")
    for group, total in zip(groups, quotient, strict=True):
        np.testing.assert_allclose(owen[list(group)].sum(axis=0), total, **TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(games())
def test_multivariate_interaction_of_a_pair_is_its_shapley_interaction(table: np.ndarray) -> None:
    pair = values(table, "SII", pairs=((0, 2),))
    for tag in ("MVI", "BMAX", "BMIN"):
        found = values(table, tag, groups=((2, 0),))
        expected = {"MVI": pair, "BMAX": np.maximum(pair, 0), "BMIN": np.minimum(pair, 0)}[tag]
        np.testing.assert_allclose(found, expected, **TOLERANCE)


def unanimity(n: int, carrier: tuple[int, ...]) -> np.ndarray:
    mask = sum(1 << i for i in carrier)
    return np.array([[float(row & mask == mask)] for row in range(2**n)])


@pytest.mark.parametrize("carrier", [(1, 3), (0, 2, 5), (0, 1, 2, 4, 5)])
def test_unanimity_games_have_closed_forms(carrier: tuple[int, ...]) -> None:
    n, t = 6, len(carrier)
    table = unanimity(n, carrier)
    for i, value in enumerate(values(table, "SV")[:, 0]):
        assert value == pytest.approx(1 / t if i in carrier else 0, abs=1e-12)
    answer = exact(table, Question("MOI"))
    for pair, profile in zip(answer.coalitions, answer.values[..., 0], strict=True):
        inside = set(pair) <= set(carrier)
        expected = [comb(m, t - 2) / comb(n - 2, t - 2) if inside else 0.0 for m in range(n - 1)]
        np.testing.assert_allclose(profile, expected, atol=1e-12)
    for tag, pair_value in (("SII", 1 / (t - 1)), ("BII", 2.0 ** (2 - t)), ("CHII", 2 / t)):
        answer = exact(table, Question(tag))
        for pair, value in zip(answer.coalitions, answer.values[:, 0], strict=True):
            assert value == pytest.approx(pair_value if set(pair) <= set(carrier) else 0, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_shapley_taylor_distributes_a_unanimity_game_over_top_sets(order: int) -> None:
    """Interaction distribution: a unanimity game goes to the sets of `order` players of its carrier, in equal parts."""
    carrier = (0, 2, 3, 5)
    answer = exact(unanimity(6, carrier), Question("STII", order=order))
    for S, value in zip(answer.coalitions, answer.values[:, 0], strict=True):
        top = len(S) == order and set(S) <= set(carrier)
        assert value == pytest.approx(1 / comb(4, order) if top else 0, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_dividend_weights_are_the_derivative_weights_summed(n: int) -> None:
    """delta_S v(T) is the sum of h(S + L) over L in T, so d(s, s+l) = sum_t C(n-s-l, t-l) p_s(t)."""
    for tag in TAGS:
        for order in range(1, n + 1):
            for s in range(1, order + 1):
                if tag in ("k-SII", "FSII", "FBII") and s < order:
                    continue
                p = cardinal_weights(tag, s, n, order)
                summed = [sum(comb(n - s - x, t - x) * p[t] for t in range(x, n - s + 1)) for x in range(n - s + 1)]
                np.testing.assert_allclose(dividend_weights(tag, s, n, order), summed, rtol=1e-10)


@pytest.mark.parametrize("tag", PAIRWISE)
@pytest.mark.parametrize("n", [2, 3, 10, 10_000])
def test_pair_weights_are_means(tag: str, n: int) -> None:
    weights = pair_profile_weights(tag, n)
    assert weights.shape == (n - 1,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 10, 10_000])
def test_semivalue_weights_are_means(n: int) -> None:
    for question in (Question("SV"), Question("BV"), Question("WBV", p=0.9), Question("BETA", alpha=16.0, beta=1.0)):
        weights = semivalue_weights(question, n)
        assert weights.shape == (n,)
        assert weights.sum() == pytest.approx(1, abs=1e-9)
    # Kwon and Zou (2022): alpha > beta favours small sets; here the keep-rate has density 16 (1-q)^15.
    np.testing.assert_allclose(
        semivalue_weights(Question("BETA", alpha=16.0, beta=1.0), 3), [16 / 18, 2 * 16 / (17 * 18), 2 / (17 * 18)]
    )


def test_subset_sums_of_dividends_rebuild_the_game() -> None:
    table = np.random.default_rng(0).normal(size=(64, 3)) + 1
    answer = exact(table, Question("Moebius"))
    dividends = np.empty_like(table)
    dividends[[sum(1 << i for i in S) for S in answer.coalitions]] = answer.values
    np.testing.assert_allclose(subset_sums(dividends), table, atol=1e-12)
