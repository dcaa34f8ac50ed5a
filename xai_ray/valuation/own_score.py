"""A score of the user's own: any function of the truth and a model's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal

import numpy as np

from xai_ray.errors import ModelOutputError, XaiRayError
from xai_ray.games.digest import fingerprint, printed
from xai_ray.types import Floats, Ints
from xai_ray.valuation.scores import Score, predictions, probabilities

_LEAST = 0.01
"""Of two scores: what differences are judged beside where the two hardly differ."""


@dataclass(frozen=True, slots=True)
class OwnScore:
    """`function(truth, answers)` -> one finite number, larger being better; called once a model.

    For a classifier the truth (m,) holds class numbers, places among the sorted labels; the answers are class numbers (m,), or
    probabilities (m, C) with `takes="probabilities"`. For a regression both hold numbers (m,). The empty coalition has the mean score of
    predicting one class everywhere (the uniform probabilities; the number 0), unless the game is given another.
    """

    function: Callable[[Any, Any], Any]
    takes: Literal["predictions", "probabilities"] = "predictions"
    name: str = ""

    def row(self, classifies: bool) -> Score:
        """Its row in the table of scores."""
        return Score(
            lambda decisions, truth: np.array([self._one(truth, a) for a in self._answers(decisions, classifies)]),
            lambda truth, classes: self._guess(truth, classes if classifies else 0),
            classifies=classifies,
            probabilities=classifies and self.takes == "probabilities",
            unit=lambda truth, reached, nobody: self._unit(truth, reached, nobody, classifies),
        )

    @property
    def title(self) -> str:
        """What the score is called in tables."""
        return self.name or getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def digest(self) -> str:
        """A function by its name and code, any other callable by its class and `repr`."""
        owner = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        code = getattr(self.function, "__code__", None)
        body = [printed(self.function)] if code is None else _code(code)
        return fingerprint([f"{owner.__module__}.{owner.__qualname__}", self.takes, self.title, *body])

    def _answers(self, decisions: Floats, classifies: bool) -> Floats | Ints:
        if not classifies:
            return decisions[..., 0]
        return probabilities(decisions) if self.takes == "probabilities" else predictions(decisions)

    def _guess(self, truth: Floats | Ints, classes: int) -> float:
        if classes == 0:
            return self._one(truth, np.zeros(len(truth)))
        if self.takes == "probabilities":
            return self._one(truth, np.full((len(truth), classes), 1.0 / classes))
        return float(np.mean([self._one(truth, np.full(len(truth), c)) for c in range(classes)]))

    def _unit(self, truth: Floats | Ints, reached: float, nobody: float, classifies: bool) -> float:
        """How far the model of all points is from a guess: that of nobody, or of a regression the mean target, whatever its offset."""
        guess = nobody if classifies else self._one(truth, np.full(len(truth), float(np.mean(truth))))
        return max(abs(reached - guess), _LEAST * max(abs(reached), abs(guess))) or 1.0

    def _one(self, truth: Floats | Ints, answers: Floats | Ints) -> float:
        try:
            found = np.asarray(self.function(truth.copy(), answers.copy()))
        except Exception as error:
            raise XaiRayError(f"the score {self.title} failed: {type(error).__name__}: {error}") from error
        if found.ndim or found.dtype.kind not in "fiub":
            raise ModelOutputError(
                f"the score {self.title} returned {found.dtype} of shape {found.shape}; it must return one real number"
            )
        return float(found)


def several(scores: Any) -> tuple[Any, ...]:
    """One score, by name, as a function or an `OwnScore`, or a sequence of them, as a tuple."""
    return (scores,) if isinstance(scores, (str, OwnScore)) or callable(scores) else tuple(scores)


def _code(code: CodeType) -> list[str | bytes]:
    """What a function does, without where its file lies."""
    inner = [part for constant in code.co_consts if isinstance(constant, CodeType) for part in _code(constant)]
    constants = [repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
    return [code.co_code, *constants, repr(code.co_names), *inner]
