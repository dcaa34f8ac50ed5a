"""Shapley effects: v(S) = Var(E[f(X) | X_S]) for independent inputs; the Shapley values share out the variance of the model's output.

Owen, "Sobol' indices and Shapley value" (SIAM/ASA JUQ 2, 2014). Two independent inputs x and x' give an unbiased value without an inner
loop, by exchanging the players outside S ("pick and freeze"; the difference form of Mauntz, in Sobol' et al., RESS 92, 2007):

    E f(x) [f(x_S, x'_rest) - f(x')] = Var(E[f | X_S]),    for any f shifted by a constant.

The nested loop of Song, Nelson, Staum, "Shapley effects for global sensitivity analysis" (SIAM/ASA JUQ 4, 2016) is unbiased as well, for
E[Var(f | X_rest)], whose Shapley values are the same; it needs two or more inner draws for each outer one. Dependent inputs would need
draws from their conditional laws, which neither rows nor marginals give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, NonFiniteValue, SpecError
from xai_ray.games.arguments import arrange
from xai_ray.games.digest import described_model, fingerprint
from xai_ray.games.labelled.labels import data_rows
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, is_module, pick_device, set_threads
from xai_ray.games.passes.resting import moved, resting
from xai_ray.games.passes.slots import laid
from xai_ray.games.passes.together import read_together
from xai_ray.games.players.arrays import Columns, Players
from xai_ray.games.rows.batches import RowGrid, default_batch
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

EXPECTED = 4096
"""Pairs of scrambled Sobol' points that stand for the whole distribution."""
_NUMBERS = 1 << 20
"""Numbers of inputs at a time."""
_LARGEST = 10_600
"""Players up to which Sobol' points are there, two dimensions each."""


