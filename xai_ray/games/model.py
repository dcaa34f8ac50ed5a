"""A model and one input as a game: players x removal x behaviour."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.games.answers import AnswerLogProbability
from xai_ray.games.arguments import Arguments, arrange
from xai_ray.games.averaging import Averaging, Order
from xai_ray.games.backends import ArrayBackend, TorchBackend, is_module, pick_device, set_threads
from xai_ray.games.behaviours import Behaviour, Outputs, check_convention, resolve_targets
from xai_ray.games.digest import described, described_model, fingerprint
from xai_ray.games.masking import Masker
from xai_ray.games.picture import show
from xai_ray.games.players import Players
from xai_ray.games.removals.filling import Removal
from xai_ray.games.tailoring import tailored
from xai_ray.games.view import View
from xai_ray.games.words import Tokenizer
from xai_ray.types import Coalitions, Floats, Ints, Values

# Where a forward pass of a convolutional net on one CPU thread is fastest a row (cache); accelerators want more to chew on.
_ELEMENTS = 1 << 20
_ELEMENTS_ON_ACCELERATOR = 1 << 24
_TEXT_BATCH = 16


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
    `batch`    model rows per forward pass; None takes the largest power of two within 2^20 numbers (2^24 on an
    accelerator), at most 1,024 (texts: 16).

    Values depend on `batch`, `threads` and `device` in their last bits, so these belong to a job's plan; `digest`
    leaves them out. A module is never changed: one in training mode or on another device is copied. Raises SpecError,
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
        batch: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        digest: str | None = None,
        picture: Any = None,
    ) -> None:
        if not callable(model):
            raise SpecError(f"the model is not callable: {type(model).__name__}; pass its predict function")
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
        self.batch = (
            _default_batch(self._arguments, pick_device(device)) if batch is None else _positive(batch, "batch")
        )
        self.batch = -(-self.batch // self._filling.multiple) * self._filling.multiple
        self.block = max(1, self.batch // (self._filling.samples or self._filling.size)) * self._filling.pool
        self._model, self._masker = _resting(model), None
        self.player_names = _names(player_names, self._arguments.player_names, "player")
        self.n_players = len(self.player_names)
        probe = self._probe()
        self.targets = resolve_targets(behaviour, probe[0])
        """The explained classes, shape (k,)."""
        self.n_outputs = len(self.targets)
        self.output_names = self._output_names(output_names, probe.shape[1])
        self.view: View = show(self._arguments, self.player_names, picture)
        """How a report draws the players."""
        parts = [digest] if digest is not None else described_model(self._model, probe)
        self.digest = fingerprint([*parts, *self._identity(removal)])

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k), in forward passes of one shape; a block that is not full is filled up with copies of its
        first row.
        """
        set_threads(self.threads)
        out = np.empty((len(coalitions), self.n_outputs))
        for start in range(0, len(coalitions), self.block):
            rows, numbers = coalitions[start : start + self.block], context[start : start + self.block]
            at = np.where(np.arange(self.block) < len(rows), np.arange(self.block), 0)
            out[start : start + len(rows)] = self._block(rows[at], numbers[at])[: len(rows)]
        return out

    def halved(self) -> ModelGame | None:
        """The same game with half as many model rows a forward pass, for a device whose memory is too small; None if a
        pass has one row.
        """
        if self.batch < 2:
            return None
        smaller = object.__new__(type(self))
        smaller.__dict__.update(self.__dict__)
        smaller.batch, smaller._masker = self.batch // 2, None
        smaller.block = max(1, smaller.batch // (self._filling.samples or self._filling.size)) * self._filling.pool
        return smaller

    @property
    def non_finite_hint(self) -> str:
        """What to do when a value is not finite."""
        if self._averaging.convention == "probabilities":
            return "a probability of exactly 0 or 1 has no finite logarithm: give logits instead of probabilities"
        return "look at the model's outputs on this coalition; a half-precision model may overflow"

    def _block(self, coalitions: Coalitions, context: Ints) -> Floats:
        masker = self._running()
        if self._filling.draw is None:
            return self._averaging.values(masker.over_all(coalitions), self.targets)
        drawn = context >= 0
        out = np.empty((len(coalitions), self.n_outputs))
        if drawn.any():
            # Expectation rows ride along with context 0, so that a row keeps its place in the batch; they are
            # replaced below.
            fillings = self._filling.draw(np.where(drawn, context, 0))
            out[:] = self._averaging.values(masker.over_drawn(coalitions, fillings), self.targets)
        for row in np.flatnonzero(~drawn):
            out[row] = self._averaging.values(masker.over_all(coalitions[row : row + 1]), self.targets)[0]
        return out

    def _probe(self) -> Floats:
        """Outputs (2, m) on the full input and with every player removed."""
        set_threads(self.threads)
        ends = np.stack([np.ones(self.n_players, dtype=np.bool_), np.zeros(self.n_players, dtype=np.bool_)])
        return self._averaging.columns(self._running().probe(ends))

    def _running(self) -> Masker:
        if self._masker is None:
            backend = ArrayBackend(self._model, self._arguments)
            if is_module(self._model) or self._arguments.tensors:
                device = pick_device(self.device)
                backend = TorchBackend(_moved(self._model, device), self._arguments, device)
            self._masker = (self._filling.runner or Masker)(backend, self._arguments, self._filling, self.batch)
        return self._masker

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
        return {**self.__dict__, "_masker": None, "_model": _moved(self._model, "cpu")}


def _resting(model: Any) -> Any:
    """The model in evaluation mode, on the CPU or where it is; a copy if it has to change."""
    if is_module(model) and any(part.training for part in model.modules()):
        return copy.deepcopy(model).eval()
    return model


def _moved(model: Any, device: str) -> Any:
    if not is_module(model):
        return model
    tensors = [*model.parameters(), *model.buffers()]
    wanted = device.partition(":")[0]
    if all(t.device.type == wanted for t in tensors) and (
        ":" not in device or all(str(t.device) == device for t in tensors)
    ):
        return model
    return copy.deepcopy(model).to(device)


def _default_batch(arguments: Arguments, device: str) -> int:
    if any(i.layout.kind == "text" for i in arguments.inputs):
        return _TEXT_BATCH
    elements = sum(prod(i.array.shape) for i in arguments.inputs)
    room = _ELEMENTS if device == "cpu" else _ELEMENTS_ON_ACCELERATOR
    return 1 << min(max((room // elements).bit_length() - 1, 0), 10)


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
