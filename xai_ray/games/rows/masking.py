"""Masked forward passes for pairs of a row and a coalition: one batch mixes rows and coalitions, and has one shape."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.passes.backend import Array, Backend
from xai_ray.games.passes.masking import told_apart
from xai_ray.games.passes.together import read_together
from xai_ray.games.rows.batches import RowGrid
from xai_ray.games.rows.held import HeldRows
from xai_ray.types import Coalitions, Floats, Ints

Choice = Callable[[Any, Any, Any], Any]
"""(mask, kept, filled) -> kept where the mask is true."""


class RowMasker:
    """Outputs for (row, coalition, filling). Rows and the fillings that all rows share are put on the device once."""

    def __init__(self, backend: Backend, arguments: Arguments, rows: Array, shared: Array | None, batch: int) -> None:
        """`rows` (R, *input); `shared` (K, *input), or None where every row brings its own fillings."""
        self._backend, self._batch = backend, batch
        self._labels = backend.put(told_apart(arguments.inputs[0].layout.labels))
        self._rows = HeldRows(backend, rows)
        self._shared = None if shared is None else backend.put_input(0, shared)[None]
        self._short = rows.ndim == 2 and np.issubdtype(rows.dtype, np.floating) and self._shared is not None
        if self._short:
            # Numbers that the model's own type cannot hold are infinite by now.
            self._short = self._rows.finite() and bool(np.isfinite(backend.home(self._shared)).all())

    def with_fillings(self, shared: Array) -> RowMasker:
        """The same rows with other fillings (K, *input) for all of them."""
        other = copy(self)
        other._shared = self._backend.put_input(0, shared)[None]
        return other

    def outputs(self, rows: Ints, coalitions: Coalitions, block: int, fillings: Array | None = None) -> Floats:
        """Outputs (c, K, m) of pairs: row (c,), coalition (c, n), and their own fillings (c, K, *input) instead of the shared ones.

        Passes have `block` pairs, of which c is a multiple; masks are made for all of them at once. A K above the batch needs a block of
        one, and goes through in chunks of one shape.
        """
        return self._blocks(rows, coalitions, block, fillings, lambda outputs: outputs)

    def means(
        self, rows: Ints, coalitions: Coalitions, block: int, averaging: Averaging, fillings: Array | None = None
    ) -> Floats:
        """Means over fillings (c, m') of `outputs`, formed where the outputs are; only they come home, after the last pass."""
        return self._blocks(rows, coalitions, block, fillings, lambda outputs: self._backend.means(outputs, averaging))

    def grid(self, coalitions: Coalitions, rows: Ints, grid: RowGrid, averaging: Averaging | None) -> Floats:
        """Outputs (c * r, K, m) of coalitions (c, n), whole blocks of the grid, each with the same rows (r,), in whole passes; their means
        over fillings (c * r, m') where an averaging is given.
        """
        backend, shared = self._backend, self._shared
        if shared is None:
            raise ValueError("these rows share no fillings; give each pair its own")
        with backend.scope():
            masks = backend.present(coalitions)[:, self._labels]
            held = self._rows.take(rows)
            cuts = (
                (slice(at, at + grid.block), slice(start, start + grid.each))
                for at in range(0, len(coalitions), grid.block)
                for start in range(0, len(rows), grid.each)
            )
            passes = (
                self._cell(masks[block, None], held[None, part], shared[None], grid.pairs) for block, part in cuts
            )
            read = (lambda outputs: outputs) if averaging is None else lambda out: backend.means(out, averaging)
            return read_together(backend, passes, len(coalitions) * len(rows), read)

    def _cell(self, mask: Any, whole: Any, filled: Any, pairs: int) -> Any:
        """Outputs (pairs, K, m) of some coalitions, mask (g, 1, *), each with the same rows (1, e, *)."""
        choose = self._backend.where
        if self._short:
            choose, (mask, whole) = self._backend.blend, self._backend.parted(mask, whole)
        return self._pass(mask[:, :, None], whole[:, :, None], filled, choose, pairs, 2)

    def _blocks(
        self, rows: Ints, coalitions: Coalitions, block: int, fillings: Array | None, read: Callable[[Any], Any]
    ) -> Floats:
        filled = self._shared if fillings is None else self._backend.put_input(0, fillings)
        if filled is None:
            raise ValueError("these rows share no fillings; give each pair its own")
        with self._backend.scope():
            masks = self._backend.present(coalitions)[:, self._labels]
            whole = self._rows.take(rows)
            choose = self._backend.where
            if self._short and fillings is None:
                choose, (masks, whole) = self._backend.blend, self._backend.parted(masks, whole)
            cuts = (slice(start, start + block) for start in range(0, len(rows), block))
            passes = (
                self._pass(
                    masks[cut, None], whole[cut, None], filled if len(filled) == 1 else filled[cut], choose, block, 1
                )
                for cut in cuts
            )
            return read_together(self._backend, passes, len(rows), read)

    def _pass(self, mask: Any, whole: Any, filled: Any, choose: Choice, pairs: int, axis: int) -> Any:
        """Outputs (pairs, K, m) of what broadcasts to (*pairs, K, *input), K at `axis`."""
        size = int(filled.shape[axis])
        if pairs * size <= self._batch or size == 1:
            return self._forward(mask, whole, filled, choose, pairs, axis)
        chunks: list[Any] = []
        for start in range(0, size, self._batch):
            # The last chunk is filled up with the last filling, so that every forward pass has the same shape.
            at = self._backend.put(np.minimum(np.arange(start, start + self._batch), size - 1))
            some = filled[(slice(None),) * axis + (at,)]
            chunks.append(self._forward(mask, whole, some, choose, pairs, axis)[:, : size - start])
        return self._backend.joined(chunks, 1)

    def _forward(self, mask: Any, whole: Any, filled: Any, choose: Choice, pairs: int, axis: int) -> Any:
        size = int(filled.shape[axis])
        masked = choose(mask, whole, filled).reshape((pairs * size, *whole.shape[axis + 1 :]))
        return self._backend.raw([masked]).reshape(pairs, size, -1)
