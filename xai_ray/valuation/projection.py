"""Random projections of gradients that are never held as a matrix: entries are signs, each a function of seed and place.

Achlioptas, "Database-friendly random projections" (Journal of Computer and System Sciences, 2003): signs keep inner products as
well as Gaussian entries do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xai_ray.errors import SpecError
from xai_ray.types import Ints
from xai_ray.valuation.draws import Purpose, coins

_ENTRIES = 1 << 22
"""Signs made at a time."""
_HELD = 1 << 26
"""Signs kept (256 MB in single precision), where and as the gradients are; a larger matrix is made again for every batch of these."""
_PROJECTIONS = 1 << 16


@dataclass(frozen=True, slots=True)
class SignProjection:
    """v -> v P / sqrt(width), P of shape (length, width) with entries -1 and 1; row i comes from (seed, number, i) alone."""

    length: int
    width: int
    seed: int
    number: int
    """Which of the projections of this seed, below 2^16."""
    _kept: list[tuple[slice, Tensor]]

    @classmethod
    def of(cls, length: int, width: int, seed: int, number: int) -> SignProjection:
        """A projection; signs are made when first used. Raises SpecError for a number that is too large."""
        if not 0 <= number < _PROJECTIONS:
            raise SpecError(
                f"projection {number}: a seed has {_PROJECTIONS:,} of them; take fewer checkpoints, or another seed"
            )
        return cls(length, width, seed, number, [])

    def __call__(self, vectors: Tensor) -> Tensor:
        """Rows (b, length) -> (b, width), in the precision and on the device of the rows; O(b length width)."""
        out = vectors.new_zeros(len(vectors), self.width)
        for part, signs in self._blocks(vectors):
            out += vectors[:, part] @ signs
        return out / self.width**0.5

    def _blocks(self, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
        if self._kept and (self._kept[0][1].device, self._kept[0][1].dtype) == (like.device, like.dtype):
            yield from self._kept
            return
        keep, step = self.length * self.width <= _HELD, max(1, _ENTRIES // self.width)
        made: list[tuple[slice, Tensor]] = []
        for start in range(0, self.length, step):
            part = slice(start, min(start + step, self.length))
            block = torch.from_numpy(self.signs(np.arange(part.start, part.stop, dtype=np.int64))).to(like)
            if keep:
                made.append((part, block))
            yield part, block
        self._kept[:] = made

    def signs(self, rows: Ints) -> np.ndarray:
        """These rows of P, shape (rows, width), single precision."""
        bits = coins(self.seed, Purpose.PROJECTIONS, rows, self.width, sub=self.number)
        return bits.astype(np.float32) * np.float32(2) - np.float32(1)
