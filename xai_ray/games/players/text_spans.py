"""From spans of characters to labels of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xai_ray.errors import InputError
from xai_ray.games.players.arrays import Layout
from xai_ray.games.players.encoded import Encoded
from xai_ray.types import Ints

Span = tuple[int, int]


def span_of_tokens(encoded: Encoded, spans: Sequence[Span], who: str) -> Ints:
    """The span that each token belongs to, shape (T,): the last one that begins at or before the token's last character; -1 before the
    first span, and for special tokens. Spans are in order. Raises InputError for a tokenizer without character offsets.
    """
    if encoded.offsets is None:
        raise InputError(f"{who} needs a fast tokenizer (one that gives character offsets); use Tokens with this one")
    starts = np.array([start for start, _ in spans], dtype=np.int64)
    # Some tokenizers count the blank before a word as its first character: the last character decides.
    last = np.maximum(encoded.offsets[:, 1] - 1, 0)
    found = np.searchsorted(starts, last, side="right") - 1
    return np.where(encoded.special, -1, found).astype(np.int64)


def by_span(encoded: Encoded, spans: Sequence[Span], names: Sequence[str], who: str) -> Layout:
    """A player for each span that has a token; white space after a span belongs to it."""
    if not spans:
        raise InputError(f"{who}: the text is nothing but white space, so there are no players")
    found = span_of_tokens(encoded, spans, who)
    used = np.unique(found[found >= 0])
    if len(used) == 0:
        raise InputError("every token always stays, so there are no players")
    labels = np.where(found >= 0, np.searchsorted(used, found), -1).astype(np.int64)
    return Layout(labels, tuple(names[int(i)] for i in used), "text")
