"""All pairs and all context sizes: error of our estimators beside the papers' paired protocol at the same number of evaluations.

    python benchmarks/tables.py                                   # once: the tables
    python benchmarks/orders.py [--ours cells,gp,star,cube] [--tables FOLDER] [--games torn_digit,cat] [--seeds 3]
    python benchmarks/orders.py --models cat49,cat196,review [--cache FOLDER] [--budget 3000] [--sparse]
    python benchmarks/orders.py --u-shape
    python benchmarks/orders.py --quick                           # a small piece of each, a few minutes

Tables (n <= 16, exact truth): every order m = 0..n-2 of every pair, at a quarter, one and three rounds of the paired protocol (a round is
one context a pair and order). Error: sum (estimate - truth)^2 / sum truth^2; what an estimator leaves missing counts as zero, and its
share is told. Models (49 and 196 patches, 55 tokens): see `order_models`; reference runs take minutes to an hour and stay in `--cache`.
Prints JSON, then tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import order_models
import u_shape
from order_models import held_out_r2, within_size_deviation
from stored_games import StoredGame, load

from xai_ray.errors import XaiRayError
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.indices import Question, exact, resolve
from xai_ray.indices.profile import pair_profile

HERE = Path(__file__).parent
SHARES = (0.25, 1.0, 3.0)
"""Budgets in rounds of the paired protocol."""
LARGEST_TABLE = 16


def table_results(games: Sequence[StoredGame], ours: Sequence[str], seeds: int) -> Iterator[dict[str, Any]]:
    """One result a game and budget."""
    for game in games:
        if "values" not in game.arrays or game.n > LARGEST_TABLE:
            continue
        truth = exact(game.arrays["values"][:, None], Question("MOI")).values[..., 0]  # pyright: ignore[reportArgumentType]
        one_round = 2 + 4 * truth.size
        facts = table_facts(game)
        for share in SHARES:
            budget = int(share * one_round)
            if budget >= 1 << game.n:
                continue
            cell: dict[str, Any] = {
                "game": game.name,
                "players": game.n,
                "evaluations": budget,
                "rounds": share,
                **facts,
            }
            for name in ("paired", *ours):
                cell[name] = table_errors(game, truth, name, budget, seeds)
            yield cell


def table_errors(game: StoredGame, truth: Any, name: str, budget: int, seeds: int) -> dict[str, Any]:
    """Median error over the seeds."""
    found = []
    began = time.perf_counter()
    for seed in range(seeds):
        try:
            found.append(_one(game, truth, name, budget, seed))
        except XaiRayError as problem:
            return {"problem": str(problem)}
    errors, missing, covered = (np.array(column) for column in zip(*found, strict=True))
    return {
        "error": float(np.median(errors)),
        "missing": round(float(missing.mean()), 4),
        "covered": None if np.isnan(covered).all() else round(float(np.nanmean(covered)), 3),
        "seconds": round((time.perf_counter() - began) / seeds, 2),
    }


def _one(game: StoredGame, truth: Any, name: str, budget: int, seed: int) -> tuple[float, float, float]:
    """Error, share that is missing, share of the truths inside 95 % intervals."""
    pool = paired_prefix(game, budget, seed) if name == "paired" else planned_pool(game, name, budget, seed)
    found = pool.answer(Question("MOI"), name)
    values, errors = found.values[..., 0], found.std_errors[..., 0]
    low, high = (bound[..., 0] for bound in found.intervals())
    sampled = errors > 0
    inside = (low <= truth) & (truth <= high)
    covered = float(inside[sampled].mean()) if sampled.any() else np.nan
    error = float(((np.nan_to_num(values) - truth) ** 2).sum() / (truth**2).sum())
    return error, float(np.isnan(values).mean()), covered


def planned_pool(game: StoredGame, name: str, budget: int, seed: int) -> Pool:
    """What a job with this estimator would draw."""
    planned = plan([Ask(Question("MOI"), name)], game.n, budget, seed)
    return _pool(game, planned.design, planned.draws)


def paired_prefix(game: StoredGame, budget: int, seed: int) -> Pool:
    """The paired protocol, also where the budget does not pay for a whole round, which a job would refuse."""
    from xai_ray.estimators import paired

    assert paired.INFO.design is not None
    design = paired.INFO.design([resolve(Question("MOI"), game.n)], game.n, seed, False)
    return _pool(game, design, design.affordable(budget))


def _pool(game: StoredGame, design: Any, draws: int) -> Pool:
    return Pool(design, draws, game(design.draw(0, draws).coalitions)[:, None])


def table_facts(game: StoredGame) -> dict[str, Any]:
    """How large second differences are beside values of one size, and what a quadratic surrogate explains of held-out rows."""
    n = game.n
    planned = plan([Ask(Question("MOI"), "cells")], n, min((1 << n) - 1, 3_000), 0)
    draw = planned.design.draw(0, planned.draws)
    values = game(draw.coalitions)[:, None]
    v = np.asarray(game.arrays["values"], dtype=np.float64)[:, None]
    pairs = tuple((int(i), int(j)) for i, j in np.stack(np.triu_indices(n, 1), axis=1))
    inner = slice(1, n - 2)
    # Mean square of second differences less the square of their mean, by size: the variance of one context.
    squares = np.stack([_square_profile(v, pair) for pair in pairs])[:, inner]
    variance = squares - pair_profile(v, pairs)[:, inner, 0] ** 2
    ratio = np.sqrt(variance.mean()) / within_size_deviation(draw, values[:, 0])
    return {
        "log10 sigma_delta/sigma": round(float(np.log10(ratio)), 2),
        "quadratic R2": round(held_out_r2(draw.coalitions, values), 3),
    }


def _square_profile(v: Any, pair: tuple[int, int]) -> Any:
    """Mean of the squared second difference of one pair by context size, shape (n-1,)."""
    i, j = pair
    n = int(np.log2(len(v)))
    cube = v.reshape(-1, 2, 1 << (j - i - 1), 2, 1 << i)
    delta = (cube[:, 1, :, 1] - cube[:, 1, :, 0] - cube[:, 0, :, 1] + cube[:, 0, :, 0]).reshape(-1)
    codes = np.arange(1 << (n - 2), dtype=np.int64)
    sizes = np.array([code.bit_count() for code in codes.tolist()])
    return np.bincount(sizes, weights=delta**2) / np.bincount(sizes)


def markdown_tables(cells: Sequence[dict[str, Any]], ours: Sequence[str]) -> str:
    """Errors, and how many times less than the paired protocol."""
    head = ["game", "n", "evaluations", "rounds", "log10 σΔ/σ", "R²", "paired", *ours]
    lines = [_row(head), _row(["---"] * len(head))]
    for cell in cells:
        base = cell["paired"]["error"]
        lead = [cell["game"], cell["players"], f"{cell['evaluations']:,}", cell["rounds"]]
        lead += [cell["log10 sigma_delta/sigma"], cell["quadratic R2"], f"{base:.3g}"]
        lines.append(_row(lead + [_ratio(cell[name], base) for name in ours]))
    for share in SHARES:
        at = [cell for cell in cells if cell["rounds"] == share]
        gains = [_gain([c["paired"]["error"] / c[name]["error"] for c in at if "error" in c[name]]) for name in ours]
        if at:
            lines.append(_row(["geometric mean of paired / ours", "", "", share, "", "", "", *gains]))
    return "\n".join(lines)


def _ratio(found: dict[str, Any], base: float) -> str:
    if "error" not in found:
        return "-"
    missing = f", {100 * found['missing']:.0f} % missing" if found["missing"] else ""
    return f"{found['error']:.3g} ({base / found['error']:.3g} x{missing})"


def _gain(ratios: list[float]) -> str:
    return f"{np.exp(np.mean(np.log(ratios))):.3g} x" if ratios else "-"


def markdown_models(cells: Sequence[dict[str, Any]], ours: Sequence[str]) -> str:
    """The same for models, by scope."""
    head = ["game", "n", "pairs", "sizes", "evaluations", "log10 σΔ/σ", "R²", "paired", "star", *ours]
    lines = [_row(head), _row(["---"] * len(head))]
    for cell in cells:
        for scope, found in cell["scopes"].items():
            lead = [cell["game"], cell["players"], f"{found['pairs']:,} {scope}", len(cell["contexts"])]
            lead += [f"{cell['evaluations']:,}", cell["log10 sigma_delta/sigma"], cell["quadratic R2"]]
            lead += [f"{found[name]['error']:.3g}" for name in ("paired", "star")]
            lines.append(_row(lead + [_model_ratio(found[name]) for name in ours]))
    return "\n".join(lines)


def _model_ratio(found: dict[str, Any]) -> str:
    if "problem" in found:
        return "-"
    times = found["paired / this"]
    gain = f"{times:.3g} x" if times is not None else f"over {found['at least']:.3g} x"
    return f"{found['error']:.3g} ± {found['its standard error']:.1g} ({gain})"


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="cells,gp,star,cube", help="estimators, with commas")
    parser.add_argument("--tables", type=Path, default=HERE / ".tables")
    parser.add_argument("--games", help="tables, with commas; all by default; none for no table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default="", help=f"with commas: {', '.join(order_models.GAMES)}")
    parser.add_argument("--cache", type=Path, default=HERE / ".orders", help="evaluated values of models")
    parser.add_argument("--budget", type=int, default=3_000, help="evaluations of the pool of a model")
    parser.add_argument("--reference", type=int, default=5_200, help="evaluations of the reference run of a model")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of the reference run")
    parser.add_argument("--sparse", action="store_true", help="the 13 context sizes of the paper instead of 7")
    parser.add_argument("--u-shape", action="store_true", help="strength per order of small models, exact")
    parser.add_argument("--quick", action="store_true", help="two tables, one seed, five inputs a model")
    options = parser.parse_args()
    ours = options.ours.split(",")
    names = "wine_mlp,review_no" if options.quick and not options.games else options.games
    report: dict[str, Any] = {}
    if (names != "none" and not (options.models or options.u_shape)) or options.games not in (None, "none"):
        games = load(options.tables, names.split(",") if names else None)
        report["tables"] = list(table_results(games, ours, 1 if options.quick else options.seeds))
    if options.models:
        fractions = order_models.FRACTIONS if options.sparse else order_models.FRACTIONS[::2]
        read = [name for name in ours if name in ("cells", "gp")]
        report["models"] = [
            order_models.measure(name, read, options.cache, options.budget, options.pairs, options.reference, fractions)
            for name in options.models.split(",")
        ]
    if options.u_shape or options.quick:
        report["u_shape"] = u_shape.u_shape(5 if options.quick else u_shape.INPUTS)
    print(json.dumps(report))
    if report.get("tables"):
        print("\n" + markdown_tables(report["tables"], ours))
    if report.get("models"):
        print("\n" + markdown_models(report["models"], [name for name in ours if name in ("cells", "gp")]))
    for row in report.get("u_shape", []):
        print(f"\n{row['model']}: n = {row['players']}, J = {row['J']}, least at m = {row['least at m']}")


if __name__ == "__main__":
    main()
