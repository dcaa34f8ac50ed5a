"""Runs the peers on stored games and appends one JSON line a result to a cache; what is there already is not run again.

    PYTHON benchmarks/peers.py [--tables benchmarks/.tables] [--cache benchmarks/.tables/peers.jsonl] [--part 0/2]
                               [--games cat,forest] [--indices SV,SII,STII] [--budgets 10,40,120] [--seeds 10]

Needs numpy, shapiq, lightgbm, xgboost, shap and captum, and not xai_ray, so that PYTHON may be another interpreter: the newest
shapiq asks for 3.12 or later. A line holds the normalised squared error, the evaluations that were asked for and how many of them
were distinct, and the seconds; or why the peer was skipped. The first three seeds of every game come first, then the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

from stored_games import INDICES, Floats, StoredGame, error, load  # noqa: E402

HERE = Path(__file__).parent
TABLES = HERE / ".tables"
FIRST_SEEDS = 3
Key = tuple[str, str, str, int, int, str]
"""Index, peer, game, budget, seed, digest of the game."""


class Slow(Exception):
    """A run that was stopped at the time limit."""


class NotInstalled(Exception):
    """A peer that this interpreter does not have; the message says which package or name is missing."""


class Counted(StoredGame):
    """Remembers which coalitions were asked for, so that asking twice does not count against a peer."""

    seen: set[bytes]

    def __call__(self, coalitions: npt.ArrayLike) -> Floats:
        """Values (c,), as of the game itself."""
        rows = np.atleast_2d(np.asarray(coalitions)).astype(bool)
        self.seen.update(map(bytes, np.packbits(rows, axis=1)))
        return super().__call__(rows)


def key_of(line: dict[str, Any]) -> Key:
    """What a line of the cache is about."""
    return (line["index"], line["peer"], line["game"], line["budget"], line["seed"], line["digest"])


def read_cache(path: Path) -> list[dict[str, Any]]:
    """All whole lines of the cache; one cut short by a kill is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def tasks(games: list[StoredGame], indices: list[str], budgets: list[int], seeds: int) -> Iterator[Key]:
    """In the order they are run: first seeds of SV, of SII and STII, then the remaining seeds."""
    from peer_methods import PEERS

    for chunk in (range(min(seeds, FIRST_SEEDS)), range(FIRST_SEEDS, seeds)):
        for group in (("SV",), ("SII", "STII")):
            for factor in budgets:
                for seed in chunk:
                    for game in games:
                        budget = factor * game.n
                        if budget >= 1 << min(game.n, 62):
                            continue
                        for index in (i for i in group if i in indices and i in game.truth):
                            for peer in PEERS[index]:
                                yield (index, peer, game.name, budget, seed, game.digest)


def run(game: StoredGame, index: str, peer: str, budget: int, seed: int, limit: float) -> dict[str, Any]:
    """One line of the cache, without its key."""
    from peer_methods import PEERS

    counted = Counted(game.name, game.description, game.n, game.arrays)
    counted.seen = set()
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        found = PEERS[index][peer](counted, budget, seed)
    except Slow:
        return {"skipped": f"slow: more than {limit:g} s"}
    except ImportError as problem:
        raise NotInstalled(str(problem)) from problem
    except Exception as problem:  # a peer that fails is a finding about the peer
        return {"skipped": f"{type(problem).__name__}: {str(problem)[:200]}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if not np.isfinite(found).all():
        return {"skipped": "returned NaN or infinity"}
    return {
        "error": error(found, game.truth[index]),
        "evaluations": counted.evaluations,
        "distinct": len(counted.seen),
        "seconds": round(time.perf_counter() - began, 4),
    }


def work(options: argparse.Namespace) -> None:
    """Run what the cache lacks."""
    games = load(options.tables, options.games.split(",") if options.games else None)
    by_name = {game.name: game for game in games}
    budgets, indices = [int(b) for b in options.budgets.split(",")], options.indices.split(",")
    lines = read_cache(options.cache)
    done = {key_of(line) for line in lines}
    slow = {key_of(line)[:4] for line in lines if str(line.get("skipped", "")).startswith("slow")}
    part, parts = (int(p) for p in options.part.split("/"))
    absent: set[str] = set()
    options.cache.parent.mkdir(parents=True, exist_ok=True)
    with options.cache.open("a") as cache:
        for at, key in enumerate(tasks(games, indices, budgets, options.seeds)):
            index, peer, name, budget, seed, digest = key
            if at % parts != part or key in done or peer in absent:
                continue
            line = {"index": index, "peer": peer, "game": name, "budget": budget, "seed": seed, "digest": digest}
            # What was too slow with one seed, or with fewer evaluations, is not tried again.
            if any(s[:3] == key[:3] and s[3] <= budget for s in slow):
                found = {"skipped": f"slow: more than {options.limit:g} s"}
            else:
                try:
                    found = run(by_name[name], index, peer, budget, seed, options.limit)
                except NotInstalled as problem:
                    absent.add(peer)
                    print(f"{peer}: left out, {problem}", file=sys.stderr)
                    continue
            if str(found.get("skipped", "")).startswith("slow"):
                slow.add(key[:4])
            package = peer.split()[0] if peer.split()[0] in ("shap", "captum") else "shapiq"
            cache.write(json.dumps(line | found | {"version": f"{package} {version(package)}"}) + "\n")
            cache.flush()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--cache", type=Path, default=TABLES / "peers.jsonl")
    parser.add_argument("--games", help="names with commas; all by default")
    parser.add_argument("--indices", default=",".join(INDICES))
    parser.add_argument("--budgets", default="10,40,120", help="evaluations a player")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=60.0, help="processor seconds after which a run is stopped")
    parser.add_argument("--part", default="0/1", help="k/K: every K-th run, from the k-th on")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGPROF, _stop)
    try:
        work(options)
    except FileNotFoundError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
