"""Removals with one fixed filling: zeros, a constant, the mean, a blurred image, the mask token. One evaluation a
coalition.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from xai_ray.errors import InputError, SpecError
from xai_ray.games.removals.background import background_rows
from xai_ray.games.removals.filling import Array, Filling, PlacedInput, fixed, require


@dataclass(frozen=True)
class Zeros:
    """Absent players are zero."""

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """One filling of zeros."""

        def fill(placed: PlacedInput) -> Array:
            require(placed, ("image", "table"), "zeros")
            return np.zeros(placed.array.shape)

        return fixed(inputs, fill)


@dataclass(frozen=True)
class Constant:
    """Absent players take `value`: a number, one number a channel (images), or an array of the input's shape."""

    value: npt.ArrayLike

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """One filling."""

        def fill(placed: PlacedInput) -> Array:
            require(placed, ("image", "table", "text"), "constant")
            value = np.asarray(self.value)
            if value.dtype == object or not np.isfinite(value.astype(np.float64)).all():
                raise SpecError(f"constant removal: the value must be finite numbers, got {self.value!r}")
            shape = placed.array.shape
            if value.ndim == 1 and placed.layout.kind == "image" and len(shape) == 3:
                value = value.reshape([-1 if axis not in placed.layout.spatial else 1 for axis in range(3)])
            try:
                return np.broadcast_to(value, shape)
            except ValueError:
                raise SpecError(
                    f"constant removal: a value of shape {np.shape(self.value)} does not fit "
                    f"input {placed.name!r} of shape {shape}"
                ) from None

        return fixed(inputs, fill)


@dataclass(frozen=True)
class Mean:
    """Absent players take the mean: of each channel of the image itself, or of each column of `background` (rows,
    columns).
    """

    background: object = field(default=None, repr=False)

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """One filling."""
        if self.background is not None:
            rows = background_rows(self.background, inputs, "mean")
            means = {i.name: r.mean(axis=0, dtype=np.float64) for i, r in zip(inputs, rows, strict=True)}
            for placed in inputs:
                if not placed.constant:
                    require(placed, ("image", "table"), "mean")
            return fixed(inputs, lambda placed: _rounded(means[placed.name], placed))

        def fill(placed: PlacedInput) -> Array:
            require(placed, ("image", "table"), "mean")
            if placed.layout.kind == "table":
                raise SpecError("mean removal of table columns needs `background` rows to average")
            mean = placed.array.mean(axis=placed.layout.spatial, keepdims=True, dtype=np.float64)
            return _rounded(np.broadcast_to(mean, placed.array.shape), placed)

        return fixed(inputs, fill)


@dataclass(frozen=True)
class Blur:
    """Absent players take the image blurred by a Gaussian of `sigma` pixels; the blur is computed once."""

    sigma: float

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """One filling."""
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"blur removal: sigma is a number of pixels > 0, got {self.sigma}")

        def fill(placed: PlacedInput) -> Array:
            require(placed, ("image",), "blur")
            sigmas = [self.sigma if axis in placed.layout.spatial else 0.0 for axis in range(placed.array.ndim)]
            return _rounded(gaussian_filter(placed.array.astype(np.float64), sigmas), placed)

        return fixed(inputs, fill)


@dataclass(frozen=True)
class MaskToken:
    """Absent tokens become the mask token; None takes the tokenizer's own."""

    token_id: int | None = None

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """One filling."""

        def fill(placed: PlacedInput) -> Array:
            require(placed, ("text",), "mask_token")
            token = placed.mask_token if self.token_id is None else self.token_id
            if token is None:
                raise SpecError(
                    "mask_token removal: the tokenizer has no mask token; give `token_id`, or take the removal 'drop' or 'attention'"
                )
            return np.full(placed.array.shape, token)

        return fixed(inputs, fill)


def _rounded(fill: Array, placed: PlacedInput) -> Array:
    return np.rint(fill) if np.issubdtype(placed.array.dtype, np.integer) else fill