class VarianceGame:
    """v(S) = Var(E[f(X) | X_S]), one output for each number that the model returns; independent players.

    `inputs`   rows (R, d): each player draws its columns from a row of its own, so that players are independent whatever the rows say;
               or one distribution a column, objects with `ppf` as scipy.stats has them (each column is then a player).
    `samples`  pairs of inputs of each context: the stochastic game whose noise is part of every standard error; None takes the same
               4,096 Sobol' pairs for all coalitions: a deterministic game, near the truth by quasi Monte Carlo.

    The expectation (context -1) is that over the Sobol' pairs; `permutation` reads no expectation and is unbiased. v(empty) is 0 to
    rounding: the same inputs, in other places of a pass.
    A value costs four model rows a pair; of the Sobol' pairs two, the others are the same for all
    coalitions. Raises SpecError, InputError, ModelOutputError, NonFiniteValue.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        inputs: Any,
        *,
        players: Players | None = None,
        samples: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
        if samples is not None and samples < 1:
            raise SpecError(f"samples must be at least 1, got {samples}")
        check_column_order(model, inputs, players)
        self._marginals = _marginals(inputs)
        example = self._marginals.columns(np.full((1, self._marginals.width), 0.5))[0]
        self._arguments = arrange(example, players or Columns(), None)
        labels = np.broadcast_to(self._arguments.inputs[0].layout.labels, example.shape)
        if (labels < 0).any():
            raise InputError("every column needs a player: one that always stays would have no variance to share")
        if isinstance(self._marginals, _Laws) and len(np.unique(labels)) < len(labels):
            raise SpecError("distributions are one a column; groups of columns need rows to draw from")
        self._labels, usual = labels, self._arguments.player_names
        if player_names is not None and len(player_names) != len(usual):
            raise InputError(f"{len(player_names)} player names for {len(usual)} players")
        self.player_names = usual if player_names is None else tuple(str(n) for n in player_names)
        self.n_players, self.stochastic = len(usual), samples is not None
        if 2 * self.n_players > 2 * _LARGEST:
            raise SpecError(f"Sobol' points are there for {_LARGEST:,} players, not for {self.n_players:,}")
        self._samples, self._seed, self.threads, self.device = samples or EXPECTED, seed, threads, device
        self.batch = default_batch(example[None], device, model) if batch is None else batch
        if self.batch < 1:
            raise SpecError(f"batch must be at least 1, got {batch}")
        self._grid = RowGrid.within((4 if self.stochastic else 2) * self._samples, self.batch)
        self.block = self._grid.block
        self._model: Any = resting(model)
        self._running: ArrayBackend | TorchBackend | None = None
        self._fixed = self._split(qmc.Sobol(2 * self.n_players, scramble=True, seed=0).random(EXPECTED))  # pyright: ignore[reportCallIssue]
        alone = RowGrid.within(EXPECTED, self.batch)
        ends = [self._outputs(part[None], alone)[0] for part in self._fixed]
        for outputs, inputs in zip(ends, self._fixed, strict=True):
            _check_finite(outputs, inputs)
        probe = ends[0][:256]
        self._centre = probe.mean(axis=0)
        self._ends = tuple(part - self._centre for part in ends)
        """Outputs of the Sobol' pairs, (pairs, k) each."""
        self.n_outputs = probe.shape[1]
        self.output_names = tuple(output_names or (f"variance of output {at}" for at in range(self.n_outputs)))
        if len(self.output_names) != self.n_outputs:
            raise InputError(f"{len(self.output_names)} output names for {self.n_outputs} outputs")
        self.view = View("plain", self.player_names)
        parts: list[Any] = [
            "variance game 2",
            str(samples),
            str(seed),
            str(self._grid.each),
            self._fixed[0],
            self._fixed[1],
            labels,
        ]
        self.digest = fingerprint([*described_model(self._model, probe[:2]), *parts])

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape."""
        if len(coalitions) == 0:
            return np.empty((0, self.n_outputs))
        at, places = laid(coalitions, np.asarray(context, dtype=np.int64), self.block, self.stochastic)
        step = max(1, _NUMBERS // (self._grid.padded * len(self._labels) * self.block)) * self.block
        parts = [at[start : start + step] for start in range(0, len(at), step)]
        return np.concatenate([self._block_values(coalitions[some], context[some]) for some in parts])[places]

    def _block_values(self, coalitions: Coalitions, context: Ints) -> Floats:
        """Values of whole blocks."""
        if not self.stochastic:
            return self._expected(coalitions, self._grid)
        drawn = context >= 0
        out = np.empty((len(coalitions), self.n_outputs))
        if drawn.any():
            # Expectations ride along with context 0, so that every value keeps its place in the batches.
            out[:] = self._drawn(coalitions, *self._pairs(np.where(drawn, context, 0)))
        if not drawn.all():
            once, of = np.unique(coalitions[~drawn], axis=0, return_inverse=True)
            grid = RowGrid.within(2 * EXPECTED, self.batch).alone
            out[~drawn] = np.concatenate([self._expected(row[None], grid) for row in once])[of.ravel()]
        return out

    def _expected(self, coalitions: Coalitions, grid: RowGrid) -> Floats:
        """Over the Sobol' pairs."""
        mixed = self._outputs(self._frozen(coalitions, *(part[None] for part in self._fixed)), grid)
        mixed, exchanged = mixed.reshape(len(coalitions), 2, EXPECTED, -1).transpose(1, 0, 2, 3) - self._centre
        return _products(self._ends[0][None], self._ends[1][None], mixed, exchanged)

    def _drawn(self, coalitions: Coalitions, one: Floats, other: Floats) -> Floats:
        """Over pairs of inputs of their own, each (c, q, d)."""
        c, q = one.shape[:2]
        found = self._outputs(np.concatenate([one, other, self._frozen(coalitions, one, other)], axis=1), self._grid)
        own, others, mixed, exchanged = found.reshape(c, 4, q, -1).transpose(1, 0, 2, 3) - self._centre
        return _products(own, others, mixed, exchanged)

    def _frozen(self, coalitions: Coalitions, one: Floats, other: Floats) -> Floats:
        """Inputs (c, 2 q, d) from pairs (c or 1, q, d): the players of each coalition from one of them, the others from the other."""
        kept = coalitions[:, None, self._labels]
        return np.concatenate([np.where(kept, one, other), np.where(kept, other, one)], axis=1)

    def _outputs(self, inputs: Floats, grid: RowGrid) -> Floats:
        """Outputs (c, q, m) of inputs (c, q, d), whole blocks of the grid, in passes of one shape."""
        set_threads(self.threads)
        c, q, d = inputs.shape
        flat = (
            inputs[:, np.minimum(np.arange(grid.padded), q - 1)].reshape(-1, d)
            if grid.padded > q
            else inputs.reshape(-1, d)
        )
        backend: Any = self._backend()
        with backend.scope():
            cuts = range(0, len(flat), grid.pairs)
            passes = (backend.raw([backend.put_input(0, flat[at : at + grid.pairs])]) for at in cuts)
            found = read_together(backend, passes, len(flat), lambda outputs: outputs)
        return found.reshape(c, grid.padded, -1)[:, :q]

    def _pairs(self, context: Ints) -> tuple[Floats, Floats]:
        """Inputs x and x' of contexts, each (c, samples, d)."""
        words = random_words(self._seed, Stream.INPUT_PAIRS, 0, context, self._samples * 2 * self.n_players)
        unit = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        one, other = self._split(unit.reshape(len(context) * self._samples, 2 * self.n_players))
        return tuple(part.reshape(len(context), self._samples, -1) for part in (one, other))  # pyright: ignore[reportReturnType]

    def _split(self, unit: Floats) -> tuple[Floats, Floats]:
        """Uniform numbers (r, 2n) as two inputs (r, d)."""
        unit = np.clip(unit, 2.0**-54, 1 - 2.0**-53)
        halves = unit[:, : self.n_players], unit[:, self.n_players :]
        one, other = (self._marginals.columns(half[:, self._labels]) for half in halves)
        return one, other

    def _backend(self) -> ArrayBackend | TorchBackend:
        if self._running is None:
            self._running = ArrayBackend(self._model, self._arguments)
            if is_module(self._model) or self._arguments.tensors:
                on = pick_device(self.device)
                self._running = TorchBackend(moved(self._model, on), self._arguments, on)
        return self._running

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_running": None, "_model": moved(self._model, "cpu")}


