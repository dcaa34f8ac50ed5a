"""A model and many rows: the games v_r(S) of all rows of a dataset, evaluated for pairs of a row and a coalition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError
from xai_ray.games.averaging import Order
from xai_ray.games.backends import ArrayBackend, TorchBackend, is_module, pick_device, set_threads
from xai_ray.games.behaviours import Behaviour, Outputs
from xai_ray.games.digest import fingerprint
from xai_ray.games.model import ModelGame
from xai_ray.games.players import Players
from xai_ray.games.removals import Constant, Marginal, Mean, Uniform, Zeros
from xai_ray.games.removals.filling import Array, PlacedInput, Removal
from xai_ray.games.row_masking import RowMasker
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

PREDICTED = "predicted class"
"""The output where every row explains the class that its own full input is predicted as."""
_NUMBERS = 1 << 20
"""Numbers in a batch of short rows: what stays in the cache of one core."""
_LARGEST_BATCH = 1 << 11
_CHECKED = 1 << 16
"""Rows that are checked at a time."""
_TOGETHER = 1 << 19
"""Numbers held at a time of passes that are masked and averaged together."""


class RowsGame(ModelGame):
    """v_r(S) = behaviour(model(row r with the players outside S removed)), for R rows of equal layout.

    `rows` (R, *input): rows of a table (R, d), or images (R, C, H, W); a read-only `numpy.memmap` is not read into memory.
    The other arguments are those of `ModelGame`. The target
    "predicted" is resolved for each row from its own full input. Fillings that do not depend on the row (zeros, constants, the mean or
    the rows of a background) are on the device once; others (blur, an image's own mean) are computed for each row.

    It is a game for each row and not one for all: `row_values` takes the rows too. `row_ids` names the rows in results; their
    numbers if left out. Raises InputError for rows that are empty, ragged, not numbers or not finite, and what `ModelGame` raises.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        rows: Any,
        *,
        players: Players,
        removal: Removal,
        behaviour: Behaviour,
        outputs: Outputs | None = None,
        order: Order = "mean_then_behaviour",
        batch: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        row_ids: Sequence[int | str] | None = None,
        digest: str | None = None,
    ) -> None:
        held, array = checked_rows(rows)
        super().__init__(
            model,
            held[0],
            players=players,
            removal=removal,
            behaviour=behaviour,
            outputs=outputs,
            order=order,
            batch=batch or _batch_of_rows(array, device),
            threads=threads,
            device=device,
            player_names=player_names,
            output_names=output_names,
            digest=digest,
        )
        if self._filling.runner is not None:
            raise SpecError(
                f"removal {type(removal).__name__} shortens the input of one row; a dataset takes removals that fill: zeros, constant, "
                "mean, blur, marginal or uniform"
            )
        self.rows: Array = array
        """Shape (R, *input), read-only."""
        self.n_rows = len(array)
        self.row_ids = _row_ids(row_ids, self.n_rows)
        self._removal, self._row_masker, self._width = removal, None, 0
        self._shared = isinstance(removal, (Zeros, Constant, Marginal, Uniform)) or (
            isinstance(removal, Mean) and removal.background is not None
        )
        self.fillings = self._filling.samples or self._filling.size
        """Model rows of one evaluation."""
        self.predicted = getattr(behaviour, "target", None) == "predicted"
        """Whether each row explains its own class."""
        self.class_names = tuple(output_names or ())
        if self.predicted:
            self.output_names = (PREDICTED,)
        self.view = View("plain", self.player_names)
        self.rows_digest = fingerprint([array])
        """Hexadecimal digest of the rows alone."""
        self.digest = fingerprint([self.digest, self.rows_digest])

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Raises SpecError: there is a game for each row."""
        raise SpecError(
            "a RowsGame holds a game for each of its rows: call explain_rows, or take ModelGame for one row"
        )

    def row_values(self, rows: Ints, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k) of pairs: row (c,) and coalition (c, n), in forward passes of one shape. `context` (c,) as in `Game.values`."""
        set_threads(self.threads)
        targets = self.row_targets(rows)
        out = np.empty((len(rows), self.n_outputs))
        step = self.block * self._passes
        for start in range(0, len(rows), step):
            own = min(step, len(rows) - start)
            whole = np.arange(-(-own // self.block) * self.block)
            at = start + np.where(whole < own, whole, 0)
            out[start : start + own] = self._pairs(rows[at], coalitions[at], context[at], targets[at])[:own]
        return out

    @property
    def _passes(self) -> int:
        """Forward passes that are masked and averaged together, so that what is not the model costs little a pass."""
        model_rows = self.block * self.fillings
        numbers = model_rows * max(self._width, 1) + self.block * self.rows[0].size
        # Fillings of their own are as large as the batches.
        numbers += 0 if self._shared and self._filling.draw is None else model_rows * self.rows[0].size
        return max(1, _TOGETHER // numbers)

    def row_targets(self, rows: Ints) -> Ints:
        """The explained classes of rows (c,), shape (c, k)."""
        if not self.predicted:
            return np.broadcast_to(self.targets, (len(rows), len(self.targets)))
        distinct, where = np.unique(rows, return_inverse=True)
        found = np.empty(len(distinct), dtype=np.int64)
        for start in range(0, len(distinct), self.batch):
            own = distinct[start : start + self.batch]
            filled = np.concatenate([own, np.full(self.batch - len(own), own[0])])
            full = self._averaging.columns(self._masking().full(filled))
            found[start : start + len(own)] = full[: len(own)].argmax(axis=1)
        return found[where][:, None]

    def target_names(self, rows: Ints) -> list[list[str]]:
        """Names of the explained outputs of rows (c,), k each."""
        if not self.predicted:
            return [list(self.output_names)] * len(rows)
        names = self.class_names
        return [[names[t] if t < len(names) else f"class {t}" for t in row] for row in self.row_targets(rows).tolist()]

    def halved(self) -> RowsGame | None:
        """See `ModelGame.halved`."""
        smaller = super().halved()
        if smaller is None:
            return None
        assert isinstance(smaller, RowsGame)
        smaller._row_masker = None
        return smaller

    def _pairs(self, rows: Ints, coalitions: Coalitions, context: Ints, targets: Ints) -> Floats:
        masker = self._masking()
        if self._filling.draw is None:
            return self._read(masker.outputs(rows, coalitions, self.block, self._own_fillings(rows)), targets)
        drawn = context >= 0
        out = np.empty((len(rows), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that a pair keeps its place in the batch; they are replaced below.
            fillings = self._filling.draw(np.where(drawn, context, 0))[0]
            out[:] = self._read(masker.outputs(rows, coalitions, self.block, fillings), targets)
        for at in np.flatnonzero(~drawn):
            one = slice(at, at + 1)
            out[one] = self._read(masker.outputs(rows[one], coalitions[one], 1), targets[one])
        return out

    def _read(self, outputs: Floats, targets: Ints) -> Floats:
        """Outputs (c, K, m) and targets (c, k) -> values (c, k)."""
        self._width = outputs.shape[2]
        if not self.predicted:
            return self._averaging.values(outputs, self.targets)
        c, size, m = outputs.shape
        columns = self._averaging.columns(outputs.reshape(c * size, m)).reshape(c, size, -1)
        # Behaviours treat all classes but the target alike, so the target changes places with the first class.
        order = np.tile(np.arange(columns.shape[2]), (c, 1))
        order[np.arange(c), targets[:, 0]] = 0
        order[:, 0] = targets[:, 0]
        moved = np.take_along_axis(columns, order[:, None], axis=2)
        return self._averaging.values(moved, np.zeros(1, dtype=np.int64))

    def _own_fillings(self, rows: Ints) -> Array | None:
        if self._shared:
            return None
        distinct, where = np.unique(rows, return_inverse=True)
        placed = self._arguments.inputs[0]
        made = [
            self._removal.bind((PlacedInput(placed.name, self.rows[r], placed.layout, placed.mask_token),)).rows[0]
            for r in distinct
        ]
        return np.stack(made)[where]

    def _masking(self) -> RowMasker:
        if self._row_masker is None:
            backend = ArrayBackend(self._model, self._arguments)
            if is_module(self._model) or self._arguments.tensors:
                from xai_ray.games.model import _moved

                device = pick_device(self.device)
                backend = TorchBackend(_moved(self._model, device), self._arguments, device)
            shared = self._filling.rows[0] if self._shared else None
            self._row_masker = RowMasker(backend, self._arguments, self.rows, shared, self.batch)
        return self._row_masker

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_row_masker": None}


def checked_rows(rows: Any) -> tuple[Any, Array]:
    """Rows as they were given (a tensor or an array, whose items are inputs), and as a read-only array. Raises InputError."""
    if hasattr(rows, "to_numpy") and not isinstance(rows, np.ndarray):
        rows = rows.to_numpy()
    if isinstance(rows, (list, tuple)):
        lengths = [np.shape(row) for row in rows]
        odd = next((i for i, shape in enumerate(lengths) if shape != lengths[0]), None)
        if odd is not None:
            raise InputError(
                f"rows: row {odd} has shape {lengths[odd]}, row 0 has {lengths[0]}; rows need equal shapes"
            )
    detached = getattr(rows, "detach", None)
    if detached is not None:
        tensor = detached().cpu()
        array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    elif isinstance(rows, np.memmap):
        array = rows
    else:
        rows = array = np.asarray(rows)
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"rows: shape {array.shape}; a dataset has shape (rows, columns) or (rows, *input), and at least one row"
        )
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise InputError(f"rows: not numbers (type {array.dtype}); encode text columns before explaining")
    for start in range(0, len(array), _CHECKED):
        _check_finite(array[start : start + _CHECKED], start)
    if not isinstance(array, np.memmap) or array.mode != "r":
        array = np.array(array)
        array.setflags(write=False)
    return rows, array


def _check_finite(array: npt.NDArray[Any], first: int) -> None:
    if not np.issubdtype(array.dtype, np.inexact):
        return
    finite = np.isfinite(array)
    if not finite.all():
        row, *place = np.argwhere(~finite)[0].tolist()
        where = f"column {place[0]}" if len(place) == 1 else f"place {tuple(place)}"
        raise InputError(f"rows: row {first + row}, {where} is missing or not finite; fill it in before explaining")


def _row_ids(given: Sequence[int | str] | None, count: int) -> tuple[int | str, ...] | None:
    if given is None:
        return None
    if len(given) != count:
        raise InputError(f"{len(given)} row ids for {count} rows")
    return tuple(given)


def _batch_of_rows(array: Array, device: str) -> int | None:
    """Model rows of a forward pass for short rows; None leaves it to `ModelGame`."""
    elements = array[0].size
    if pick_device(device) != "cpu" or elements > 1024:
        return None
    return 1 << min(max((_NUMBERS // elements).bit_length() - 1, 0), _LARGEST_BATCH.bit_length() - 1)
