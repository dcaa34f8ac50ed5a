"""Prompts whose leading tokens several coalitions share: keys and values of each shared run are computed once.

Keys and values of a token depend on the tokens before it and on its position. When absent tokens are dropped, two coalitions agree in
both up to the first player, in the order of the text, that only one of them has. So the coalitions of a block are a trie over the
players in that order, and each of its nodes is one row. The trie is followed for the first few players, where rows are shared; what
comes after them goes through in one pass a row, and answers are scored last.

Equal to the plain pass up to rounding: the sums over keys run in another order, with padding in other places.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from xai_ray.errors import SpecError
from xai_ray.games.passes.backends import outputs_of
from xai_ray.games.sequences.answer_scorer import AnswerScorer, empty_cache
from xai_ray.games.sequences.columns import TokenColumns
from xai_ray.games.sequences.lengths import aligned_right, batches, distinct, widths
from xai_ray.games.sequences.short_text import same
from xai_ray.types import Coalitions, Floats, Ints

if TYPE_CHECKING:
    from xai_ray.games.arguments import Arguments
    from xai_ray.games.passes.backend import Backend
    from xai_ray.games.removals.filling import Filling

_ROWS = 16
_FIRST, _DEEPEST = 4, 8
"""Players of the first stage (16 nodes, one batch), and of all stages: 2^8 nodes are the rows of a block."""

_WINDOWS = ("sliding_window", "window_size", "attention_chunk_size")
"""What settings of transformers call the number of places that a layer sees."""


@dataclass(frozen=True)
class PrefixCache:
    """Makes the runner of a prompt: see `Filling.runner`."""

    columns: TokenColumns

    def __call__(self, backend: Backend, arguments: Arguments, filling: Filling, batch: int) -> PrefixRunner:
        """The runner on a device."""
        return PrefixRunner(self.columns, backend)


class PrefixRunner:
    """Gives whole blocks of coalitions to a `PrefixScorer`."""

    def __init__(self, columns: TokenColumns, backend: Backend) -> None:
        self._columns, self._backend = columns, backend

    def over_all(self, coalitions: Coalitions) -> Floats:
        """Outputs (c, 1, k); equal coalitions are evaluated once."""
        few, back = distinct(coalitions)
        kept = self._columns.kept(few).astype(np.int64)
        ids = np.broadcast_to(self._columns.ids[:-1], kept.shape)
        with self._backend.scope():
            found = self._backend.forward([self._backend.put_input(0, ids), self._backend.put_input(1, kept)])
        return found[back][:, None]

    def probe(self, ends: Coalitions) -> Floats:
        """Outputs (2, k) on the full prompt and with every player removed. SpecError for a model whose values are not those of plain
        passes with any gaps.
        """
        n = ends.shape[1]
        order = np.argsort([np.argmax(self._columns.labels == p) for p in range(n)])
        tried = np.zeros((5, n), dtype=np.bool_)
        tried[:2] = ends
        tried[2, order[::2]], tried[3, order[1::2]], tried[4, order[n // 2 :]] = True, True, True
        outputs = self.over_all(tried)[:, 0]
        for found, kept in zip(outputs, self._columns.kept(tried), strict=True):
            wanted = self._alone(self._columns.ids[:-1][kept])
            if not same(found, wanted, self._backend):
                raise SpecError(
                    f"drop removal: with prefix_cache the model gives {found[0]:.6g} where a plain pass gives {wanted[0]:.6g}: it counts "
                    "places and not tokens (a window, or ALiBi by place); leave prefix_cache out"
                )
        return outputs[:2]

    def _alone(self, ids: Ints) -> Floats:
        """Outputs (k,) of the plain pass of one prompt."""
        with self._backend.scope():
            row, there = (self._backend.put_input(at, part[None]) for at, part in enumerate((ids, np.ones_like(ids))))
            scorer: Any = self._backend.model.scorer  # pyright: ignore[reportAttributeAccessIssue]
            return outputs_of(scorer(row, there), 1)[0]


@dataclass(frozen=True)
class Past:
    """Keys and values of R prefixes of W places."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    """Each of shape (R, heads, W, d)."""
    mask: torch.Tensor
    """Shape (R, W), int64."""

    def cache(self, rows: torch.Tensor) -> Any:
        """Those of some rows, as the model takes them; None before the first token."""
        if not self.layers:
            return None
        out = empty_cache()
        for at, (keys, values) in enumerate(self.layers):
            out.update(keys[rows], values[rows], at)
        return out


class PrefixScorer(torch.nn.Module):
    """(token ids (r, C), which are kept (r, C)) -> log-probabilities (r, k), in nats, in batches of 16 rows."""

    def __init__(self, scorer: AnswerScorer, columns: TokenColumns) -> None:
        super().__init__()
        self.scorer = scorer
        self.training = scorer.training  # a module in training mode would be copied
        self._cuts = stages(columns)
        self._pad = int(columns.ids[-1])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Shape (r, k), float64."""
        kept = attention_mask.cpu().numpy().astype(np.bool_)
        ids = input_ids[0]
        past, node = Past([], attention_mask[:1, :0]), np.zeros(len(kept), dtype=np.int64)
        for start, stop in pairwise(self._cuts):
            _, first, inverse = np.unique(
                np.packbits(kept[:, :stop], axis=1), axis=0, return_index=True, return_inverse=True
            )
            past = self._extended(past, node[first], ids[start:stop], kept[first, start:stop])
            node = inverse.reshape(-1)
        return self._answers(past, node, ids[self._cuts[-1] :], kept[:, self._cuts[-1] :])

    def _extended(self, past: Past, parents: Ints, ids: torch.Tensor, kept: Coalitions) -> Past:
        """The prefixes of `parents` with the kept ones of s further tokens at the right end of s further places."""
        device, size, done = ids.device, kept.shape[1], past.mask.shape[1]
        of = torch.from_numpy(parents).to(device)
        mask = torch.cat([past.mask[of], torch.zeros(len(parents), size, dtype=past.mask.dtype, device=device)], dim=1)
        layers = [(_wider(k[of], size), _wider(v[of], size)) for k, v in past.layers]
        lengths = kept.sum(axis=1)
        some = np.flatnonzero(lengths)
        for rows, width, own in batches(lengths[some], widths(size, 2), _ROWS):
            at = torch.from_numpy(some[rows]).to(device)
            _, cache, whole = self._pass(past, of[at], ids, kept[some[rows]], width)
            found = _layers(cache)
            if not layers:
                layers = [(_like(k, len(parents), size), _like(v, len(parents), size)) for k, v in found]
            at = at[:own]
            mask[at, -width:] = whole[:own, done:]
            for pair, new in zip(layers, found, strict=True):
                for target, source in zip(pair, new, strict=True):
                    target[at, :, -width:] = source[:own, :, done:]
        return Past(layers, mask if layers else past.mask[of])

    def _answers(self, past: Past, node: Ints, ids: torch.Tensor, kept: Coalitions) -> torch.Tensor:
        out: torch.Tensor | None = None
        of = torch.from_numpy(node).to(ids.device)
        for rows, width, own in batches(kept.sum(axis=1), widths(kept.shape[1], 4), _ROWS):
            at = torch.from_numpy(rows).to(ids.device)
            logits, cache, whole = self._pass(past, of[at], ids, kept[rows], width)
            found = self.scorer.from_cache(logits[:, -1], cache, whole)
            if out is None:
                out = found.new_empty((len(kept), found.shape[1]))
            out[at[:own]] = found[:own]
        assert out is not None
        return out

    def _pass(
        self, past: Past, of: torch.Tensor, ids: torch.Tensor, kept: Coalitions, width: int
    ) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """Logits of the last place, the cache, and the mask (rows, W + width)."""
        order, there = (torch.from_numpy(part).to(ids.device) for part in aligned_right(kept, width))
        tokens = torch.where(there, ids[order], self._pad)
        whole = torch.cat([past.mask[of], there.to(past.mask.dtype)], dim=1)
        places = self.scorer.places(whole)[:, -width:]
        logits, cache = self.scorer.call(tokens, whole, places, keep=1, cached=True, cache=past.cache(of))
        return logits, cache, whole


