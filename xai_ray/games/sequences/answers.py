"""The behaviour of causal language models: the log-probability of given answers after the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError
from xai_ray.games.behaviours import Averaged, Outputs, Target
from xai_ray.games.players.encoded import bare_ids
from xai_ray.types import Floats, Ints


@dataclass(frozen=True)
class AnswerLogProbability:
    """log p(answer | prompt) in nats, one output for each of `answers`: the sum over its tokens, or with `per_token` their mean.

    An answer is tokenized by itself, without special tokens, and its tokens follow those of the prompt: say " Paris", with the blank,
    where the model's tokenizer glues blanks to words.
    """

    answers: str | tuple[str, ...] | list[str]
    per_token: bool = False
    averaged: ClassVar[Averaged] = "outputs"

    @property
    def target(self) -> Target:
        """Every answer."""
        return "all"

    @property
    def texts(self) -> tuple[str, ...]:
        """The answers."""
        return (self.answers,) if isinstance(self.answers, str) else tuple(self.answers)

    def score(self, outputs: Floats, convention: Outputs, targets: Ints) -> Floats:
        """The log-probabilities themselves, which the model's scorer gives."""
        return outputs[:, targets]

    def linear(self, convention: Outputs) -> bool:
        """No: of the probability the logarithm is taken."""
        return False


def answer_ids(behaviour: AnswerLogProbability, tokenizer: Any) -> list[npt.NDArray[np.int64]]:
    """Token ids of each answer. Raises InputError for an answer without tokens, SpecError for no answer."""
    given: Any = behaviour.answers
    if not isinstance(given, (str, tuple, list)) or (not given and given != ""):
        raise SpecError(f"answer_log_probability: give at least one answer, a text or a list of texts; got {given!r}")
    if tokenizer is None:
        raise InputError("answer_log_probability reads a text: give the model's `tokenizer=`")
    found = [bare_ids(tokenizer, text, f"answer {number}") for number, text in enumerate(behaviour.texts)]
    for text, ids in zip(behaviour.texts, found, strict=True):
        if len(ids) == 0:
            raise InputError(f"the answer {text!r} has no tokens, so it has no probability; give another text")
    return found


ANSWER_BEHAVIOURS: dict[str, type] = {"answer_log_probability": AnswerLogProbability}
"""Name in a spec -> class, for causal language models."""
