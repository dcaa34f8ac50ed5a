"""A model and one input as a game: players x removal x behaviour."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.games.arguments import arrange
from xai_ray.games.behaviours import Behaviour, Outputs, check_convention, resolve_targets
from xai_ray.games.digest import described, described_model, fingerprint
from xai_ray.games.named_columns import check_column_order
from xai_ray.games.passes.averaging import Averaging, Order
from xai_ray.games.passes.backends import ArrayBackend, TorchBackend, is_module, pick_device, set_threads
from xai_ray.games.passes.batch_size import quickest_batch
from xai_ray.games.passes.masking import Masker
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.passes.resting import backend_of, moved, resting
from xai_ray.games.passes.slots import evenly, laid
from xai_ray.games.passes.trees import batch_of_trees, of_trees
from xai_ray.games.picture import show
from xai_ray.games.players.arrays import Players
from xai_ray.games.players.words import Tokenizer
from xai_ray.games.removals.filling import Removal
from xai_ray.games.sequences.answers import AnswerLogProbability
from xai_ray.games.tailoring import tailored
from xai_ray.games.view import View
from xai_ray.types import Coalitions, Floats, Ints, Values

if TYPE_CHECKING:
    from xai_ray.games.passes.folded_masking import FoldedMasker

# Accelerators want more to chew on than a core, whose cache a batch of pictures soon fills.
_ELEMENTS = 1 << 20
_ELEMENTS_ON_ACCELERATOR = 1 << 24
_PICTURE_ELEMENTS = 1 << 19
"""Of pictures, for each thread: what a convolutional net makes of them takes many times their room."""
_TEXT_BATCH = 16
_TEXT_TOKENS, _TEXT_BATCHES = 1024, (8, 32)
"""Tokens of a pass of texts on a core, and the least and the most rows: more would cost small budgets more copies than they save."""
_RUNNING = dict.fromkeys(("_masker", "_folded_masker", "_running_backend", "_plain_backend"))
"""What a copy for another process leaves behind."""


class ModelGame:
    """v(S) = behaviour(model(x with the players outside S removed)).

    `model`    any torch module, or any callable on arrays (tensors when x is a tensor): (rows, outputs), or (rows,)
    for one.
    `x`        one input without a batch axis (a leading axis of 1 is dropped): an image (C, H, W), a row (d,), a text
    with its
               `tokenizer`; a dict is passed as keywords, a tuple as positional arguments.
    `players`  for a dict or tuple, one a part; None where a part always stays.
    `outputs`  what the model returns: "logits", "probabilities" or "raw"; None takes "raw" for the behaviour `Raw`,
    else "logits".
    `order`    over several fillings: "mean_then_behaviour" (Covert et al. 2021, the default) or "behaviour_then_mean".
    `batch`    model rows per forward pass; None takes the largest power of two within 2^20 numbers (pictures: 2^19 a
    thread; an accelerator: 2^24), at most 1,024, or 64 K with K fillings up to 4,096 (folded: 128 K up to 8,192; texts:
    within 1,024 tokens, 8 to 32, on an accelerator 16; trees of scikit-learn: 2^21 numbers, at most 65,536); "auto"
    measures which is quickest here (trees keep theirs).
    `numerics` folding, half precision, memory layout and compilation of torch modules; see `Numerics`.

    Values depend on `batch`, `threads`, `numerics` and `device` in their last bits, so these belong to a job's plan;
    `digest` leaves them out. A module is never changed: one in training mode or on another device is copied. Raises SpecError,
    InputError, ModelOutputError.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        x: Any,
        *,
        players: Players | Mapping[str, Players | None] | Sequence[Players | None],
        removal: Removal,
        behaviour: Behaviour,
        outputs: Outputs | None = None,
        order: Order = "mean_then_behaviour",
        tokenizer: Tokenizer | None = None,
        batch: int | Literal["auto"] | None = None,
        threads: int = 1,
        device: str = "cpu",
        numerics: Numerics | None = None,
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        digest: str | None = None,
        picture: Any = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
        check_column_order(model, x, players, getattr(removal, "background", None))
        self._arguments = arrange(x, players, tokenizer)
        model, self._filling = tailored(model, self._arguments, removal, behaviour, tokenizer)
        if isinstance(behaviour, AnswerLogProbability):
            outputs, output_names = "raw", output_names or behaviour.texts
        convention = outputs or ("raw" if type(behaviour).__name__ == "Raw" else "logits")
        check_convention(behaviour, convention)
        self.stochastic = self._filling.draw is not None
        self._averaging = Averaging(behaviour, convention, order)
        self._averaging.check(self.stochastic)
        self.threads, self.device = _positive(threads, "threads"), device
        self.numerics = numerics or Numerics()
        """How a pass is computed; part of a job's identity."""
        self.numerics.check(is_module(model))
        self._model, self._trees = resting(model), of_trees(model)
        if batch is None or batch == "auto":
            self._take_batch(self._rounded(self._default_batch()))
        else:
            self._take_batch(self._rounded(_positive(batch, "batch")))
        self._running_backend: ArrayBackend | TorchBackend | None = None
        self._plain_backend: ArrayBackend | TorchBackend | None = None
        self.player_names = _names(player_names, self._arguments.player_names, "player")
        self.n_players = len(self.player_names)
        # In the model's own precision, and not compiled for two rows: targets and digest do not hang on numerics.
        exact = self._exact_backend
        whole = (self._filling.runner or Masker)(exact, self._arguments, self._filling, self.batch)
        probe = self._probe(whole)
        self._averaging.check_outputs(probe, said=outputs is not None)
        self.targets = resolve_targets(behaviour, probe[0])
        """The explained classes, shape (k,)."""
        self.n_outputs = len(self.targets)
        self.output_names = self._output_names(output_names, probe.shape[1])
        self.view: View = show(self._arguments, self.player_names, picture)
        """How a report draws the players."""
        parts = [digest] if digest is not None else described_model(self._model, probe)
        self.digest = fingerprint([*parts, *self._identity(removal)])
        if self.numerics.fold:
            self._check_folding(exact, whole)
        self._plain_backend = None  # it may hold a copy of the model
        if batch == "auto" and not self._trees:
            self._take_batch(self._rounded(quickest_batch(self)))

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape; a coalition that comes twice in one slot is evaluated once."""
        if len(coalitions) == 0:
            return np.empty((0, self.n_outputs))
        set_threads(self.threads)
        # Rows of trees have no slots: equal ones are evaluated once wherever they are, and passes are cut evenly, not filled up.
        slots = 1 if self._trees else self.block
        at, places = laid(coalitions, np.asarray(context, dtype=np.int64), slots, self.stochastic)
        step = evenly(len(at), self._pass) if self._trees else self.block
        if self.numerics.fold:
            return self._folded().values(coalitions[at], step, self._averaging, self.targets)[places]
        if self._means_stay:
            means = self._plain().means(coalitions[at], step, self._averaging)
            return self._averaging.scores(means, self.targets)[places]
        out = np.empty((len(at), self.n_outputs))
        begun: deque[tuple[int, Callable[[], Floats]]] = deque()
        for start in range(0, len(at), step):
            rows = at[start : start + step]
            begun.append((start, self._begun(coalitions[rows], context[rows])))
            while len(begun) > (self._ahead if start + step < len(at) else 0):
                first, values = begun.popleft()
                out[first : first + step] = values()
        return out[places]

    def trial(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values as they are timed when a batch is measured."""
        return self.values(coalitions, context)

    def halved(self) -> Self | None:
        """The same game with half as many model rows a forward pass, for a device whose memory is too small; None if a
        pass has one row.
        """
        return None if self.batch < 2 else self.with_batch(self.batch // 2)

    def with_batch(self, batch: int) -> Self:
        """The same game with `batch` model rows a forward pass."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._take_batch(_positive(batch, "batch"))
        return other

    def _default_batch(self) -> int:
        device, inputs = pick_device(self.device), self._arguments.inputs
        texts = [i.array.size for i in inputs if i.layout.kind == "text"]
        if texts:
            fewest, largest = _TEXT_BATCHES if device == "cpu" else (_TEXT_BATCH, _TEXT_BATCH)
            return min(max(1 << ((_TEXT_TOKENS // max(texts)) | 1).bit_length() - 1, fewest), largest)
        elements = sum(prod(i.array.shape) for i in inputs)
        if self._trees:
            return batch_of_trees(elements)
        room = _ELEMENTS if device == "cpu" else _ELEMENTS_ON_ACCELERATOR
        if device == "cpu" and any(i.array.ndim > 2 for i in inputs):
            room = min(room, _PICTURE_ELEMENTS * self.threads)
        return 1 << max(min(room // elements, self._most()), 1).bit_length() - 1

    def _most(self) -> int:
        """Model rows of a default batch: 64 coalitions of a large background fill a pass; behind a folded layer, where there is less to
        do for a row, twice as many.
        """
        shared = self._filling.draw is None and self._filling.runner is None
        double = 2 if self.numerics.fold else 1
        return min(max(1 << 10, 64 * double * self._filling.size * shared), (1 << 12) * double)

    def _rounded(self, batch: int) -> int:
        """Up to what the filling takes; a batch that is halved for want of memory may be smaller."""
        multiple = self._filling.multiple
        return -(-batch // multiple) * multiple

    def _take_batch(self, batch: int) -> None:
        self._masker: Any = None
        self._folded_masker: FoldedMasker | None = None
        self.batch = batch
        size = self._filling.samples or self._filling.size
        self._pass = max(1, batch // size) * self._filling.pool
        # Units and looks of stop rules are whole blocks: those of trees stay small, however many go through together.
        self.block = max(1, min(batch, self._most()) // size) if self._trees else self._pass

    @property
    def non_finite_hint(self) -> str:
        """What to do when a value is not finite."""
        if self._averaging.convention == "probabilities":
            return "a probability of exactly 0 or 1 has no finite logarithm: give logits instead of probabilities"
        return "look at the model's output for this masked input (overflow, half precision, log of 0, division by 0)"

    @property
    def _ahead(self) -> int:
        """Blocks that are begun before the first is waited for: a CUDA device computes one while the next is prepared."""
        return 1 if self._backend.waits and type(self)._block is ModelGame._block else 0

    def _begun(self, coalitions: Coalitions, context: Ints) -> Callable[[], Floats]:
        if self._ahead:
            return self._begin(coalitions, context)
        values = self._block(coalitions, context)
        return lambda: values

    def _block(self, coalitions: Coalitions, context: Ints) -> Floats:
        """Values of one block, shape (block, k)."""
        return self._begin(coalitions, context)()

    def _begin(self, coalitions: Coalitions, context: Ints) -> Callable[[], Floats]:
        masker = self._plain()
        if self._filling.runner is not None:
            found = masker.over_all(coalitions)
            return lambda: self._averaging.values(found, self.targets)
        if self._filling.draw is None:
            outputs = masker.over_all(coalitions)
            return lambda: self._averaging.values(outputs(), self.targets)
        drawn = context >= 0
        # Expectation rows ride along with context 0, so that a row keeps its place in the batch; they are replaced below.
        begun = masker.over_drawn(coalitions, self._filling.draw(np.where(drawn, context, 0))) if drawn.any() else None
        expected = self._expectations(masker, coalitions[~drawn])

        def values() -> Floats:
            out = np.empty((len(coalitions), self.n_outputs))
            if begun is not None:
                out[:] = self._averaging.values(begun(), self.targets)
            out[~drawn] = expected
            return out

        return values

    @property
    def _means_stay(self) -> bool:
        """Whether means over fillings are formed where the outputs are. Not beside an accelerator, where the pass after this one is
        under way by the time that its outputs are read.
        """
        fixed = self._filling.draw is None and self._filling.runner is None and self._filling.size > 1
        return fixed and self._averaging.order == "mean_then_behaviour" and not self._ahead

    def _expectations(self, masker: Masker, coalitions: Coalitions) -> Floats:
        """Values (r, k) over the whole background, each coalition once."""
        if len(coalitions) == 0:
            return np.empty((0, self.n_outputs))
        once, of = np.unique(coalitions, axis=0, return_inverse=True)
        rows = [self._averaging.values(masker.over_all(row[None])(), self.targets)[0] for row in once]
        return np.stack(rows)[of.ravel()]

    def _probe(self, masker: Masker) -> Floats:
        """Outputs (2, m) on the full input and with every player removed."""
        set_threads(self.threads)
        ends = np.stack([np.ones(self.n_players, dtype=np.bool_), np.zeros(self.n_players, dtype=np.bool_)])
        return self._averaging.columns(masker.probe(ends))

    def _plain(self) -> Any:
        """A `Masker`, or the filling's own runner, which answers at once."""
        if self._masker is None:
            self._masker = (self._filling.runner or Masker)(self._backend, self._arguments, self._filling, self.batch)
        return self._masker

    def _folded(self) -> FoldedMasker:
        if self._folded_masker is None:
            from xai_ray.games.passes.folded_masking import FoldedMasker

            assert isinstance(self._backend, TorchBackend), "checked when the game was made"
            self._folded_masker = FoldedMasker(self._backend, self._arguments, self._filling, self.batch)
        return self._folded_masker

    def _check_folding(self, backend: ArrayBackend | TorchBackend, plain: Masker) -> None:
        """SpecError when folding does not give the outputs of plain passes, in the model's own precision."""
        from xai_ray.games.passes.folded_masking import FoldedMasker

        if not isinstance(backend, TorchBackend):
            raise SpecError("fold: only the first layer of a torch module can be folded")
        FoldedMasker(backend, self._arguments, self._filling, self.batch).check(plain, self.n_players)

    @property
    def _backend(self) -> ArrayBackend | TorchBackend:
        if self._running_backend is None:
            self._running_backend = backend_of(self._model, self._arguments, self.device, self.numerics)
        return self._running_backend

    @property
    def _exact_backend(self) -> ArrayBackend | TorchBackend:
        """In the model's own precision and layout, and not compiled."""
        if replace(self.numerics, fold=False) == Numerics():
            return self._backend
        if self._plain_backend is None:
            self._plain_backend = backend_of(self._model, self._arguments, self.device, Numerics())
        return self._plain_backend

    def _output_names(self, names: Sequence[str] | None, m: int) -> tuple[str, ...]:
        if names is not None and len(names) == m:
            return tuple(str(names[t]) for t in self.targets.tolist())
        what = "output" if self._averaging.convention == "raw" else "class"
        return _names(names, tuple(f"{what} {t}" for t in self.targets.tolist()), "output")

    def _identity(self, removal: Removal) -> list[Any]:
        parts: list[Any] = [self._arguments.call_by, self._averaging.convention, self._averaging.order]
        for placed, dtype in zip(self._arguments.inputs, self._arguments.dtypes, strict=True):
            parts += [placed.name, str(dtype), placed.array, placed.layout.labels, str(placed.mask_token)]
        behaviour = self._averaging.behaviour
        parts += described(self._filling.runner) if self._filling.runner is not None else []
        return [*parts, *described(removal), type(behaviour).__qualname__, *described(behaviour), self.targets]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | _RUNNING | {"_model": moved(self._model, "cpu")}


def _positive(number: int, what: str) -> int:
    if number < 1:
        raise SpecError(f"{what} must be at least 1, got {number}")
    return int(number)


def _names(names: Sequence[str] | None, usual: tuple[str, ...], what: str) -> tuple[str, ...]:
    if names is None:
        return usual
    if len(names) != len(usual):
        raise InputError(f"{len(names)} {what} names for {len(usual)} {what}s")
    return tuple(str(n) for n in names)
