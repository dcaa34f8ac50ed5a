"""Error of our estimators beside the best peer on the same games, at the same number of evaluations, over the same seeds.

    python benchmarks/tables.py                              # once: the games
    PYTHON benchmarks/peers.py                               # once: the peers, PYTHON may be another interpreter
    python benchmarks/accuracy.py [--ours auto,leverage] [--games cat,trees30] [--indices SV,SII] [--budgets 10,40] [--seeds 3]
                                  [--json FILE] [--markdown] [--record FILE] [--peers-python PYTHON]

A cell is an index, a game and a budget. Error: sum (estimate - truth)^2 / sum truth^2, over players or over the pairs (sets of size
exactly 2 for SII and Shapley-Taylor). The best peer is the one with the smallest median error over the seeds, known in hindsight;
one that asked for more distinct coalitions than the budget is left out. `--record` keeps our results in a file and does not compute
them again; `--peers-python` first runs there whatever the peers' cache lacks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_report import Cell, markdown, summary, text_table
from peers import TABLES, read_cache
from stored_games import INDICES, StoredGame, error, load

from xai_ray.errors import XaiRayError
from xai_ray.estimators import ESTIMATORS, Ask, Pool, plan
from xai_ray.indices import Question, resolve

HERE = Path(__file__).parent
Lines = list[dict[str, Any]]


def ours(game: StoredGame, index: str, estimator: str, budget: int, seed: int) -> dict[str, Any]:
    """One result: error, evaluations, seconds of the estimator alone, share of truths inside the 95 % intervals; or `problem`."""
    size, truth = (1 if index == "SV" else 2), game.truth[index]
    try:
        planned = plan([Ask(Question(index), estimator)], game.n, budget, seed)
        values = game(planned.design.draw(0, planned.draws).coalitions)[:, None]
        pool = Pool(planned.design, planned.draws, values)
        began = time.perf_counter()
        found = pool.answer(planned.asks[0].question, planned.asks[0].estimator)
        seconds = time.perf_counter() - began
    except XaiRayError as problem:
        return {"problem": str(problem)}
    rows = [at for at, members in enumerate(found.coalitions) if len(members) == size]
    estimates = found.values[rows, 0]
    if not np.isfinite(estimates).all():
        return {"problem": f"{int((~np.isfinite(estimates)).sum())} of {len(rows)} values are missing"}
    low, high = (bound[rows, 0] for bound in found.intervals())
    slack = 1e-9 * float(np.abs(truth).max())
    return {
        "error": error(estimates, truth),
        "evaluations": planned.evaluations,
        "seconds": round(seconds, 4),
        "inside": float(((low - slack <= truth) & (truth <= high + slack)).mean()),
        "answered_by": found.estimator,
    }


def cells_asked(games: list[StoredGame], options: argparse.Namespace) -> Iterator[tuple[str, StoredGame, int, str]]:
    """Index, game, budget and estimator of every cell; complete tables and questions an estimator does not answer are left out."""
    for index in options.indices:
        for game in games:
            for factor in options.budgets:
                budget = factor * game.n
                if index not in game.truth or budget >= 1 << min(game.n, 62):
                    continue
                for estimator in options.ours:
                    if estimator == "auto" or _answers(estimator, index, game.n):
                        yield index, game, budget, estimator


def _answers(estimator: str, index: str, n: int) -> bool:
    row, question = ESTIMATORS[estimator], resolve(Question(index), n)
    return index in row.indices and (row.orders is None or question.order in row.orders)


def measure(game: StoredGame, index: str, estimator: str, budget: int, seeds: int, record: Path | None = None) -> Lines:
    """Our results of one cell over the seeds, taken from `record` where they are there, and added to it where not."""
    head = {"index": index, "estimator": estimator, "game": game.name, "budget": budget, "digest": game.digest}
    there = {line["seed"]: line for line in read_cache(record) if head.items() <= line.items()} if record else {}
    lines: Lines = []
    for seed in range(seeds):
        line = there.get(seed) or head | {"seed": seed} | ours(game, index, estimator, budget, seed)
        if record and seed not in there:
            with record.open("a") as out:
                out.write(json.dumps(line) + "\n")
        lines.append(line)
        if "problem" in line:
            break
    return lines


def best_peer(
    cache: Lines, game: StoredGame, index: str, budget: int, seeds: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Median error of each peer, best first, and the number of seeds behind it; peers with fewer than half of the most are left out."""
    head = {"index": index, "game": game.name, "budget": budget, "digest": game.digest}
    errors: dict[str, list[float]] = {}
    for line in cache:
        if head.items() <= line.items() and line["seed"] < seeds and "error" in line and line["distinct"] <= budget:
            errors.setdefault(line["peer"], []).append(line["error"])
    most = max((len(found) for found in errors.values()), default=0)
    medians = {peer: float(np.median(found)) for peer, found in errors.items() if 2 * len(found) >= most}
    ranked = dict(sorted(medians.items(), key=lambda item: item[1]))
    return ranked, {peer: len(errors[peer]) for peer in ranked}


