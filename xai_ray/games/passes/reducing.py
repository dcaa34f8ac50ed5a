"""Means over fillings in float64 where the outputs are: on the device, before they come home."""

from __future__ import annotations

import math

import torch

from xai_ray.games.behaviours import Outputs

_LEAST = -700.0
"""Logarithm below which a float64 has lost digits (2^-1022 is e^-708)."""
_ONE_BY_ONE = 16
"""Classes up to which they are added up one after the other; more are added by halves, in fewer calls."""


def mean_over_fillings(outputs: torch.Tensor, convention: Outputs, averaged: str) -> torch.Tensor:
    """Outputs (c, K, m) -> their mean over K, float64 of shape (c, m'); a row's bits do not depend on c.

    `averaged = "probabilities"` of logits gives the logarithm of the mean probability, a logit again; probabilities that
    no float64 holds are averaged without leaving log space. A single column of a class convention becomes two (m' = 2), as
    `behaviours.classes` has it.
    """
    c, size, m = outputs.shape
    if m == 1 and convention == "raw":
        return outputs.mean(dim=1, dtype=torch.float64)
    columns = _columns(outputs, convention)
    if averaged == "outputs" or convention != "logits":
        return columns.view(-1, c, size).mean(dim=2).t()
    if columns.device.type != "cpu":  # looking for what is lost would wait for the device
        return _in_log_space(columns, c, size)
    shares = _of_two(columns) if len(columns) == 2 else _of_many(columns)
    logs = shares.view(-1, c, size).mean(dim=2).log_().t()
    lost = ~(logs >= _LEAST).all(dim=1)
    if bool(lost.any()):
        few = outputs[lost]
        logs[lost] = _in_log_space(_columns(few, convention), len(few), size)
    return logs


def _columns(outputs: torch.Tensor, convention: Outputs) -> torch.Tensor:
    """Outputs (c, K, m) -> one column a class in front, float64 of shape (m', c * K): sums over a last axis of two are several times as
    slow.
    """
    rows = outputs.reshape(-1, outputs.shape[2])
    columns = outputs.new_empty(rows.t().shape, dtype=torch.float64).copy_(rows.t())
    if len(columns) > 1 or convention == "raw":
        return columns
    return torch.cat([torch.zeros_like(columns) if convention == "logits" else 1.0 - columns, columns])


def _of_two(columns: torch.Tensor) -> torch.Tensor:
    """Logits (2, r) -> probabilities, of their difference and in place: half of the time of `_of_many`. NaN where their ratio is larger
    than a float64 can be.
    """
    first, second = columns
    odds = torch.sub(second, first, out=second).exp_()
    # Not `sigmoid`, which computes what is left at the end of a tensor in another way.
    odds.mul_(torch.add(odds, 1.0, out=first).reciprocal_())
    return columns


def _of_many(columns: torch.Tensor) -> torch.Tensor:
    """Logits (m, r) -> probabilities."""
    shares = (columns - columns.amax(dim=0)).exp_()
    return shares.div_(_over_classes(shares))


def _in_log_space(columns: torch.Tensor, c: int, size: int) -> torch.Tensor:
    """Logits (m, c * size) -> logarithms of mean probabilities (c, m)."""
    top = columns.amax(dim=0)
    top = torch.where(top.isneginf(), 0.0, top)
    logs = columns - (_over_classes((columns - top).exp_()).log_() + top)
    return torch.logsumexp(logs.view(-1, c, size), dim=2).t() - math.log(size)


def _over_classes(columns: torch.Tensor) -> torch.Tensor:
    """Sums (r,) over the classes of columns (m, r), each in an order that does not depend on r.

    A sum of torch over the first axis adds the columns of a whole vector in another order than those left over at the end.
    """
    m = len(columns)
    if m <= _ONE_BY_ONE:
        total = columns[0].clone()
        for one in columns[1:]:
            total += one
        return total
    left = m - m // 2
    total = columns[:left].clone()
    total[: m - left] += columns[left:]
    while left > 1:
        m, left = left, left - left // 2
        total[: m - left] += total[left:m]
    return total[0]
