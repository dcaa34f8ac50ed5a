"""Images whose absent patches are cut out of a vision transformer's sequence (Jain et al., "Missingness bias in model debugging", 2022).

v(S) is the model on the embeddings of the patches of S and of the tokens that are no patches ([CLS]). Embeddings hold the position of
their patch and are computed once. A model that reads its answer at [CLS] gives what it gives when absent patches have attention 0.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.games.passes.backends import is_module
from xai_ray.games.removals.filling import PlacedInput
from xai_ray.games.sequences.lengths import by_length, distinct, widths
from xai_ray.games.sequences.short_text import padded
from xai_ray.types import Coalitions, Floats, Ints

if TYPE_CHECKING:
    from xai_ray.games.arguments import Arguments
    from xai_ray.games.passes.backend import Backend
    from xai_ray.games.removals.filling import Filling


@dataclass(frozen=True)
class ShortImage:
    """Makes the runner of an image: see `Filling.runner`."""

    labels: Ints
    """The player of each patch, shape (p,); -1 for patches that always stay."""
    masked: bool
    """Whether the model takes an attention mask, so that sequences can be padded; else each length goes by itself."""

    def __call__(self, backend: Backend, arguments: Arguments, filling: Filling, batch: int) -> PatchRunner:
        """The runner on a device."""
        return PatchRunner(self, backend, batch)


class PatchRunner:
    """Runs coalitions of patches through a `PatchScorer`."""

    def __init__(self, shape: ShortImage, backend: Backend, batch: int) -> None:
        self._labels, self._backend, self._batch, self._masked = shape.labels, backend, batch, shape.masked
        count = len(self._labels)
        self._allowed = widths(count) if self._masked else np.arange(count + 1, dtype=np.int64)

    def over_all(self, coalitions: Coalitions) -> Floats:
        """Outputs (c, 1, m); equal coalitions are evaluated once."""
        few, back = distinct(coalitions)
        always = np.ones((len(few), 1), dtype=np.bool_)
        kept = np.concatenate([few, always], axis=1)[:, self._labels]
        found = by_length(
            kept.sum(axis=1), self._allowed, self._batch, lambda rows, width: self._forward(kept[rows], width)
        )
        return found[back][:, None]

    def probe(self, ends: Coalitions) -> Floats:
        """Outputs (2, m) on the full image and with every player removed."""
        return self.over_all(ends)[:, 0]

    def _forward(self, kept: Coalitions, width: int) -> Floats:
        _, there = padded(kept, left=False)
        order = np.argsort(~there, axis=1, kind="stable")[:, : width + self._masked]
        there = np.take_along_axis(there, order, axis=1)
        with self._backend.scope():
            # The number of a patch that is there, -1 for padding.
            return self._backend.forward([self._backend.put(np.where(there, order, -1))])


def short_image(model: Any, arguments: Arguments) -> tuple[Any, ShortImage]:
    """The model as a function of patches, and their runner. Raises SpecError for a model without patch embeddings, InputError for players
    that cut a patch.
    """
    placed = next(i for i in arguments.inputs if not i.constant)
    embeddings = [m for m in model.modules() if hasattr(m, "patch_embeddings")] if is_module(model) else []
    if len(embeddings) != 1:
        raise SpecError(
            "drop removal of patches needs a vision transformer of transformers (ViT, DeiT, DINOv2, ..), with one module that holds "
            "`patch_embeddings`; use blur, mean or zeros with this model"
        )
    from xai_ray.games.sequences.patch_scorer import PatchScorer

    size = getattr(embeddings[0].patch_embeddings, "patch_size", None)
    down, across = (size, size) if isinstance(size, int) else tuple(size or (0, 0))
    labels = _patch_labels(placed, int(down), int(across))
    masked = "attention_mask" in inspect.signature(model.forward).parameters
    return PatchScorer(model, embeddings[0], placed.array, len(labels), masked), ShortImage(labels, masked)


def _patch_labels(placed: PlacedInput, down: int, across: int) -> Ints:
    """The player of each patch of the model, row by row."""
    if placed.layout.spatial != (1, 2):
        raise InputError(
            f"drop removal of patches needs an image (channels, height, width), got shape {placed.array.shape}"
        )
    height, width = placed.array.shape[1:]
    if not down or not across or height % down or width % across:
        raise InputError(f"the image of {height} x {width} pixels is not made of whole patches of {down} x {across}")
    pixels = np.broadcast_to(placed.layout.labels, (1, height, width))[0]
    tiles = (
        pixels.reshape(height // down, down, width // across, across).transpose(0, 2, 1, 3).reshape(-1, down * across)
    )
    if (tiles != tiles[:, :1]).any():
        at = int(np.flatnonzero((tiles != tiles[:, :1]).any(axis=1))[0])
        raise InputError(
            f"drop removal: the players cut patch {at} of the model's grid of {height // down} x {width // across}; take players made of "
            f"whole patches of {down} x {across} pixels"
        )
    return tiles[:, 0].astype(np.int64)