def compare(lines: Lines, cache: Lines, game: StoredGame, seeds: int) -> Cell:
    """The cell of our results of one index, budget and estimator."""
    first = lines[0]
    peers, behind = best_peer(cache, game, first["index"], first["budget"], seeds)
    name = next(iter(peers), None)
    problem = next((line["problem"] for line in lines if "problem" in line), None)
    good = [line for line in lines if "error" in line] if problem is None else []
    return Cell(
        index=first["index"],
        game=game.name,
        n=game.n,
        budget=first["budget"],
        estimator=first["estimator"],
        seeds=len(good),
        median=float(np.median([line["error"] for line in good])) if good else None,
        mean=float(np.mean([line["error"] for line in good])) if good else None,
        coverage=float(np.mean([line["inside"] for line in good])) if good else None,
        seconds=float(np.median([line["seconds"] for line in good])) if good else None,
        peer=name,
        peer_median=peers[name] if name else None,
        peer_seeds=behind[name] if name else 0,
        problem=problem,
        answered_by=tuple(sorted({line["answered_by"] for line in good})),
        peers=peers,
    )


def read_peers(path: Path, tables: Path) -> Lines:
    """The peers' results. Raises FileNotFoundError that says what to run."""
    lines = read_cache(path)
    if not lines:
        raise FileNotFoundError(
            f"no results of peers in {path}; run them once with an interpreter that has shapiq (1.8 asks for Python 3.12), "
            f"lightgbm, xgboost, shap and captum: PYTHON {HERE.name}/peers.py --tables {tables} --cache {path}; "
            "or give that interpreter here as --peers-python; or leave the peers out with --no-peers"
        )
    return lines


def run_peers(options: argparse.Namespace) -> None:
    """Let the other interpreter fill the cache for what is asked."""
    command = [
        options.peers_python,
        str(HERE / "peers.py"),
        "--tables",
        str(options.tables),
        "--cache",
        str(options.cache),
    ]
    command += ["--indices", ",".join(options.indices), "--budgets", ",".join(map(str, options.budgets))]
    command += ["--seeds", str(options.seeds)] + (["--games", ",".join(options.games)] if options.games else [])
    subprocess.run(command, check=True)


def arguments() -> argparse.Namespace:
    """The command line, with names checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = parser.add_argument_group("what is compared")
    names.add_argument("--ours", type=lambda s: s.split(","), default=["auto"], help="estimators, with commas")
    names.add_argument("--games", type=lambda s: s.split(","), help="all by default")
    names.add_argument("--indices", type=lambda s: s.split(","), default=list(INDICES))
    names.add_argument(
        "--budgets", type=lambda s: [int(b) for b in s.split(",")], default=[10, 40, 120], help="a player"
    )
    names.add_argument("--seeds", type=int, default=10)
    files = parser.add_argument_group("files")
    files.add_argument("--tables", type=Path, default=TABLES)
    files.add_argument("--cache", type=Path, help="results of the peers; peers.jsonl beside the tables by default")
    files.add_argument("--record", type=Path, help="keep our results here, and take from here what is there")
    files.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    parser.add_argument("--peers-python", help="interpreter that runs what the cache lacks")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    options.cache = options.cache or options.tables / "peers.jsonl"
    for name in options.ours:
        if name != "auto" and name not in ESTIMATORS:
            parser.error(f"unknown estimator {name!r}; known: {', '.join(['auto', *ESTIMATORS])}")
    for index in options.indices:
        if index not in INDICES:
            parser.error(f"unknown index {index!r}; compared are: {', '.join(INDICES)}")
    return options


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        games = load(options.tables, options.games)
        if options.peers_python:
            run_peers(options)
        cache = [] if options.no_peers else read_peers(options.cache, options.tables)
    except FileNotFoundError as problem:
        sys.exit(str(problem))
    cells: list[Cell] = []
    for index, game, budget, estimator in cells_asked(games, options):
        lines = measure(game, index, estimator, budget, options.seeds, options.record)
        cells.append(compare(lines, cache, game, options.seeds))
        print(cells[-1].line(), file=sys.stderr, flush=True)
    found = summary(cells)
    print(markdown(cells, found) if options.markdown else text_table(cells, found))
    if options.json:
        document = {"benchmark": "accuracy", "summary": found, "cells": [cell.document() for cell in cells]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
