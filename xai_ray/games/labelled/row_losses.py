"""Losses of pairs of a labelled row and a coalition, from forward passes of one shape that mix rows and coalitions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from xai_ray.errors import NonFiniteValue, SpecError
from xai_ray.games.arguments import Arguments
from xai_ray.games.behaviours import Outputs, Probability, Raw, classes
from xai_ray.games.labelled.losses import RowLoss, Truth, mean_outputs
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.passes.backend import Array
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, is_module, set_threads
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.passes.resting import backend_of, moved, resting
from xai_ray.games.removals.filling import Filling
from xai_ray.games.rows.batches import RowGrid
from xai_ray.games.rows.masking import RowMasker
from xai_ray.types import Coalitions, Floats, Ints, Values

if TYPE_CHECKING:
    from xai_ray.games.rows.folded import FoldedRows

Convention: TypeAlias = Literal["mean_then_loss", "loss_then_mean"]
_NUMBERS = 1 << 19
"""Numbers of masked rows, or of outputs that come home one by one, at a time."""


class _Means(Averaging):
    """Outputs averaged over fillings before a loss is read from them."""

    def means(self, outputs: Floats) -> Floats:
        """Outputs (c, K, m) -> their means (c, m), one column a class."""
        c, size, m = outputs.shape
        columns = self.columns(outputs.reshape(c * size, m))
        if size == 1:
            return columns
        return mean_outputs(columns.reshape(c, size, -1), self.convention)


class RowLosses:
    """A model, labelled rows (R, *input) and what fills absent players: losses (p, k) of p pairs under k losses.

    `truth` is None until the model's outputs on the full rows are known.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        arguments: Arguments,
        rows: Array,
        filling: Filling,
        losses: tuple[RowLoss, ...],
        outputs: Outputs,
        convention: Convention,
        batch: int,
        threads: int,
        device: str,
        numerics: Numerics,
    ) -> None:
        self.rows, self.batch, self.truth = rows, batch, None
        self.truth: Truth | None
        self._arguments, self._filling, self._losses = arguments, filling, losses
        self._outputs: Outputs = outputs
        self._convention: Convention = convention
        self._threads, self._device = threads, device
        self.numerics = numerics
        numerics.check(is_module(model))
        if numerics.fold and filling.draw is not None:
            from xai_ray.games.passes.first_layer import not_foldable

            raise not_foldable("absent players are drawn anew for every coalition; take every background row")
        self._averaging = _Means(Raw() if outputs == "raw" else Probability(), outputs, "mean_then_behaviour")
        self.model: Any = resting(model)
        self._forget()

    @property
    def fillings(self) -> int:
        """Model rows of a pair that draws its fillings, or takes all where none are drawn."""
        return self._filling.samples if self._filling.draw is not None and self._filling.samples else self._filling.size

    def room(self, every: bool = False) -> int:
        """Pairs that a pass has room for, with the fillings that they draw or with `every` one. A pair whose fillings are more than a batch
        goes through in parts.
        """
        return max(1, self.batch // (self._filling.size if every else self.fillings))

    def full_outputs(self) -> Floats:
        """Outputs (R, m) on the full rows, one column a class, in the model's own precision. Raises SpecError, NonFiniteValue."""
        set_threads(self._threads)
        backend, R = backend_of(self.model, self._arguments, self._device, Numerics()), len(self.rows)
        size, parts = min(self.batch, R), list[Floats]()
        with backend.scope():
            for start in range(0, R, size):
                own = np.minimum(np.arange(start, start + size), R - 1)
                given: Any = backend.put_input(0, self.rows[own])
                parts.append(classes(backend.forward([given])[: R - start], self._outputs))
        found = np.concatenate(parts)
        if self._outputs != "raw" and found.shape[1] < 2:
            raise SpecError("the model has one class; a loss of classes needs two or more")
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            raise NonFiniteValue(f"the model's output {bad[0][1]} of row {bad[0][0]} is {found[tuple(bad[0])]}")
        return found

    def of(self, coalitions: Coalitions, rows: Ints, own: Ints | None, each: int, block: int) -> Floats:
        """Losses (p, k) of rows (p,), `each` in turn with the same one of coalitions (p / each, n), in passes of `block` pairs, of which p
        is a multiple. `own` (p,): numbers of the draws of their fillings; None takes every filling.
        """
        set_threads(self._threads)
        draw = None if own is None else self._filling.draw
        step = max(1, self.together(draw is not None) // block) * block
        parts: list[Floats] = []
        for start in range(0, len(rows), step):
            taken = slice(start, start + step)
            some = coalitions[start // each : (start + step) // each]
            fillings = None if own is None or draw is None else draw(own[taken])[0]
            parts.append(self._part(some, rows[taken], fillings, each, block))
        return np.concatenate(parts)

    def of_all(self, coalitions: Coalitions, rows: Ints, grid: RowGrid) -> Floats:
        """Losses (c * r, k) of coalitions (c, n), whole blocks of the grid, each with the same rows (r,), in whole passes."""
        set_threads(self._threads)
        step = max(1, self.together(False) // grid.each) * grid.each
        if len(rows) > step:
            slabs = [rows[start : start + step] for start in range(0, len(rows), step)]
            return np.concatenate([self.of_all(one[None], slab, grid) for one in coalitions for slab in slabs])
        every = np.tile(rows, len(coalitions))
        if self.numerics.fold:
            cells = np.repeat(coalitions, len(rows) // grid.each, axis=0)
            return self._part(cells, every, None, grid.each, grid.pairs)
        averaging = self._averaging if self._averaged(None) else None
        return self._read(self._masking().grid(coalitions, rows, grid, averaging), every, None)

    def filled(self, coalitions: Coalitions, rows: Ints, fillings: Ints) -> Floats:
        """Losses (p, k) of rows (p,) under coalitions (p, n), the rest of each from one filling, by its number (p,)."""
        set_threads(self._threads)
        p, held = len(rows), self._filling.rows[0]
        block = -(-p // -(-p // self.batch))
        parts: list[Floats] = []
        for start in range(0, p, block):
            at = np.minimum(np.arange(start, start + block), p - 1)
            given = held[fillings[at]][:, None]
            parts.append(self._part(coalitions[at], rows[at], given, 1, block)[: p - start])
        return np.concatenate(parts)

    def with_batch(self, batch: int) -> Self:
        """The same with `batch` model rows a pass."""
        other = copy.copy(self)
        other.batch = batch
        other._forget()
        return other

    def check_folding(self, n_players: int) -> None:
        """SpecError when folding does not give the outputs of plain passes."""
        from xai_ray.games.rows.folded import FoldedRows

        exact = backend_of(self.model, self._arguments, self._device, Numerics())
        if not isinstance(exact, TorchBackend):
            raise SpecError("fold: only the first layer of a torch module can be folded")
        shared = self._filling.rows[0]
        plain = RowMasker(exact, self._arguments, self.rows, shared, self.batch)
        folded = FoldedRows(exact, self._arguments, self.rows, shared, self.batch)
        folded.check(plain, len(self.rows), n_players)

    # Pass by pass

    def together(self, drawn: bool) -> int:
        """Pairs at a time: their rows, their own fillings and outputs that come home."""
        elements, size = self.rows[0].size, self.fillings if drawn else self._filling.size
        own = size * elements if drawn else 0
        outputs = 0 if self._convention == "mean_then_loss" and not drawn else 4 * size
        return max(1, _NUMBERS // (elements + own + outputs))

    def _averaged(self, fillings: Array | None) -> bool:
        """Whether losses are read from means over fillings, which are formed where the outputs are."""
        size = self._filling.size if fillings is None else fillings.shape[1]
        return size == 1 or (self._convention == "mean_then_loss" and fillings is None)

    def _part(self, coalitions: Coalitions, rows: Ints, fillings: Array | None, each: int, block: int) -> Floats:
        averaging = self._averaging if self._averaged(fillings) else None
        if self.numerics.fold and fillings is None:
            folded = self._folded()
            if averaging is None:
                return self._read(folded.outputs(rows, coalitions, block, each), rows, None)
            return self._read(folded.means(rows, coalitions, block, averaging, each), rows, None)
        plain, spread = self._masking(), coalitions if each == 1 else np.repeat(coalitions, each, axis=0)
        if averaging is None:
            return self._read(plain.outputs(rows, spread, block, fillings), rows, fillings)
        return self._read(plain.means(rows, spread, block, averaging, fillings), rows, fillings)

    def _read(self, found: Floats, rows: Ints, fillings: Array | None) -> Floats:
        """Losses (p, k) from means over fillings (p, m), or from outputs (p, K, m)."""
        assert self.truth is not None, "set when the game was made"
        truth = self.truth[rows]
        if found.ndim == 2:
            return np.stack([one.rows(found, truth) for one in self._losses], axis=1)
        p, size, m = found.shape
        columns = classes(found.reshape(p * size, m), self._outputs).reshape(p, size, -1)
        return np.stack([self._reduced(one, columns, truth, fillings is not None) for one in self._losses], axis=1)

    def _reduced(self, loss: RowLoss, columns: Floats, truth: Truth, sampled: bool) -> Floats:
        """One loss a pair (p,) from outputs (p, K, m)."""
        p, size, m = columns.shape
        if self._convention == "loss_then_mean":
            every = loss.rows(columns.reshape(p * size, m), np.repeat(truth, size, axis=0))
            return every.reshape(p, size).mean(axis=1)
        found = loss.rows(mean_outputs(columns, self._outputs), truth)
        return found - loss.excess(columns) if sampled else found

    # Where it runs

    def _masking(self) -> RowMasker:
        if self._masker is None:
            shared = self._filling.rows[0]
            self._masker = RowMasker(self._backend, self._arguments, self.rows, shared, self.batch)
        return self._masker

    def _folded(self) -> FoldedRows:
        if self._folder is None:
            from xai_ray.games.rows.folded import FoldedRows

            assert isinstance(self._backend, TorchBackend), "checked when the game was made"
            self._folder = FoldedRows(self._backend, self._arguments, self.rows, self._filling.rows[0], self.batch)
        return self._folder

    @property
    def _backend(self) -> ArrayBackend | TorchBackend:
        if self._running is None:
            self._running = backend_of(self.model, self._arguments, self._device, replace(self.numerics, fold=False))
        return self._running

    def _forget(self) -> None:
        self._masker: RowMasker | None = None
        self._folder: FoldedRows | None = None
        self._running: ArrayBackend | TorchBackend | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict.fromkeys(("_masker", "_folder", "_running")) | {"model": moved(self.model, "cpu")}


class Passes:
    """Pairs of a row and a coalition, as `quickest_batch` times them."""

    def __init__(self, losses: RowLosses, n_players: int) -> None:
        self._losses, self.n_players = losses, n_players

    @property
    def block(self) -> int:
        """Pairs of a pass."""
        return self._losses.room()

    def with_batch(self, batch: int) -> Passes:
        """The same with `batch` model rows a pass."""
        return Passes(self._losses.with_batch(batch), self.n_players)

    def trial(self, coalitions: Coalitions, context: Ints) -> Values:
        """The rows in turn."""
        turns = np.arange(len(coalitions), dtype=np.int64) % len(self._losses.rows)
        return self._losses.of(coalitions, turns, turns, 1, self.block)
