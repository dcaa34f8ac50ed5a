"""Objects of shap and shapiq: right numbers, and drawn by those packages' own plots."""

from __future__ import annotations

import builtins
import math
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from xai_ray.errors import InputError, NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.games.view import View
from xai_ray.indices.question import Question
from xai_ray.reports.result import Result

shap = pytest.importorskip("shap")
shapiq = pytest.importorskip("shapiq")
mpl.use("Agg")

N = 5
PLAYERS = ("age", "height", "weight", "dose", "sex")
SINGLES = tuple((i,) for i in range(N))
PAIRS = tuple(combinations(range(N), 2))


def game(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """v(empty) (k,), dividends of players (n, k) and of pairs (c, k) of a game of order two."""
    rng = np.random.default_rng(11)
    return rng.normal(size=k), rng.normal(size=(N, k)), rng.normal(size=(len(PAIRS), k))


def make(k: int, kind: str, exact: bool = True) -> Result:
    """Exact answers of the game: its Shapley-Taylor values are the dividends, its SII of pairs too."""
    empty, alone, both = game(k)
    share = alone.copy()
    for (i, j), value in zip(PAIRS, both, strict=True):
        share[i] += value / 2
        share[j] += value / 2
    answers = {
        "SV": (Question("SV", 1), SINGLES, share),
        "STII": (Question("STII", 2), SINGLES + PAIRS, np.concatenate([alone, both])),
        "SII": (Question("SII", 2), PAIRS, both),
        "MOI": (Question("MOI", 2), PAIRS, np.repeat(both[:, None], N - 1, axis=1)),
    }
    estimates = tuple(
        Estimate(q, sets, v, np.full(v.shape, 0.0 if exact else 0.1), "exact", 2**N, math.inf)
        for q, sets, v in (answers[tag] for tag in kind.split("+"))
    )
    ends = np.stack([empty, empty + alone.sum(axis=0) + both.sum(axis=0)])
    view = View("table", tuple(f"{name} = {i / 3:.3g}" for i, name in enumerate(PLAYERS)))
    return Result("job", "d", PLAYERS, tuple(f"y{i}" for i in range(k)), 2**N, estimates, ends, view)


def test_shap_values_add_up_from_the_base_value() -> None:
    result = make(1, "SV")
    explanation = result.to_shap()
    assert np.asarray(explanation.values).tobytes() == result.values.tobytes()
    assert explanation.base_values + np.sum(explanation.values) == pytest.approx(result.ends[1, 0], abs=1e-12)
    assert list(explanation.feature_names) == list(PLAYERS)
    assert list(explanation.data) == ["0", "0.333", "0.667", "1", "1.33"]


def test_shap_keeps_every_output() -> None:
    result = make(3, "SV")
    explanation = result.to_shap()
    assert np.shape(explanation.values) == (N, 3)
    for k in range(3):
        one = explanation[:, k]
        assert np.array_equal(one.values, result.values[:, k])
        assert one.base_values == result.ends[0, k]


@pytest.mark.parametrize("k", [1, 2])
def test_shap_interaction_matrix_follows_its_convention(k: int) -> None:
    result = make(k, "STII")
    cells = np.asarray(result.to_shap().values).reshape(N, N, k)
    _, alone, both = game(k)
    assert np.array_equal(cells, cells.transpose(1, 0, 2))
    assert np.allclose(cells.sum(axis=(0, 1)), result.ends[1] - result.ends[0], rtol=0, atol=1e-12)
    assert np.array_equal(np.diagonal(cells).T, alone)
    assert cells[1, 3, 0] == both[PAIRS.index((1, 3)), 0] / 2


@pytest.mark.parametrize("plot", ["bar", "waterfall"])
@pytest.mark.parametrize("output", [None, 1])
def test_shap_draws_it(plot: str, output: int | None) -> None:
    explanation = make(1, "SV").to_shap() if output is None else make(3, "SV").to_shap()[:, output]
    getattr(shap.plots, plot)(explanation, show=False)
    words = [text.get_text() for text in pyplot.gcf().findobj(Text)]
    assert any("height" in word for word in words)
    pyplot.close("all")


def test_shapiq_holds_the_same_numbers() -> None:
    result = make(2, "STII", exact=False)
    values = result.to_shapiq(output=1)
    empty, alone, both = game(2)
    assert (values.index, values.max_order, values.n_players) == ("STII", 2, N)
    assert values.baseline_value == values[()] == empty[1]
    assert all(values[(i,)] == alone[i, 1] for i in range(N))
    assert all(values[pair] == both[r, 1] for r, pair in enumerate(PAIRS))
    assert values.estimated
    assert values.estimation_budget == 2**N
    assert not make(1, "STII").to_shapiq().estimated


def test_shapiq_agrees_with_its_own_exact_computer() -> None:
    empty, alone, both = game(1)

    def value(coalitions: np.ndarray) -> np.ndarray:
        inside = np.array([coalitions[:, i] & coalitions[:, j] for i, j in PAIRS]).T
        return empty[0] + coalitions @ alone[:, 0] + inside @ both[:, 0]

    theirs = shapiq.ExactComputer(value, n_players=N)("SII", order=2)
    ours = make(1, "SII+SV").to_shapiq("SII")
    assert all(ours[s] == pytest.approx(theirs[s], abs=1e-9) for s in SINGLES + PAIRS)


@pytest.mark.parametrize("kind", ["SV", "STII", "SII+SV", "SII"])
def test_shapiq_draws_it(kind: str) -> None:
    values = make(1, kind).to_shapiq()
    axes = [
        shapiq.network_plot(values, show=False),
        shapiq.bar_plot([values], show=False),
        shapiq.stacked_bar_plot(values, show=False),
        values.plot_waterfall(feature_names=np.array(PLAYERS), show=False),
    ]
    assert all(drawn is not None for drawn in axes)
    pyplot.close("all")


def test_missing_values_are_not_passed_off_as_numbers() -> None:
    result = make(1, "SV")
    result.estimates[0].values[2] = np.nan
    for convert in (result.to_shap, result.to_shapiq):
        with pytest.raises(NotEnoughSamples, match="1 values of SV are missing"):
            convert()


def test_values_by_context_have_no_peer() -> None:
    with pytest.raises(NotEnoughSamples, match="MOI"):
        make(1, "MOI").to_shap()


@pytest.mark.parametrize("package", ["shap", "shapiq"])
def test_a_package_that_is_not_installed_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'pip install "xai-ray\[oracle\]"'):
        getattr(make(1, "SV"), f"to_{package}")()
