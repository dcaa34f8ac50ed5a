import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xai_ray.errors import InputError, SpecError
from xai_ray.games import (
    REMOVALS,
    Attention,
    Blur,
    Columns,
    Constant,
    Drop,
    Marginal,
    MaskToken,
    Mean,
    Patches,
    Tokens,
    Uniform,
    Zeros,
)
from xai_ray.games.arguments import arrange
from xai_ray.games.removals.filling import Filling

IMAGE = np.random.default_rng(0).random((3, 8, 9))
ROW = np.array([1.0, 2.0, 3.0])
IDS = np.array([101, 7, 8, 102])


def fill(removal, x=IMAGE, players=None) -> Filling:
    players = players or (Patches(2, 2) if x.ndim == 3 else Columns())
    return removal.bind(arrange(x, players, None).inputs)


def test_baselines() -> None:
    np.testing.assert_array_equal(fill(Zeros()).rows[0], np.zeros((1, 3, 8, 9)))
    np.testing.assert_array_equal(fill(Constant(0.5), ROW).rows[0], [[0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(fill(Constant([1, 2, 3])).rows[0][0, :, 0, 0], [1, 2, 3])
    np.testing.assert_array_equal(fill(Constant(IMAGE / 2)).rows[0][0], IMAGE / 2)
    np.testing.assert_allclose(fill(Mean()).rows[0][0, :, 3, 4], IMAGE.mean(axis=(1, 2)))
    blurred = np.stack([gaussian_filter(channel, 1.5) for channel in IMAGE])
    np.testing.assert_allclose(fill(Blur(1.5)).rows[0][0], blurred)
    background = np.array([[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]])
    np.testing.assert_array_equal(fill(Mean(background), ROW).rows[0], [[1, 2, 3]])
    np.testing.assert_array_equal(fill(MaskToken(103), IDS, Tokens()).rows[0], [[103] * 4])


def test_bytes_stay_bytes() -> None:
    image = (IMAGE * 255).astype(np.uint8)
    assert fill(Blur(1.0), image).rows[0].dtype == np.uint8
    with pytest.raises(SpecError, match="cannot hold"):
        fill(Constant(0.5), image)
    with pytest.raises(SpecError, match="cannot hold"):
        fill(Constant(300), image)


def test_marginal_rows_and_draws() -> None:
    background = np.arange(12.0).reshape(4, 3)
    assert fill(Marginal(background), ROW).draw is None
    drawn = fill(Marginal(background, samples=5, seed=1), ROW)
    assert drawn.draw is not None
    context = np.arange(2000)
    rows = drawn.draw(context)[0]
    assert rows.shape == (2000, 5, 3)
    assert (rows[:, :, 1] == rows[:, :, 0] + 1).all(), "whole rows"
    counts = np.bincount(rows[:, :, 0].astype(int).ravel() // 3)
    assert len(counts) == 4
    assert np.abs(counts / counts.sum() - 0.25).max() < 0.02
    np.testing.assert_array_equal(drawn.draw(context[7:9])[0], rows[7:9])


def test_uniform_draws() -> None:
    drawn = fill(Uniform([0, 10, 5], [1, 20, 5], samples=2), ROW)
    assert drawn.draw is not None
    assert drawn.size == 4096
    rows = drawn.draw(np.arange(2000))[0].reshape(-1, 3)
    for points in (rows, drawn.rows[0]):
        np.testing.assert_allclose(points.mean(axis=0), [0.5, 15, 5], atol=0.3)
        assert (points >= [0, 10, 5]).all()
        assert (points <= [1, 20, 5]).all()
    assert abs(np.corrcoef(rows[:, :2].T)[0, 1]) < 0.05
    np.testing.assert_array_equal(drawn.draw(np.array([3]))[0], drawn.draw(np.arange(5))[0][3:4])


@pytest.mark.parametrize(
    ("removal", "x", "error", "message"),
    [
        (Marginal(np.zeros((0, 3))), ROW, InputError, "empty"),
        (Mean(np.zeros((0, 3))), ROW, InputError, "empty"),
        (Marginal(np.zeros((5, 2))), ROW, InputError, r"needs shape \(rows, 3\)"),
        (Marginal(np.array([[1.0, np.nan, 1.0]])), ROW, InputError, r"not finite at \[0, 1\]"),
        (Marginal(np.array([["a", "b", "c"]])), ROW, InputError, "not numeric"),
        (Marginal(np.zeros((5, 3)), samples=0), ROW, InputError, "at least 1"),
        (Mean(), ROW, SpecError, "needs `background`"),
        (Blur(2.0), ROW, SpecError, "is for image players"),
        (Blur(0.0), IMAGE, InputError, "> 0"),
        (MaskToken(), ROW, SpecError, "is for text players"),
        (Constant([1.0, 2.0]), ROW, SpecError, "does not fit"),
        (Constant(np.inf), ROW, SpecError, "finite"),
        (Uniform(1, 0), ROW, InputError, "low <= high"),
        (Uniform([0, 1], 2), ROW, InputError, "do not fit"),
        (Uniform(0, 1), np.arange(3), SpecError, "real numbers"),
    ],
)
def test_removals_that_do_not_fit(removal, x, error, message: str) -> None:
    with pytest.raises(error, match=message):
        fill(removal, x)


def test_text_removals() -> None:
    with pytest.raises(SpecError, match="no mask token"):
        fill(MaskToken(), IDS, Tokens())
    with pytest.raises(SpecError, match="image or table"):
        fill(Zeros(), IDS, Tokens())
    for removal in (Attention(), Drop()):
        with pytest.raises(InputError, match="needs the text and its tokenizer"):
            fill(removal, IDS, Tokens())


def test_table_of_removals() -> None:
    assert all(row.citation and row.players for row in REMOVALS.values())
    every = {Zeros, Constant, Mean, Blur, MaskToken, Attention, Drop, Marginal, Uniform}
    assert {row.make for row in REMOVALS.values()} == every
