"""The regression of `leverage` for thousands of players: bits instead of a matrix, conjugate gradients instead of a factorisation.

Same answer as the factorisation. Standard errors are those of the same sandwich with its diagonal estimated by random signs (the wild
bootstrap of Wu 1986 and Liu 1988; the trace estimator of Hutchinson 1989): the fit is solved again for 32 sign patterns of the
residuals, and their mean square has 32 degrees of freedom, which the intervals use. The widening by leverages, too, comes from random
signs, averaged over the pairs of a stratum, which are alike. Memory: n bits a pair, and 32 n numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions import Draw, Strata
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.conjugate_gradients import NotConverged, PackedRows, solve
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.realised import realised
from xai_ray.indices import Question
from xai_ray.types import Floats, Ints, Values

PROBES = 32
"""Sign patterns behind a standard error."""
_TOLERANCE = 1e-11
_PROBE_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class PackedPairs:
    """Consecutive pairs: p pairs, k outputs."""

    bits: npt.NDArray[np.uint8]
    """Shape (p, ceil(n/8)): the member with at most n/2 players."""
    difference: Values
    """Shape (p, k): (v(S) - v(complement)) / 2."""
    stratum: Ints
    """Shape (p,)."""
    ends: Values | None
    """Shape (2, k): v(empty), v(grand), in the part that holds draw 0."""


@dataclass(frozen=True)
class Packed:
    """Parts by first draw; `merge` is a union."""

    parts: dict[int, PackedPairs] = field(default_factory=dict[int, PackedPairs])


@dataclass(frozen=True, slots=True)
class LargeLeverage:
    """Consistent, efficient at any budget; see `leverage`."""

    question: Question
    design: Strata
    name: str = "leverage"

    def empty(self) -> Packed:
        """No draws."""
        return Packed()

    def observe(self, draw: Draw, values: Values) -> Packed:
        """Keeps one member of each pair, packed, and the difference."""
        inner = draw.stratum > 0
        ends = None if inner.all() else values[:2].copy()
        bits = np.packbits(draw.coalitions[0::2][inner], axis=1)
        return Packed(
            {draw.start: PackedPairs(bits, (values[0::2] - values[1::2])[inner] / 2, draw.stratum[inner], ends)}
        )

    def merge(self, a: Packed, b: Packed) -> Packed:
        """Union, in canonical order."""
        both = {**a.parts, **b.parts}
        return Packed({start: both[start] for start in sorted(both)})

    def finish(self, partial: Packed) -> Estimate:
        """Solves the regression, then again for random signs of its residuals."""
        n, parts = self.design.n_players, list(partial.parts.values())
        ends = next((part.ends for part in parts if part.ends is not None), None)
        count = sum(len(part.stratum) for part in parts)
        if ends is None or count < n - 1:
            raise self._too_few(count)
        stratum = np.concatenate([part.stratum for part in parts])
        rows = PackedRows(np.concatenate([part.bits for part in parts]), stratum, n)
        difference, total = np.concatenate([part.difference for part in parts]), ends[1] - ends[0]
        target = difference - (stratum / n - 0.5)[:, None] * total
        counts, undrawn = realised(self.design, stratum)
        # The weights of `leverage`, scaled by n^2 to stay near one.
        weight = np.where(2 * stratum == n, 1.0, 2.0) / (stratum / n * (1 - stratum / n) * counts[stratum])
        try:
            solution = solve(rows, weight, rows.adjoint(weight[:, None] * target), _TOLERANCE)
            freedom = inf if not undrawn[stratum].any() else float(min(PROBES, count - (n - 1)))
            errors = np.zeros_like(solution)
            if freedom < 1:
                errors = np.full_like(solution, np.nan)
            elif freedom < inf:
                residual = (target - rows.apply(solution)) * np.sqrt(undrawn[stratum])[:, None]
                errors = self._errors(rows, weight, residual, counts)
        except NotConverged:
            raise self._too_few(count) from None
        players = tuple((i,) for i in range(n))
        return Estimate(self.question, players, solution + total / n, errors, self.name, 2 * count + 2, freedom)

    def _errors(self, rows: PackedRows, weight: Floats, residual: Values, counts: Ints) -> Values:
        signs = self._signs(len(weight))
        root = np.sqrt(weight).astype(np.float32)[:, None]
        projected = solve(rows, weight, rows.adjoint(root * signs), _PROBE_TOLERANCE)
        mine = (signs * root * rows.apply(projected)).mean(axis=1).astype(np.float64)
        hat = np.bincount(rows.sizes, weights=mine, minlength=len(counts)) / np.maximum(counts, 1)
        # Between HC2 and HC3: see `leverage`.
        noise = weight[:, None] * residual / np.clip(1.0 - hat[rows.sizes], 0.05, 1.0)[:, None] ** 0.75
        errors = np.empty((rows.n_players, residual.shape[1]))
        for output in range(residual.shape[1]):
            scale = np.abs(noise[:, output]).max() or 1.0
            shaken = (noise[:, output] / scale).astype(np.float32)[:, None] * signs
            again = solve(rows, weight, rows.adjoint(shaken), _PROBE_TOLERANCE).astype(np.float64)
            errors[:, output] = scale * np.sqrt((again**2).mean(axis=1))
        return errors

    def _signs(self, count: int) -> Floats:
        words = random_words(self.design.seed, Stream.SIGNS, 0, np.arange(count, dtype=np.int64), 1)
        ones = (words >> np.arange(PROBES, dtype=np.uint64)) & np.uint64(1)
        return np.where(ones == 1, np.float32(1), np.float32(-1))

    def _too_few(self, count: int) -> NotEnoughSamples:
        n = self.design.n_players
        return NotEnoughSamples(
            f"{self.name}: the {2 * count} evaluations drawn do not determine {n} players; "
            f"extend the budget to {max(5 * n, 4 * count)} evaluations or more"
        )
