"""How the sums of units of pieces merge, and what they answer: one class for each `Fold`. None is changed by adding to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xai_ray.coalitions.pieces import Fold, Pieces, share_errors
from xai_ray.estimators.product_moments import ProductMoments
from xai_ray.types import Floats


class Folded(Protocol):
    """The sums of the first units."""

    def add(self, parts: Floats, start: int, stop: int) -> Folded:
        """With those of the next unit, pieces [start, stop), shape (players, parts, k)."""
        ...

    def counts(self) -> Floats | None:
        """Pieces that each number of the answer rests on, shape (n, k); None where nothing was sampled."""
        ...

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Values and standard errors, each (n, k); `left` is the share of all pieces that is not in."""
        ...


@dataclass(frozen=True, slots=True)
class Moments:
    """Means, sums of squared deviations and counts, each (n, k)."""

    mean: Floats
    spread: Floats
    count: Floats

    @classmethod
    def none(cls, design: Pieces) -> Moments:
        """Of nothing."""
        shape = (design.rows, design.outputs)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def merged(self, mean: Floats, spread: Floats, count: Floats) -> Moments:
        """Chan, Golub and LeVeque (1983): large means lose no digits of the spread."""
        total = self.count + count
        gap = np.where(count > 0, mean - self.mean, 0.0)
        part = count / np.maximum(total, 1.0)
        return Moments(self.mean + gap * part, self.spread + spread + gap * gap * self.count * part, total)

    def errors(self, left: float) -> Floats:
        """Standard errors of the means, 0 where nothing is left."""
        if left <= 0:
            return np.zeros_like(self.mean)
        return np.sqrt(self.spread / (self.count - 1) / self.count * left)


@dataclass(frozen=True, slots=True)
class Means:
    """Folds `mean` and `present`."""

    held: Moments

    def add(self, parts: Floats, start: int, stop: int) -> Means:
        """The counts are those of the unit where it does not tell them."""
        count = parts[:, 2] if parts.shape[1] == 3 else np.full(parts[:, 0].shape, float(stop - start))
        return Means(self.held.merged(parts[:, 0], parts[:, 1], count))

    def counts(self) -> Floats:
        """Pieces of each player."""
        return self.held.count

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Means."""
        return self.held.mean, self.held.errors(left)


@dataclass(frozen=True, slots=True)
class Shares:
    """Fold `share`."""

    right: Floats
    seen: Floats

    def add(self, parts: Floats, start: int, stop: int) -> Shares:
        """Whole numbers add up exactly."""
        return Shares(self.right + parts[:, 0], self.seen + parts[:, 1])

    def counts(self) -> Floats:
        """Pieces that say something of each player."""
        return self.seen

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Shares."""
        return self.right / self.seen, share_errors(self.right, self.seen)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Fold `contrast`: two independent means."""

    inside: Moments
    outside: Moments

    def add(self, parts: Floats, start: int, stop: int) -> Contrast:
        """Each side by itself."""
        return Contrast(
            self.inside.merged(parts[:, 0], parts[:, 1], parts[:, 2]),
            self.outside.merged(parts[:, 3], parts[:, 4], parts[:, 5]),
        )

    def counts(self) -> Floats:
        """Pieces of the side that has fewer."""
        return np.minimum(self.inside.count, self.outside.count)

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Differences."""
        values = self.inside.mean - self.outside.mean
        return values, np.hypot(self.inside.errors(left), self.outside.errors(left))


@dataclass(frozen=True, slots=True)
class Product:
    """Fold `product`, whose units are of one piece."""

    held: ProductMoments

    def add(self, parts: Floats, start: int, stop: int) -> Product:
        """One more pair of factors."""
        return Product(self.held.add(parts[:, 0], parts[:, 1]))

    def counts(self) -> Floats:
        """Pieces so far."""
        return np.full(self.held.first.shape, float(self.held.count))

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Products of means."""
        return self.held.first * self.held.second, self.held.jackknife_errors()


@dataclass(frozen=True, slots=True)
class Answer:
    """Fold `answer`."""

    values: Floats
    errors: Floats

    def add(self, parts: Floats, start: int, stop: int) -> Answer:
        """The only unit."""
        return Answer(parts[:, 0].copy(), parts[:, 1].copy())

    def counts(self) -> None:
        """Nothing was sampled here."""

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """As it came."""
        return self.values, self.errors


@dataclass(frozen=True, slots=True)
class Own:
    """Fold `own`."""

    values: Floats

    def add(self, parts: Floats, start: int, stop: int) -> Own:
        """The players of the unit."""
        values = self.values.copy()
        values[start:stop] = parts[:, 0]
        return Own(values)

    def counts(self) -> None:
        """Nothing was sampled."""

    def answer(self, left: float) -> tuple[Floats, Floats]:
        """Without errors."""
        return self.values, np.zeros_like(self.values)


def _zeros(design: Pieces) -> Floats:
    return np.zeros((design.rows, design.outputs))


FOLDS: dict[Fold, Callable[[Pieces], Folded]] = {
    "mean": lambda design: Means(Moments.none(design)),
    "present": lambda design: Means(Moments.none(design)),
    "share": lambda design: Shares(_zeros(design), _zeros(design)),
    "contrast": lambda design: Contrast(Moments.none(design), Moments.none(design)),
    "product": lambda design: Product(ProductMoments.none((design.rows, design.outputs))),
    "answer": lambda design: Answer(_zeros(design), _zeros(design)),
    "own": lambda design: Own(_zeros(design)),
}
"""Fold -> its sums over no unit."""
