"""Data valuation beside pyDVL 0.10: processor seconds for the same utility and the same number of permutations. One JSON line a figure.

    python benchmarks/valuation.py --peers-python PYTHON [--methods logistic,ridge] [--rounds 5] [--permutations 20] [--markdown]
    python benchmarks/valuation.py --peers-python PYTHON --agree     # utilities of both on the same coalitions
    python benchmarks/valuation.py --peers-python PYTHON --resume    # what pyDVL makes of a run that is continued
    python benchmarks/valuation.py --exact            # needs no peer: our accuracies beside scikit-learn's, on every prefix

PYTHON has `pip install "pydvl==0.10.*"` (and torch, for `network`); without it the comparison is skipped, and says so. Use one thread:
`export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1`.

Breast cancer, 150 training points with 20 % of their labels flipped, 400 test points, accuracy; `knn_shapley_digits` has 1,200 digits in
10 classes. A round is ours, then pyDVL's, in turn, over the same permutations; a ratio is pyDVL's processor seconds over ours in one
round, and the figure is the median over the rounds, each with a problem and permutations of its own. Ours counts everything from
permutations to values and standard errors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from valuation_data import Problem, breast_cancer, digits

from xai_ray.valuation import Network, TrainingGame, knn_shapley

HERE = Path(__file__).parent
Figure = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """What is compared: a problem, our estimator (none: the closed form), and the ratio to reach."""

    problem: Callable[[int], Problem]
    estimator: Callable[[], Any] | None
    peer: str
    reach: float
    share: float = 1.0
    """Of the permutations asked for: a network takes a hundred times as long as a ridge."""


def few_digits(seed: int) -> Problem:
    return digits(seed, n=150, tests=400)


def network() -> Network:
    """The peer's network, at the peer's settings."""
    # Torch takes seconds to import, and the other methods do without it.
    from valuation_network import EPOCHS, RATE, make

    return Network(make, epochs=EPOCHS, learning_rate=RATE)


METHODS: dict[str, Method] = {
    "logistic": Method(breast_cancer, LogisticRegression, "logistic", 40.0),
    "ridge": Method(breast_cancer, RidgeClassifier, "ridge", 250.0),
    "neighbours": Method(breast_cancer, lambda: KNeighborsClassifier(5), "neighbours", 1.0),
    "network": Method(few_digits, network, "network", 5.0, 0.1),
    "knn_shapley": Method(breast_cancer, None, "knn_shapley", 25.0),
    "knn_shapley_digits": Method(digits, None, "knn_shapley", 25.0),
}


def game_of(method: Method, problem: Problem) -> TrainingGame:
    """Accuracy of the model trained on a coalition of points."""
    assert method.estimator is not None
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    return TrainingGame(method.estimator(), *arrays, scores=("accuracy",))


def by_permutations(game: TrainingGame, count: int, seed: int) -> tuple[Any, Any]:
    """Shapley values (n,) and their standard errors from whole permutations, those that pyDVL draws with this seed."""
    generator = np.random.default_rng(seed)
    orders = np.stack([generator.permutation(game.n_players) for _ in range(count)]).astype(np.int64)
    chains = game.chain_values(orders, np.zeros(count, dtype=np.int64))[..., 0]
    marginals = np.empty((count, game.n_players))
    np.put_along_axis(marginals, orders, np.diff(chains, axis=1), axis=1)
    return marginals.mean(axis=0), marginals.std(axis=0, ddof=1) / np.sqrt(count)


def ours(method: Method, problem: Problem, permutations: int, seed: int) -> Figure:
    """Our processor seconds and values, after a call to warm up."""
    if method.estimator is None:
        arrays = problem.X, problem.y, problem.X_test, problem.y_test
        knn_shapley(*arrays, k=5)
        began = time.process_time()
        values = knn_shapley(*arrays, k=5)
        return {"seconds": time.process_time() - began, "values": values.tolist()}
    by_permutations(game_of(method, problem), 2, seed + 1)
    began = time.process_time()
    values, _ = by_permutations(game_of(method, problem), permutations, seed)
    seconds = time.process_time() - began
    return {"seconds": seconds, "values": values.tolist(), "evaluations": permutations * len(problem.X)}


def peers(python: str, method: Method, path: Path, permutations: int, seed: int) -> Figure:
    """pyDVL's processor seconds and values, from the other interpreter."""
    script = [python, "-W", "ignore", str(HERE / "valuation_peer.py"), str(path), method.peer]
    command = [*script, "--permutations", str(permutations), "--seed", str(seed)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def compare(name: str, python: str, rounds: int, permutations: int) -> Figure:
    """The figure of one method."""
    method, found = METHODS[name], []
    permutations = max(2, round(method.share * permutations))
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(rounds):
            problem, path = method.problem(seed), Path(folder) / f"{seed}.npz"
            problem.save(path)
            mine = ours(method, problem, permutations, seed)
            other = peers(python, method, path, permutations, seed)
            found.append(_round(problem, mine, other))
            print(json.dumps({"method": name, "round": seed} | found[-1]), file=sys.stderr, flush=True)
    columns = {key: [one[key] for one in found] for key in found[0] if isinstance(found[0][key], (int, float))}
    ratios = columns.pop("ratio")
    return {
        "figure": name,
        "ratio": round(float(np.median(ratios)), 1),
        "least": round(min(ratios), 1),
        "most": round(max(ratios), 1),
        "reach": method.reach,
        "rounds": rounds,
        "permutations": None if method.estimator is None else permutations,
        **{key: float(f"{np.median(column):.4g}") for key, column in columns.items()},
        "versions": found[0]["versions"],
    }


def _round(problem: Problem, mine: Figure, other: Figure) -> Figure:
    values, theirs = np.array(mine["values"]), np.array(other["values"])
    both = {"evaluations": mine["evaluations"]} if "evaluations" in mine else {}
    if both and mine["evaluations"] != other["evaluations"]:
        raise RuntimeError(f"pyDVL made {other['evaluations']} evaluations, ours are {mine['evaluations']}")
    return {
        "ratio": other["seconds"] / mine["seconds"],
        "seconds": mine["seconds"],
        "peer_seconds": other["seconds"],
        "auroc": float(roc_auc_score(problem.flipped, -values)),
        "peer_auroc": float(roc_auc_score(problem.flipped, -theirs)),
        "rank_correlation": float(spearmanr(values, theirs).statistic),
        "largest_difference": float(np.abs(values - theirs).max()),
        "load": os.getloadavg()[0],
        "versions": other["versions"],
        **both,
    }


def agreement(name: str, python: str, seeds: int, count: int = 20) -> Figure:
    """Our utilities beside pyDVL's on the same coalitions of both classes; scikit-learn is told to converge for a regression."""
    method, largest, differing, compared = METHODS[name], 0.0, 0, 0
    peer = "logistic_tight" if method.peer == "logistic" else method.peer
    with tempfile.TemporaryDirectory() as folder:
        path, chosen = Path(folder) / "problem.npz", Path(folder) / "coalitions.npy"
        for seed in range(seeds):
            problem = method.problem(seed)
            problem.save(path)
            generator = np.random.default_rng(seed)
            rows = generator.random((count, len(problem.X))) < generator.uniform(0.1, 1.0, (count, 1))
            rows = rows[[len(set(problem.y[row])) == len(set(problem.y)) for row in rows]]
            np.save(chosen, rows)
            mine = game_of(method, problem).values(rows, np.zeros(len(rows), dtype=np.int64))[:, 0]
            script = [python, "-W", "ignore", str(HERE / "valuation_peer.py"), str(path), peer]
            told = subprocess.run(
                [*script, "--coalitions", str(chosen)], check=True, capture_output=True, text=True
            ).stdout
            difference = np.abs(mine - np.array(json.loads(told.splitlines()[-1])["values"]))
            differing += int((difference > 1e-9).sum())
            largest, compared = max(largest, float(difference.max())), compared + len(difference)
    return {
        "figure": f"utility_{name}",
        "coalitions": compared,
        "differing": differing,
        "largest_difference": largest,
    }


def resume(python: str, permutations: int = 40) -> Figure:
    """pyDVL's `continue_from`: half of the permutations continued to all of them, beside all of them at one go."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        breast_cancer(0, n=40).save(path)
        script = [python, "-W", "ignore", str(HERE / "valuation_peer.py"), str(path), "ridge", "--resume"]
        told = subprocess.run(
            [*script, "--permutations", str(permutations)], check=True, capture_output=True, text=True
        )
    return {"figure": "resume_pydvl", "permutations": permutations} | json.loads(told.stdout.splitlines()[-1])


def exactness(seeds: int) -> Iterator[Figure]:
    """Accuracies of all prefixes of a permutation beside scikit-learn's: converged tightly, and as it stops by default."""
    tight = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    for name, reference in (("tight", tight), ("default", LogisticRegression())):
        differing, largest, prefixes = 0, 0.0, 0
        for seed in range(seeds):
            problem = breast_cancer(seed)
            arrays = problem.X, problem.y, problem.X_test, problem.y_test
            game = TrainingGame(reference, *arrays, scores=("accuracy",))
            order = np.random.default_rng(seed).permutation(len(problem.X))
            chain = game.chain_values(order[None], np.zeros(1, dtype=np.int64))[0]
            rows = np.argsort(order)[None, :] < np.arange(len(order) + 1)[:, None]
            difference = np.abs(chain - game.refit_values(rows))[1:, 0]
            prefixes += len(difference)
            differing += int((difference > 1e-9).sum())
            largest = max(largest, float(difference.max()))
        yield {
            "figure": f"exact_{name}",
            "prefixes": prefixes,
            "differing": differing,
            "largest_difference": largest,
            "test_points": len(problem.y_test),
        }


def markdown(figures: Sequence[Figure]) -> str:
    """The table of `docs/valuation.md`."""
    lines = [
        "| method | ratio: median (least to most) | reach | ours, s | pyDVL, s | evaluations | AUROC of flipped labels, ours / pyDVL |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        if "ratio" not in one:
            continue
        evaluations = f"{one['evaluations']:,.0f}" if "evaluations" in one else "closed form"
        lines.append(
            f"| {one['figure']} | {one['ratio']} ({one['least']} to {one['most']}) | {one['reach']:g} | {one['seconds']:.4g} | "
            f"{one['peer_seconds']:.4g} | {evaluations} | {one['auroc']:.3f} / {one['peer_auroc']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="interpreter with pydvl 0.10")
    parser.add_argument("--methods", type=lambda s: s.split(","), default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--exact", action="store_true", help="only our accuracies beside scikit-learn's")
    parser.add_argument("--agree", action="store_true", help="only utilities of both on the same coalitions")
    parser.add_argument("--resume", action="store_true", help="only a run of pyDVL that is continued")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    for name in options.methods:
        if name not in METHODS:
            parser.error(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    figures: list[Figure] = []
    if options.resume and options.peers_python is not None:
        print(json.dumps(resume(options.peers_python)))
        return
    for figure in exactness(options.rounds) if options.exact else ():
        print(json.dumps(figure), flush=True)
    for name in () if options.exact else options.methods:
        if options.peers_python is None:
            print(json.dumps({"figure": name, "skipped": "no interpreter with pydvl 0.10: give --peers-python"}))
            continue
        if options.agree:
            if METHODS[name].estimator is not None:
                print(json.dumps(agreement(name, options.peers_python, options.rounds)), flush=True)
            continue
        figures.append(compare(name, options.peers_python, options.rounds, options.permutations))
        print(json.dumps(figures[-1]), flush=True)
    if options.markdown and figures:
        print(markdown(figures))


if __name__ == "__main__":
    main()
