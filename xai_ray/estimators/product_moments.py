"""The product of two means over the same samples, and its jackknife error, from sums that grow by a sample at a time.

Central moments are updated after Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
statistical moments" (Sandia report SAND2008-6212, 2008). With a_j and b_j the deviations of sample j from the means, the product
without it is, for c samples, (A - a_j / (c - 1)) (B - b_j / (c - 1)), and the spread of these is a polynomial in their moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class ProductMoments:
    """Means of two factors a and b over `count` samples, and sums of products of their deviations; any shape, the same for all."""

    count: int
    first: Floats
    second: Floats
    aa: Floats
    ab: Floats
    bb: Floats
    aab: Floats
    abb: Floats
    aabb: Floats

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> ProductMoments:
        """Of no sample."""
        return cls(0, *(np.zeros(shape) for _ in range(8)))

    def add(self, a: Floats, b: Floats) -> ProductMoments:
        """With one sample more."""
        n, total = self.count, self.count + 1
        # How far the means move against the samples there were, and where the new one is from them.
        x, y = (self.first - a) / total, (self.second - b) / total
        p, q = -n * x, -n * y
        return ProductMoments(
            total,
            self.first - x,
            self.second - y,
            self.aa + n * x * x + p * p,
            self.ab + n * x * y + p * q,
            self.bb + n * y * y + q * q,
            self.aab + 2 * x * self.ab + y * self.aa + n * x * x * y + p * p * q,
            self.abb + 2 * y * self.ab + x * self.bb + n * x * y * y + p * q * q,
            self.aabb
            + 2 * (y * self.aab + x * self.abb)
            + y * y * self.aa
            + 4 * x * y * self.ab
            + x * x * self.bb
            + n * (x * y) ** 2
            + (p * q) ** 2,
        )

    def jackknife_errors(self) -> Floats:
        """Standard errors of first * second (Efron, 1982), from two samples on."""
        c, A, B = self.count, self.first, self.second
        linear = B * B * self.aa + 2 * A * B * self.ab + A * A * self.bb
        mixed = B * self.aab + A * self.abb
        bent = self.aabb - self.ab**2 / c
        spread = linear - 2 * mixed / (c - 1) + bent / (c - 1) ** 2
        return np.sqrt(np.maximum(spread, 0.0) / (c - 1) / c)
