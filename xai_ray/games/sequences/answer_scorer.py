"""Answers of a causal language model, as a torch module from prompts to log-probabilities."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xai_ray.errors import ModelOutputError


class AnswerScorer(torch.nn.Module):
    """(input_ids, attention_mask), each (rows, W), padded on the left -> log-probabilities (rows, k) of k answers, in nats.

    The first token of an answer is read at the last token of the prompt that has attention, the others at the one before them.
    Position ids are given where the model takes them: with `closes_up` they count tokens with attention, else all places but `pads`
    ones on the left. `reach`: places at the end of the prompt among which the last token with attention is.

    With several answers the prompt goes through once, and its keys and values serve every answer; a model with recurrent states
    reads it anew for each.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        answers: Sequence[npt.NDArray[np.int64]],
        per_token: bool,
        *,
        closes_up: bool,
        pads: int,
        reach: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.training = model.training  # a module in training mode would be copied
        self.per_token, self.closes_up, self.pads, self.reach = per_token, closes_up, pads, reach
        for number, ids in enumerate(answers):
            self.register_buffer(f"answer_{number}", torch.from_numpy(ids))
        self._count = len(answers)
        names = inspect.signature(model.forward).parameters
        self._takes = {name for name in ("position_ids", "logits_to_keep", "use_cache") if name in names}
        # Recurrent states cannot be taken back to the end of the prompt.
        self.keeps_keys = "past_key_values" in names and not getattr(model, "_is_stateful", False)

    def answer(self, number: int) -> torch.Tensor:
        """Token ids (a,)."""
        return self.get_buffer(f"answer_{number}")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Shape (rows, k), float64."""
        if self._count == 1 or not self.keeps_keys:
            each = [self._one(input_ids, attention_mask, self.answer(at)) for at in range(self._count)]
            return torch.stack([self._scored(tokens, at) for at, tokens in enumerate(each)], dim=1)
        logits, cache = self.call(input_ids, attention_mask, self.places(attention_mask), keep=self.reach, cached=True)
        first = self.at_last(logits, attention_mask)
        return self.from_cache(first, cache, attention_mask)

    def from_cache(self, first: torch.Tensor, cache: Any, mask: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (rows, k), given the logits (rows, V) for first tokens and the cache of prompts, left as it was."""
        heads = torch.log_softmax(first.float(), dim=1)
        columns = []
        for number in range(self._count):
            ids = self.answer(number)
            known = heads[:, ids[:1]]
            if len(ids) > 1:
                known = torch.cat([known, self._rest(cache, mask, ids)], dim=1)
            columns.append(self._scored(known, number))
        return torch.stack(columns, dim=1)

    def places(self, mask: torch.Tensor, answer: int = 0) -> torch.Tensor:
        """Position ids (rows, W + answer) of prompts and the tokens after them."""
        after = mask.new_ones((len(mask), answer))
        if self.closes_up:
            return (torch.cat([mask, after], dim=1).cumsum(dim=1) - 1).clamp(min=0)
        width = mask.shape[1] + answer
        return (torch.arange(width, device=mask.device) - self.pads).clamp(min=0).expand(len(mask), width)

    def at_last(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Of logits (rows, >= reach, V) whose first ones are those of the last `reach` places: those at the last token, (rows, V)."""
        back = mask[:, -self.reach :].flip(1).argmax(dim=1)
        return logits[torch.arange(len(mask), device=mask.device), self.reach - 1 - back]

    def _one(self, ids: torch.Tensor, mask: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (rows, a) of the tokens of one answer, in one pass."""
        fed = answer[:-1].expand(len(ids), -1)
        whole = torch.cat([mask, torch.ones_like(fed)], dim=1)
        logits, _ = self.call(
            torch.cat([ids, fed], dim=1), whole, self.places(mask, fed.shape[1]), keep=self.reach + fed.shape[1]
        )
        read = torch.cat([self.at_last(logits, mask)[:, None], logits[:, self.reach :]], dim=1)
        return _picked(read, answer)

    def _rest(self, cache: Any, mask: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        fed = answer[:-1].expand(len(mask), -1)
        whole = torch.cat([mask, torch.ones_like(fed)], dim=1)
        places = self.places(mask, fed.shape[1])[:, mask.shape[1] :]
        logits, _ = self.call(fed, whole, places, keep=fed.shape[1], cache=cache)
        cache.crop(-fed.shape[1])
        return _picked(logits, answer[1:])

    def call(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        places: torch.Tensor,
        keep: int,
        cached: bool = False,
        cache: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        """Logits (rows, keep, V) of the last places, and the cache where one is asked for or given."""
        given: dict[str, Any] = {
            "position_ids": places,
            "logits_to_keep": keep,
            "use_cache": cached or cache is not None,
        }
        wanted = {name: value for name, value in given.items() if name in self._takes}
        if cached or cache is not None:
            wanted["past_key_values"] = empty_cache() if cache is None else cache
        found = self.model(input_ids=ids, attention_mask=mask, **wanted)
        logits = getattr(found, "logits", found)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 3:
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ModelOutputError(
                f"answer_log_probability needs a causal language model, with logits (rows, tokens, vocabulary); got {shape}"
            )
        return logits[:, -keep:], getattr(found, "past_key_values", None)

    def _scored(self, tokens: torch.Tensor, number: int) -> torch.Tensor:
        total = tokens.double().sum(dim=1)
        return total / len(self.answer(number)) if self.per_token else total


def empty_cache() -> Any:
    """Room for keys and values of every token: layers with a sliding window would forget those that an answer is read with."""
    from transformers import DynamicCache

    return DynamicCache()


def _picked(logits: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """log p of each token, (rows, a), from logits (rows, a, V)."""
    return torch.log_softmax(logits.float(), dim=2).gather(2, answer.expand(len(logits), -1)[:, :, None])[:, :, 0]
