"""What training many models will take of a worker's memory: stated before anything is allocated, and batches cut to fit it.

The batch is a function of the game and of the bound that it is given, never of the machine: rounding depends on the batch, and a job
must have the same bits wherever it runs. What the machine has free only decides whether the game is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xai_ray.errors import SpecError

BOUND = 4 << 30
"""Bytes that batches are cut to where no other bound is given."""
_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


@dataclass(frozen=True, slots=True)
class Need:
    """Memory of one worker with one training game, in bytes: the largest moment of it, from above."""

    parts: tuple[tuple[str, int], ...]
    """What is held whatever the batch, by name: data, kernel matrices, tables."""
    each: int
    """One model of a batch more takes so much more."""
    models: int
    """Models of the batch that the engine would take; a cut one is a halving of it."""
    advice: str
    """What to do where even one model at a time does not fit."""

    def total(self, models: int | None = None) -> int:
        """Bytes with a batch of so many models."""
        return sum(size for _, size in self.parts) + (self.models if models is None else models) * self.each

    def within(self, bound: int) -> int:
        """The largest halving of the batch that fits into `bound` bytes, 1 where none does."""
        models = self.models
        while models > 1 and self.total(models) > bound:
            models //= 2
        return models

    def told(self, models: int) -> str:
        """A line for people."""
        held = [f"{name} {size_text(size)}" for name, size in self.parts if size]
        cut = f" (cut from {self.models})" if models < self.models else ""
        batch = f"{models} model{'s' * (models > 1)} at once {size_text(models * self.each)}{cut}"
        return f"{size_text(self.total(models))} a worker: {', '.join([*held, batch])}"


def planned_batch(need: Need, bound: int | None, free: Callable[[], int | None]) -> int:
    """Models of a batch within `bound` bytes; without a bound, within `BOUND` as far as batches can be cut to that.

    Raises SpecError with the figures, before anything is allocated, where one model at a time does not fit into the bound, or the
    batch not into what `free` says that there is (None: unknown).
    """
    models = need.within(BOUND if bound is None else bound)
    if bound is not None and need.total(models) > bound:
        raise SpecError(
            f"training needs {need.told(models)}; the bound is {size_text(bound)} (compute.memory, memory=): {need.advice}"
        )
    there = free()
    if there is not None and need.total(models) > there:
        smaller = need.within(there)
        fits = need.total(smaller) <= there
        bounded = f"give a bound (compute.memory, memory=) of {size_text(need.total(smaller))}, which cuts the batch to {smaller}"
        raise SpecError(
            f"training needs {need.told(models)}; {size_text(there)} are free here: {bounded if fits else need.advice}"
        )
    return models


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still take: what the machine has available, within the limit of its container; None if unknown.

    Read from `proc/meminfo` and `sys/fs/cgroup` under `root`.
    """
    found = [
        size for size in (_available(root / "proc/meminfo"), *_container(root / "sys/fs/cgroup")) if size is not None
    ]
    return min(found) if found else None


def memory_bytes(given: int | str, where: str) -> int:
    """Bytes from a number or a text as `8 GB` or `512 MiB`. Raises SpecError that names `where` it was given."""
    if isinstance(given, int) and not isinstance(given, bool):
        size = given
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", str(given).lower())
        if match is None or match[2] == "i":
            raise SpecError(f"{where} = {given!r} is no amount of memory; write '8 GB', '512 MiB' or a number of bytes")
        size = int(float(match[1]) * _UNITS[match[2]])
    if size < 1:
        raise SpecError(f"{where} = {given!r} is no amount of memory; it must be positive")
    return size


def size_text(size: float) -> str:
    """`3.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 1000 else f"{size:,.0f} TB"


def _available(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _container(groups: Path) -> list[int]:
    """What is left of the limits of control groups, version 2 and 1."""
    found = list[int]()
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, taken = int((groups / limit).read_text()), int((groups / used).read_text())
        except (OSError, ValueError):
            # No such group, or no limit ("max").
            continue
        # Files that were read and are kept in case they are read again: given up when memory runs short.
        taken -= _stated((groups / limit).with_name("memory.stat"), cached)
        found.append(max(0, most - max(0, taken)))
    return found


def _stated(stat: Path, name: str) -> int:
    """A number of a list of names with numbers, 0 where it is not told."""
    try:
        pairs = (line.split() for line in stat.read_text().splitlines())
        return next((int(pair[1]) for pair in pairs if pair[:1] == [name]), 0)
    except (OSError, ValueError, IndexError):
        return 0
