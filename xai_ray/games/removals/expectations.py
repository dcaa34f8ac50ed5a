"""Removals that average over many fillings: the marginal distribution of a background, and the uniform distribution
on a range.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, SpecError
from xai_ray.games.removals.background import background_rows
from xai_ray.games.removals.filling import Array, Filling, PlacedInput, like, require
from xai_ray.types import Ints

SOBOL_POINTS = 4096
"""Points of the fixed set that stands for the whole uniform distribution."""
_SOBOL_DIMENSIONS = 21201


@dataclass(frozen=True)
class Marginal:
    """Absent players take their values from whole background rows.

    `samples=None` averages over every row: deterministic, K = rows model evaluations a coalition. `samples=b` draws b
    rows a context (with replacement, from the random words of (seed, context)): a stochastic game, whose noise is
    part of the standard error. Give `seed` the job's seed, so that jobs with other seeds draw other rows.
    """

    background: object = field(repr=False)
    """Shape (rows, *input); a dict or tuple of such arrays for several inputs, whose rows go together."""
    samples: int | None = None
    seed: int = 0

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """All rows, and draws of them."""
        rows = background_rows(self.background, inputs, "marginal")
        _check_samples(self.samples, "marginal")
        if self.samples is None:
            return Filling(rows)
        return Filling(rows, self.samples, _RowDraw(rows, self.samples, self.seed))


@dataclass(frozen=True)
class _RowDraw:
    rows: tuple[Array, ...]
    samples: int
    seed: int

    def __call__(self, context: Ints) -> tuple[Array, ...]:
        words = random_words(self.seed, Stream.BACKGROUND, 0, context, self.samples)
        picked = (words % np.uint64(len(self.rows[0]))).astype(np.int64)
        return tuple(r[picked] for r in self.rows)


@dataclass(frozen=True)
class Uniform:
    """Absent columns (or pixels) are uniform on [low, high): numbers, or one a column.

    `samples` points a context; the expectation (context -1) averages over 4,096 scrambled Sobol points, the same for
    every seed.
    """

    low: npt.ArrayLike
    high: npt.ArrayLike
    samples: int = 1
    seed: int = 0

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """The Sobol points, and draws."""
        _check_samples(self.samples, "uniform")
        bounds = tuple(_bounds(self.low, self.high, i) for i in inputs)
        sizes = [0 if i.constant else i.array.size for i in inputs]
        if sum(sizes) > _SOBOL_DIMENSIONS:
            raise SpecError(
                f"uniform removal takes inputs of up to {_SOBOL_DIMENSIONS} numbers, this one has {sum(sizes)}"
            )
        # `seed` is called `rng` in newer releases, which take both names.
        points = qmc.Sobol(sum(sizes), scramble=True, seed=0).random(SOBOL_POINTS)  # pyright: ignore[reportCallIssue]
        cuts = np.split(points, np.cumsum(sizes)[:-1], axis=1)
        rows = tuple(_scaled(u, i, b) for u, i, b in zip(cuts, inputs, bounds, strict=True))
        return Filling(rows, self.samples, _UniformDraw(inputs, bounds, self.samples, self.seed))


@dataclass(frozen=True)
class _UniformDraw:
    inputs: tuple[PlacedInput, ...]
    bounds: tuple[tuple[Array, Array], ...]
    samples: int
    seed: int

    def __call__(self, context: Ints) -> tuple[Array, ...]:
        out: list[Array] = []
        for at, (placed, bounds) in enumerate(zip(self.inputs, self.bounds, strict=True)):
            count = self.samples * (0 if placed.constant else prod(placed.array.shape))
            words = random_words(self.seed, Stream.BACKGROUND_UNIFORM, at, context, count)
            unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
            flat = unit.reshape(len(context) * self.samples, -1)
            out.append(_scaled(flat, placed, bounds).reshape(len(context), self.samples, *placed.array.shape))
        return tuple(out)


def _scaled(unit: Array, placed: PlacedInput, bounds: tuple[Array, Array]) -> Array:
    shape = placed.array.shape
    if placed.constant:
        return np.broadcast_to(placed.array, (len(unit), *shape))
    low, high = bounds
    return (low + (high - low) * unit.reshape(len(unit), *shape)).astype(placed.array.dtype)


def _bounds(low: npt.ArrayLike, high: npt.ArrayLike, placed: PlacedInput) -> tuple[Array, Array]:
    if placed.constant:
        return placed.array, placed.array
    require(placed, ("table", "image"), "uniform")
    if not np.issubdtype(placed.array.dtype, np.floating):
        raise SpecError(
            f"uniform removal needs an input of real numbers; {placed.name!r} has type {placed.array.dtype}"
        )
    try:
        ends = tuple(np.broadcast_to(np.asarray(end, dtype=np.float64), placed.array.shape) for end in (low, high))
    except ValueError as error:
        raise InputError(f"uniform removal: low and high do not fit input {placed.name!r} ({error})") from None
    if not (np.isfinite(ends[0]).all() and np.isfinite(ends[1]).all() and (ends[0] <= ends[1]).all()):
        raise InputError("uniform removal: low and high must be finite, with low <= high in every column")
    return like(placed, ends[0]).astype(np.float64), like(placed, ends[1]).astype(np.float64)


def _check_samples(samples: int | None, removal: str) -> None:
    if samples is not None and samples < 1:
        raise InputError(f"{removal} removal: samples must be at least 1, got {samples}")
