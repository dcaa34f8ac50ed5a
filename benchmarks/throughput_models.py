"""Evaluations a processor second beside a bare loop of the model and beside the peers: a photograph, a review, a forest.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/throughput_models.py [--only patches,words,forest] [--measure loop,peers,memory] > models.jsonl
    python benchmarks/throughput_models.py --markdown models.jsonl

`loop`: our passes, and whole runs from a game to Shapley values by `leverage`, between two bare loops over inputs made in advance,
at the bare loop's best batch and at our default one. `ratio` is the median of the rounds' ratios of evaluations a processor second,
`low` and `high` the quartiles.
`peers`: every method explains the same rows (`--rows`, of the forest) in turn, on one thread. A peer that would take longer than
`--seconds` explains as many rows as it can. Errors are root mean squares over rows, players and rounds against exact values (words,
forest) or a long run (patches). `made` are the evaluations that reached the model. Each peer then stands beside our cheapest budget
whose error is not larger: `ratio` is its processor time a row over ours.
`memory`: the largest resident memory of a process of its own for each method, explaining one row, and of one that only loads the
subject. Methods that are not installed are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from throughput_inputs import SUBJECTS, Subject, as_in_a_run
from throughput_methods import PEERS, Explain, cpu, ours
from throughput_tables import beside, markdown, quartiles

OWN = "xai_ray"
FEW = 4
"""Rows that tell how long a row takes."""


class Counted:
    """Model rows that a peer asks for."""

    def __init__(self, subject: Subject) -> None:
        self.rows = 0
        kept = subject.captum
        captum = None if kept is None else replace(kept, forward=self._counting(kept.forward))
        self.subject = replace(subject, model=self._counting(subject.model), captum=captum)

    def _counting(self, model: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(given: Any) -> Any:
            self.rows += len(given)
            return model(given)

        return call


def bare_seconds(subject: Subject, batch: int, evaluations: int) -> float:
    """A processor second of a bare loop makes 1 / this many evaluations."""
    call, passes = subject.bare(batch), -(-evaluations * subject.fillings // batch)

    def loop() -> None:
        for _ in range(passes):
            call()

    return cpu(loop) * subject.fillings / (passes * batch)


def best_batch(subject: Subject, quick: bool) -> int:
    """Of the bare loop: the least of the medians of three tries."""
    if quick:
        return subject.bare_batches[0]
    evaluations = max(16, subject.bare_batches[-1] // subject.fillings)
    tries = [{b: bare_seconds(subject, b, evaluations) for b in subject.bare_batches} for _ in range(3)]
    return min(subject.bare_batches, key=lambda b: statistics.median(t[b] for t in tries))


def pass_seconds(subject: Subject, game: Any, evaluations: int) -> float:
    """Of an evaluation, of the coalitions of a run, made in advance."""
    of, coalitions = as_in_a_run(subject.players, subject.per_row, evaluations)
    context = np.zeros(evaluations, dtype=np.int64)
    call = (
        (lambda: game.row_values(of, coalitions, context)) if subject.many else lambda: game.values(coalitions, context)
    )
    return cpu(call) / evaluations


def run_seconds(subject: Subject, game: Any, turn: int) -> float:
    counts: list[int] = []
    spent = cpu(lambda: counts.append(subject.explain(game, subject.per_row, "leverage", turn)[1]))
    return spent / counts[0]


def loops(key: str, subject: Subject, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    best = best_batch(subject, given.quick)
    evaluations = subject.per_row * subject.rows_a_round
    for batch in (best, None):
        game = subject.game(batch, subject.rows_a_round)
        if batch is None and game.batch == best:
            continue
        pass_seconds(subject, game, evaluations)
        found: dict[str, list[float]] = {"passes": [], "run": []}
        rates: list[float] = []
        for turn in range(given.rounds):
            # The machine's speed drifts: what is measured stands between two bare loops of half its length.
            before = bare_seconds(subject, best, evaluations // 2)
            passes, run = pass_seconds(subject, game, evaluations), run_seconds(subject, game, turn)
            bare = (before + bare_seconds(subject, best, evaluations // 2)) / 2
            found["passes"].append(bare / passes)
            found["run"].append(bare / run)
            rates.append(1 / bare)
        for what, ratios in found.items():
            line = {"measure": "loop", "subject": key, "name": subject.name, "what": what, "batch": game.batch}
            yield line | {"bare_batch": best, "bare_per_cpu_second": statistics.median(rates), **quartiles(ratios)}


def methods_of(subject: Subject, given: argparse.Namespace) -> Iterator[tuple[str, int, Callable[[], Explain]]]:
    budgets = tuple(int(b) for b in given.budgets.split(",")) if given.budgets else subject.budgets
    for budget in budgets[-1:] if given.quick else budgets:
        yield OWN, budget, lambda budget=budget: ours(subject, budget)
    yield f"{OWN} leverage", subject.peer_budget, lambda: ours(subject, subject.peer_budget, "leverage")
    for method in PEERS:
        yield method.name, subject.peer_budget, lambda method=method: method.make(subject, subject.peer_budget)


def fitting(explain: Explain, rows: int, seconds: float) -> int:
    """Rows that a method explains in some processor seconds, told by a first few."""
    if rows <= FEW:
        return rows
    each = cpu(lambda: explain(FEW, 0)) / FEW
    return int(np.clip(seconds / max(each, 1e-6), FEW, rows))


def peers(key: str, subject: Subject, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    counted = Counted(subject)
    for asked in [int(r) for r in given.rows.split(",")] if subject.many else [1]:
        asked = min(asked, len(subject.rows))
        known, noise = subject.truth(min(asked, 100), 600 if given.quick else subject.truth_budget)
        head = {"subject": key, "name": subject.name, "asked": asked}
        yield {"measure": "truth", **head, "rms_std_error": noise, "spread": float(np.ptp(known, axis=1).mean())}
        ready: list[tuple[str, int, Explain]] = []
        for name, budget, make in methods_of(counted.subject, given):
            if given.methods and name not in given.methods.split(","):
                continue
            try:
                ready.append((name, budget, make()))
            except ImportError as missing:
                yield {"measure": "peers", **head, "method": name, "skipped": str(missing)}
        # What is imported and compiled at the first call; peers made theirs when their batches were tried, or do so here.
        for _, _, explain in ready if subject.many else ready[:1]:
            explain(1, 0)
        for turn in range(given.rounds):
            for name, budget, explain in ready:
                of_ours = name.startswith(OWN)
                rows = asked if of_ours else fitting(explain, asked, given.seconds)
                counted.rows, found = 0, []
                spent = cpu(
                    lambda explain=explain, rows=rows, turn=turn, found=found: found.append(explain(rows, turn))
                )
                made = budget if of_ours else counted.rows / (subject.fillings * rows)
                both = min(len(known), rows)
                wrong = found[0][:both] - known[:both]
                line = {"measure": "peers", **head, "method": name, "budget": budget, "made": made, "round": turn}
                line |= {"rows": rows, "cpu_seconds_a_row": spent / rows}
                yield line | {"rmse": float(np.sqrt((wrong**2).mean()))}


def alone(key: str, name: str) -> None:
    """Peak memory of this process: what the children of `memory` print."""
    subject = SUBJECTS[key]()
    made = {method.name: method.make for method in PEERS} | {OWN: ours}
    if name:
        made[name](subject, subject.peer_budget)(1, 0)
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) // 1024)


def memory(key: str, subject: Subject, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for name in ("", OWN, *(method.name for method in PEERS)):
        if given.methods and name and name not in given.methods.split(","):
            continue
        ran = subprocess.run(
            [sys.executable, __file__, "--alone", f"{key}:{name}"], check=False, capture_output=True, text=True
        )
        line = {"measure": "memory", "subject": key, "name": subject.name, "method": name or "the subject alone"}
        if ran.returncode:
            yield line | {"skipped": ran.stderr.strip().splitlines()[-1]}
        else:
            yield line | {"peak_mb": int(ran.stdout.split()[-1])}


MEASURES: dict[str, Callable[[str, Subject, argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "loop": loops,
    "peers": peers,
    "memory": memory,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SUBJECTS))
    parser.add_argument("--measure", default=",".join(MEASURES))
    parser.add_argument("--methods", help="names; all if left out")
    parser.add_argument("--rows", default="1,100", help="of the forest")
    parser.add_argument("--budgets", help="evaluations a row of ours; those of the subject if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="processor seconds of a peer a round")
    parser.add_argument("--quick", action="store_true", help="one budget of ours, no search for the bare loop's batch")
    parser.add_argument("--markdown", type=Path, help="a file of lines to make tables of")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    # A benchmark beside this one is called `coverage`, as a package that shap's compiler looks for.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if given.markdown:
        print(markdown([json.loads(line) for line in given.markdown.read_text().splitlines()]))
        return
    if given.alone:
        key, _, name = given.alone.partition(":")
        alone(key, name)
        return
    for key in given.only.split(","):
        subject = SUBJECTS[key]()
        for measure in given.measure.split(","):
            lines: list[dict[str, Any]] = []
            for line in MEASURES[measure](key, subject, given):
                lines.append(line)
                print(json.dumps(line), flush=True)
            for line in beside(lines):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
