"""A model and many rows: the games v_r(S) of all rows of a dataset, evaluated for pairs of a row and a coalition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.games.behaviours import Behaviour, Outputs
from xai_ray.games.digest import fingerprint
from xai_ray.games.model import ModelGame
from xai_ray.games.named_columns import named_inputs
from xai_ray.games.passes.averaging import Order
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, set_threads
from xai_ray.games.passes.batch_size import quickest_batch
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.passes.slots import evenly
from xai_ray.games.players.arrays import Players
from xai_ray.games.removals import Constant, Marginal, Mean, Uniform, Zeros
from xai_ray.games.removals.filling import Array, PlacedInput, Removal
from xai_ray.games.rows.batches import batch_of_rows
from xai_ray.games.rows.checked import checked_ids, checked_rows
from xai_ray.games.rows.masking import RowMasker
from xai_ray.games.rows.parted import by_part, check_numbers, check_parts, part_of, whole_parts
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

if TYPE_CHECKING:
    from xai_ray.games.rows.folded import FoldedRows

PREDICTED = "predicted class"
"""The output where every row explains the class that its own full input is predicted as."""
_TOGETHER = 1 << 19
"""Numbers held at a time of passes that are masked together and wait for each other."""
_PREDICTED_AT_ONCE = 256
"""Rows of a pass that tells classes."""

_Masking = TypeVar("_Masking", "RowMasker", "FoldedRows")


class RowsGame(ModelGame):
    """v_r(S) = behaviour(model(row r with the players outside S removed)), for R rows of equal layout.

    `rows` (R, *input): rows of a table (R, d), or images (R, C, H, W); a read-only `numpy.memmap` is not read into memory. Columns of a
    data frame are put into the order of the model's `feature_names_in_`, or of the players' names. The other arguments are those of
    `ModelGame`. The target "predicted" is resolved for each row from its own full input. Fillings that do not depend on the row (zeros,
    constants, the mean or the rows of a background) are on the device once; others (blur, an image's own mean) are computed for each row.

    `background_parts` G: each coalition meets one part of a marginal background, and the answer of a row is the mean over G parts. The
    values are of the same game; for as many model rows a row sees G times as many coalitions (`xai_ray.games.rows.parted`). G divides the
    rows of the background, and the behaviour is linear in the outputs, or the order "behaviour_then_mean".

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
        batch: int | Literal["auto"] | None = None,
        threads: int = 1,
        device: str = "cpu",
        numerics: Numerics | None = None,
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        row_ids: Sequence[int | str] | None = None,
        background_parts: int = 1,
        digest: str | None = None,
    ) -> None:
        self.parts = whole_parts(background_parts)
        """Parts of the background, each of which a row's answer meets on its own; see `parted`."""
        rows, players, removal = named_inputs(model, rows, players, removal)
        held, array = checked_rows(rows)
        usual = batch_of_rows(array, device, model) if batch is None or batch == "auto" else None
        super().__init__(
            model,
            held[0],
            players=players,
            removal=removal,
            behaviour=behaviour,
            outputs=outputs,
            order=order,
            batch=usual if batch == "auto" else batch or usual,
            threads=threads,
            device=device,
            numerics=numerics,
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
        self.row_ids = checked_ids(row_ids, self.n_rows)
        self._removal = removal
        if self.parts != 1:
            check_parts(self.parts, self._filling, removal, self._averaging)
        self._shared = isinstance(removal, (Zeros, Constant, Marginal, Uniform)) or (
            isinstance(removal, Mean) and removal.background is not None
        )
        self.fillings = (self._filling.samples or self._filling.size) // self.parts
        """Model rows of one evaluation, of a part where the background is in parts."""
        self.predicted = getattr(behaviour, "target", None) == "predicted"
        """Whether each row explains its own class."""
        self.class_names = tuple(output_names or ())
        if self.predicted:
            self.output_names = (PREDICTED,)
        self.view = View("plain", self.player_names)
        self.rows_digest = fingerprint([array])
        """Hexadecimal digest of the rows alone."""
        told = [f"parts {self.parts}"] if self.parts > 1 else []
        # Results hold the names: a job of the same rows under others is another one.
        if self.row_ids is not None:
            told += ["named", *(repr(name) if isinstance(name, str) else str(name) for name in self.row_ids)]
        self.digest = fingerprint([self.digest, self.rows_digest, *told])
        self._classes = np.full(self.n_rows, -1, dtype=np.int64)
        if self.numerics.fold:
            self._check_folded_rows()
        if batch == "auto":
            self._take_batch(self._rounded(quickest_batch(self)))

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Raises SpecError: there is a game for each row."""
        raise SpecError(
            "a RowsGame holds a game for each of its rows: call explain_rows, or take ModelGame for one row"
        )

    def row_values(self, rows: Ints, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k) of pairs: row (c,) and coalition (c, n), in forward passes of one shape. `context` (c,) as in `Game.values`; of a
        background in parts the number of the part. Raises SpecError for a part that is not there.
        """
        if self.parts > 1:
            check_numbers(context, self.parts)
        set_threads(self.threads)
        targets = self.row_targets(rows)
        out = np.empty((len(rows), self.n_outputs))
        for pairs in [np.arange(len(rows))] if self.parts == 1 else by_part(context):
            step = self.block * self._passes
            for start in range(0, len(pairs), step):
                own = min(step, len(pairs) - start)
                block = self._block_of(own)
                whole = np.arange(-(-own // block) * block)
                at = pairs[start + np.where(whole < own, whole, 0)]
                out[at[:own]] = self._pairs(rows[at], coalitions[at], context[at], targets[at], block)[:own]
        return out

    def _block_of(self, pairs: int) -> int:
        """Pairs a pass for so many that go through together: as many as a batch holds. A callable on arrays knows no fixed shape, so its
        passes are cut evenly instead of filled up: a unit belongs to its job, and with it the shape of its passes.
        """
        return evenly(pairs, self.block) if isinstance(self._backend, ArrayBackend) else self.block

    def trial(self, coalitions: Coalitions, context: Ints) -> Values:
        """See `ModelGame.trial`: the rows in turn, with one part of the background."""
        return self.row_values(np.arange(len(coalitions), dtype=np.int64) % self.n_rows, coalitions, context)

    @property
    def _passes(self) -> int:
        """Forward passes that are masked together, and whose results come home together."""
        elements = self.rows[0].size
        numbers = elements
        # Fillings of their own are as large as the batches, and so are outputs that come home one by one.
        if not self._shared or self._filling.draw is not None or self._averaging.order == "behaviour_then_mean":
            numbers += self.fillings * elements
        return max(1, _TOGETHER // (self.block * numbers))

    def row_targets(self, rows: Ints) -> Ints:
        """The explained classes of rows (c,), shape (c, k)."""
        if not self.predicted:
            return np.broadcast_to(self.targets, (len(rows), len(self.targets)))
        unknown = np.unique(rows[self._classes[rows] < 0])
        # In the model's own precision, as the targets of a single input. Each row has a slot of its own in the batch: the last bits of an
        # output hang on it, and a class that nearly ties must not hang on what else is asked.
        backend, size = self._exact_backend, min(self.batch, _PREDICTED_AT_ONCE)
        for block in np.unique(unknown // size):
            own = unknown[unknown // size == block]
            slots = own % size
            filled = np.full(size, own[0])
            filled[slots] = own
            with backend.scope():
                given: Any = backend.put_input(0, self.rows[filled])
                full = self._averaging.columns(backend.forward([given]))
            self._classes[own] = full[slots].argmax(axis=1)
        return self._classes[rows][:, None]

    def target_names(self, rows: Ints) -> list[list[str]]:
        """Names of the explained outputs of rows (c,), k each."""
        if not self.predicted:
            return [list(self.output_names)] * len(rows)
        names = self.class_names
        return [[names[t] if t < len(names) else f"class {t}" for t in row] for row in self.row_targets(rows).tolist()]

    def _pairs(self, rows: Ints, coalitions: Coalitions, context: Ints, targets: Ints, block: int) -> Floats:
        if self._filling.draw is None:
            part = None if self.parts == 1 else int(context[0])
            return self._evaluated(rows, coalitions, block, self._own_fillings(rows), targets, part)
        drawn = context >= 0
        out = np.empty((len(rows), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that a pair keeps its place in the batch; they are replaced below.
            fillings = self._filling.draw(np.where(drawn, context, 0))[0]
            out[:] = self._evaluated(rows, coalitions, block, fillings, targets)
        for at in np.flatnonzero(~drawn):
            one = slice(at, at + 1)
            out[one] = self._evaluated(rows[one], coalitions[one], 1, None, targets[one])
        return out

    def _evaluated(
        self,
        rows: Ints,
        coalitions: Coalitions,
        block: int,
        fillings: Array | None,
        targets: Ints,
        part: int | None = None,
    ) -> Floats:
        """Values (c, k) of whole blocks, with fillings of their own, the shared ones or a part of them."""
        if self.numerics.fold:
            masker = self._folded_rows(part)
            if self._averaging.order == "behaviour_then_mean":
                return self._read(masker.outputs(rows, coalitions, block), targets)
            return self._scored(masker.means(rows, coalitions, block, self._averaging), targets)
        masker = self._masking(part)
        if self._averaging.order == "behaviour_then_mean":
            return self._read(masker.outputs(rows, coalitions, block, fillings), targets)
        return self._scored(masker.means(rows, coalitions, block, self._averaging, fillings), targets)

    def _read(self, outputs: Floats, targets: Ints) -> Floats:
        """Outputs (c, K, m) and targets (c, k) -> values (c, k)."""
        if not self.predicted:
            return self._averaging.values(outputs, self.targets)
        c, size, m = outputs.shape
        columns = self._averaging.columns(outputs.reshape(c * size, m))
        moved = _first(columns, np.repeat(targets[:, 0], size)).reshape(c, size, -1)
        return self._averaging.values(moved, np.zeros(1, dtype=np.int64))

    def _scored(self, means: Floats, targets: Ints) -> Floats:
        """Means over fillings (c, m) and targets (c, k) -> values (c, k)."""
        if not self.predicted:
            return self._averaging.scores(means, self.targets)
        return self._averaging.scores(_first(means, targets[:, 0]), np.zeros(1, dtype=np.int64))

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

    def _take_batch(self, batch: int) -> None:
        super()._take_batch(batch)
        self.block = max(1, self.batch * self.parts // (self._filling.samples or self._filling.size))
        self._row_maskers: dict[int | None, RowMasker] = {}
        self._row_folders: dict[int | None, FoldedRows] = {}

    def _masking(self, part: int | None = None) -> RowMasker:
        if not self._row_maskers:
            self._row_maskers[None] = self._masker_of(self._backend)
        return self._of_part(self._row_maskers, part)

    def _masker_of(self, backend: ArrayBackend | TorchBackend) -> RowMasker:
        shared = self._filling.rows[0] if self._shared else None
        return RowMasker(backend, self._arguments, self.rows, shared, self.batch)

    def _folded_rows(self, part: int | None = None) -> FoldedRows:
        if not self._row_folders:
            self._row_folders[None] = self._folder_of(self._backend)
        return self._of_part(self._row_folders, part)

    def _of_part(self, held: dict[int | None, _Masking], part: int | None) -> _Masking:
        """What runs the pairs of a part of the background; None for all of it, which is there."""
        if part is not None and part not in held:
            held[part] = held[None].with_fillings(part_of(self._filling.rows[0], part, self.parts))
        return held[part]

    def _folder_of(self, backend: ArrayBackend | TorchBackend) -> FoldedRows:
        from xai_ray.games.rows.folded import FoldedRows

        assert isinstance(backend, TorchBackend), "checked when the game was made"
        return FoldedRows(backend, self._arguments, self.rows, self._filling.rows[0], self.batch)

    def _check_folded_rows(self) -> None:
        """SpecError when rows bring their own fillings, or folding does not give the outputs of plain passes."""
        if not self._shared:
            from xai_ray.games.passes.first_layer import not_foldable

            raise not_foldable(f"removal {type(self._removal).__name__} fills each row with values of its own")
        exact = self._exact_backend
        self._folder_of(exact).check(self._masker_of(exact), self.n_rows, self.n_players)

    def __getstate__(self) -> dict[str, Any]:
        # A plain array travels beside the pickle, without a copy; a `numpy.memmap` would be written into it.
        mapped = isinstance(self.rows, np.memmap)
        rows = {"rows": np.asarray(self.rows), "_mapped": mapped}
        return {**super().__getstate__(), "_row_maskers": {}, "_row_folders": {}, **rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Where rows were mapped they lie in the node's object store here: all of its workers read that one copy, in pieces as of a file.
        mapped = state.pop("_mapped")
        self.__dict__.update(state)
        if mapped:
            self.rows = self.rows.view(np.memmap)


def _first(columns: Floats, targets: Ints) -> Floats:
    """Columns (r, m) with the target's (r,) in front, which changes places with it: behaviours treat all others alike."""
    moved, at = columns.copy(), np.arange(len(columns))
    moved[:, 0], moved[at, targets] = columns[at, targets], columns[:, 0]
    return moved
