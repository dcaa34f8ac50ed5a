"""What a worker in another process needs: the game as bytes, the environment of its process."""

from __future__ import annotations

import os
import pickle
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions import Design
from xai_ray.errors import EngineError
from xai_ray.games.protocol import Game

_DEPTH = 4
_LEAST_SHARED = 1 << 16
"""Bytes: smaller arrays travel inside the pickle."""


Parcel = tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.uint8]]]
"""A pickle, and the memory of the arrays that it leaves out."""


def shipped(game: Game, design: Design, dumps: Callable[..., bytes]) -> Parcel:
    """Game and design as the bytes of one pickle; arrays, which an object store shares between processes without a copy.

    Pickled here, not by the object store, whose arrays are read-only in workers: a game may write to its own. Those that
    the game itself holds read-only (training data) are left out of the pickle, and then all workers of a node read one
    copy. Raises EngineError that names the part which cannot be pickled.
    """
    shared: list[npt.NDArray[np.uint8]] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        memory = buffer.raw()
        if not memory.readonly or memory.nbytes < _LEAST_SHARED:
            return True
        shared.append(np.frombuffer(memory, dtype=np.uint8))
        return False

    try:
        return np.frombuffer(dumps((game, design), protocol=5, buffer_callback=inside), dtype=np.uint8), shared
    except Exception as error:
        part, path = _culprit(game, type(game).__name__, dumps, _DEPTH)
        raise EngineError(
            f"the game cannot be sent to workers: {path} (a {type(part).__module__}.{type(part).__qualname__}) cannot "
            f"be pickled: {error}; keep such an object out of the game, give the model by its factory "
            "(package.module:function) so that every worker builds its own, or run with the inline engine"
        ) from error


def unshipped(parcel: Parcel) -> tuple[Game, Design]:
    """Game and design in a worker; arrays that were left out lie in the memory of the parcel and cannot be written to."""
    return pickle.loads(parcel[0].data, buffers=parcel[1])


def _culprit(part: Any, path: str, dumps: Callable[[Any], bytes], depth: int) -> tuple[Any, str]:
    """The innermost attribute or item that fails by itself, at most `depth` levels down, and how to reach it."""
    if depth:
        for name, inner in _parts(part):
            try:
                dumps(inner)
            except Exception:
                return _culprit(inner, path + name, dumps, depth - 1)
    return part, path


def _parts(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, dict):
        return [(f"[{key!r}]", inner) for key, inner in part.items()]
    if isinstance(part, list | tuple):
        return [(f"[{index}]", inner) for index, inner in enumerate(part)]
    slots = [s for kind in type(part).__mro__ for s in getattr(kind, "__slots__", ()) if hasattr(part, s)]
    return [
        (f".{name}", inner) for name, inner in {**getattr(part, "__dict__", {}), **_slot_values(part, slots)}.items()
    ]


def _slot_values(part: Any, slots: list[str]) -> dict[str, Any]:
    return {name: getattr(part, name) for name in slots}


def worker_environment(cpus: float) -> dict[str, str]:
    """Threads: as many as the worker's CPUs, since more are slower by factors. Path: that of this process, so that a
    class found here by name is found there; without the interpreter's own folders, which each node has in its own
    place.
    """
    threads = str(max(1, int(cpus)))
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own |= {str(Path(folder) / "lib-dynload") for folder in own if folder}
    path = [os.path.abspath(entry) for entry in sys.path if entry not in own and not entry.endswith(".zip")]
    return {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
    }


def cores() -> int:
    """Cores that this process may use: affinity and the quota of its container, rounded up."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, -(-int(quota) // int(period))))
