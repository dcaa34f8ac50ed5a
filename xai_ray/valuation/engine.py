"""What a training engine is, and those that solve for many coalitions at once: logistic regression and ridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from xai_ray.types import Coalitions, Floats, Ints, Mask
from xai_ray.valuation.logistic import LogisticFits
from xai_ray.valuation.ridge import LinearRidgeFits, RidgeFits
from xai_ray.valuation.softmax import SoftmaxFits


class TrainingEngine(Protocol):
    """Trains one model a coalition of points and says what each decides at the m test points."""

    name: str
    """What it does, for people and for the digest."""
    tile: int
    """Coalitions of one call of `decisions`."""
    chains: bool
    """Whether the prefixes of an order cost less than the same coalitions one by one."""
    itself: bool
    """Whether it is the estimator itself, trained once a coalition: there is nothing else to check it by."""

    def decisions(self, coalitions: Coalitions) -> Floats:
        """`tile` coalitions of points (tile, n) -> (tile, m, C), see `scores`. Empty rows may hold anything finite."""
        ...

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """Decisions of the first t points of `order` for each t >= 1 of the ascending `lengths`, in order, as (place of the first
        row in `lengths`, (block, m, C)).
        """
        ...


class LogisticEngine:
    """Two classes; a coalition of one class predicts it everywhere."""

    name = "logistic regression by batched Newton steps"
    chains = True
    itself = False

    def __init__(self, fits: LogisticFits, test_rows: Floats) -> None:
        self._fits, self.tile = fits, fits.tile
        ones = fits.rows.shape[1] - test_rows.shape[1]
        self._test_rows = np.hstack([test_rows, np.ones((len(test_rows), ones))])

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (tile, m, 2): 0 and the log-odds of class 1."""
        weights = self._fits.weights(coalitions)
        # All points stand in for coalitions without a fit: that fit is the start, so it costs nothing.
        weights[~self._fits.two_classes(weights)] = self._fits.weights(
            np.ones((1, coalitions.shape[1]), dtype=np.bool_)
        )
        return self._decided(self._fits.parameters(weights), held_classes(coalitions, self._fits.held))

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One fit a prefix."""
        theta = self._fits.prefix_parameters(order, lengths)
        held = np.cumsum(self._fits.held[order], axis=0)[lengths - 1] > 0
        for start in range(0, len(lengths), self.tile):
            part = slice(start, start + self.tile)
            yield start, self._decided(theta[part], held[part])

    def _decided(self, theta: Floats, held: Mask) -> Floats:
        return without_absent(two_columns(theta @ self._test_rows.T), held)


class SoftmaxEngine:
    """Three classes or more; a coalition of one class predicts it everywhere."""

    name = "softmax regression by batched Newton steps"
    chains = False
    itself = False

    def __init__(self, fits: SoftmaxFits, test_rows: Floats) -> None:
        self._fits, self.tile = fits, fits.tile
        ones = fits.rows.shape[1] - test_rows.shape[1]
        self._test_rows = np.hstack([test_rows, np.ones((len(test_rows), ones))])

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (tile, m, C)."""
        held = self._fits.classes(coalitions)
        several = held.sum(axis=1) > 1
        # All points stand in for coalitions without a fit.
        theta = self._fits.parameters(coalitions | ~several[:, None])
        out = self._test_rows @ theta.swapaxes(1, 2)
        out[~several] = 0.0
        return without_absent(out, held)

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One fit a prefix."""
        return prefixes_one_by_one(self, order, lengths)


class RidgeEngine:
    """Regression (labels None), or targets of -1 and 1: one for two classes, one a class for more. A coalition of one class
    predicts it everywhere.
    """

    itself = False

    def __init__(self, fits: RidgeFits | LinearRidgeFits, labels: Ints | None, classes: int, tile: int) -> None:
        self.name = "ridge, prefixes from Cholesky factors"
        self.tile = tile
        # Balanced weights change with every prefix, and then no factor serves two of them.
        self.chains = not isinstance(fits.class_weight, str)
        self._fits = fits
        self._held = None if labels is None else one_hot(labels, classes)

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (tile, m, C)."""
        found = self._fits.predictions(coalitions)
        if self._held is None:
            return found
        return without_absent(self._columns(found), held_classes(coalitions, self._held))

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """All prefixes up to the longest are solved, those asked for are given."""
        if not self.chains:
            yield from prefixes_one_by_one(self, order, lengths)
            return
        order = order[: lengths[-1]]
        held = None if self._held is None else np.cumsum(self._held[order], axis=0) > 0
        place = 0
        for first, block in self._fits.prefixes(order):
            asked = lengths[(lengths >= first) & (lengths < first + len(block))]
            if not len(asked):
                continue
            chosen = block if len(asked) == len(block) else block[asked - first]
            yield place, chosen if held is None else without_absent(self._columns(chosen), held[asked - 1])
            place += len(asked)

    @staticmethod
    def _columns(found: Floats) -> Floats:
        return found if found.shape[2] > 1 else two_columns(found[..., 0])


def decisions_in_tiles(engine: TrainingEngine, coalitions: Coalitions) -> Iterator[tuple[int, Floats]]:
    """Decisions of any number of coalitions of points (c, n), as (first row, (rows, m, C)); tiles are filled with grand coalitions."""
    for start in range(0, len(coalitions), engine.tile):
        part = coalitions[start : start + engine.tile]
        tile = np.ones((engine.tile, coalitions.shape[1]), dtype=np.bool_)
        tile[: len(part)] = part
        yield start, engine.decisions(tile)[: len(part)]


def prefixes_one_by_one(engine: TrainingEngine, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
    """Prefixes as coalitions, a tile at a time."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    for start in range(0, len(lengths), engine.tile):
        members = place[None, :] < lengths[start : start + engine.tile, None]
        yield from ((start, found) for _, found in decisions_in_tiles(engine, members))


def two_columns(found: Floats) -> Floats:
    """Log-odds or margins of class 1, shape (c, m), as decisions (c, m, 2); each class contiguous, since scores read them so."""
    out = np.zeros((2, *found.shape))
    out[1] = found
    return np.moveaxis(out, 0, 2)


def one_hot(labels: Ints, classes: int) -> Floats:
    """Shape (n, classes)."""
    return (labels[:, None] == np.arange(classes)).astype(np.float64)


def held_classes(coalitions: Coalitions, held: Floats) -> Mask:
    """Which classes each coalition holds, shape (c, C)."""
    return coalitions.astype(np.float64) @ held > 0


def without_absent(decisions: Floats, held: Mask) -> Floats:
    """Decisions, changed in place to -inf for the classes a coalition does not hold; empty coalitions stay as they are."""
    keep = held | ~held.any(axis=1, keepdims=True)
    rows = np.flatnonzero(~keep.all(axis=1))
    decisions[rows] = np.where(keep[rows, None, :], decisions[rows], -np.inf)
    return decisions
