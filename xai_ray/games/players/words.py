"""Tokens and words of a text as players."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.players.arrays import ColumnGroups, Columns, Layout, Patches, Regions
from xai_ray.games.players.encoded import Encoded, Tokenizer, encode
from xai_ray.games.players.segments import Passages, Segments, Sentences
from xai_ray.games.players.text_spans import by_span


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
        """Labels by the word that holds a token's last character."""
        spans = [(m.start(), m.end()) for m in re.finditer(r"\S+", encoded.text)]
        # A word without a token (control characters, say) cannot be removed and is no player.
        return by_span(encoded, spans, [encoded.text[a:b] for a, b in spans], "Words")


PLAYERS_OF_TEXT = (Tokens, Words, Sentences, Segments, Passages)

PLAYERS: dict[str, type] = {
    "patches": Patches,
    "regions": Regions,
    "columns": Columns,
    "groups": ColumnGroups,
    "tokens": Tokens,
    "words": Words,
    "sentences": Sentences,
    "segments": Segments,
    "passages": Passages,
}
"""Name in a spec -> class; its fields are the keys of the spec."""

__all__ = ["PLAYERS", "PLAYERS_OF_TEXT", "Encoded", "Tokenizer", "Tokens", "Words", "encode"]
