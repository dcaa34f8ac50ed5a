"""What masking needs of the place where a model runs: one interface, so that masking is written once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from xai_ray.types import Coalitions, Floats

if TYPE_CHECKING:
    from xai_ray.games.passes.averaging import Averaging

Array = npt.NDArray[Any]


class Backend(Protocol):
    """Arrays of one library, and a forward pass. `Any` is that library's array type."""

    waits: bool
    """Whether a pass that is begun goes on beside what the host does, so that only its outputs are waited for."""

    def put(self, array: Array) -> Any:
        """An array on the device, in its own type."""
        ...

    def put_input(self, at: int, array: Array) -> Any:
        """An array of input `at` on the device, in the type that the model takes."""
        ...

    def present(self, coalitions: Coalitions) -> Any:
        """Coalitions (c, n) on the device as booleans (c, n + 1); the last column, of places that always stay, is true."""
        ...

    def where(self, mask: Any, kept: Any, filled: Any) -> Any:
        """`kept` where the mask is true."""
        ...

    def parted(self, mask: Any, kept: Any) -> tuple[Any, Any]:
        """Mask and rows (c, d) of finite real numbers as `blend` takes them."""
        ...

    def blend(self, mask: Any, kept: Any, filled: Any) -> Any:
        """`where` along short rows, (c, 1, d), (c, 1, d) and (1, K, d), of what `parted` made."""
        ...

    def scope(self) -> AbstractContextManager[Any]:
        """What masking and forward passes run in."""
        ...

    def begin(self, parts: list[Any]) -> Callable[[], Floats]:
        """One forward pass, begun; the call waits for its outputs, float64 of shape (rows, m). ModelOutputError when the
        model fails or returns something else.
        """
        ...

    def forward(self, parts: list[Any]) -> Floats:
        """`begin`, waited for."""
        ...

    def raw(self, parts: list[Any]) -> Any:
        """One forward pass: outputs (rows, m) where they are, in the model's own type. ModelOutputError as `begin`."""
        ...

    def means(self, outputs: Any, averaging: Averaging) -> Any:
        """Outputs (c, K, m) of `raw` -> means over fillings (c, m') in float64, where the outputs are."""
        ...

    def joined(self, parts: list[Any], axis: int) -> Any:
        """Arrays one after the other."""
        ...

    def room(self, outputs: Any, count: int) -> Any:
        """An array of shape (count, *outputs.shape[1:]) beside outputs, to be filled."""
        ...

    def home(self, array: Any) -> Floats:
        """Float64 on the host; waits for it."""
        ...
