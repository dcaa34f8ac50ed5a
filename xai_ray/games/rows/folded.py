"""Forward passes behind a folded first layer for pairs of a row and a coalition: the part of the fillings depends on the
coalition alone and is one product a pass; each pair adds the part of its own row to all fillings.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
import torch

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.passes.backend import Array
from xai_ray.games.passes.backends import TorchBackend
from xai_ray.games.passes.first_layer import first_layer, not_foldable
from xai_ray.games.passes.folding import TOLERANCE, Folding
from xai_ray.games.passes.together import read_together
from xai_ray.games.rows.held import HeldRows
from xai_ray.games.rows.masking import RowMasker
from xai_ray.types import Coalitions, Floats, Ints

_FEW_COLUMNS = 8
"""Columns a player up to which the masked row goes through the layer; above it contributions of players are cheaper."""
_TOGETHER = 1 << 20
"""Numbers of contributions of rows that are gathered at a time."""


class FoldedRows:
    """`RowMasker` of rows (R, *input) that share fillings (K, *input), behind the first layer."""

    def __init__(self, backend: TorchBackend, arguments: Arguments, rows: Array, shared: Array, batch: int) -> None:
        """SpecError that says why when the model cannot be folded."""
        layout = arguments.inputs[0].layout
        self._backend, self._size = backend, len(shared)
        with backend.scope():
            one = backend.put_input(0, np.array(rows[:1]))
            first = first_layer(backend.model, one.expand(2, *one.shape[1:]))
            self._finish = backend.compiled(first.after)
            n = len(arguments.player_names)
            self._folding = Folding(first, layout.labels, rows.shape[1:], n)
            self._few = rows[0].size <= _FEW_COLUMNS * n
            self._rows = HeldRows(backend, rows, first.before if self._few else None)
            self._weight = self._folding.settled(first.weight.T)
            self._bias = self._folding.settled(first.bias)
            self._labels = backend.put(np.broadcast_to(layout.labels, rows.shape[1:]).ravel())
            self._batch = batch
            self._chunks = self._cuts(shared)

    def with_fillings(self, shared: Array) -> FoldedRows:
        """The same rows with other fillings (K, *input)."""
        other = copy(self)
        with self._backend.scope():
            other._size = len(shared)
            other._chunks = other._cuts(shared)
        return other

    def _cuts(self, shared: Array) -> list[tuple[int, torch.Tensor]]:
        fillings = self._folding.fillings(self._backend.put_input(0, shared))
        chunk = min(self._batch, self._size)
        return [self._cut(fillings, at, chunk) for at in range(0, self._size, chunk)]

    def _cut(self, fillings: torch.Tensor, start: int, chunk: int) -> tuple[int, torch.Tensor]:
        """How many fillings of a chunk count, and their contributions (n, chunk h)."""
        stop = min(start + chunk, self._size)
        # The last chunk is filled up with its last filling, so that every forward pass has the same shape.
        at = np.minimum(np.arange(start, start + chunk), stop - 1)
        part = fillings[:, torch.from_numpy(at)].reshape(len(fillings), -1)
        return stop - start, self._folding.settled(part)

    def check(self, plain: RowMasker, n_rows: int, n_players: int) -> None:
        """SpecError when outputs for a few pairs differ from those of plain passes by more than `TOLERANCE`."""
        rng = np.random.default_rng(0)
        ends = np.stack([np.ones(n_players, np.bool_), np.zeros(n_players, np.bool_)])
        coalitions = np.concatenate([rng.random((6, n_players)) < 0.5, ends])
        rows = np.linspace(0, n_rows - 1, len(coalitions)).astype(np.int64)
        got, want = self.outputs(rows, coalitions, 1), plain.outputs(rows, coalitions, 1)
        units = float(np.abs(got - want).max()) / (max(1.0, float(np.abs(want).max())) * self._folding.rounding)
        if not units <= TOLERANCE:
            raise not_foldable(f"outputs behind the folded layer differ from the model's by {units:.3g} roundings")

    def outputs(self, rows: Ints, coalitions: Coalitions, block: int, each: int = 1) -> Floats:
        """See `RowMasker.outputs`. Of rows (c * each,), `each` in turn have the same one of coalitions (c, n), whose fillings then go
        through the layer once; `block` pairs are whole coalitions.
        """
        return self._blocks(rows, coalitions, block, each, lambda outputs: outputs)

    def means(self, rows: Ints, coalitions: Coalitions, block: int, averaging: Averaging, each: int = 1) -> Floats:
        """See `RowMasker.means` and `outputs`."""
        return self._blocks(rows, coalitions, block, each, lambda outputs: self._backend.means(outputs, averaging))

    def _blocks(
        self, rows: Ints, coalitions: Coalitions, block: int, each: int, read: Callable[[torch.Tensor], torch.Tensor]
    ) -> Floats:
        with self._backend.scope():
            present = self._backend.present(coalitions)
            absent = (~present[:, :-1]).to(self._folding.dtype)
            own = self._own(rows, present, each)
            blocks = zip(absent.split(block // each), own.split(block), strict=True)
            return read_together(self._backend, (self._outputs(*one) for one in blocks), len(rows), read)

    def _own(self, rows: Ints, present: torch.Tensor, each: int) -> torch.Tensor:
        """What the present players of each pair's row add, with the bias: (c each, h). `present` (c, n + 1)."""
        if self._few:
            kept = self._rows.take(rows).to(self._folding.dtype).reshape(len(present), each, -1)
            chosen = torch.where(present[:, None, self._labels], kept, 0.0)
            return torch.addmm(self._bias, chosen.flatten(0, 1), self._weight)
        present = present.repeat_interleave(each, dim=0)
        distinct, which = np.unique(rows, return_inverse=True)
        parts = self._folding.settled_rows(self._folding.rows(self._rows.take(distinct)))
        step = max(1, _TOGETHER // parts.players[0].numel())
        chosen = zip(present[:, :-1].split(step), self._backend.put(which.ravel()).split(step), strict=True)
        return torch.cat([self._folding.present(coalitions, parts, at) for coalitions, at in chosen])

    def _outputs(self, absent: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Outputs (c, K, m) on the device, of one block."""
        chunks = [self._pass(absent, own, *chunk) for chunk in self._chunks]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=1)

    def _pass(self, absent: torch.Tensor, own: torch.Tensor, count: int, part: torch.Tensor) -> torch.Tensor:
        c, h = own.shape
        filled = (absent @ part).view(len(absent), 1, -1, h)
        whole = own.view(len(absent), -1, 1, h)
        preactivations = (filled.add_(whole) if len(absent) == c else filled + whole).view(-1, h)
        flat = self._backend.run(self._finish, preactivations)
        return flat.view(c, -1, flat.shape[-1] if flat.ndim == 2 else 1)[:, :count]
