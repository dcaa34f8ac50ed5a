"""Oracles of the cell estimators: every cell, every residual and every weight written out, one by one."""

import time
from itertools import combinations, product
from math import comb

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.cell_sums import cell_sums, pattern_sums, subset_sums
from xai_ray.estimators.cells import ridge
from xai_ray.estimators.correction import cross_fit
from xai_ray.estimators.observed import Observed
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.table import build
from xai_ray.indices import Question, readouts, resolve
from xai_ray.indices.weights import cardinal_weights
from xai_ray.testing.surrogates import sets_of

N = 8


def drawn(budget, edges, seed=0, outputs=2):
    table = smooth_table(N, outputs=outputs, seed=3)
    design = Strata(N, seed, uniform_law(N), edges=edges)
    draw = design.draw(0, design.affordable(budget))
    return design, draw, table[pack(draw.coalitions)]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("tag", ["SII", "BII", "CHII"])
def test_svarmiq_is_the_sum_of_stratified_means_of_the_paper(tag, order):
    """I(S) = sum over W in S and context sizes l of (-1)^(s-|W|) C(n-s, l) p(l) mean of v over {T : T meets S in W, |T| = |W| + l}."""
    design, draw, values = drawn(230 if order == 3 else 150, edges=order)
    question = resolve(Question(tag, order=order), N)
    estimator = build("svarmiq", question, design)
    found = estimator.finish(estimator.observe(draw, values))
    weights = cardinal_weights(tag, order, N, order)
    sizes = draw.coalitions.sum(axis=1)
    checked = 0
    for players, value in zip(combinations(range(N), order), found.values, strict=True):
        expected = np.zeros(values.shape[1])
        for pattern in product((False, True), repeat=order):
            inside = (draw.coalitions[:, list(players)] == np.array(pattern)).all(axis=1)
            for context in range(N - order + 1):
                cell = inside & (sizes == sum(pattern) + context)
                mean = values[cell].mean(axis=0) if cell.any() else np.nan
                expected += (-1) ** (order - sum(pattern)) * comb(N - order, context) * weights[context] * mean
        np.testing.assert_allclose(value, expected, atol=1e-12)
        checked += int(np.isfinite(expected).all())
    assert checked > len(found.values) / 2


@pytest.mark.parametrize(
    ("tag", "order"), [("SV", None), ("SII", 2), ("SII", 3), ("BGV", 3), ("MOI", None), ("Fourier", 2)]
)
def test_the_correction_is_that_of_a_population_filled_in_by_weighted_residuals(tag, order):
    """For each fold: sum over all coalitions of g plus residuals, trained rows once, held-out rows (N_s - trained) / held-out times."""
    design, draw, values = drawn(170, edges=1)
    rows = SizedRows.of(Observed({0: (draw, values)}).rows(), design)
    fitted = cross_fit(rows, ridge)
    every = np.array(list(product((False, True), repeat=N)))
    question = resolve(Question(tag, order=order), N)
    for readout in readouts(question, N):
        sets = sets_of(N, readout.size)
        expected = np.zeros((len(sets), len(readout.weights), 2))
        for f in range(FOLDS):
            fit = fitted.surrogates[f]
            held = rows.fold == f
            residual = rows.values - fit.predict(rows.coalitions)
            amount = np.ones(len(held))
            for s in range(1, N):
                size = rows.sizes == s
                assert (size & held).any()
                amount[size & held] = (comb(N, s) - (size & ~held).sum()) / (size & held).sum()
            for c, players in enumerate(sets):
                for r, cells in enumerate(readout.cells):
                    for coalitions, what in (
                        (every, fit.predict(every)),
                        (rows.coalitions, residual * amount[:, None]),
                    ):
                        w, t = coalitions[:, players].sum(axis=1), coalitions.sum(axis=1)
                        population = np.array([comb(N - readout.size, int(b - a)) for a, b in zip(w, t, strict=True)])
                        expected[c, r] += (cells[w, t] / population) @ what / FOLDS
        if readout.size == 0:
            expected += readout.weights.sum() * rows.empty
        np.testing.assert_allclose(fitted.read(readout, sets)[0], expected, atol=1e-9)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
@pytest.mark.parametrize("some", [False, True])
def test_sums_over_subsets_and_patterns_are_the_loops(size, some):
    rng = np.random.default_rng(size)
    n = 14
    members, columns = rng.random((60, n)) < 0.4, [rng.normal(size=(60, 2)) for _ in range(size + 1)]
    sets = sets_of(n, size)[:: 40 if some else 1]
    held = subset_sums(members, columns, sets)
    by_count, by_cell = pattern_sums(members, columns[0], sets), cell_sums(members, columns[0], sets)
    for c, players in enumerate(sets):
        inside = members[:, players]
        for j in range(size + 1):
            expected = sum(
                columns[j][inside[:, list(at)].all(axis=1)].sum(axis=0) for at in combinations(range(size), j)
            )
            np.testing.assert_allclose(held[j][c], expected, atol=1e-10)
            np.testing.assert_allclose(by_count[j][c], columns[0][inside.sum(axis=1) == j].sum(axis=0), atol=1e-10)
        for mask in range(1 << size):
            here = (inside == np.array([mask >> b & 1 for b in range(size)], dtype=bool)).all(axis=1)
            np.testing.assert_allclose(by_cell[mask, c], columns[0][here].sum(axis=0), atol=1e-10)


@pytest.mark.slow
def test_all_cells_of_the_pairs_of_forty_players_take_no_time():
    """50 ms on a quiet core for 2,000 values; five times that here, the least of five runs."""
    design = Strata(40, 0, uniform_law(40), edges=1)
    draw = design.draw(0, 1_000)
    values = np.tanh((draw.coalitions * 2.0 - 1) @ np.random.default_rng(0).normal(size=(40, 1)) / 6)
    rows = SizedRows.of(Observed({0: (draw, values)}).rows(), design)
    sets, taken = sets_of(40, 2), []
    pairs, middle = (readouts(resolve(q, 40), 40)[0] for q in (Question("SII"), Question("MOI", contexts=(19,))))
    for _ in range(5):
        start = time.perf_counter()
        read_means(rows, pairs, sets, stochastic=False)
        taken.append(time.perf_counter() - start)
    assert np.isfinite(read_means(rows, middle, sets, stochastic=False)).all()
    assert min(taken) < 0.25
