"""The last fit is remembered, so that the questions of one job share it.

A fit is a pure function of the rows; rows are recognised by their bytes. One fit is kept, not more: a factorised system may
take most of a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, TypeVar

from xai_ray.types import Coalitions, Values

T = TypeVar("T")


@dataclass
class LastFit(Generic[T]):
    """Holds the last fit of one kind."""

    _held: tuple[bytes, T] | None = None

    def of(self, coalitions: Coalitions, values: Values, salt: object, fit: Callable[[], T]) -> T:
        """The fit to these rows (r, n) and (r, k): the one that is held if they are the same, else `fit()`.

        `salt` says what else the fit depends on. Threads share what is held and never take each other's.
        """
        digest = sha256(repr((coalitions.shape, values.shape, salt)).encode())
        digest.update(coalitions.tobytes())
        digest.update(values.tobytes())
        found = digest.digest()
        # Read once and set whole: another thread may put its own fit here at any time.
        held = self._held
        if held is not None and held[0] == found:
            return held[1]
        held = self._held = None
        made = fit()
        self._held = (found, made)
        return made
