"""Means over fillings in float64 where the outputs are: on the device, before they come home."""

from __future__ import annotations

import math

import torch

from xai_ray.games.behaviours import Outputs

_LEAST = -700.0
"""Logarithm below which a float64 has lost digits (2^-1022 is e^-708)."""


def mean_over_fillings(outputs: torch.Tensor, convention: Outputs, averaged: str) -> torch.Tensor:
    """Outputs (c, K, m) -> their mean over K, float64 of shape (c, m'); a row's bits do not depend on c.

    `averaged = "probabilities"` of logits gives the logarithm of the mean probability, a logit again; probabilities that
    no float64 holds are averaged without leaving log space. A single column of a class convention becomes two (m' = 2), as
    `behaviours.classes` has it.
    """
    c, size, m = outputs.shape
    if m == 1 and convention == "raw":
        return outputs.mean(dim=1, dtype=torch.float64)
    # One column a class in front: sums over a last axis of two are several times as slow.
    columns = outputs.new_empty((m, c * size), dtype=torch.float64).copy_(outputs.reshape(c * size, m).t())
    if m == 1 and convention != "raw":
        first = torch.zeros_like(columns) if convention == "logits" else 1.0 - columns
        columns = torch.cat([first, columns])
    if averaged == "outputs" or convention != "logits":
        return columns.view(-1, c, size).mean(dim=2).t()
    if columns.device.type != "cpu":  # looking for what is lost would wait for the device
        return _in_log_space(columns, c, size)
    shares = (columns - columns.amax(dim=0)).exp_()
    logs = shares.div_(shares.sum(dim=0)).view(-1, c, size).mean(dim=2).log_()
    lost = (logs < _LEAST).any(dim=0)
    if bool(lost.any()):
        few = columns.view(-1, c, size)[:, lost]
        logs[:, lost] = _in_log_space(few.reshape(len(few), -1), few.shape[1], size).t()
    return logs.t()


def _in_log_space(columns: torch.Tensor, c: int, size: int) -> torch.Tensor:
    """Logits (m, c * size) -> logarithms of mean probabilities (c, m)."""
    logs = columns - torch.logsumexp(columns, dim=0, keepdim=True)
    return torch.logsumexp(logs.view(-1, c, size), dim=2).t() - math.log(size)
