"""Texts whose absent tokens are cut out or get no attention: forward passes of a few fixed shapes.

Every batch has a token of padding in each row, whatever its coalitions, because models take another attention kernel (with other last
bits) where nothing is masked. Only coalitions that fill the model to its last token have none, and these go by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.games.sequences.columns import TokenColumns
from xai_ray.games.sequences.lengths import by_length, distinct, widths
from xai_ray.types import Coalitions, Floats, Ints

if TYPE_CHECKING:
    from xai_ray.games.arguments import Arguments
    from xai_ray.games.passes.backend import Backend
    from xai_ray.games.removals.filling import Filling

_LEAK = 1e-4
"""Share of an output that may change with what must not matter: rounding in single precision."""


@dataclass(frozen=True)
class ShortText:
    """Makes the runner of a text: see `Filling.runner`."""

    columns: TokenColumns
    cut: bool
    """Whether absent tokens are cut out; else they get no attention."""
    padding: Literal["right", "left"]
    limit: int
    """Tokens that the model takes."""

    def __call__(self, backend: Backend, arguments: Arguments, filling: Filling, batch: int) -> TextRunner:
        """The runner on a device."""
        return TextRunner(self, backend, batch)

    def allowed(self) -> Ints:
        """The lengths of forward passes, a token of padding left out."""
        longest = self.columns.longest() if self.cut else self.columns.count
        if longest >= self.limit:
            shorter = widths(longest - 1) if self.cut else np.array([longest - 1], dtype=np.int64)
            return np.concatenate([shorter, [longest]])
        return widths(longest) if self.cut else np.array([longest], dtype=np.int64)


class TextRunner:
    """Runs coalitions of one text."""

    def __init__(self, shape: ShortText, backend: Backend, batch: int) -> None:
        self._shape, self._columns, self._backend, self._batch = shape, shape.columns, backend, batch
        self._allowed = shape.allowed()

    def over_all(self, coalitions: Coalitions) -> Floats:
        """Outputs (c, 1, m); equal coalitions are evaluated once."""
        few, back = distinct(coalitions)
        kept = self._columns.kept(few)
        lengths = kept.sum(axis=1)
        found = by_length(lengths, self._allowed, self._batch, lambda rows, width: self._forward(kept[rows], width))
        return found[back][:, None]

    def probe(self, ends: Coalitions) -> Floats:
        """Outputs (2, m) on the full text and with every player removed. SpecError for a model that reads tokens without attention."""
        outputs = self.over_all(ends)[:, 0]
        if self._shape.cut:
            self._check_padding(ends, outputs)
        else:
            self._check_unread(outputs[1])
        return outputs

    def _check_padding(self, ends: Coalitions, outputs: Floats) -> None:
        """A sequence by itself must give what it gives beside padding."""
        for kept, found in zip(self._columns.kept(ends), outputs, strict=True):
            ids = self._columns.ids[:-1][kept][None]
            with self._backend.scope():
                parts = [self._backend.put_input(0, ids), self._backend.put_input(1, np.ones_like(ids))]
                alone = self._backend.forward(parts)[0]
            if not same(found, alone, self._backend):
                raise SpecError(
                    f"drop removal: with padding the model gives {found[0]:.4g} for what is {alone[0]:.4g} by itself, so it reads its "
                    f"padding; set model.config.pad_token_id to the tokenizer's ({self._columns.ids[-1]}), for a model with relative "
                    "positions tokenizer.padding_side = 'left' (XLNet), or use the removal 'mask_token'"
                )

    def _check_unread(self, empty: Floats) -> None:
        """Other tokens in the place of the absent ones and of padding must change nothing."""
        kept = self._columns.kept(np.zeros((self._batch, int(self._columns.labels.max()) + 1), dtype=np.bool_))
        ids = self._columns.ids
        other = np.where(np.append(kept[0], False), ids, ids[np.argmax(self._columns.always)])
        found = self._forward(kept, int(self._allowed[0]), other)[0]
        if not same(found, empty, self._backend):
            raise SpecError(
                "attention removal: the model reads tokens that have no attention (it takes its answer at the last token, say), so they "
                "would not be removed; use the removal 'drop'"
            )

    def _forward(self, kept: Coalitions, width: int, ids: Ints | None = None) -> Floats:
        ids = self._columns.ids if ids is None else ids
        order, there = self._order(kept, width)
        mask = there.astype(np.int64)
        tokens = np.where(there, ids[order], ids[-1]) if self._shape.cut else ids[order]
        with self._backend.scope():
            return self._backend.forward([self._backend.put_input(0, tokens), self._backend.put_input(1, mask)])

    def _order(self, kept: Coalitions, width: int) -> tuple[Ints, Coalitions]:
        """The column at each place of each row, and whether it is there; shapes (rows, width and padding)."""
        left = self._shape.padding == "left"
        total = (
            min(width + 1, self._shape.limit) if self._shape.cut else min(self._columns.count + 1, self._shape.limit)
        )
        order, there = padded(kept, left)
        if self._shape.cut:
            by_place = np.argsort(there if left else ~there, axis=1, kind="stable")
            order, there = order[by_place], np.take_along_axis(there, by_place, axis=1)
        else:
            order = np.broadcast_to(order, there.shape)
        return (order[:, -total:], there[:, -total:]) if left else (order[:, :total], there[:, :total])


def same(found: Floats, wanted: Floats, backend: Backend) -> bool:
    """Whether outputs are equal up to what rounding does in the model's precision."""
    share = _LEAK
    weight = next(
        (p for p in getattr(getattr(backend, "model", None), "parameters", list)() if p.is_floating_point()), None
    )
    if weight is not None:
        import torch

        share = max(share, 8 * torch.finfo(weight.dtype).eps)
    return np.allclose(found, wanted, rtol=0, atol=share * (1.0 + float(np.abs(wanted).max())))


def padded(kept: Coalitions, left: bool) -> tuple[Ints, Coalitions]:
    """Column numbers (C + 1,) and what is there (rows, C + 1), with the column of padding at one end."""
    count = kept.shape[1]
    none = np.zeros((len(kept), 1), dtype=np.bool_)
    if left:
        return np.concatenate([[count], np.arange(count)]), np.concatenate([none, kept], axis=1)
    return np.arange(count + 1), np.concatenate([kept, none], axis=1)
