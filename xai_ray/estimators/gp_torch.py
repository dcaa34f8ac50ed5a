"""The few functions of torch that the Gaussian process uses and torch does not type, with their types."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from xai_ray.types import Floats


def tensor(array: npt.NDArray[Any]) -> Tensor:
    """Shares the memory of the array, on the processor."""
    return torch.from_numpy(array)


def numbers(of: Tensor) -> Floats:
    """A float64 tensor of any device as an array."""
    return of.cpu().numpy()


def cholesky(of: Tensor) -> Tensor:
    """Lower factor. Raises torch.linalg.LinAlgError where there is none."""
    return torch.linalg.cholesky(of)


def factored(of: Tensor) -> Tensor | None:
    """Lower factor, or None where there is none, of this matrix or one of these."""
    factor, failed = torch.linalg.cholesky_ex(of)
    return None if bool(failed.any()) else factor


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """factor^-1 right for a lower triangle."""
    return torch.linalg.solve_triangular(factor, right, upper=False)


def split(of: Tensor, size: int) -> tuple[Tensor, ...]:
    """Along the first axis, `size` at a time."""
    return tuple(of[start : start + size] for start in range(0, max(len(of), 1), size))


def distinct(of: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """The different numbers of (n,) in ascending order, which of them each is, and how often each comes."""
    found, where, count = torch.unique(of, return_inverse=True, return_counts=True)
    return found, where, count.tolist()
