"""Removals of a sequence: absent tokens get no attention, or are cut out. Nothing stands in their place."""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.errors import InputError, SpecError
from xai_ray.games.removals.filling import Filling, PlacedInput, fixed, require


@dataclass(frozen=True)
class Attention:
    """Absent tokens get attention 0: no other token sees them, and what they compute themselves is not read.

    Position ids are the model's own for this mask: BERT, GPT-2 and Llama count every token, so those that are present keep the places
    of the full text; OPT and BLOOM count the tokens with attention, which closes them up.
    """

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """The input itself: what is absent is said by the mask."""
        return _whole(inputs, ("text",), "attention")


@dataclass(frozen=True)
class Drop:
    """Absent tokens are cut out of the sequence, and the rest closes up: position ids count the tokens that are left.

    The tokens are those of the full text; what is left is not tokenized anew. With `replacement`, an absent player leaves the tokens of
    that text at the place of its first token ("..." say). Patches of a vision transformer are cut out after their position was added,
    so that they keep it (Jain et al., "Missingness bias in model debugging", ICLR 2022).

    `prefix_cache` (causal models that are asked for answers): keys and values of leading tokens that several coalitions share are
    computed once. Equal to the plain pass up to rounding, so it is part of the game's digest.
    """

    replacement: str | None = None
    prefix_cache: bool = False

    def bind(self, inputs: tuple[PlacedInput, ...]) -> Filling:
        """The input itself: what is absent is cut out later."""
        return _whole(inputs, ("text", "image"), "drop")


def _whole(inputs: tuple[PlacedInput, ...], kinds: tuple[str, ...], removal: str) -> Filling:
    placed = [i for i in inputs if not i.constant]
    for part in placed:
        require(part, kinds, removal)
    if placed[0].layout.kind == "text" and [i.name for i in inputs] != ["input_ids", "attention_mask"]:
        raise InputError(f"{removal} removal needs the text and its tokenizer: give x as a string and `tokenizer=`")
    if placed[0].layout.kind == "image" and len(inputs) > 1:
        raise SpecError(f"{removal} removal is for an image alone; the model has {len(inputs)} inputs")
    return fixed(inputs, lambda placed: placed.array)
