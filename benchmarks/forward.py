"""What each trick of the masked forward pass is worth by itself; a JSON line for each, or tables from such lines.

    python benchmarks/forward.py [--cases mlp,hidden,patches,words,forest] [--tricks fold,bf16] [--rounds 9] > forward.jsonl
    python benchmarks/forward.py --markdown forward.jsonl

Both sides compute the same coalitions in turn, `rounds` times, with one thread. `ratio` is the median of the rounds' ratios of
evaluations per processor second with and without the trick, `low` and `high` the quartiles. `rows` are model rows per processor second
with it, `bare` those of a loop that calls the model on inputs made in advance, at its best batch, timed in every round; `of_bare` is the
median of the rounds' ratios.
`difference` is the largest one between values with and without, in units of their spread. `peak` and `peak_without` are the largest
resident memory in MB of processes of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forward_cases import CASES, TRICKS, Case, Trick


def seconds(game: Any, coalitions: np.ndarray) -> float:
    context = np.zeros(len(coalitions), dtype=np.int64)
    began = time.process_time()
    game.values(coalitions, context)
    return time.process_time() - began


def best_bare(case: Case) -> int:
    """The batch at which the model alone is quickest."""
    return min(case.bare_batches, key=lambda batch: min(bare_seconds(case, batch, 0.2) for _ in range(3)))


def bare_seconds(case: Case, batch: int, at_least: float) -> float:
    """Of a model row of the model alone, on inputs made in advance."""
    call = case.bare(batch)
    call()
    began, calls = time.process_time(), 0
    while time.process_time() - began < at_least:
        call()
        calls += 1
    return (time.process_time() - began) / (batch * calls)


def sides(case: Case, trick: Trick) -> tuple[Callable[[np.ndarray], float], Callable[[np.ndarray], float], Any, Any]:
    """Timers of the plain side and of the one with the trick, and their games."""
    without, made = case.game(), trick.game(case)

    def plain(rows: np.ndarray) -> float:
        with trick.off():
            return seconds(without, rows)

    def tricked(rows: np.ndarray) -> float:
        with trick.on():
            return seconds(made, rows)

    return plain, tricked, without, made


def measure(case: Case, trick: Trick, rounds: int) -> dict[str, Any]:
    plain, tricked, without, made = sides(case, trick)
    count = -(-case.evaluations // max(without.block, made.block)) * max(without.block, made.block)
    rows = trick.coalitions(without.n_players, count)
    for timer in (plain, tricked):
        timer(rows)
    batch, times, alone = best_bare(case), list[tuple[float, float]](), list[float]()
    for r in range(rounds):
        times.append((plain(rows), tricked(rows)) if r % 2 else (tricked(rows), plain(rows))[::-1])
        alone.append(bare_seconds(case, batch, times[-1][1]))
    ratios = [a / b for a, b in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    context = np.zeros(len(rows), dtype=np.int64)
    with trick.off():
        want = without.values(rows, context)
    with trick.on():
        got = made.values(rows, context)
    count = case.fillings * len(rows)
    of_bare = statistics.median(bare * count / b for bare, (_, b) in zip(alone, times, strict=True))
    return {
        "case": case.name,
        "trick": trick.name,
        "batch": [without.batch, made.batch],
        "ratio": round(middle, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "rows": round(count / statistics.median(b for _, b in times), 1),
        "bare": round(1 / statistics.median(alone), 1),
        "of_bare": round(of_bare, 3),
        "difference": float(f"{np.abs(got - want).max() / np.ptp(want):.2g}"),
    }


def alone(case: Case, trick: Trick | None) -> None:
    """Peak memory of this process after some evaluations: what the children of `peak` print."""
    game = case.game() if trick is None else trick.game(case)
    rows = (trick or TRICKS[0]).coalitions(game.n_players, 2 * game.block)
    seconds(game, rows)
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) // 1024)


def peak(case: str, trick: str) -> int:
    command = [sys.executable, __file__, "--alone", f"{case}:{trick}"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def markdown(lines: list[dict[str, Any]]) -> str:
    head = "| model | trick | evaluations per second, with / without | quartiles | of the bare loop | difference | peak MB |"
    out = [head, "|---|---|---|---|---|---|---|"]
    out += [
        f"| {x['case']} | {x['trick']} | {x['ratio']:.2f} | {x['low']:.2f} to {x['high']:.2f} | {x['of_bare']:.2f} | {x['difference']:.1g} "
        f"| {x['peak']} / {x['peak_without']} |"
        for x in lines
    ]
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--tricks", default=",".join(t.name for t in TRICKS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", type=Path, help="a file of lines to make a table of")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.markdown:
        print(markdown([json.loads(line) for line in options.markdown.read_text().splitlines()]))
        return
    torch.set_num_threads(1)
    tricks = {t.name: t for t in TRICKS}
    if options.alone:
        case, trick = options.alone.split(":")
        alone(CASES[case](), tricks.get(trick))
        return
    for name in options.cases.split(","):
        case, without = CASES[name](), peak(name, "")
        for trick in (tricks[t] for t in options.tricks.split(",")):
            if name in trick.cases:
                told = {"peak": peak(name, trick.name), "peak_without": without}
                print(json.dumps(measure(case, trick, options.rounds) | told), flush=True)


if __name__ == "__main__":
    main()
