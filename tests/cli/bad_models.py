"""Factories that specs of these tests name: one model that works, and models that go wrong in one way each."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn


class Answers(nn.Module):
    """A linear model of four columns and three outputs, bent by `how`."""

    def __init__(self, how: str, seconds: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)
        self.how, self.seconds = how, seconds

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        out = torch.tanh(self.layer(x))
        if self.how in ("nan", "inf"):
            # Columns 0 and 2 alone are there when the sum is 1 + 3.
            return torch.where((x.sum(dim=1, keepdim=True) == 4), float(self.how), out)
        if self.how == "raises":
            raise ValueError("the weights are odd")
        return {"flat": out.sum(), "cube": out[..., None], "text": "a text", "rows": out[:-1]}.get(self.how, out)


def linear() -> nn.Module:
    return Answers("well")


def slow(seconds: float) -> nn.Module:
    return Answers("well", seconds)


def bent(how: str) -> nn.Module:
    return Answers(how)


def nothing() -> None:
    return None


def fails() -> nn.Module:
    raise OSError("no licence for these weights")