def cached(scorer: AnswerScorer, columns: TokenColumns, longest: int) -> PrefixScorer:
    """A scorer of prompts with shared prefixes; `longest`: tokens of the longest answer. Raises SpecError where that is not exact."""
    if not columns.always[-1]:
        raise SpecError(
            "drop removal: prefix_cache needs a prompt whose last token always stays (a question after the passages, say), since the "
            'answer is read there; use Passages with a template, or Segments with rest = "stays"'
        )
    if not scorer.keeps_keys:
        raise SpecError(
            f"drop removal: {type(scorer.model).__name__} keeps states and no keys and values of its tokens; leave prefix_cache out"
        )
    config = getattr(scorer.model, "config", None)
    config = getattr(config, "get_text_config", lambda: config)()
    found = [getattr(config, name, None) for name in _WINDOWS] if getattr(config, "use_sliding_window", True) else []
    window = min((size for size in found if isinstance(size, int)), default=None)
    if window is not None and window < columns.count + longest:
        raise SpecError(
            f"drop removal: prefix_cache counts places, and the model sees {window} of them at a time; leave prefix_cache out"
        )
    return PrefixScorer(scorer, columns)


def stages(columns: TokenColumns) -> tuple[int, ...]:
    """Columns at which the stages begin, and the last one ends: after 4 players in the order of the text, and after each one up to 8.

    They belong to the prompt and not to the coalitions at hand, so that a row's forward passes have the same shapes in any company.
    """
    first = [int(np.argmax(columns.labels == p)) for p in range(int(columns.labels.max()) + 1)]
    starts = sorted(first)
    cuts = [starts[d] for d in range(_FIRST, _DEEPEST + 1) if d < len(starts)]
    return (0, *cuts)


def _layers(cache: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    if hasattr(cache, "layers"):
        return [(layer.keys, layer.values) for layer in cache.layers]
    if not hasattr(cache, "key_cache"):
        raise SpecError(
            "drop removal: the model gives back no keys and values (past_key_values); leave prefix_cache out"
        )
    return list(zip(cache.key_cache, cache.value_cache, strict=True))


def _wider(part: torch.Tensor, size: int) -> torch.Tensor:
    return torch.nn.functional.pad(part, (0, 0, 0, size))


def _like(part: torch.Tensor, rows: int, size: int) -> torch.Tensor:
    return part.new_zeros((rows, part.shape[1], size, part.shape[3]))
