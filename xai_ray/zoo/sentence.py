"""A sentence encoder with a linear head, as a torch module."""

from __future__ import annotations

import torch


class SentenceClassifier(torch.nn.Module):
    """Mean of the token states under the attention mask, scaled to unit length, times `weight` (d,) plus `bias`
    (1,).
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, encoder: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Sentence vectors, shape (rows, d), of unit length."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[:, :, None].to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits, shape (rows, 1)."""
        return self.embed(input_ids, attention_mask) @ self.weight[:, None] + self.bias
