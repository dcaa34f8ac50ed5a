"""A text as a model takes it: token ids, and the characters that each token stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError


class Tokenizer(Protocol):
    """What is needed of a Hugging Face tokenizer; all players but `Tokens` need a fast one (with character offsets)."""

    mask_token_id: int | None
    model_max_length: int

    def __call__(
        self, text: str, *, return_special_tokens_mask: bool, return_offsets_mapping: bool
    ) -> Mapping[str, Any]:
        """`input_ids`, `attention_mask`, `special_tokens_mask` and, when asked for, `offset_mapping`."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """The tokens as text."""
        ...


@dataclass(frozen=True)
class Encoded:
    """A tokenized text of T tokens."""

    text: str
    ids: npt.NDArray[np.int64]
    """Shape (T,)."""
    attention: npt.NDArray[np.int64]
    """Shape (T,)."""
    special: npt.NDArray[np.bool_]
    """Shape (T,): [CLS], [SEP] and their like, which always stay."""
    tokens: tuple[str, ...]
    offsets: npt.NDArray[np.int64] | None
    """Shape (T, 2): first and last character of each token, or None where the tokenizer cannot say."""


def encode(tokenizer: Tokenizer, text: str) -> Encoded:
    """Tokenize. Raises InputError for what is no text, an empty text, and one longer than the tokenizer says (it is never cut)."""
    check_text(text, "the text")
    if not callable(tokenizer):
        raise InputError(
            f"tokenizer= is {tokenizer!r} of type {type(tokenizer).__name__}; load it, AutoTokenizer.from_pretrained(..)"
        )
    fast = bool(getattr(tokenizer, "is_fast", False))
    encoded = tokenizer(text, return_special_tokens_mask=True, return_offsets_mapping=fast)
    ids = np.array(encoded["input_ids"], dtype=np.int64)
    special = np.array(encoded["special_tokens_mask"], dtype=np.bool_)
    if special.all():
        raise InputError("the text has no tokens, so there are no players")
    check_length(len(ids), tokenizer.model_max_length)
    attention = np.array(encoded["attention_mask"], dtype=np.int64)
    offsets = np.array(encoded["offset_mapping"], dtype=np.int64) if fast else None
    return Encoded(text, ids, attention, special, tuple(tokenizer.convert_ids_to_tokens(ids.tolist())), offsets)


def check_text(text: Any, what: str) -> None:
    """InputError for what is no string, or holds half a character (an unpaired surrogate), which no tokenizer takes."""
    if not isinstance(text, str):
        raise InputError(f"{what} is of type {type(text).__name__}; give a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} holds half a character at place {error.start} ({text[error.start]!r}); read it as UTF-8, or take it out"
        ) from None


def bare_ids(tokenizer: Any, text: str, what: str) -> npt.NDArray[np.int64]:
    """Token ids of a text without special tokens around it, shape (a,). Raises InputError for what is no text."""
    check_text(text, what)
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)


def check_length(tokens: int, limit: int, also: str = "") -> None:
    """InputError for more tokens than the model takes; `also` says what beside the text counts."""
    if tokens > limit:
        raise InputError(
            f"the text{also} has {tokens} tokens, the model takes {limit}; shorten it by {tokens - limit} tokens, or explain "
            "a part of it"
        )
