"""A text as columns of tokens, each of which is there when its player is present, or when its player is absent (replacements)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import SpecError
from xai_ray.games.removals.filling import PlacedInput
from xai_ray.types import Coalitions, Ints


@dataclass(frozen=True)
class TokenColumns:
    """C columns in the order of the text; `ids[C]` is the token of padding."""

    ids: Ints
    """Shape (C + 1,)."""
    labels: Ints
    """Shape (C,): the column's player, -1 for tokens that always stay."""
    instead: npt.NDArray[np.bool_]
    """Shape (C,): there when its player is absent."""

    @property
    def count(self) -> int:
        """C."""
        return len(self.labels)

    @property
    def always(self) -> npt.NDArray[np.bool_]:
        """Shape (C,)."""
        return self.labels < 0

    def kept(self, coalitions: Coalitions) -> npt.NDArray[np.bool_]:
        """Which columns are there, shape (c, C)."""
        always = np.ones((len(coalitions), 1), dtype=np.bool_)
        return np.concatenate([coalitions, always], axis=1)[:, self.labels] ^ self.instead

    def longest(self) -> int:
        """Tokens of the longest coalition."""
        players = int(self.labels.max()) + 1
        own = np.bincount(self.labels[~self.always & ~self.instead], minlength=players)
        replaced = np.bincount(self.labels[self.instead], minlength=players)
        return int(self.always.sum() + np.maximum(own, replaced).sum())


def token_columns(placed: PlacedInput, tokenizer: Any, replacement: Ints | None, removal: str) -> TokenColumns:
    """Columns of a text. Where no token always stays, the tokenizer's first token (or its last one) goes in front, so that the empty
    coalition is a sequence too; SpecError for a tokenizer without one.
    """
    ids, labels = placed.array.astype(np.int64), placed.layout.labels
    instead = np.zeros(len(ids), dtype=np.bool_)
    if replacement is not None:
        ids, labels, instead = _replaced(ids, labels, replacement)
    if (labels >= 0).all():
        start = _first_known(tokenizer, "bos_token_id", "cls_token_id", "eos_token_id")
        if start is None:
            raise SpecError(
                f"{removal} removal: every token can be removed and the tokenizer has no token to begin a text with, so nothing is left "
                "of the empty coalition; let some of the text always stay, or set the tokenizer's bos_token"
            )
        ids, labels = np.concatenate([[start], ids]), np.concatenate([[-1], labels])
        instead = np.concatenate([[False], instead])
    pad = _first_known(tokenizer, "pad_token_id", "eos_token_id")
    return TokenColumns(np.concatenate([ids, [pad or 0]]).astype(np.int64), labels.astype(np.int64), instead)


def _replaced(ids: Ints, labels: Ints, replacement: Ints) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Columns of the replacement before the first token of every player."""
    players = np.arange(int(labels.max()) + 1)
    first = np.array([int(np.argmax(labels == p)) for p in players])
    size = len(replacement)
    place = np.concatenate([np.repeat(first, size), np.arange(len(ids)) + 0.5])
    order = np.argsort(place, kind="stable")
    every = np.concatenate([np.tile(replacement, len(players)), ids])
    owner = np.concatenate([np.repeat(players, size), labels])
    return every[order], owner[order], order < size * len(players)


def _first_known(tokenizer: Any, *names: str) -> int | None:
    return next((int(t) for t in (getattr(tokenizer, n, None) for n in names) if t is not None), None)
