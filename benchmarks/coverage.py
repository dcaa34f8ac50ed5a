"""How often nominal 95 % intervals hold the truth, for every sampled estimator and a question of each kind that it answers.

    python benchmarks/coverage.py [--tables FOLDER] [--seeds 20] [--estimators gp,cells] [--questions SV,SII] [--json FILE]

The games are complete value tables (`*.npz`, key `values`), those of the tests by default; those of `tables.py` with --tables
benchmarks/.tables. Budgets are 10 and 40 evaluations a player, or what the estimator needs where that is more; budgets that reach 2^n are
left out. A line pools the tables: entries known exactly count neither as covered nor as missed, missing ones are counted apart.
`se / rmse` is the mean standard error over the root mean squared error and `error` the normalised squared error (zero everywhere has 1),
both geometric means over the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from stored_games import Floats, Masks

from xai_ray.coalitions.exhaustive import pack
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import ESTIMATORS, Ask, Estimate, Pool, plan
from xai_ray.indices import Question, exact, resolve

SHIPPED = Path(__file__).parents[1] / "tests" / "assets" / "tables"


def questions(n: int) -> dict[str, Question]:
    """One question of each kind about n players."""
    thirds = tuple(tuple(range(a, min(a + 3, n))) for a in range(0, n, 3))
    few = (1, n // 2, n - 3)
    return {
        "SV": Question("SV"),
        "BETA": Question("BETA", alpha=4.0, beta=1.0),
        "PHIM": Question("PHIM", contexts=few),
        "MOI": Question("MOI", contexts=few),
        "SII": Question("SII"),
        "STII": Question("STII"),
        "FSII": Question("FSII"),
        "BII": Question("BII"),
        "k-SII": Question("k-SII"),
        "JointSV": Question("JointSV"),
        "Fourier": Question("Fourier", order=2),
        "SII 3": Question("SII", order=3),
        "FSII 3": Question("FSII", order=3),
        "J": Question("J", contexts=few),
        "J2": Question("J2", contexts=few),
        "Owen": Question("Owen", groups=thirds),
        "MVI": Question("MVI", groups=(thirds[1],)),
        "BMAX": Question("BMAX", groups=(thirds[1],)),
    }


@dataclass(frozen=True)
class Cell:
    """One estimator, question and budget over the seeds on one table. Ratios are NaN where nothing was sampled."""

    estimator: str
    question: str
    factor: int
    table: str
    budget: int
    seeds: int
    entries: int
    """Intervals of positive width, or wrong ones of width zero, over all seeds."""
    covered: int
    missing: float
    """Share of entries without a value or without a standard error."""
    se_to_rmse: float
    error: float
    seconds: float
    """An answer."""


def measure(values: Floats, question: Question, name: str, budget: int, seeds: int, limit: float) -> dict[str, object]:
    """The figures of a cell. `values` (2^n,); stops after `limit` seconds, but not before two seeds."""
    table, n = values[:, None], len(values).bit_length() - 1
    complete = exact(table, resolve(question, n))
    truth, places = complete.values, {members: at for at, members in enumerate(complete.coalitions)}
    slack = 1e-9 * float(np.abs(values).max())
    errors: list[Floats] = []
    deviations: list[Floats] = []
    inside: list[Masks] = []
    began, answering = time.perf_counter(), 0.0
    for seed in range(seeds):
        if seed >= 2 and time.perf_counter() - began > limit:
            break
        start = time.perf_counter()
        found = answer(table, question, name, n, budget, seed)
        answering += time.perf_counter() - start
        # Sets that an estimator leaves out of its answer are missing like those that it reports as NaN.
        value, error, low, high = (np.full_like(truth, np.nan) for _ in range(4))
        if found is not None:
            at = [places[members] for members in found.coalitions] if found.coalitions else slice(None)
            value[at], error[at] = found.values, found.std_errors
            low[at], high[at] = found.intervals()
        errors.append(value - truth)
        deviations.append(error)
        inside.append((low - slack <= truth) & (truth <= high + slack))
    wrong, deviation = np.array(errors), np.array(deviations)
    missing = ~(np.isfinite(wrong) & np.isfinite(deviation))
    sampled = ~missing & ((deviation > 0) | (np.abs(wrong) > slack))
    rmse = float(np.sqrt((wrong[sampled] ** 2).mean())) if sampled.any() else 0.0
    known = np.where(missing, 0.0, wrong)
    return {
        "seeds": len(errors),
        "entries": int(sampled.sum()),
        "covered": int(np.array(inside)[sampled].sum()),
        "missing": float(missing.mean()),
        "se_to_rmse": float(deviation[sampled].mean()) / rmse if rmse > 0 else float("nan"),
        "error": float((known**2).sum() / ((truth**2) * ~missing).sum()) if not missing.all() else float("nan"),
        "seconds": answering / len(errors),
    }


def answer(table: Floats, question: Question, name: str, n: int, budget: int, seed: int) -> Estimate | None:
    """The estimate of a table (2^n, 1) within a budget; None where the estimator says that nothing can be estimated."""
    planned = plan([Ask(question, name)], n, budget, seed)
    coalitions = planned.design.draw(0, planned.draws).coalitions
    pool = Pool(planned.design, planned.draws, table[pack(coalitions)])
    try:
        return pool.answer(planned.asks[0].question, name)
    except NotEnoughSamples:
        return None


def cells(tables: dict[str, Floats], options: argparse.Namespace) -> Iterator[Cell]:
    """Every estimator, question and budget on every table."""
    for name in options.estimators:
        row = ESTIMATORS[name]
        for label in options.questions:
            for factor in options.budgets:
                for stem, values in tables.items():
                    n = len(values).bit_length() - 1
                    question = questions(n)[label]
                    resolved = resolve(question, n)
                    if question.index not in row.indices or (row.orders and resolved.order not in row.orders):
                        continue
                    budget = max(factor * n, row.minimum(resolved, n))
                    if budget >= 1 << n:
                        continue
                    found = measure(values, question, name, budget, options.seeds, options.limit)
                    yield Cell(name, label, factor, stem, budget, **found)  # pyright: ignore[reportArgumentType]


def pooled(found: list[Cell]) -> dict[str, object]:
    """One line of the printed table: cells of one estimator, question and budget on several tables."""
    entries = sum(cell.entries for cell in found)
    return {
        "estimator": found[0].estimator,
        "question": found[0].question,
        "factor": found[0].factor,
        "budgets": sorted({cell.budget for cell in found}),
        "tables": len(found),
        "seeds": sum(cell.seeds for cell in found),
        "coverage": sum(cell.covered for cell in found) / entries if entries else float("nan"),
        "lowest": min((c.covered / c.entries for c in found if c.entries), default=float("nan")),
        "se_to_rmse": _geometric([cell.se_to_rmse for cell in found]),
        "error": _geometric([cell.error for cell in found]),
        "missing": float(np.mean([cell.missing for cell in found])),
        "seconds": float(np.mean([cell.seconds for cell in found])),
    }


def _geometric(values: list[float]) -> float:
    finite = np.array([v for v in values if np.isfinite(v) and v > 0])
    return float(np.exp(np.log(finite).mean())) if len(finite) else float("nan")


def text(line: dict[str, object]) -> str:
    """A line of the printed table."""
    budgets = line["budgets"]
    assert isinstance(budgets, list)
    spent = f"{budgets[0]}-{budgets[-1]}" if len(budgets) > 1 else str(budgets[0])
    return (
        f"{line['estimator']:<12}{line['question']:<9}{line['factor']:>3}n {spent:>10}{line['seeds']:>6}"
        f"{100 * line['coverage']:>10.1f}{100 * line['lowest']:>8.1f}{line['se_to_rmse']:>11.2f}"  # pyright: ignore
        f"{line['error']:>10.2g}{100 * line['missing']:>9.1f}{line['seconds']:>9.3f}"  # pyright: ignore
    )


HEAD = (
    f"{'estimator':<12}{'question':<9}{'':>4} {'budget':>10}{'seeds':>6}"
    f"{'coverage %':>10}{'lowest':>8}{'se / rmse':>11}{'error':>10}{'missing':>9}{'seconds':>9}"
)


def read(folder: Path) -> dict[str, Floats]:
    """The complete tables of a folder, by name. Raises FileNotFoundError where there is none."""
    found: dict[str, Floats] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            if "values" in stored.files:
                found[path.stem] = stored["values"]
    if not found:
        raise FileNotFoundError(f"no table in {folder}; build some with: python benchmarks/tables.py --out {folder}")
    return found


def arguments() -> argparse.Namespace:
    def names(given: str) -> list[str]:
        return given.split(",")

    sampled = [name for name in ESTIMATORS if name != "exact"]
    known = list(questions(10))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=SHIPPED)
    parser.add_argument("--seeds", type=int, default=20, help="a table")
    parser.add_argument("--estimators", type=names, default=sampled)
    parser.add_argument("--questions", type=names, default=known)
    parser.add_argument("--budgets", type=lambda s: [int(b) for b in s.split(",")], default=[10, 40], help="a player")
    parser.add_argument(
        "--limit", type=float, default=float("inf"), help="seconds a cell; fewer seeds where it is spent"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for what, given, allowed in (
        ("estimator", options.estimators, sampled),
        ("question", options.questions, known),
    ):
        unknown = [name for name in given if name not in allowed]
        if unknown:
            parser.error(f"unknown {what} {unknown[0]!r}; known: {', '.join(allowed)}")
    if options.seeds < 2:
        parser.error("--seeds must be at least 2")
    return options


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        tables = read(options.tables)
    except FileNotFoundError as problem:
        sys.exit(str(problem))
    print(HEAD, flush=True)
    found: list[Cell] = []
    group: list[Cell] = []
    for cell in cells(tables, options):
        if group and (cell.estimator, cell.question, cell.factor) != (
            group[0].estimator,
            group[0].question,
            group[0].factor,
        ):
            print(text(pooled(group)), flush=True)
            group = []
        group.append(cell)
        found.append(cell)
    if group:
        print(text(pooled(group)))
    if options.json:
        document = {"benchmark": "coverage", "cells": [asdict(cell) for cell in found]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
