"""Behaviours: what of a model's output is explained. Covert, Lundberg, Lee, "Explaining by removing" (JMLR 22, 2021),
section 5.

A behaviour reads scores of shape (r, m), float64, under the convention that the model's outputs follow:

    "logits"         m >= 2 class scores before softmax (a single column g counts as the two classes [0, g])
    "probabilities"  m >= 2 class probabilities (a single column p counts as [1 - p, p])
    "raw"            any m numbers
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

import numpy as np
from scipy.special import log_softmax

from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints

Outputs: TypeAlias = Literal["logits", "probabilities", "raw"]
Target: TypeAlias = int | tuple[int, ...] | list[int] | Literal["predicted", "all"]
Averaged: TypeAlias = Literal["outputs", "probabilities"]


_OF_RAW = ("Raw", "AnswerLogProbability")
"""Behaviours that read numbers which are no class scores."""


class Behaviour(Protocol):
    """One explained quantity for each target class."""

    @property
    def target(self) -> Target:
        """A class, several, `"predicted"` (the largest output on the full input) or `"all"`."""
        ...

    averaged: ClassVar[Averaged]
    """What the order mean-then-behaviour averages over the background: the outputs as they are, or probabilities. Of a model that gives
    logits, `score` then sees logarithms of probabilities, whatever the number of fillings."""

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """Outputs (r, m) -> float64 (r, len(targets))."""
        ...

    def linear(self, convention: Outputs) -> bool:
        """Whether averaging before or after gives the same."""
        ...


@dataclass(frozen=True)
class Raw:
    """The output itself."""

    target: Target = "all"
    averaged: ClassVar[Averaged] = "outputs"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """f_y."""
        return outputs[:, targets]

    def linear(self, convention: Outputs) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class Logit:
    """g_y; for models that give logits."""

    target: Target = "predicted"
    averaged: ClassVar[Averaged] = "outputs"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """g_y."""
        if convention == "probabilities":
            raise SpecError("behaviour 'logit' needs a model that gives logits, not probabilities; use 'log_odds'")
        return outputs[:, targets]

    def linear(self, convention: Outputs) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class Probability:
    """p_y."""

    target: Target = "predicted"
    averaged: ClassVar[Averaged] = "probabilities"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """p_y = softmax(g)_y."""
        return (
            outputs[:, targets] if convention == "probabilities" else np.exp(log_softmax(outputs, axis=1)[:, targets])
        )

    def linear(self, convention: Outputs) -> bool:
        """Linear in the probabilities, which are what is averaged."""
        return True


@dataclass(frozen=True)
class LogProbability:
    """log p_y, without underflow from logits."""

    target: Target = "predicted"
    averaged: ClassVar[Averaged] = "probabilities"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """g_y - logsumexp(g)."""
        return _log_probabilities(outputs, convention)[:, targets]

    def linear(self, convention: Outputs) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class LogOdds:
    """log p_y / (1 - p_y): from logits g_y - logsumexp of the others, which never overflows; from probabilities
    log p - log1p(-p).

    A probability that is exactly 0 or 1 gives an infinite value, which is an error when it is evaluated: give logits
    instead.
    """

    target: Target = "predicted"
    averaged: ClassVar[Averaged] = "probabilities"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """Shape (r, len(targets))."""
        if convention == "probabilities":
            p = outputs[:, targets]
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log(p) - np.log1p(-p)
        rest = _logsumexp_without(outputs, targets)
        return outputs[:, targets] - rest

    def linear(self, convention: Outputs) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Margin:
    """The target's output minus the largest other one (logits or probabilities, as the model gives them)."""

    target: Target = "predicted"
    averaged: ClassVar[Averaged] = "outputs"

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """g_y - max of the others."""
        top = np.partition(outputs, -2, axis=1)[:, -2:]
        own = outputs[:, targets]
        # The largest other one is the second largest of all where the target itself is the largest.
        return own - np.where(own == top[:, 1:], top[:, :1], top[:, 1:])

    def linear(self, convention: Outputs) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Loss:
    """Minus the cross-entropy of the given label, log p_label: larger is better."""

    label: int
    averaged: ClassVar[Averaged] = "probabilities"

    @property
    def target(self) -> Target:
        """The label."""
        return self.label

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """log p_label."""
        return _log_probabilities(outputs, convention)[:, targets]

    def linear(self, convention: Outputs) -> bool:
        """No."""
        return False


