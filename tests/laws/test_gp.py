"""`gp`: its closed forms against enumeration, invariances, degenerate games, and what it refuses."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import t as student

import xai_ray as xr
from tests.games import smooth_table
from tests.known.test_keep_rates import questions
from tests.laws.sampled import estimate
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, Pool, gp_process, plan
from xai_ray.estimators.gp import Conditioned
from xai_ray.estimators.gp_kernel import kernel
from xai_ray.estimators.gp_process import Process
from xai_ray.estimators.observed import Observed
from xai_ray.estimators.table import build
from xai_ray.indices import Question, exact, readouts, resolve
from xai_ray.testing.estimators import check_estimator


def members(n):
    """All coalitions in the order of tables, as floats."""
    return unpack(np.arange(1 << n), n).astype(float)


def rougher_above(n, seed=0):
    """Two outputs that are smooth among small coalitions and rough among large ones, so that the tilt is not zero."""
    z = members(n)
    rough = np.random.default_rng(seed).normal(size=(1 << n, 2))
    return smooth_table(n, outputs=2, seed=seed, roughness=0.0) + rough * np.exp(6 * (z.mean(1, keepdims=True) - 1))


def conditioned(n, draws, seed=1):
    design = Strata(n, seed, uniform_law(n))
    coalitions = design.draw(0, draws).coalitions
    return Process.of(coalitions, rougher_above(n)[pack(coalitions)])


def posterior(process, n):
    """Mean (2^n, k) and covariance (2^n, 2^n) of the whole game, roughness included, by enumeration."""
    every = torch.from_numpy(members(n))
    tilt = process.hyper.weight(every) ** 2
    same = (every[:, None] == process.members[None]).all(2).double()
    cross = kernel(process.hyper, every, process.members) + process.hyper.nugget * same * tilt[:, None]
    prior = kernel(process.hyper, every, every) + process.hyper.nugget * torch.diag(tilt)
    data = cross[pack(process.members.numpy().astype(bool))]
    mean = process.mean + cross @ process.alpha
    return mean.numpy(), (prior - cross @ torch.linalg.solve(data, cross.T)).numpy()


def all_sets(n, size):
    found = list(combinations(range(n), size))
    return np.array(found, dtype=np.int64).reshape(len(found), size)


def test_moments_of_every_read_out_equal_enumeration():
    n = 6
    process = conditioned(n, 19)
    assert abs(process.hyper.tilt) > 0.5
    table, covariance = posterior(process, n)
    scale = process.variance.numpy()
    for question in {q for q in questions(n) if q.index not in ("Moebius", "CoMoebius", "Fourier") or q.order != n}:
        matrix = exact(np.eye(1 << n), question).values
        matrix = matrix if matrix.ndim == 3 else matrix[:, None]
        mean = np.einsum("crt,tk->crk", matrix, table)
        variance = np.einsum("crt,tu,cru->cr", matrix, covariance, matrix)[..., None] * scale
        parts = [process.moments(r, all_sets(n, r.size), roughness=True) for r in readouts(question, n)]
        found, deviations = (np.concatenate(part) for part in zip(*parts, strict=True))
        np.testing.assert_allclose(found, mean, atol=1e-9 * np.abs(mean).max(), err_msg=str(question))
        rounding = 1e-6 * variance.max() + 1e-11 * scale.max()
        np.testing.assert_allclose(deviations**2, variance, atol=rounding, err_msg=str(question))


def test_the_smooth_part_alone_is_read_for_a_stochastic_game():
    n = 6
    process = conditioned(n, 12)
    smooth = process.predict(members(n).astype(bool))
    for question in (Question("SII"), Question("MOI"), Question("FSII", order=3), Question("Fourier", order=2)):
        want = exact(smooth, resolve(question, n)).values
        want = want if want.ndim == 3 else want[:, None]
        parts = [process.read(r, all_sets(n, r.size)) for r in readouts(resolve(question, n), n)]
        np.testing.assert_allclose(np.concatenate(parts), want, atol=1e-9 * np.abs(want).max())


def test_left_out_residuals_are_those_of_a_process_without_the_row():
    process = conditioned(6, 10)
    residuals = process.left_out()
    covariance = kernel(process.hyper, process.members, process.members)
    covariance.diagonal().add_(process.hyper.nugget * process.hyper.weight(process.members) ** 2)
    data = covariance @ process.alpha
    for row in (0, 1, 7, 19):
        rest = torch.arange(20) != row
        predicted = covariance[row, rest] @ torch.linalg.solve(covariance[rest][:, rest], data[rest])
        np.testing.assert_allclose(residuals[row], data[row] - predicted, rtol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_the_contract_at_full_budget(n):
    design = Strata(n, n, uniform_law(n))
    last = 1 << (n - 1)
    for question in (
        Question("SV"),
        Question("SII"),
        Question("MOI"),
        Question("FSII"),
        Question("SII", order=min(3, n)),
    ):
        asked = resolve(question, n)
        table = smooth_table(n, outputs=2, seed=n)
        check_estimator(lambda d, q=asked: build("gp", q, d), design, last, table, [(last // 2, last), (0, last // 2)])


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.7, -1e30])
def test_a_constant_game_is_zero_without_error(constant):
    for index in ("SV", "SII"):
        found = estimate(np.full((256, 1), constant), Question(index), "gp", 60, 0)
        assert (found.values == 0).all()
        assert (found.std_errors == 0).all()


def test_a_constant_output_changes_nothing_of_the_others():
    """0.1 is no sum of powers of two: its mean over rows is not 0.1, and what is left over is no game."""
    one = smooth_table(8, seed=1)
    two = np.concatenate([np.full_like(one, 0.1), one], axis=1)
    for index in ("SV", "SII"):
        alone, beside = (estimate(t, Question(index), "gp", 80, 0) for t in (one, two))
        np.testing.assert_allclose(beside.values[:, 1:], alone.values, rtol=1e-9)
        np.testing.assert_allclose(beside.std_errors[:, 1:], alone.std_errors, rtol=1e-9)
        assert (beside.values[:, 0] == 0).all()
        assert (beside.std_errors[:, 0] == 0).all()


def test_an_additive_game_has_no_interactions():
    table = (members(8) @ np.random.default_rng(0).normal(size=8))[:, None] + 2.0
    pairs = estimate(table, Question("SII"), "gp", 60, 0)
    assert np.abs(pairs.values).max() < 1e-12
    players = estimate(table, Question("SV"), "gp", 60, 0)
    np.testing.assert_allclose(players.values, exact(table, players.question).values, atol=1e-10)


def test_a_dummy_player_is_found():
    """Its length scale goes to where the game does not change with it, at the rate at which rows can tell."""
    table = smooth_table(8, seed=3)[np.arange(256) & ~1]
    for budget, most in ((80, 0.01), (160, 1e-5)):
        found = estimate(table, Question("SV"), "gp", budget, 0)
        assert np.abs(found.values[0]).max() < most * np.abs(found.values).max()
        low, high = found.intervals()
        assert low[0] <= 0.0 <= high[0]


@pytest.mark.parametrize(("factor", "shift"), [(1e-30, 0.0), (1e30, 0.0), (-3.0, 7.0)])
def test_shift_and_scale(factor, shift):
    table = smooth_table(8, seed=3)
    for index in ("SV", "SII"):
        plain, moved = (estimate(t, Question(index), "gp", 80, 0) for t in (table, factor * table + shift))
        scale = np.abs(plain.values).max()
        np.testing.assert_allclose(moved.values / factor, plain.values, atol=1e-9 * scale)
        np.testing.assert_allclose(moved.std_errors / abs(factor), plain.std_errors, rtol=1e-7)


def test_relabelling_players_permutes_the_answer():
    n, order = 7, np.array([3, 0, 6, 1, 5, 2, 4])
    coalitions = Strata(n, 5, uniform_law(n)).draw(0, 25).coalitions
    values = smooth_table(n, seed=2)[pack(coalitions)]
    plain, moved = Process.of(coalitions, values), Process.of(coalitions[:, order], values)
    for index in ("SV", "SII"):
        (readout,) = readouts(resolve(Question(index), n), n)
        sets = all_sets(n, readout.size)
        for a, b in zip(plain.moments(readout, order[sets], True), moved.moments(readout, sets, True), strict=True):
            # L-BFGS sums over players, so it ends a rounding error away.
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_a_prefix_of_a_pool_answers_as_if_nothing_more_had_been_drawn():
    table = smooth_table(8, seed=6)
    planned = plan([Ask(Question("SII"), "gp")], 8, 120, 3)
    values = table[pack(planned.design.draw(0, planned.draws).coalitions)]
    whole = Pool(planned.design, planned.draws, values)
    short = Pool(planned.design, 30, values[:60])
    a, b = (pool.answer(Question("SII"), "gp") for pool in (whole.prefix(30), short))
    assert a.values.tobytes() == b.values.tobytes()
    assert a.std_errors.tobytes() == b.std_errors.tobytes()
    assert whole.answer(Question("SV"), "gp").evaluations == 120


def test_partials_in_any_cut():
    n = 8
    design = Strata(n, 4, uniform_law(n))
    for question in (Question("SV"), Question("MOI", contexts=(0, 3, 6)), Question("STII", order=3)):
        asked = resolve(question, n)
        cut = [(31, 40), (0, 7), (7, 31)]
        check_estimator(lambda d, q=asked: build("gp", q, d), design, 40, smooth_table(n, outputs=2, seed=9), cut)


def test_noise_of_a_stochastic_game_stays_in_the_standard_error():
    """All coalitions are drawn, many twice; the answer is still uncertain, and its intervals hold the truth."""
    n, noise = 6, 0.3
    table = smooth_table(n, seed=4, roughness=0.0)
    question = resolve(Question("SV"), n)
    truth = exact(table, question).values
    design = Strata(n, 0, uniform_law(n), stochastic=True)
    estimator = build("gp", question, design)
    draw = design.draw(0, 100)
    inside = []
    for seed in range(40):
        values = table[pack(draw.coalitions)] + noise * np.random.default_rng(seed).normal(size=(200, 1))
        found = estimator.finish(estimator.observe(draw, values))
        assert found.std_errors.min() > 0.1 * noise / np.sqrt(200)
        low, high = found.intervals()
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(inside) >= 0.9, np.mean(inside)


def test_too_few_evaluations():
    n = 8
    design = Strata(n, 0, uniform_law(n))
    estimator = build("gp", resolve(Question("SV"), n), design)
    draw = design.draw(0, 12)
    for partial in (estimator.empty(), estimator.observe(draw, smooth_table(n)[pack(draw.coalitions)])):
        with pytest.raises(NotEnoughSamples, match="34 evaluations for 8 players"):
            estimator.finish(partial)


def test_what_it_does_not_answer_names_what_would():
    with pytest.raises(SpecError, match=r"n = 1001 players is out of reach.*limit is n = 1000.*'leverage'"):
        build("gp", resolve(Question("SV"), 1001), Strata(1001, 0, uniform_law(1001)))
    with pytest.raises(SpecError, match=r"'gp' does not answer SII of order 4; these do:.*'exact'"):
        build("gp", resolve(Question("SII", order=4), 8), Strata(8, 0, uniform_law(8)))


@pytest.mark.parametrize(("index", "order", "n"), [("SII", 3, 12), ("MOI", 2, 24)])
def test_sampled_standard_errors_agree_with_exact_ones(monkeypatch, index, order, n):
    rng = np.random.default_rng(n)
    coalitions = Strata(n, 0, uniform_law(n)).draw(0, 100).coalitions
    lean = coalitions @ rng.normal(size=(n, 1)) + (coalitions @ rng.normal(size=(n, 1)) / 3) ** 2
    process = Process.of(coalitions, np.tanh(lean / 2))
    contexts = (0, 5, 22) if index == "MOI" else None
    (readout,) = readouts(resolve(Question(index, order=order, contexts=contexts), n), n)
    sets = all_sets(n, order)
    assert len(sets) > gp_process.SAMPLED_SETS
    values, errors = process.moments(readout, sets, True)
    monkeypatch.setattr(gp_process, "EXACT_WORK", 0.0)
    again, sampled = process.moments(readout, sets, True)
    np.testing.assert_allclose(again, values, atol=1e-12 * np.abs(values).max())
    assert np.median(np.abs(sampled / errors - 1.0)) < 0.2


@pytest.mark.parametrize(
    ("budget", "seeds"), [(90, 200), pytest.param(360, 200, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_intervals_cover(budget, seeds):
    """Pooled over tables from smooth to rough, at ten and forty evaluations a player."""
    n = 9
    inside = {index: [] for index in ("SV", "SII")}
    for seed in range(seeds):
        table = smooth_table(n, seed=seed, roughness=(0.0, 0.1, 0.5)[seed % 3])
        draw = Strata(n, seed, uniform_law(n)).draw(0, budget // 2)
        fitted = Conditioned.on(Observed({0: (draw, table[pack(draw.coalitions)])}).rows(), False)
        for index, shares in inside.items():
            question = resolve(Question(index), n)
            (readout,) = readouts(question, n)
            values, errors = fitted.read(readout, all_sets(n, readout.size))
            away = np.abs(values[:, 0] - exact(table, question).values)
            shares.append((away <= student.ppf(0.975, fitted.freedom) * errors[:, 0]).mean())
    for index, shares in inside.items():
        assert 0.92 <= np.mean(shares) <= 0.98, (index, np.mean(shares))


@pytest.mark.parametrize(("n", "budget", "bend"), [(10, 150, 1e-6), (12, 600, 1e-7), (20, 300, 1e-9), (20, 600, 1e-6)])
def test_games_that_are_all_but_linear_have_an_answer(n: int, budget: int, bend: float) -> None:
    """The likelihood by parity takes parameters there whose covariance as a whole has no factor to rounding."""
    weights = np.arange(1.0, n + 1)
    game = xr.ModelGame(
        lambda x: x @ weights + bend * np.sin(3 * x.sum(axis=1)),
        np.ones(n),
        players=xr.Columns(),
        removal=xr.Zeros(),
        behaviour=xr.Raw(),
    )
    found = xr.explain(game, budget=budget, estimator="gp")
    np.testing.assert_allclose(found.values, weights, atol=4 * bend)
