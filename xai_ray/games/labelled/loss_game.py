"""A model on a labelled dataset as a game: v(S) is minus the mean loss over rows when the players outside S are removed from all of them.

Covert, Lundberg, Lee, "Understanding global feature contributions with additive importance measures" (NeurIPS 2020): SAGE values are the
Shapley values of this game; their v is the same plus the loss of the empty coalition, which no index but the empty set sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, SpecError
from xai_ray.games.arguments import arrange
from xai_ray.games.behaviours import Outputs
from xai_ray.games.digest import described, described_model, fingerprint
from xai_ray.games.labelled.labels import class_labels, data_rows, number_labels, row_weights
from xai_ray.games.labelled.losses import LossFunction, LossName, RowLoss, Truth
from xai_ray.games.labelled.row_losses import Convention, Passes, RowLosses
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.passes.batch_size import quickest_batch
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.passes.slots import laid
from xai_ray.games.players.arrays import Columns, Players
from xai_ray.games.probabilities import check_not_probabilities
from xai_ray.games.removals.filling import Removal
from xai_ray.games.rows.batches import RowGrid, default_batch
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values


class LossGame:
    """v(S) = - (weighted) mean over rows of loss(F(x_S), y), where F removes the players outside S.

    `X`           rows (R, *input): a table (R, d), or images with `Patches`; `players` lie on every row alike.
    `y`           truths (R,): class numbers, or names that `classes` has; numbers of a regression (R,) or (R, m).
                  None explains the model: its loss against its own output on the full row.
    `loss`        `cross_entropy`, `squared_error`, `zero_one`, a function (outputs (r, m), truth) -> (r,), or several: one output each.
    `convention`  `mean_then_loss`: F averages the outputs over the background (SAGE); `loss_then_mean`: the loss of each single filling
                  is averaged, as permutation tests do.
    `rows`        rows drawn for each context, with replacement; None takes all. Together with `samples` of the removal this is the
                  stochastic game whose noise is part of every standard error: of the rows at hand, not of rows yet to come.
    `weights`     sample weights of the rows (R,), none below 0: the mean is weighted, and drawn rows are drawn with these chances.
                  A row of weight 0 takes no part, whatever its loss.
    `clip`        smallest probability that `cross_entropy` takes the log of, for models that give zeros.
    `batch`       model rows per forward pass, "auto" to measure which is quickest here; `numerics` as of `ModelGame`.

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
        weights: npt.ArrayLike | None = None,
        seed: int = 0,
        clip: float | None = None,
        batch: int | Literal["auto"] | None = None,
        threads: int = 1,
        device: str = "cpu",
        numerics: Numerics | None = None,
        player_names: Sequence[str] | None = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
        check_column_order(model, X, players, getattr(removal, "background", None))
        data, placed = data_rows(X), players or Columns()
        self._arguments = arrange(data[0], placed, None)
        held = data if isinstance(data, np.ndarray) else data.detach().cpu().float().numpy()
        self.n_rows = len(held)
        """Rows of the dataset."""
        self._weights = None if weights is None else row_weights(weights, self.n_rows)
        self._filling = removal.bind(self._arguments.inputs)
        self._check_filling(removal, placed, held)
        several: tuple[LossName | LossFunction, ...] = tuple(loss) if isinstance(loss, (list, tuple)) else (loss,)  # pyright: ignore[reportAssignmentType]
        if not several:
            raise SpecError("loss is an empty list; give one of cross_entropy, squared_error, zero_one, or a function")
        self._outputs: Outputs = outputs or ("raw" if set(several) == {"squared_error"} else "logits")
        if self._outputs not in ("logits", "probabilities", "raw"):
            raise SpecError(f"outputs is 'logits', 'probabilities' or 'raw', got {outputs!r}")
        if convention not in ("mean_then_loss", "loss_then_mean"):
            raise SpecError(f"convention is 'mean_then_loss' or 'loss_then_mean', got {convention!r}")
        self.convention: Convention = convention
        losses = tuple(RowLoss(one, self._outputs, y is None, clip) for one in several)
        self._sampled_rows, self._seed = rows, seed
        if rows is not None and (rows < 1 or rows != int(rows)):
            raise SpecError(f"rows drawn for each context are a whole number and at least 1, got {rows}")
        self.stochastic = rows is not None or self._filling.draw is not None
        self.threads, self.device, self.numerics = threads, device, numerics or Numerics()
        given = default_batch(held, device, model) if batch is None or batch == "auto" else batch
        if given < 1 or given != int(given):
            raise SpecError(f"batch is a whole number and at least 1, got {batch}")
        passes = RowLosses(
            model, self._arguments, held, self._filling, losses, self._outputs, convention, given, threads, device,
            self.numerics,
        )  # fmt: skip
        self._check_sampling(losses, passes.fillings)
        usual = self._arguments.player_names
        if player_names is not None and len(player_names) != len(usual):
            raise InputError(f"{len(player_names)} player names for {len(usual)} players")
        self.player_names = usual if player_names is None else tuple(str(n) for n in player_names)
        self.n_players = len(self.player_names)
        self.output_names = tuple(one.title for one in losses)
        self.n_outputs = len(losses)
        self.view = View("plain", self.player_names)
        probe = passes.full_outputs()
        if outputs is None and self._outputs == "logits":
            check_not_probabilities(probe)
        passes.truth = truth = self._truths(y, classes, probe, all(callable(one) for one in several))
        for one in losses:
            one.check(probe, truth, self._weights)
        if self.numerics.fold:
            passes.check_folding(self.n_players)
        if batch == "auto":
            passes = passes.with_batch(quickest_batch(Passes(passes, self.n_players)))
        self._take(passes)
        parts = [*self._identity(removal, held, truth), *(part for one in losses for part in one.identity())]
        self.digest = fingerprint([*described_model(passes.model, probe[:2]), *parts])

    @property
    def non_finite_hint(self) -> str:
        """What to do when a value is not finite."""
        return "a probability of exactly 0 has no finite logarithm: give logits, or say clip = 1e-6"

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape; a coalition that comes twice in one slot is evaluated once."""
        if len(coalitions) == 0:
            return np.empty((0, self.n_outputs))
        at, places = laid(coalitions, np.asarray(context, dtype=np.int64), self.block, self.stochastic)
        out = np.empty((len(at), self.n_outputs))
        step = (
            max(1, self._passes.together(self._filling.draw is not None) // (self._grid.padded * self.block))
            * self.block
        )
        for start in range(0, len(at), step):
            some = at[start : start + step]
            out[start : start + step] = self._block_values(coalitions[some], context[some])
        return out[places]

    def filled_losses(self, coalitions: Coalitions, rows: Ints, fillings: Ints) -> Floats:
        """Losses (t, k) of rows (t,) under coalitions (t, n), the rest of each from one row of the background, by its number (t,)."""
        return self._passes.filled(coalitions, rows, fillings)

    @property
    def batch(self) -> int:
        """Model rows per forward pass."""
        return self._passes.batch

    def halved(self) -> Self | None:
        """The same game with half as many model rows a forward pass, for a device whose memory is too small."""
        if self.batch < 2:
            return None
        smaller = object.__new__(type(self))
        smaller.__dict__.update(self.__dict__)
        smaller._take(self._passes.with_batch(self.batch // 2))
        return smaller

    def _take(self, passes: RowLosses) -> None:
        self._passes = passes
        self._grid = RowGrid.within(self._sampled_rows or self.n_rows, passes.room())
        self.block = self._grid.block

    def _block_values(self, coalitions: Coalitions, context: Ints) -> Floats:
        """Values of whole blocks."""
        if not self.stochastic:
            return self._over(self._grid, coalitions, None, None)
        drawn = context >= 0
        out = np.empty((len(coalitions), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that every value keeps its place in the batches; they are replaced below.
            placed = np.where(drawn, context, 0)
            out[:] = self._over(self._grid, coalitions, self._drawn_rows(placed), placed)
        if not drawn.all():
            once, of = np.unique(coalitions[~drawn], axis=0, return_inverse=True)
            whole = RowGrid.within(self.n_rows, self._passes.room(every=True)).alone
            found = [self._over(whole, row[None], None, None)[0] for row in once]
            out[~drawn] = np.stack(found)[of.ravel()]
        return out

    def _over(self, grid: RowGrid, coalitions: Coalitions, rows: Ints | None, context: Ints | None) -> Floats:
        """Minus the mean losses (c, k) of whole blocks over rows (c, q), or over all; fillings are drawn where contexts (c,) are given."""
        c, q = len(coalitions), grid.rows
        at = np.minimum(np.arange(grid.padded), q - 1)
        if context is None:
            losses = self._passes.of_all(coalitions, at, grid)
        else:
            picked = np.broadcast_to(at, (c, len(at))) if rows is None else rows[:, at]
            own = (context[:, None] * q + at).reshape(-1)
            cells = np.repeat(coalitions, grid.passes, axis=0)
            losses = self._passes.of(cells, picked.reshape(-1), own, grid.each, grid.pairs)
        losses = np.ascontiguousarray(losses.reshape(c, len(at), -1)[:, :q])
        if self._weights is None or rows is not None:
            return -losses.mean(axis=1)
        weights = self._weights[:, None]
        # 0 times a loss that is not finite is not 0.
        return -np.multiply(losses, weights, out=np.zeros_like(losses), where=weights > 0).sum(axis=1)

    def _drawn_rows(self, context: Ints) -> Ints | None:
        """Rows (c, q) of contexts (c,), with replacement; None takes all."""
        if self._sampled_rows is None:
            return None
        words = random_words(self._seed, Stream.LABELLED_ROWS, 0, context, self._sampled_rows)
        if self._weights is None:
            return (words % np.uint64(self.n_rows)).astype(np.int64)
        unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        ends = np.cumsum(self._weights)
        return np.searchsorted(ends / ends[-1], unit, side="right")

    def _truths(self, y: Any, named: Sequence[Any] | None, probe: Floats, own: bool) -> Truth:
        R, m = self.n_rows, probe.shape[1]
        if y is None:
            return probe
        return number_labels(y, R, m, own) if self._outputs == "raw" else class_labels(y, R, m, named)

    def _check_filling(self, removal: Removal, players: Players, held: npt.NDArray[Any]) -> None:
        """What stands for an absent player must not depend on the row."""
        others = (held[-1], np.zeros_like(held[0]))
        bound = [removal.bind(arrange(row, players, None).inputs).rows[0] for row in others]
        if not all(np.array_equal(rows, self._filling.rows[0]) for rows in bound):
            raise SpecError(
                f"removal {type(removal).__name__} fills a row with what depends on the row; a dataset takes zeros, a constant, the mean "
                "of a background, or marginal and uniform removal"
            )

    def _check_sampling(self, losses: tuple[RowLoss, ...], size: int) -> None:
        if self._filling.draw is None or self.convention == "loss_then_mean":
            return
        biased = [one.title for one in losses if not (one.sampled and size > 1)]
        if biased:
            raise SpecError(
                f"{biased[0]} of a mean over {size} sampled fillings is biased: use every background row (samples=None) and "
                "draw rows=..., or convention='loss_then_mean'; squared_error takes samples of two or more"
            )

    def _identity(self, removal: Removal, held: npt.NDArray[Any], truth: Truth) -> list[Any]:
        # How many rows of a coalition share a pass moves last bits, as `block` does, which a job holds besides.
        parts: list[Any] = [
            "loss game 2",
            self.convention,
            str(self._sampled_rows),
            str(self._seed),
            str(self._grid.each),
        ]
        parts += [held, np.asarray(truth), self._arguments.inputs[0].layout.labels, *described(removal)]
        return parts if self._weights is None else [*parts, self._weights]
