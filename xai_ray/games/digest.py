"""Digests: a hexadecimal fingerprint of everything that decides the values of a game."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_PIECE = 1 << 24
"""Bytes of an array that are copied at a time."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(parts: Iterable[str | bytes | np.ndarray[Any, Any]]) -> str:
    """SHA-256 of the parts in order, each with its type and length, so that no two sequences of parts run together."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"array {part.dtype.str} {part.shape} {part.nbytes}\n".encode())
            for piece in _pieces(part):
                total.update(piece)
            continue
        if isinstance(part, str):
            head, body = "text", part.encode()
        else:
            head, body = "bytes", part
        total.update(f"{head} {len(body)}\n".encode())
        total.update(body)
    return total.hexdigest()


def _pieces(array: np.ndarray[Any, Any]) -> Iterator[memoryview]:
    """The bytes of an array in row-major order, in place where they lie so: rows of a dataset may be mapped from a file that is larger
    than memory, and of other layouts only `_PIECE` bytes are copied at a time.
    """
    if not array.size:
        return
    if array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8).data
        return
    row = array.nbytes // len(array)
    if row > _PIECE and array.ndim > 1:
        for part in array:
            yield from _pieces(part)
        return
    step = max(1, _PIECE // row)
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step]).reshape(-1).view(np.uint8).data


def printed(thing: object) -> str:
    """`repr` without memory addresses, which differ from process to process."""
    return _ADDRESS.sub("", repr(thing))


def described(thing: object) -> list[str | bytes | np.ndarray[Any, Any]]:
    """A dataclass as parts for `fingerprint`: its class, and every field; arrays by their bytes, the rest as
    printed.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return [repr(thing)]
    if isinstance(thing, Mapping):
        return ["mapping", *(part for key, value in thing.items() for part in (str(key), *described(value)))]
    if isinstance(thing, (list, tuple)):
        return [f"sequence {len(thing)}", *(part for value in thing for part in described(value))]
    if hasattr(thing, "detach") or hasattr(thing, "__array__"):
        return ["array", _array(thing)]
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if is_dataclass(thing):
        return [kind, *(part for f in fields(thing) for part in (f.name, *described(getattr(thing, f.name))))]
    return [kind, printed(thing)]


def _array(thing: Any) -> np.ndarray[Any, Any]:
    if hasattr(thing, "detach"):
        tensor = thing.detach().cpu()
        thing = tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    return np.asarray(thing)


def described_model(model: Any, probe: np.ndarray[Any, Any]) -> list[str | bytes | np.ndarray[Any, Any]]:
    """A torch module by its structure and weights; any other callable by its name, its `repr` and two outputs to six
    digits.
    """
    owner = model if hasattr(model, "__qualname__") else type(model)
    parts: list[str | bytes | np.ndarray[Any, Any]] = [f"{owner.__module__}.{owner.__qualname__}", printed(model)]
    if hasattr(model, "state_dict"):
        for name, value in sorted(model.state_dict().items()):
            parts += [name, *described(value)]
        return parts
    return [*parts, " ".join(f"{v:.5e}" for v in probe.ravel())]
