"""What stands where a player is absent: one or more fillings of every input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.errors import SpecError
from xai_ray.games.players.arrays import Layout
from xai_ray.types import Ints

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PlacedInput:
    """One input of the model, without a batch axis, with the players on it."""

    name: str
    array: Array
    layout: Layout
    mask_token: int | None = None
    """The tokenizer's mask token, for texts."""

    @property
    def constant(self) -> bool:
        """Whether no player is on this input."""
        return self.layout.kind == "constant"


@dataclass(frozen=True)
class Filling:
    """K fillings of each input. `rows[l]` has shape (K, *input l); a coalition's value averages over all K."""

    rows: tuple[Array, ...]
    samples: int | None = None
    """Fillings drawn per context by a stochastic game; None uses all rows every time."""
    draw: Callable[[Ints], tuple[Array, ...]] | None = None
    """Contexts (c,) >= 0 -> arrays of shape (c, samples, *input l), one an input."""
    runner: Callable[..., Any] | None = None
    """(backend, arguments, filling, batch) -> what runs the coalitions in place of the masked forward pass: `over_all` and `probe`."""
    pool: int = 1
    """Batches of coalitions that a runner is given at a time, to sort them by length."""
    multiple: int = 1
    """A batch is rounded up to a multiple of this many rows."""

    @property
    def size(self) -> int:
        """K."""
        return len(self.rows[0])


class Removal(Protocol):
    """How absent players are removed."""

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """The fillings for these inputs; SpecError or InputError when this removal does not fit them."""
        ...


def fixed(inputs: tuple[PlacedInput, ...], fill: Callable[[PlacedInput], Array]) -> Filling:
    """One filling per input; inputs without players keep themselves."""
    return Filling(tuple((i.array if i.constant else like(i, fill(i)))[None] for i in inputs))


def like(placed: PlacedInput, fill: Array) -> Array:
    """`fill` in the type and shape of the input. A value that the input's whole-number type cannot hold is a
    SpecError.
    """
    array = placed.array
    cast = np.broadcast_to(fill, np.broadcast_shapes(fill.shape, array.shape)).astype(array.dtype)
    if np.issubdtype(array.dtype, np.integer) and not np.array_equal(cast, np.broadcast_to(fill, cast.shape)):
        raise SpecError(f"input {placed.name!r} has type {array.dtype}, which cannot hold the removed value")
    return cast


def require(placed: PlacedInput, kinds: tuple[str, ...], removal: str) -> None:
    """SpecError when a removal is asked for players of another kind."""
    if placed.layout.kind not in kinds:
        raise SpecError(
            f"removal {removal!r} is for {' or '.join(kinds)} players; "
            f"the players of input {placed.name!r} are of kind {placed.layout.kind!r}"
        )
