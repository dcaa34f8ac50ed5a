"""The last fit is remembered, so that the questions of one job share it.

A fit is a pure function of the rows; rows are recognised by their bytes. One fit is kept, not more: a factorised system may
take most of a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Generic, TypeVar

from xai_ray.types import Coalitions, Values

T = TypeVar("T")


@dataclass
class LastFit(Generic[T]):
    """Holds the last fit of one kind."""

    _digest: bytes = b""
    _fit: list[T] = field(default_factory=list[T])

    def of(self, coalitions: Coalitions, values: Values, salt: object, fit: Callable[[], T]) -> T:
        """The fit to these rows (r, n) and (r, k): the one that is held if they are the same, else `fit()`.

        `salt` says what else the fit depends on.
        """
        digest = sha256(repr((coalitions.shape, values.shape, salt)).encode())
        digest.update(coalitions.tobytes())
        digest.update(values.tobytes())
        found = digest.digest()
        if found != self._digest or not self._fit:
            self._fit.clear()
            self._fit.append(fit())
            self._digest = found
        return self._fit[0]
