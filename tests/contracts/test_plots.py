"""Plots show the numbers of the result, for every view, and leave pyplot alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from xai_ray.errors import InputError, NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.games.view import View
from xai_ray.indices.question import Question
from xai_ray.reports import plots
from xai_ray.reports.canvas import NEGATIVE, POSITIVE
from xai_ray.reports.result import Result

N = 9
SINGLES = tuple((i,) for i in range(N))
PAIRS = tuple(combinations(range(N), 2))
WORDS = ("it", "costs", "$5", "or", "$6", "_maybe", "it", "is", "ünïcode")
VIEWS = {
    "image": View(
        "image",
        tuple(f"r{i // 3 + 1}c{i % 3 + 1}" for i in range(N)),
        np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8),
        (np.arange(30)[:, None] // 10 * 3 + np.arange(30) // 10).astype(np.int64),
    ),
    "text": View("text", WORDS),
    "table": View("table", tuple(f"x{i} = {i}" for i in range(N))),
    "plain": View("plain", tuple(f"player {i}" for i in range(N))),
}


def make(view: str | None = "image", k: int = 1, exact: bool = False) -> Result:
    rng = np.random.default_rng(5)

    def answer(question: Question, sets: tuple[tuple[int, ...], ...], *axes: int, spent: int = 900) -> Estimate:
        values = rng.normal(size=(len(sets), *axes, k))
        errors = np.zeros_like(values) if exact else rng.uniform(0.05, 0.2, values.shape)
        return Estimate(question, sets, values, errors, "cells", spent)

    sv, stii = Question("SV", 1), Question("STII", 2)
    moi = answer(Question("MOI", 2, contexts=(0, 3, 7)), PAIRS, 3)
    return Result(
        "job",
        "d",
        tuple(f"x{i}" for i in range(N)),
        tuple(f"y{i}" for i in range(k)),
        900,
        (answer(sv, SINGLES), answer(stii, SINGLES + PAIRS), moi),
        rng.normal(size=(2, k)),
        None if view is None else VIEWS[view],
        tuple(answer(sv, SINGLES, spent=spent) for spent in (100, 300, 900)),
    )


ALL: list[Callable[..., Axes]] = [
    plots.heatmap, plots.bar, plots.pairs, plots.matrix, plots.network, plots.orders, plots.convergence
]  # fmt: skip


@pytest.mark.parametrize("view", [*VIEWS, None])
@pytest.mark.parametrize("plot", ALL)
def test_every_plot_draws_every_view_without_pyplot(plot: Callable[..., Axes], view: str | None) -> None:
    before = pyplot.get_fignums()
    axes = plot(make(view, k=2), output=1)
    assert isinstance(axes, Axes)
    assert isinstance(axes.figure, Figure)
    axes.figure.canvas.draw()
    pixels = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    assert (pixels != 255).any()
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("plot", ALL)
def test_given_axes_are_drawn_on(plot: Callable[..., Axes], view: str) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    assert plot(make(view), axes) is axes
    figure.canvas.draw()


def test_bars_are_the_values_by_strength_with_intervals() -> None:
    result = make("plain")
    axes = plots.bar(result)
    order = np.argsort(-np.abs(result.values))
    assert [bar.get_width() for bar in axes.containers[0]] == list(result.values[order])  # type: ignore[attr-defined]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"player {i}" for i in order]
    (whiskers,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    low, high = result.estimates[0].intervals()
    for row, segment in zip(order, whiskers.get_segments(), strict=True):
        assert segment[:, 0] == pytest.approx([low[row, 0], high[row, 0]], abs=1e-12)


def test_exact_bars_have_no_whiskers() -> None:
    assert not [c for c in plots.bar(make("plain", exact=True)).collections if isinstance(c, LineCollection)]


def test_heat_over_the_photograph_is_red_above_and_blue_below_zero() -> None:
    result = make("image")
    result.values[4] = np.nan
    axes = plots.heatmap(result)
    layer = np.asarray(axes.images[1].get_array())
    for player, value in enumerate(result.values):
        red, _, blue, opacity = layer[player // 3 * 10 + 5, player % 3 * 10 + 5]
        if np.isnan(value):
            assert opacity == 0
        else:
            assert (red > blue) == (value > 0)
    strongest = int(np.nanargmax(np.abs(result.values)))
    cell = layer[strongest // 3 * 10 + 5, strongest % 3 * 10 + 5, 3]
    assert cell == layer[..., 3].max()


def test_words_are_shown_literally_and_in_reading_order() -> None:
    texts = plots.heatmap(make("text")).texts
    words = [text.get_text() for text in texts[::2]]
    assert words == [word.replace("$", r"\$") for word in WORDS]
    heights = [text.get_position() for text in texts[::2]]
    assert heights == sorted(heights, key=lambda at: (at[1], at[0]))


@pytest.mark.parametrize("view", ["image", "text"])
def test_the_strongest_pairs_are_drawn_in_their_colours(view: str) -> None:
    result = make(view)
    axes = plots.pairs(result, top=6)
    values = result.estimates[1].values[N:, 0]
    order = np.argsort(-np.abs(values))[:6][::-1]
    (drawn,) = [c for c in axes.collections if isinstance(c, LineCollection | PatchCollection)]
    colours = np.asarray(drawn.get_edgecolor())[:, :3]
    assert np.allclose(colours, [to_rgb(POSITIVE if values[r] > 0 else NEGATIVE) for r in order])
    widths = np.asarray(drawn.get_linewidth())
    assert (np.diff(widths) > 0).all()
    if isinstance(drawn, LineCollection):
        for row, segment in zip(order, drawn.get_segments(), strict=True):
            centres = [(p % 3 * 10 + 4.5, p // 3 * 10 + 4.5) for p in PAIRS[row]]
            assert np.allclose(segment, centres)


def test_matrix_is_symmetric_and_holds_the_pairs() -> None:
    result = make("table")
    axes = plots.matrix(result)
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)  # type: ignore[arg-type]
    labels = [int(tick.get_text()[1:]) for tick in axes.get_yticklabels()]
    for a, i in enumerate(labels):
        for b, j in enumerate(labels):
            if i != j:
                expected = result.estimates[1].values[N + PAIRS.index((min(i, j), max(i, j))), 0]
                assert cells[a, b] == expected


def test_strength_per_order_takes_the_noise_out() -> None:
    rng = np.random.default_rng(1)
    pairs = tuple(combinations(range(90), 2))
    truth = rng.normal(size=(len(pairs), 3, 1)) * np.array([0.0, 0.05, 0.2])[:, None]
    errors = np.full(truth.shape, 0.1)
    noisy = truth + errors * rng.normal(size=truth.shape)
    noisy[::7, 2] = np.nan
    found = plots.strength(Estimate(Question("MOI", 2, contexts=(0, 44, 88)), pairs, noisy, errors, "cells", 9), 90)
    assert np.allclose(found.share, [0, 0.5, 1])
    assert np.allclose(found.noise, 0.1 * np.sqrt(2 / np.pi))
    assert found.plug_in[0] == pytest.approx(found.noise[0], rel=0.05)
    # Four standard errors of the mean of I^2 over 4,005 pairs.
    wide = 4 * np.sqrt(2 / len(pairs)) * (errors[0, 0, 0] ** 2 + np.array([0.0, 0.05, 0.2]) ** 2)
    assert (np.abs(found.debiased**2 - np.array([0.0, 0.05, 0.2]) ** 2) < wide).all()
    assert (found.plug_in[1:] > np.sqrt(2 / np.pi) * np.array([0.05, 0.2]) * 1.05).all()


def test_convergence_ends_at_the_last_values() -> None:
    result = make()
    axes = plots.convergence(result, top=3)
    last = result.convergence[-1].values[:, 0]
    ends = [line.get_ydata()[-1] for line in axes.lines if len(line.get_xdata()) == 3]  # type: ignore[index,arg-type]
    assert ends == list(last[np.argsort(-np.abs(last))[:3]])
    assert list(axes.lines[0].get_xdata()) == [100, 300, 900]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plot", "keep", "advice"),
    [("heatmap", 2, "SV"), ("pairs", 0, "STII"), ("network", 2, "STII"), ("orders", 1, "MOI")],
)
def test_a_missing_estimate_is_named_with_the_question_that_adds_it(plot: str, keep: int, advice: str) -> None:
    whole = make()
    only = Result("job", "d", whole.players, whole.outputs, 9, (whole.estimates[keep],), whole.ends, whole.view)
    with pytest.raises(NotEnoughSamples, match=advice):
        getattr(plots, plot)(only)
    with pytest.raises(NotEnoughSamples, match="two or more budgets"):
        plots.convergence(only)


def test_an_unknown_output_is_refused_and_a_name_will_do() -> None:
    result = make(k=2)
    assert "y1" in plots.bar(result, output="y1").get_xlabel()
    for wrong in (2, "y7"):
        with pytest.raises(InputError, match="0: y0, 1: y1"):
            plots.bar(result, output=wrong)


@pytest.mark.parametrize("plot", [plots.heatmap, plots.bar, plots.pairs, plots.matrix, plots.network, plots.orders])
@pytest.mark.parametrize("view", VIEWS)
def test_all_missing_still_draws(plot: Callable[..., Axes], view: str) -> None:
    result = make(view)
    for estimate in result.estimates:
        estimate.values[:] = estimate.std_errors[:] = np.nan
    axes = plot(result)
    assert isinstance(axes.figure, Figure)
    axes.figure.canvas.draw()
