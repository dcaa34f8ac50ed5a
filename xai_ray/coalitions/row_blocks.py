"""Rows of a dataset, each explained with the same design of coalitions under its own relabelling of the players.

Draw j is row j: all its coalitions together. One design serves all rows, so one read-out does; row r sees it through a keyed permutation
sigma_r of the players, which makes the errors of two rows independent while every row keeps the law of the design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.coalitions.design import Design, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import SpecError
from xai_ray.types import Coalitions, Ints

_CONTEXTS = 1 << 32
"""Contexts of a row: those of a stochastic game differ between rows, so that their noise is independent too."""


@dataclass(frozen=True)
class RowBlocks:
    """`rows` rows, in units of `block`; each row takes at most the first `draws` draws of `each`."""

    each: Design
    """The design in the numbering of design players 0..n-1."""
    draws: int
    rows: int
    block: int
    """Rows of a unit. The answers of a unit may share what is fitted, so it belongs to the job."""
    seed: int
    parts: int = 1
    """Parts of the background, each of which takes the design under a relabelling of its own. An evaluation is one in every part."""

    @property
    def n_players(self) -> int:
        """Players of a row."""
        return self.each.n_players

    @property
    def capacity(self) -> int | None:
        """Rows there are."""
        return self.rows

    @property
    def budget(self) -> int:
        """Evaluations of v that a row may take."""
        return self.each.evaluations(self.draws)

    def evaluations(self, draws: int) -> int:
        """Those of `draws` rows, when none stops early."""
        return draws * self.budget

    def affordable(self, evaluations: int) -> int:
        """Whole rows."""
        return min(self.rows, evaluations // self.budget)

    def relabellings(self, rows: Ints) -> Ints:
        """sigma of rows (b,), shape (b, n): design player i of row r is its player sigma[r, i]. With parts (b parts, n), those of a row
        one after the other.
        """
        lines = (rows[:, None] * self.parts + np.arange(self.parts)).ravel()
        words = random_words(self.seed, Stream.ROW_RELABELLINGS, 0, lines, self.n_players)
        return np.argsort(words, axis=1, kind="stable").astype(np.int64)

    def contexts(self, rows: Ints, context: Ints) -> Ints:
        """Contexts of a design's evaluations (c,) as those of rows (c,); an expectation stays one."""
        return np.where(context < 0, context, rows * _CONTEXTS + context)

    def draw(self, start: int, stop: int) -> Draw:
        """Raises SpecError."""
        raise SpecError("a dataset job draws coalitions row by row; ask `each`")

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "rows",
            "each": self.each.describe(),
            "draws": self.draws,
            "rows": self.rows,
            "block": self.block,
            "seed": self.seed,
            **({"parts": self.parts} if self.parts > 1 else {}),
        }


def relabelled(coalitions: Coalitions, relabellings: Ints) -> Coalitions:
    """Coalitions of design players, one a row (c, n), as coalitions of players, by a relabelling each (c, n)."""
    out = np.empty_like(coalitions)
    np.put_along_axis(out, relabellings, coalitions, axis=1)
    return out
