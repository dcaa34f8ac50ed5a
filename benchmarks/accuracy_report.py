"""What the accuracy benchmark prints: cells, their summary, a table for a terminal and one for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

FLOOR = 1e-24
"""Errors below are rounding; ratios are taken as if they were this large."""


@dataclass(frozen=True)
class Cell:
    """One index, game, budget and estimator of ours beside the best peer. None: nothing was measured."""

    index: str
    game: str
    n: int
    budget: int
    estimator: str
    seeds: int
    median: float | None
    mean: float | None
    coverage: float | None
    """Share of truths inside nominal 95 % intervals, over sets and seeds."""
    seconds: float | None
    """Of the estimator alone, median over seeds."""
    peer: str | None
    peer_median: float | None
    peer_seeds: int
    problem: str | None
    answered_by: tuple[str, ...] = ()
    peers: dict[str, float] = field(default_factory=dict)
    """Median error of every peer, best first."""

    @property
    def ratio(self) -> float | None:
        """Our median error over the best peer's."""
        if self.median is None or self.peer_median is None:
            return None
        return max(self.median, FLOOR) / max(self.peer_median, FLOOR)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio}

    def line(self) -> str:
        """One line for a terminal."""
        head = f"{self.index:6}{self.game:18}{self.n:4}{self.budget:7}  {self.estimator:12}"
        peer = f"{_number(self.peer_median)}  {self.peer or 'no result'}"
        if self.problem:
            return f"{head}{self.problem}  | {peer}"
        return (
            f"{head}{_number(self.median)}{_number(self.mean)}{_number(self.ratio, 'ratio')}"
            f"{self.coverage:6.2f}{self.seconds:8.2f} s | {peer}"
        )


def _number(value: float | None, kind: str = "error") -> str:
    if value is None:
        return f"{'-':>10}"
    return f"{value:10.3f}" if kind == "ratio" else f"{value:10.2e}"


def summary(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """For each estimator, by index and over all: geometric mean of the ratios, and cells at or below the best peer."""
    rows: list[dict[str, Any]] = []
    for estimator in dict.fromkeys(cell.estimator for cell in cells):
        own = [cell for cell in cells if cell.estimator == estimator]
        indices = list(dict.fromkeys(cell.index for cell in own))
        for index in [*indices, "all"] if len(indices) > 1 else indices:
            part = [cell for cell in own if index in (cell.index, "all")]
            ratios = [cell.ratio for cell in part if cell.ratio is not None]
            covered = [cell.coverage for cell in part if cell.coverage is not None]
            rows.append(
                {
                    "estimator": estimator,
                    "index": index,
                    "cells": len(part),
                    "compared": len(ratios),
                    "failed": sum(cell.problem is not None for cell in part),
                    "at_or_below_best_peer": sum(ratio <= 1.0 for ratio in ratios),
                    "geometric_mean_ratio": float(np.exp(np.mean(np.log(ratios)))) if ratios else None,
                    "largest_ratio": max(ratios, default=None),
                    "median_coverage": float(np.median(covered)) if covered else None,
                }
            )
    return rows


def _sentence(row: dict[str, Any]) -> str:
    mean, largest, coverage = row["geometric_mean_ratio"], row["largest_ratio"], row["median_coverage"]
    parts = [f"{row['estimator']} {row['index']}: {row['cells']} cells"]
    if mean is not None:
        parts.append(f"geometric mean ratio {mean:.3f}, largest {largest:.2f}")
        parts.append(f"at or below the best peer in {row['at_or_below_best_peer']} of {row['compared']}")
    if coverage is not None:
        parts.append(f"median coverage {coverage:.2f}")
    if row["failed"]:
        parts.append(f"{row['failed']} FAILED")
    return ", ".join(parts)


def text_table(cells: Sequence[Cell], found: Sequence[dict[str, Any]]) -> str:
    """For a terminal."""
    head = (
        f"{'index':6}{'game':18}{'n':>4}{'budget':>7}  {'ours':12}{'median':>10}{'mean':>10}{'ratio':>10}{'cover':>6}"
        f"{'time':>10} | {'median':>10}  best peer"
    )
    return "\n".join([head, *(cell.line() for cell in cells), "", *map(_sentence, found)])


def markdown(cells: Sequence[Cell], found: Sequence[dict[str, Any]]) -> str:
    """For the documentation: games as rows, one group of columns a budget, one table an index and estimator."""
    kinds = dict.fromkeys((cell.estimator, cell.index) for cell in cells)
    blocks = [_block([cell for cell in cells if (cell.estimator, cell.index) == kind]) for kind in kinds]
    return "\n\n".join([*blocks, "\n".join(f"* {_sentence(row)}" for row in found)])


def _block(cells: Sequence[Cell]) -> str:
    factors = sorted({cell.budget // cell.n for cell in cells})
    title = f"**{cells[0].index}, `{cells[0].estimator}`**: our median error / best peer's, and that peer"
    head = "| game | n | " + " | ".join(f"{factor}n" for factor in factors) + " |"
    rule = "|---|---|" + "---|" * len(factors)
    rows: list[str] = []
    for game in dict.fromkeys(cell.game for cell in cells):
        own = {cell.budget // cell.n: cell for cell in cells if cell.game == game}
        n = next(iter(own.values())).n
        entries = [_entry(own[factor]) if factor in own else "" for factor in factors]
        rows.append(f"| {game} | {n} | " + " | ".join(entries) + " |")
    return "\n".join([title, "", head, rule, *rows])


def _entry(cell: Cell) -> str:
    if cell.median is None:
        return "no answer"
    if cell.ratio is None:
        return f"{cell.median:.1e}"
    ratio = f"{cell.ratio:.2f}" if cell.ratio <= 1 else f"**{cell.ratio:.2f}**"
    return f"{cell.median:.1e} / {cell.peer_median:.1e} = {ratio} ({cell.peer})"
