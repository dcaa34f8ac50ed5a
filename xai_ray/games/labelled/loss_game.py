"""A model on a labelled dataset as a game: v(S) is minus the mean loss over rows when the players outside S are removed from all of them.

Covert, Lundberg, Lee, "Understanding global feature contributions with additive importance measures" (NeurIPS 2020): SAGE values are the
Shapley values of this game; their v is the same plus the loss of the empty coalition, which no index but the empty set sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, NonFiniteValue, SpecError
from xai_ray.games.arguments import arrange
from xai_ray.games.behaviours import Outputs, classes
from xai_ray.games.digest import described, described_model, fingerprint
from xai_ray.games.labelled.labels import class_labels, data_rows, number_labels
from xai_ray.games.labelled.losses import LossFunction, LossName, RowLoss, Truth, mean_outputs
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.passes.backends import pick_device
from xai_ray.games.passes.resting import moved, resting
from xai_ray.games.players.arrays import Columns, Players
from xai_ray.games.probabilities import check_not_probabilities
from xai_ray.games.removals.filling import Removal
from xai_ray.games.rows.cells import RowCells, default_batch, whole_block
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

Convention: TypeAlias = Literal["mean_then_loss", "loss_then_mean"]

_HELD = 1 << 20
"""Model outputs held at a time."""


class LossGame:
    """v(S) = - mean over rows of loss(F(x_S), y), where F removes the players outside S.

    `X`           rows (R, *input): a table (R, d), or images with `Patches`; `players` lie on every row alike.
    `y`           truths (R,): class numbers, or names that `classes` has; numbers of a regression (R,) or (R, m).
                  None explains the model: its loss against its own output on the full row.
    `loss`        `cross_entropy`, `squared_error`, `zero_one`, a function (outputs (r, m), truth) -> (r,), or several: one output each.
    `convention`  `mean_then_loss`: F averages the outputs over the background (SAGE); `loss_then_mean`: the loss of each single filling
                  is averaged, as permutation tests do.
    `rows`        rows drawn for each context, with replacement; None takes all. Together with `samples` of the removal this is the
                  stochastic game whose noise is part of every standard error: of the rows at hand, not of rows yet to come.
    `clip`        smallest probability that `cross_entropy` takes the log of, for models that give zeros.

    Values are exact means where nothing is drawn. A loss of a mean over sampled fillings is biased, so `mean_then_loss` takes all
    fillings; but for `squared_error` with two or more, where the bias is known and taken off. Raises SpecError, InputError,
    ModelOutputError, NonFiniteValue.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        X: Any,
        y: Any = None,
        *,
        removal: Removal,
        loss: LossName | LossFunction | Sequence[LossName | LossFunction],
        players: Players | None = None,
        outputs: Outputs | None = None,
        convention: Convention = "mean_then_loss",
        classes: Sequence[Any] | None = None,
        rows: int | None = None,
        seed: int = 0,
        clip: float | None = None,
        batch: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        player_names: Sequence[str] | None = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
        check_column_order(model, X, players, getattr(removal, "background", None))
        data, placed = data_rows(X), players or Columns()
        self._arguments = arrange(data[0], placed, None)
        self._rows = data if isinstance(data, np.ndarray) else data.detach().cpu().float().numpy()
        self._filling = removal.bind(self._arguments.inputs)
        self._check_filling(removal, placed)
        several: tuple[LossName | LossFunction, ...] = tuple(loss) if isinstance(loss, (list, tuple)) else (loss,)  # pyright: ignore[reportAssignmentType]
        if not several:
            raise SpecError("loss is an empty list; give one of cross_entropy, squared_error, zero_one, or a function")
        self._outputs: Outputs = outputs or ("raw" if set(several) == {"squared_error"} else "logits")
        if self._outputs not in ("logits", "probabilities", "raw"):
            raise SpecError(f"outputs is 'logits', 'probabilities' or 'raw', got {outputs!r}")
        if convention not in ("mean_then_loss", "loss_then_mean"):
            raise SpecError(f"convention is 'mean_then_loss' or 'loss_then_mean', got {convention!r}")
        self.convention: Convention = convention
        self._losses = tuple(RowLoss(one, self._outputs, y is None, clip) for one in several)
        self._sampled_rows, self._seed = rows, seed
        if rows is not None and (rows < 1 or rows != int(rows)):
            raise SpecError(f"rows drawn for each context are a whole number and at least 1, got {rows}")
        self.stochastic = rows is not None or self._filling.draw is not None
        self._check_sampling()
        self.threads, self.device = threads, device
        self.batch = default_batch(self._rows, pick_device(device)) if batch is None else batch
        if self.batch < 1 or self.batch != int(self.batch):
            raise SpecError(f"batch is a whole number and at least 1, got {batch}")
        self.block = whole_block(self._items, self.batch)
        self._model: Any = resting(model)
        self._cells: RowCells | None = None
        usual = self._arguments.player_names
        if player_names is not None and len(player_names) != len(usual):
            raise InputError(f"{len(player_names)} player names for {len(usual)} players")
        self.player_names = usual if player_names is None else tuple(str(n) for n in player_names)
        self.n_players = len(self.player_names)
        self.output_names = tuple(one.title for one in self._losses)
        self.n_outputs = len(self._losses)
        self.view = View("plain", self.player_names)
        probe = self._full_outputs()
        if outputs is None and self._outputs == "logits":
            check_not_probabilities(probe)
        self._truth = self._truths(y, classes, probe)
        for one in self._losses:
            one.check(probe, self._truth)
        self.digest = fingerprint([*described_model(self._model, probe[:2]), *self._identity(removal)])

    @property
    def n_rows(self) -> int:
        """Rows of the dataset."""
        return len(self._rows)

    @property
    def non_finite_hint(self) -> str:
        """What to do when a value is not finite."""
        return "a probability of exactly 0 has no finite logarithm: give logits, or say clip = 1e-6"

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape."""
        out = np.empty((len(coalitions), self.n_outputs))
        for start in range(0, len(coalitions), self.block):
            part = slice(start, min(start + self.block, len(coalitions)))
            out[part] = self._block_values(coalitions[part], context[part])
        return out

    def cell_losses(self, coalitions: Coalitions, which: Ints, rows: Ints, fillings: Ints) -> Floats:
        """Losses (t, k) of t items: coalition `coalitions[which]` of row `rows`, the rest from filling number `fillings`."""
        passed = self._running().outputs(coalitions, which, rows, fillings)
        columns, truth = classes(passed, self._outputs), self._truth[rows]
        return np.stack([one.rows(columns, truth) for one in self._losses], axis=1)

    def halved(self) -> LossGame | None:
        """The same game with half as many model rows a forward pass, for a device whose memory is too small."""
        if self.batch < 2:
            return None
        smaller = object.__new__(type(self))
        smaller.__dict__.update(self.__dict__)
        smaller.batch, smaller._cells = self.batch // 2, None
        return smaller

    @property
    def _fillings(self) -> int:
        return self._filling.samples if self._filling.draw is not None and self._filling.samples else self._filling.size

    @property
    def _items(self) -> int:
        """Model rows of one value."""
        return (self._sampled_rows or len(self._rows)) * self._fillings

    def _block_values(self, coalitions: Coalitions, context: Ints) -> Floats:
        if not self.stochastic:
            return self._over_all(coalitions)
        drawn = context >= 0
        out = np.empty((len(coalitions), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that every value keeps its place in the batches; they are replaced below.
            out[:] = self._over_drawn(coalitions, np.where(drawn, context, 0))
        for row in np.flatnonzero(~drawn):
            out[row] = self._over_all(coalitions[row : row + 1])[0]
        return out

    def _over_all(self, coalitions: Coalitions) -> Floats:
        """Every row with every filling."""
        R, K = len(self._rows), self._filling.size
        cells = np.arange(len(coalitions) * R)
        losses = [self._losses_of(coalitions, c // R, c % R, np.arange(K), False) for c in self._groups(cells, K)]
        return -np.concatenate(losses).reshape(len(coalitions), R, -1).mean(axis=1)

    def _over_drawn(self, coalitions: Coalitions, context: Ints) -> Floats:
        """Every coalition with the rows and fillings of its own context."""
        R = len(self._rows)
        q = self._sampled_rows or R
        if self._sampled_rows is None:
            rows = np.tile(np.arange(R), len(coalitions))
        else:
            words = random_words(self._seed, Stream.LABELLED_ROWS, 0, context, q)
            rows = (words % np.uint64(R)).astype(np.int64).reshape(-1)
        own = np.repeat(context, q) * q + np.tile(np.arange(q), len(context))
        losses: list[Floats] = []
        for cells in self._groups(np.arange(len(rows)), self._fillings):
            fillings = (
                np.arange(self._filling.size) if self._filling.draw is None else self._filling.draw(own[cells])[0]
            )
            losses.append(
                self._losses_of(coalitions, cells // q, rows[cells], fillings, self._filling.draw is not None)
            )
        return -np.concatenate(losses).reshape(len(coalitions), q, -1).mean(axis=1)

    def _groups(self, cells: Ints, K: int) -> list[Ints]:
        """Cells (coalition, row) cut so that few outputs are held at once and forward passes are full."""
        whole = self.batch // np.gcd(self.batch, K)
        step = max(1, _HELD // (K * self._m) // whole) * whole
        return [cells[start : start + step] for start in range(0, len(cells), step)]

    def _losses_of(self, coalitions: Coalitions, which: Ints, rows: Ints, fillings: Any, sampled: bool) -> Floats:
        """Losses (cells, k) of cells; fillings are numbers (K,) for all cells, or arrays (cells, K, *input) of each."""
        K = fillings.shape[1] if fillings.ndim > 1 else len(fillings)
        given = fillings.reshape(-1, *fillings.shape[2:]) if fillings.ndim > 1 else np.tile(fillings, len(rows))
        passed = self._running().outputs(coalitions, np.repeat(which, K), np.repeat(rows, K), given)
        columns = classes(passed, self._outputs).reshape(len(rows), K, -1)
        truth = self._truth[rows]
        found = [self._reduced(one, columns, truth, sampled) for one in self._losses]
        return np.stack(found, axis=1)

    def _reduced(self, loss: RowLoss, columns: Floats, truth: Truth, sampled: bool) -> Floats:
        """One loss a cell (r,) from outputs (r, K, m)."""
        r, K, m = columns.shape
        if K == 1:
            return loss.rows(columns[:, 0], truth)
        if self.convention == "loss_then_mean":
            each = loss.rows(columns.reshape(r * K, m), np.repeat(truth, K, axis=0))
            return each.reshape(r, K).mean(axis=1)
        found = loss.rows(mean_outputs(columns, self._outputs), truth)
        return found - loss.excess(columns) if sampled else found

    def _truths(self, y: Any, named: Sequence[Any] | None, probe: Floats) -> Truth:
        R, m = len(self._rows), probe.shape[1]
        if y is None:
            return probe
        return number_labels(y, R, m) if self._outputs == "raw" else class_labels(y, R, m, named)

    def _full_outputs(self) -> Floats:
        """Outputs (R, m) on the full rows, one column a class."""
        everyone = np.ones((1, self.n_players), dtype=np.bool_)
        R = len(self._rows)
        nobody = np.zeros(R, dtype=np.int64)
        found = classes(self._running().outputs(everyone, nobody, np.arange(R), nobody), self._outputs)
        self._m = found.shape[1]
        if self._outputs != "raw" and self._m < 2:
            raise SpecError("the model has one class; a loss of classes needs two or more")
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            raise NonFiniteValue(f"the model's output {bad[0][1]} of row {bad[0][0]} is {found[tuple(bad[0])]}")
        return found

    def _running(self) -> RowCells:
        if self._cells is None:
            self._cells = RowCells(
                self._model,
                self._arguments,
                self._rows,
                self._filling.rows[0],
                self.batch,
                self.threads,
                self.device,
            )
        return self._cells

    def _check_filling(self, removal: Removal, players: Players) -> None:
        """What stands for an absent player must not depend on the row."""
        others = (self._rows[-1], np.zeros_like(self._rows[0]))
        bound = [removal.bind(arrange(row, players, None).inputs).rows[0] for row in others]
        if not all(np.array_equal(rows, self._filling.rows[0]) for rows in bound):
            raise SpecError(
                f"removal {type(removal).__name__} fills a row with what depends on the row; a dataset takes zeros, a constant, the mean "
                "of a background, or marginal and uniform removal"
            )

    def _check_sampling(self) -> None:
        if self._filling.draw is None or self.convention == "loss_then_mean":
            return
        biased = [one.title for one in self._losses if not (one.sampled and self._fillings > 1)]
        if biased:
            raise SpecError(
                f"{biased[0]} of a mean over {self._fillings} sampled fillings is biased: use every background row (samples=None) and "
                "draw rows=..., or convention='loss_then_mean'; squared_error takes samples of two or more"
            )

    def _identity(self, removal: Removal) -> list[Any]:
        parts: list[Any] = ["loss game", self.convention, str(self._sampled_rows), str(self._seed), self._rows]
        parts += [np.asarray(self._truth), self._arguments.inputs[0].layout.labels, *described(removal)]
        return [*parts, *(part for one in self._losses for part in one.identity())]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cells": None, "_model": moved(self._model, "cpu")}
