"""Longer parts of a text as players: sentences, segments of a prompt, retrieved passages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.players.arrays import Layout
from xai_ray.games.players.encoded import Encoded
from xai_ray.games.players.text_spans import Span, by_span, span_of_tokens

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")
_SHOWN = 40


@dataclass(frozen=True)
class Sentences:
    """Every sentence is a player: text up to `.`, `!`, `?` or `…` and white space, or up to the end of a line.

    Abbreviations ("Dr. Who") end a sentence too; give `Segments` with spans of your own where that matters.
    """

    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Always InputError: sentences need the text."""
        raise _needs_text("Sentences")

    def lay_text(self, encoded: Encoded) -> Layout:
        """Labels by sentence."""
        spans = _pieces(encoded.text, _SENTENCE)
        return by_span(encoded, spans, _named(encoded.text, spans), "Sentences")


@dataclass(frozen=True)
class Segments:
    """Segments of a text: between `separator`s (which belong to the segment before them), or `spans` of characters [start, end).

    Spans are in order and do not overlap. They cover the text (white space apart); with `rest="stays"` what they leave out always
    stays. A token across a border belongs to the segment of its last character.
    """

    separator: str | None = None
    spans: Sequence[Span] | None = None
    names: Sequence[str] | None = None
    rest: Literal["refuse", "stays"] = "refuse"
    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Always InputError: segments need the text."""
        raise _needs_text("Segments")

    def lay_text(self, encoded: Encoded) -> Layout:
        """Labels by segment. Raises InputError for spans that do not fit the text."""
        if (self.separator is None) == (self.spans is None):
            raise InputError("Segments needs either a `separator` or `spans` [(start, end), ..] of characters")
        if self.rest not in ("refuse", "stays"):
            raise InputError(f"Segments: rest is 'refuse' or 'stays', got {self.rest!r}")
        if self.spans is not None:
            return laid_spans(encoded, self._checked(encoded.text), self.names, "Segments")
        if not isinstance(self.separator, str) or not self.separator or self.separator not in encoded.text:
            raise InputError(f"Segments: the text has no separator {self.separator!r}, so there is one segment only")
        spans = _pieces(encoded.text, re.compile(re.escape(self.separator)))
        return laid_spans(encoded, spans, self.names, "Segments")

    def _checked(self, text: str) -> list[Span]:
        found = np.atleast_1d(np.asarray(self.spans, dtype=object))
        if not len(found):
            raise InputError("Segments: no spans, so there are no players")
        if found.ndim != 2 or found.shape[1] != 2 or not all(isinstance(at, (int, np.integer)) for at in found.flat):
            raise InputError(
                f"Segments: spans are pairs of whole numbers, [(start, end), ..]; got {_short(repr(self.spans))}"
            )
        spans = [(int(start), int(end)) for start, end in found]
        at = 0
        for number, (start, end) in enumerate(spans):
            if not at <= start < end <= len(text):
                raise InputError(
                    f"Segments: span {number} is [{start}, {end}), but spans are in order, not empty, do not overlap and lie within the "
                    f"{len(text)} characters of the text; span {number} may begin at {at}"
                )
            self._check_gap(text, at, start)
            at = end
        self._check_gap(text, at, len(text))
        return spans

    def _check_gap(self, text: str, start: int, end: int) -> None:
        if self.rest == "refuse" and text[start:end].strip():
            raise InputError(
                f"Segments: characters {start} to {end} ({_short(text[start:end])!r}) belong to no segment; give them a span, or say "
                'rest = "stays" where they shall always stay'
            )


@dataclass(frozen=True)
class Passages:
    """Retrieved passages: the input is a list of texts, each a player; `template` says where they stand in the prompt.

    `template` holds `{passages}` once; `each` is how one passage is written, with `{passage}` and, if wanted, `{number}` (from 1). What
    `each` adds belongs to its passage, and numbers stay when others are removed. The rest of the template always stays.
    """

    template: str = "{passages}"
    each: str = "{passage}\n"
    names: Sequence[str] | None = None
    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Always InputError: passages are texts."""
        raise InputError("Passages needs a list of texts as input, and the model's tokenizer")

    def text_of(self, passages: Any) -> tuple[str, list[Span]]:
        """The prompt, and the span of each passage in it. Raises InputError for a list that is empty or holds no texts."""
        if isinstance(passages, str) or not isinstance(passages, Sequence):
            raise InputError(f"Passages needs a list of texts as input, got {type(passages).__name__}")
        if len(passages) == 0:
            raise InputError("the list of passages is empty, so there are no players; give at least one")
        for number, passage in enumerate(passages):
            if not isinstance(passage, str) or not passage.strip():
                raise InputError(f"passage {number} is empty or no text; leave it out")
        written = isinstance(self.template, str) and isinstance(self.each, str)
        if not written or self.template.count("{passages}") != 1 or "{passage}" not in self.each:
            raise InputError("Passages: `template` needs {passages} once, and `each` needs {passage}; both are texts")
        head, tail = self.template.split("{passages}")
        text, spans = head, []
        for number, passage in enumerate(passages):
            written = self.each.replace("{number}", str(number + 1)).replace("{passage}", passage)
            spans.append((len(text), len(text) + len(written)))
            text += written
        return text + tail, spans

    def lay_spans(self, encoded: Encoded, spans: list[Span]) -> Layout:
        """Labels by passage."""
        return laid_spans(encoded, spans, self.names, "Passages")


def laid_spans(encoded: Encoded, spans: Sequence[Span], names: Sequence[str] | None, who: str) -> Layout:
    """A player for each span; tokens beyond its end stay, those of white space after it apart. Raises InputError for a span without a
    token of its own, and for another number of names.
    """
    found = span_of_tokens(encoded, spans, who)
    assert encoded.offsets is not None
    last = np.maximum(encoded.offsets[:, 1] - 1, 0)
    ends = np.array([end for _, end in spans], dtype=np.int64)
    blank = np.array([not encoded.text[a:b].strip() for a, b in encoded.offsets.tolist()], dtype=np.bool_)
    outside = (found >= 0) & (last >= ends[np.maximum(found, 0)]) & ~blank
    labels = np.where(outside, -1, found).astype(np.int64)
    missing = np.setdiff1d(np.arange(len(spans)), labels)
    if len(missing):
        start, end = spans[missing[0]]
        raise InputError(
            f"{who}: part {missing[0]} ({_short(encoded.text[start:end])!r}) has no token of its own, so it cannot be removed"
        )
    if names is not None and len(names) != len(spans):
        raise InputError(f"{who}: {len(names)} names for {len(spans)} parts")
    return Layout(labels, tuple(names) if names is not None else tuple(_named(encoded.text, spans)), "text")


def _pieces(text: str, border: re.Pattern[str]) -> list[Span]:
    """Spans between borders, each with the border that ends it; those of white space alone are left out."""
    cuts = [0, *(m.end() for m in border.finditer(text)), len(text)]
    return [(a, b) for a, b in pairwise(cuts) if text[a:b].strip()]


def _named(text: str, spans: Sequence[Span]) -> list[str]:
    return [_short(text[start:end]) for start, end in spans]


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."


def _needs_text(who: str) -> InputError:
    return InputError(f"{who} needs the text and its tokenizer: give x as a string and `tokenizer=`, or use Tokens")
