"""A vision transformer as a function of the patches it is shown."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from xai_ray.errors import ModelOutputError


class PatchScorer(torch.nn.Module):
    """Patch numbers (rows, w), -1 for padding at the end -> the model's logits on these patches of one image.

    `embeddings` is the part of `model` from pixels to a sequence (1, extra + patches, d): it runs once, and the model goes on from the
    rows of it that are asked for.
    """

    image: torch.Tensor

    def __init__(
        self, model: Any, embeddings: torch.nn.Module, image: npt.NDArray[Any], patches: int, masked: bool
    ) -> None:
        super().__init__()
        self.model, self._patches, self._masked = model, patches, masked
        self.training = model.training  # a module in training mode would be copied
        self._place = next(name for name, part in model.named_modules() if part is embeddings)
        kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        self.register_buffer("image", torch.from_numpy(image[None]).to(kind))
        self._tokens: torch.Tensor | None = None

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Shape (rows, m)."""
        tokens = self._embedded()
        extra = tokens.shape[1] - self._patches
        shown = torch.cat(
            [torch.arange(extra, device=numbers.device).expand(len(numbers), extra), numbers.clamp(min=0) + extra],
            dim=1,
        )
        there = torch.cat([numbers.new_ones((len(numbers), extra)), (numbers >= 0).to(numbers.dtype)], dim=1)
        place = self.model.get_submodule(self._place)
        chosen = tokens[0][shown]
        # The model calls this part itself, so it is made to answer with the rows that are asked for.
        place.forward = lambda *given, **named: chosen
        try:
            found = self.model(self.image, attention_mask=there) if self._masked else self.model(self.image)
        finally:
            del place.forward
        return getattr(found, "logits", found)

    def _embedded(self) -> torch.Tensor:
        if self._tokens is None or self._tokens.device != self.image.device:
            found = self.model.get_submodule(self._place)(self.image)
            if not isinstance(found, torch.Tensor) or found.ndim != 3 or found.shape[1] < self._patches:
                raise ModelOutputError(
                    "drop removal of patches: the model's embeddings give no sequence (1, tokens, d) with a token for every patch; use "
                    "blur, mean or zeros with this model"
                )
            self._tokens = found
        return self._tokens

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokens": None}
