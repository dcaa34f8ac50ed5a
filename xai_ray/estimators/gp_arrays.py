"""What the likelihood of the Gaussian process is computed with: numpy and LAPACK on the processor, torch on another device.

The search for parameters evaluates it some twenty times from a few hundred rows. There torch's calls cost more than the work in them,
and so do its factorisations of several systems at once.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf, dpotri
from torch import Tensor

from xai_ray.estimators.gp_torch import factored, numbers
from xai_ray.types import Floats


class Arrays(Protocol):
    """Arrays of one library. `Any` is its array type; operators, `sum`, `mean`, `reshape`, `diagonal` and `mT` are common to them."""

    def of(self, part: Tensor) -> Any:
        """A float64 tensor of the device as one of these arrays."""
        ...

    def exp(self, of: Any) -> Any:
        """Entry by entry."""
        ...

    def log(self, of: Any) -> Any:
        """Entry by entry."""
        ...

    def at_least(self, of: Any, least: float) -> Any:
        """Entry by entry the larger."""
        ...

    def joined(self, parts: list[Any]) -> Any:
        """Side by side, along the last axis."""
        ...

    def empty(self, *shape: int) -> Any:
        """Float64, to be filled."""
        ...

    def raise_diagonal(self, of: Any, by: Any) -> None:
        """Adds to the diagonals of the last two axes."""
        ...

    def inverted(self, systems: Any) -> tuple[Any, float] | None:
        """Inverses of symmetric systems (b, q, q), and the sum of the logarithms of the diagonals of their Cholesky factors; None where
        one has no factor to rounding. The systems may be overwritten.
        """
        ...

    def numbers(self, of: Any) -> Floats:
        """On the host."""
        ...


class OnProcessor:
    """Numpy, and LAPACK for systems."""

    def of(self, part: Tensor) -> Floats:
        """Shares the memory of the tensor."""
        return numbers(part)

    def exp(self, of: Floats) -> Floats:
        """Entry by entry."""
        return np.exp(of)

    def log(self, of: Floats) -> Floats:
        """Entry by entry."""
        return np.log(of)

    def at_least(self, of: Floats, least: float) -> Floats:
        """Entry by entry."""
        return np.maximum(of, least)

    def joined(self, parts: list[Floats]) -> Floats:
        """Side by side."""
        return np.concatenate(parts, axis=-1)

    def empty(self, *shape: int) -> Floats:
        """Float64, to be filled."""
        return np.empty(shape)

    def raise_diagonal(self, of: Floats, by: Any) -> None:
        """Of one matrix or several."""
        np.einsum("...ii->...i", of)[...] += by

    def inverted(self, systems: Floats) -> tuple[Floats, float] | None:
        """One after the other, in place."""
        halves = 0.0
        for system in systems:
            # Symmetric, so the transpose is the same matrix in the order of columns that LAPACK works on in place.
            factor, failed = dpotrf(system.T, lower=0, clean=1, overwrite_a=1)
            if failed:
                return None
            halves += float(np.log(factor.diagonal()).sum())
            inverse, _ = dpotri(factor, lower=0, overwrite_c=1)
            own = inverse.diagonal().copy()
            np.add(inverse, inverse.T, out=system)
            np.einsum("ii->i", system)[...] = own
        return systems, halves

    def numbers(self, of: Floats) -> Floats:
        """The array itself."""
        return of


class OnDevice:
    """Torch."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def of(self, part: Tensor) -> Tensor:
        """The tensor itself."""
        return part

    def exp(self, of: Tensor) -> Tensor:
        """Entry by entry."""
        return torch.exp(of)

    def log(self, of: Tensor) -> Tensor:
        """Entry by entry."""
        return torch.log(of)

    def at_least(self, of: Tensor, least: float) -> Tensor:
        """Entry by entry."""
        return of.clamp_min(least)

    def joined(self, parts: list[Tensor]) -> Tensor:
        """Side by side."""
        return torch.cat(parts, dim=-1)

    def empty(self, *shape: int) -> Tensor:
        """Float64, to be filled."""
        return torch.empty(shape, dtype=torch.float64, device=self._device)

    def raise_diagonal(self, of: Tensor, by: Any) -> None:
        """Of one matrix or several."""
        of.diagonal(dim1=-2, dim2=-1).add_(by)

    def inverted(self, systems: Tensor) -> tuple[Tensor, float] | None:
        """All together."""
        factor = factored(systems)
        if factor is None:
            return None
        return torch.cholesky_inverse(factor), float(factor.diagonal(dim1=-2, dim2=-1).log().sum())

    def numbers(self, of: Tensor) -> Floats:
        """A copy on the host."""
        return numbers(of)


def arrays_on(device: torch.device) -> Arrays:
    """What to compute with where the rows are."""
    return OnProcessor() if device.type == "cpu" else OnDevice(device)
