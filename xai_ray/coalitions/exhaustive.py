"""Every coalition once, in the order of its integer code (player i is bit i)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.coalitions.design import Draw
from xai_ray.types import Coalitions, Ints


def unpack(codes: Ints, n: int) -> Coalitions:
    """Coalitions from integer codes, shape (len(codes), n); player i is bit i; n up to 62."""
    return ((codes[:, None] >> np.arange(n, dtype=np.int64)[None, :]) & 1).astype(np.bool_)


def pack(coalitions: Coalitions) -> Ints:
    """Integer codes of coalitions, shape (c,); player i is bit i; n up to 62."""
    return coalitions.astype(np.int64) @ (np.int64(1) << np.arange(coalitions.shape[1], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Exhaustive:
    """All 2^n coalitions; draw j is the coalition with code j."""

    n_players: int

    @property
    def capacity(self) -> int:
        """2^n."""
        return 1 << self.n_players

    def evaluations(self, draws: int) -> int:
        """One evaluation a draw."""
        return draws

    def affordable(self, evaluations: int) -> int:
        """One evaluation a draw, at most 2^n."""
        return min(evaluations, self.capacity)

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop); the stratum of a draw is its size."""
        codes = np.arange(start, stop, dtype=np.int64)
        coalitions = unpack(codes, self.n_players)
        return Draw(start, coalitions, codes, codes - start, coalitions.sum(axis=1).astype(np.int64), codes)

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {"kind": "exhaustive", "n_players": self.n_players}
