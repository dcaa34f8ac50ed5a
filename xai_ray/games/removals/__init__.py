"""Removals: what stands where a player is absent, by the names a spec uses.

Covert, Lundberg, Lee, "Explaining by removing" (JMLR 22, 2021), section 4, unless a row says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.games.players.arrays import Kind
from xai_ray.games.removals.baselines import Blur, Constant, MaskToken, Mean, Zeros
from xai_ray.games.removals.expectations import Marginal, Uniform
from xai_ray.games.removals.filling import Filling, PlacedInput, Removal
from xai_ray.games.removals.shortening import Attention, Drop


@dataclass(frozen=True, slots=True)
class RemovalRow:
    """A row of the table of removals."""

    make: type
    """Class; its fields are the keys of the spec."""
    citation: str
    players: tuple[Kind, ...]
    """Kinds of players it can remove."""


REMOVALS: dict[str, RemovalRow] = {
    "zeros": RemovalRow(Zeros, "Zeiler and Fergus, ECCV 2014; Petsiuk et al. (RISE), BMVC 2018", ("image", "table")),
    "constant": RemovalRow(Constant, "Lundberg and Lee (SHAP), NeurIPS 2017", ("image", "table", "text")),
    "mean": RemovalRow(Mean, "Ribeiro et al. (LIME), KDD 2016; Dabkowski and Gal, NeurIPS 2017", ("image", "table")),
    "blur": RemovalRow(Blur, "Fong and Vedaldi, ICCV 2017", ("image",)),
    "mask_token": RemovalRow(MaskToken, "Devlin et al. (BERT), NAACL 2019; used as a default value", ("text",)),
    "attention": RemovalRow(Attention, "Vaswani et al., NeurIPS 2017: the mask of padding", ("text",)),
    "drop": RemovalRow(Drop, "Li, Monroe, Jurafsky, 2016; of patches: Jain et al., ICLR 2022", ("text", "image")),
    "marginal": RemovalRow(Marginal, "Lundberg and Lee (KernelSHAP), NeurIPS 2017", ("image", "table", "text")),
    "uniform": RemovalRow(Uniform, "Strumbelj and Kononenko (IME), JMLR 2010", ("table", "image")),
}
"""Name in a spec -> class, source and the players it fits."""

__all__ = [
    "REMOVALS",
    "Attention",
    "Blur",
    "Constant",
    "Drop",
    "Filling",
    "Marginal",
    "MaskToken",
    "Mean",
    "PlacedInput",
    "Removal",
    "RemovalRow",
    "Uniform",
    "Zeros",
]