def _products(own: Floats, others: Floats, mixed: Floats, exchanged: Floats) -> Floats:
    """Means over pairs of the product above, with x and x' in both parts: outputs (c, q, k) -> (c, k)."""
    return np.ascontiguousarray(own * (mixed - others) + others * (exchanged - own)).mean(axis=1) / 2


def _check_finite(found: Floats, inputs: Floats) -> None:
    bad = np.argwhere(~np.isfinite(found))
    if len(bad):
        raise NonFiniteValue(f"the model's output on an input is not finite: {inputs[bad[0][0]]}")


class _Rows:
    """Columns from rows by rank of the row: players that draw the same number draw the same row."""

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        self.rows, self.width = rows.astype(np.float64), rows.shape[1]

    def columns(self, unit: Floats) -> Floats:
        """Uniform numbers (r, d) -> inputs (r, d)."""
        at = np.minimum((unit * len(self.rows)).astype(np.int64), len(self.rows) - 1)
        return np.take_along_axis(self.rows, at, axis=0)


class _Laws:
    """Columns by the inverse of each distribution function."""

    def __init__(self, laws: Sequence[Any]) -> None:
        self.laws, self.width = tuple(laws), len(laws)

    def columns(self, unit: Floats) -> Floats:
        """Uniform numbers (r, d) -> inputs (r, d)."""
        return np.stack(
            [np.asarray(law.ppf(unit[:, at]), dtype=np.float64) for at, law in enumerate(self.laws)], axis=1
        )


def _marginals(inputs: Any) -> _Rows | _Laws:
    if isinstance(inputs, (list, tuple)) and inputs and all(hasattr(law, "ppf") for law in inputs):
        return _Laws(inputs)
    if isinstance(inputs, (list, tuple)) and any(hasattr(law, "ppf") for law in inputs):
        at = next(i for i, law in enumerate(inputs) if not hasattr(law, "ppf"))
        raise InputError(
            f"inputs: number {at} ({inputs[at]!r}) is no distribution with `ppf`; give one for each column"
        )
    rows = data_rows(inputs)
    rows = rows if isinstance(rows, np.ndarray) else rows.detach().cpu().float().numpy()
    if rows.ndim != 2:
        raise InputError(f"inputs are rows (R, d), or one distribution with `ppf` a column; got shape {rows.shape}")
    return _Rows(rows)
