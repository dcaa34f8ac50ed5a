"""How a forward pass is computed where that may move its last bits: part of a job's identity, plain where nothing is
asked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from xai_ray.errors import SpecError

Precision = Literal["bf16", "fp16"]
DTYPES: dict[str, str] = {"bf16": "bfloat16", "fp16": "float16"}
"""Precision -> name of the torch type."""
HALF_TOLERANCE = 32.0
"""Roundings of half precision that the outputs of the models of the zoo stay within: an eighth of the largest output for
bf16, 1.6 % for fp16. Perceptrons and MiniLM stay within three, EfficientNet-Lite0 needs twenty.
"""


@dataclass(frozen=True)
class Numerics:
    """Ways to less time per evaluation, for torch modules. The defaults give the plain forward pass of the model."""

    fold: bool = False
    """Fold the first linear layer, see `xai_ray.games.passes.folding`; a model that cannot be folded is a SpecError."""
    precision: Precision | None = None
    """Autocast to half precision; None computes in the model's own type. Roundings of 2^-8 (bf16) or 2^-11 (fp16) add up
    over the layers: outputs are within `HALF_TOLERANCE` of them times the largest absolute output. Standard errors do
    not know of it."""
    channels_last: bool = False
    """Convolutional nets: keep images and weights with the channels last in memory."""
    compile: bool = False
    """Compile the model with torch.compile in every worker: half a minute or more at each start."""

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in DTYPES:
            raise SpecError(f"precision is 'bf16' or 'fp16' (or left out), got {self.precision!r}")

    def document(self) -> dict[str, Any]:
        """What differs from the defaults, a JSON object."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    def check(self, torch_module: bool) -> None:
        """SpecError when something is asked that only a torch module can do."""
        asked = self.document()
        if asked and not torch_module:
            raise SpecError(
                f"{', '.join(asked)}: only torch modules can be run this way, the model is another callable"
            )
