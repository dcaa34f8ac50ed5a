"""Masked forward passes over many rows at once: batches of one shape that mix coalitions, rows and fillings.

An item is (coalition, row, filling): the row with the places of absent players taken from the filling. Items come in any order and any
number; every forward pass has exactly `batch` of them, the last one filled up with copies of its last item.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.backend import Array, Backend
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, is_module, pick_device, set_threads
from xai_ray.games.passes.resting import moved
from xai_ray.types import Coalitions, Floats, Ints


class RowCells:
    """Holds the rows (R, *input) and the fillings (K, *input) of one input on the device."""

    def __init__(
        self, model: Any, arguments: Arguments, rows: Array, fillings: Array, batch: int, threads: int, device: str
    ) -> None:
        self._backend: Backend = ArrayBackend(model, arguments)
        if is_module(model) or arguments.tensors:
            on = pick_device(device)
            self._backend = TorchBackend(moved(model, on), arguments, on)
        self._threads, self.batch = threads, batch
        self._labels = self._backend.put(arguments.inputs[0].layout.labels)
        self._rows = self._backend.put_input(0, rows)
        self._fillings = self._backend.put_input(0, fillings)

    def outputs(self, present: Coalitions, coalition: Ints, row: Ints | Array, filling: Ints | Array) -> Floats:
        """Outputs (t, m) of t items: coalition `present[coalition]` of row number `row`, the rest from filling number `filling`; either
        may be the inputs themselves, shape (t, *input).
        """
        set_threads(self._threads)
        parts: list[Floats] = []
        with self._backend.scope():
            # Label -1 picks the last column: the places that always stay.
            always = np.ones((len(present), 1), dtype=np.bool_)
            masks = self._backend.put(np.concatenate([present, always], axis=1))[:, self._labels]
            for start in range(0, len(coalition), self.batch):
                at = np.minimum(np.arange(start, start + self.batch), len(coalition) - 1)
                kept, taken = self._picked(self._rows, row[at]), self._picked(self._fillings, filling[at])
                mask = masks[self._backend.put(coalition[at])]
                passed = self._backend.forward([self._backend.where(mask, kept, taken)])
                parts.append(passed[: len(coalition) - start])
        return np.concatenate(parts)

    def _picked(self, held: Any, given: Ints | Array) -> Any:
        return held[self._backend.put(given)] if given.ndim == 1 else self._backend.put_input(0, given)


_ELEMENTS, _ELEMENTS_ON_ACCELERATOR, _MOST = 1 << 20, 1 << 24, 1024
_WASTE = 1.05


def default_batch(rows: Array, device: str) -> int:
    """Items per forward pass: a power of two within 2^20 numbers (2^24 on an accelerator), at most 1,024."""
    room = _ELEMENTS if device == "cpu" else _ELEMENTS_ON_ACCELERATOR
    return 1 << min(max((room // max(1, prod(rows.shape[1:]))).bit_length() - 1, 0), _MOST.bit_length() - 1)


def whole_block(items: int, batch: int) -> int:
    """Values per block, each of so many items: as few as fill forward passes to 95 %, so that filling up costs little."""
    least = max(1, batch // items)
    waste = [-(-c * items // batch) * batch / (c * items) for c in range(least, least + 16)]
    return least + next((at for at, w in enumerate(waste) if w <= _WASTE), int(np.argmin(waste)))
