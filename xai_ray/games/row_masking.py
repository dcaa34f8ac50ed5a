"""Masked forward passes for pairs of a row and a coalition: one batch mixes rows and coalitions, and has one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_ray.games.arguments import Arguments
from xai_ray.games.backends import Array, Backend
from xai_ray.types import Coalitions, Floats, Ints


class RowMasker:
    """Outputs for (row, coalition, filling). Rows and the fillings that all rows share are put on the device once."""

    def __init__(self, backend: Backend, arguments: Arguments, rows: Array, shared: Array | None, batch: int) -> None:
        """`rows` (R, *input); `shared` (K, *input), or None where every row brings its own fillings."""
        self._backend, self._batch = backend, batch
        self._labels = backend.put(arguments.inputs[0].layout.labels)
        # Rows that are mapped from a file may be more than fit: those of a pass are put on the device for it.
        self._mapped = rows if isinstance(rows, np.memmap) else None
        self._rows = None if self._mapped is not None else backend.put_input(0, rows)
        self._shared = None if shared is None else backend.put_input(0, shared)[None]

    def full(self, rows: Ints) -> Floats:
        """Outputs (c, m) on whole rows."""
        with self._backend.scope():
            return self._backend.forward([self._whole(rows)])

    def outputs(self, rows: Ints, coalitions: Coalitions, block: int, fillings: Array | None = None) -> Floats:
        """Outputs (c, K, m) of pairs: row (c,), coalition (c, n), and their own fillings (c, K, *input) instead of the shared ones.

        Passes have `block` pairs, of which c is a multiple; masks are made for all of them at once. A K above the batch needs a block of
        one, and goes through in chunks of one shape.
        """
        filled = self._shared if fillings is None else self._backend.put_input(0, fillings)
        if filled is None:
            raise ValueError("these rows share no fillings; give each pair its own")
        with self._backend.scope():
            # Label -1 picks the last column: the places that always stay.
            always = np.ones((len(rows), 1), dtype=np.bool_)
            masks = self._backend.put(np.concatenate([coalitions, always], axis=1))[:, self._labels][:, None]
            parts: list[Floats] = []
            for start in range(0, len(rows), block):
                cut = slice(start, start + block)
                own = filled if len(filled) == 1 else filled[cut]
                parts.append(self._pass(masks[cut], self._whole(rows[cut])[:, None], own))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _whole(self, rows: Ints) -> Any:
        """Rows (c,) on the device, shape (c, *input)."""
        if self._mapped is None:
            return self._rows[self._backend.put(rows)]  # pyright: ignore[reportOptionalSubscript]
        distinct, where = np.unique(rows, return_inverse=True)
        return self._backend.put_input(0, np.array(self._mapped[distinct]))[self._backend.put(where.reshape(-1))]

    def _pass(self, mask: Any, whole: Any, filled: Any) -> Floats:
        size = int(filled.shape[1])
        if len(whole) * size <= self._batch or size == 1:
            return self._forward(mask, whole, filled)
        chunks: list[Floats] = []
        for start in range(0, size, self._batch):
            # The last chunk is filled up with the last filling, so that every forward pass has the same shape.
            at = self._backend.put(np.minimum(np.arange(start, start + self._batch), size - 1))
            chunks.append(self._forward(mask, whole, filled[:, at])[:, : size - start])
        return np.concatenate(chunks, axis=1)

    def _forward(self, mask: Any, whole: Any, filled: Any) -> Floats:
        c, size = len(whole), int(filled.shape[1])
        masked = self._backend.where(mask, whole, filled)
        return self._backend.forward([masked.reshape((c * size, *whole.shape[2:]))]).reshape(c, size, -1)
