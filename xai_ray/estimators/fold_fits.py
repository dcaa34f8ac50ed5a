"""Surrogates by fold that are fitted one at a time, as far as they are needed.

Cross-fitting needs them all. Whether a surrogate predicts left-out values better than something else is often settled by its first folds:
squared errors only add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import numpy as np

from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.surrogate import Surrogate
from xai_ray.types import Floats

_ROUNDING = 1e-9
"""Sums of the same squares in another order differ by a smaller share."""


class FoldFits(Sequence[Surrogate]):
    """FOLDS surrogates; `fit` gives that of a fold, and is called once for each that is asked for."""

    def __init__(self, fit: Callable[[int], Surrogate]) -> None:
        self._fit = fit
        self._found: dict[int, Surrogate] = {}

    @overload
    def __getitem__(self, at: int) -> Surrogate: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Surrogate, ...]: ...
    def __getitem__(self, at: int | slice) -> Surrogate | tuple[Surrogate, ...]:
        if isinstance(at, slice):
            return tuple(self[f] for f in range(FOLDS)[at])
        f = range(FOLDS)[at]
        if f not in self._found:
            self._found[f] = self._fit(f)
        return self._found[f]

    def __len__(self) -> int:
        return FOLDS


def outdone(surrogates: Sequence[Surrogate], rows: SizedRows, squares: Floats) -> bool:
    """Whether the sums of squared left-out errors of cross-fitted surrogates reach `squares`, shape (k,), in every output. Folds are
    asked for in turn and no further than that takes, so the answer is that of all folds.
    """
    lost = np.zeros_like(squares)
    for f, surrogate in enumerate(surrogates):
        mine = rows.fold == f
        lost += ((rows.values[mine] - surrogate.predict(rows.coalitions[mine])) ** 2).sum(axis=0)
        if (lost >= (1.0 + _ROUNDING) * squares).all():
            return True
    return False
