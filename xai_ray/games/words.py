"""Tokens and words of a text as players."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.players import ColumnGroups, Columns, Layout, Patches, Regions


class Tokenizer(Protocol):
    """What is needed of a Hugging Face tokenizer; `Words` needs a fast one (it must give character offsets)."""

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
    """Tokenize. Raises InputError for an empty text and for one longer than the model takes (it is never cut)."""
    fast = bool(getattr(tokenizer, "is_fast", False))
    encoded = tokenizer(text, return_special_tokens_mask=True, return_offsets_mapping=fast)
    ids = np.array(encoded["input_ids"], dtype=np.int64)
    special = np.array(encoded["special_tokens_mask"], dtype=np.bool_)
    if special.all():
        raise InputError("the text has no tokens, so there are no players")
    if len(ids) > tokenizer.model_max_length:
        raise InputError(f"the text has {len(ids)} tokens, the model takes {tokenizer.model_max_length}; shorten it")
    attention = np.array(encoded["attention_mask"], dtype=np.int64)
    offsets = np.array(encoded["offset_mapping"], dtype=np.int64) if fast else None
    return Encoded(text, ids, attention, special, tuple(tokenizer.convert_ids_to_tokens(ids.tolist())), offsets)


@dataclass(frozen=True)
class Tokens:
    """Every token is a player. `keep`: positions that always stay, for ids given without a tokenizer; special tokens
    always do.
    """

    keep: Sequence[int] = ()
    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Labels of token ids given without their text."""
        stay = np.zeros(len(array), dtype=np.bool_)
        for position in self.keep:
            if not -len(array) <= position < len(array):
                raise InputError(f"keep: no position {position} among {len(array)} tokens")
            stay[position] = True
        return self._layout(stay, tuple(f"token {i}" for i in range(len(array))))

    def lay_text(self, encoded: Encoded) -> Layout:
        """Labels of the tokens that are not special."""
        return self._layout(encoded.special, encoded.tokens)

    def _layout(self, stay: npt.NDArray[np.bool_], tokens: tuple[str, ...]) -> Layout:
        labels = np.where(stay, -1, np.cumsum(~stay) - 1).astype(np.int64)
        names = tuple(t for t, s in zip(tokens, stay.tolist(), strict=True) if not s)
        if not names:
            raise InputError("every token always stays, so there are no players")
        return Layout(labels, names, "text")


@dataclass(frozen=True)
class Words:
    """Every word (text between white space, with its punctuation) is a player and covers all of its tokens."""

    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Always InputError: words need the text."""
        raise InputError("Words needs the text and its tokenizer: give x as a string and `tokenizer=`, or use Tokens")

    def lay_text(self, encoded: Encoded) -> Layout:
        """Labels by the word that holds a token's first character."""
        if encoded.offsets is None:
            raise InputError(
                "Words needs a fast tokenizer (one that gives character offsets); use Tokens with this one"
            )
        spans = [(m.start(), m.end()) for m in re.finditer(r"\S+", encoded.text)]
        starts = np.array([s for s, _ in spans], dtype=np.int64)
        # Some tokenizers count the blank before a word as its first character: the last character decides.
        word = np.searchsorted(starts, np.maximum(encoded.offsets[:, 1] - 1, 0), side="right") - 1
        word = np.where(encoded.special, -1, word)
        used = np.unique(word[word >= 0])
        # A word without a token (control characters, say) cannot be removed and is no player.
        labels = np.where(word >= 0, np.searchsorted(used, word), -1).astype(np.int64)
        return Layout(labels, tuple(encoded.text[spans[w][0] : spans[w][1]] for w in used), "text")


PLAYERS_OF_TEXT = (Tokens, Words)

PLAYERS: dict[str, type] = {
    "patches": Patches,
    "regions": Regions,
    "columns": Columns,
    "groups": ColumnGroups,
    "tokens": Tokens,
    "words": Words,
}
"""Name in a spec -> class; its fields are the keys of the spec."""