def classes(outputs: Floats, convention: Outputs) -> Floats:
    """One column a class: a single column of logits or probabilities becomes two; raw outputs stay."""
    if outputs.shape[1] != 1 or convention == "raw":
        return outputs
    first = np.zeros_like(outputs) if convention == "logits" else 1.0 - outputs
    return np.concatenate([first, outputs], axis=1)


def check_convention(behaviour: Behaviour, convention: Outputs) -> None:
    """SpecError when a behaviour of classes meets raw outputs, or `Logit` meets probabilities."""
    name = type(behaviour).__name__
    if convention not in ("logits", "probabilities", "raw"):
        raise SpecError(f"outputs is 'logits', 'probabilities' or 'raw', got {convention!r}")
    if convention == "raw" and name not in _OF_RAW:
        raise SpecError(
            f"{name} needs class scores; say outputs='logits' or 'probabilities', or use the behaviour 'raw'"
        )
    if convention == "probabilities" and isinstance(behaviour, Logit):
        raise SpecError("Logit needs a model that gives logits; this one gives probabilities: use LogOdds")


def resolve_targets(behaviour: Behaviour, full: Floats) -> Ints:
    """The target classes, given the outputs (m,) on the full input. SpecError for a target out of range."""
    target, m = behaviour.target, len(full)
    if isinstance(target, str):
        if target == "predicted":
            return np.array([int(np.argmax(full))], dtype=np.int64)
        if target == "all":
            return np.arange(m, dtype=np.int64)
        raise SpecError(f"target is a class number, a list of them, 'predicted' or 'all', got {target!r}")
    targets = [target] if isinstance(target, (int, np.integer)) else list(target)
    if not targets:
        raise SpecError("target is an empty list of classes")
    for t in targets:
        if not isinstance(t, (int, np.integer)) or isinstance(t, bool) or not 0 <= t < m:
            raise SpecError(f"target {t!r} is out of range: the model has {m} outputs, 0..{m - 1}")
    return np.array(targets, dtype=np.int64)


def _log_probabilities(outputs: Floats, convention: Outputs) -> Floats:
    if convention == "logits":
        return log_softmax(outputs, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(outputs)


def _logsumexp_without(outputs: Floats, targets: Ints) -> Floats:
    """logsumexp over all columns but the target, not by subtraction: one by one for few targets, else running sums."""
    if len(targets) > 8:
        edge = np.full((len(outputs), 1), -np.inf)
        before = np.concatenate([edge, np.logaddexp.accumulate(outputs, axis=1)[:, :-1]], axis=1)
        after = np.concatenate([np.logaddexp.accumulate(outputs[:, ::-1], axis=1)[:, ::-1][:, 1:], edge], axis=1)
        return np.logaddexp(before, after)[:, targets]
    rest = np.empty((len(outputs), len(targets)))
    for column, target in enumerate(targets.tolist()):
        others = np.delete(outputs, target, axis=1)
        top = others.max(axis=1, keepdims=True)
        rest[:, column] = np.log(np.exp(others - top).sum(axis=1)) + top[:, 0]
    return rest


BEHAVIOURS: dict[str, type] = {
    "logit": Logit,
    "probability": Probability,
    "log_probability": LogProbability,
    "log_odds": LogOdds,
    "margin": Margin,
    "loss": Loss,
    "raw": Raw,
}
"""Name in a spec -> class; its fields are the keys of the spec."""

SHIFT_FREE = (Probability, LogProbability, LogOdds, Loss)
"""Those of probabilities that read the same from logits with any constant added to all of them."""
