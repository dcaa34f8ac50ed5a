"""Where the linear algebra of the Gaussian process runs: one thread of the processor, or a GPU where the environment asks for it.

The setting says where work runs, not what is asked: answers agree to `TOLERANCE` across devices, bit for bit on one device.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import torch

from xai_ray.errors import SpecError
from xai_ray.estimators.device_setting import SETTING

TOLERANCE = 1e-6
"""Values and standard errors of two devices differ by at most this share of the largest; both compute in float64, and the search for
parameters ends where it ends."""


def chosen() -> torch.device:
    """The device of the setting, `cpu` by default. Raises SpecError for one that is unknown or not there."""
    name = os.environ.get(SETTING) or "cpu"
    there = available()
    if name == "cuda" and len(there) > 1:
        return torch.device("cuda", torch.cuda.current_device())
    if name not in there:
        raise SpecError(f"{SETTING}={name!r} is not available here; there is: {', '.join(there)}")
    return torch.device(name)


def available() -> tuple[str, ...]:
    """Devices that float64 linear algebra can run on."""
    return ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)))


@contextmanager
def one_thread() -> Generator[None]:
    """Runs torch on one thread and restores the number after: how a product is split over threads moves its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
