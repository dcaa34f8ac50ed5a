"""The Ray engine beside the inline one, for `benchmarks/scheduler.py --ray`. One thread a process."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine import InlineEngine, RayEngine
from xai_ray.engine.protocol import Engine
from xai_ray.stores import Record, Segment
from xai_ray.types import Coalitions, Ints, Values

PLAYERS = 16
UNIT_DRAWS = 8
ROUNDS = 3


@dataclass(frozen=True)
class Busy:
    """Keeps one core busy for about the same time in every coalition: products of small matrices."""

    products: int = 600
    n_players: int = PLAYERS
    block: int = 16
    n_outputs: int = 1
    stochastic: bool = False
    digest: str = "00"
    player_names: tuple[str, ...] = tuple(f"p{i}" for i in range(PLAYERS))
    output_names: tuple[str, ...] = ("trace",)

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        out = np.empty((len(coalitions), 1))
        for row, coalition in enumerate(coalitions):
            matrix = np.outer(coalition, coalition) / PLAYERS + np.eye(PLAYERS)
            turned = matrix
            for _ in range(self.products):
                turned = turned @ matrix / 2.0
            out[row] = turned.trace()
        return out


def rate(engine: Engine, units: int) -> float:
    """Evaluations per second from the first commit to the last, so without the start of Ray and its actors."""
    times: list[float] = []
    counts: list[int] = []

    def commit(record: Record) -> None:
        times.append(time.perf_counter())
        counts.append(len(record.values))

    plan = list(Segment(0, units * UNIT_DRAWS, UNIT_DRAWS).units())
    engine.run(Busy(), Strata(PLAYERS, 0, uniform_law(PLAYERS)), plan, commit, lambda: False)
    return sum(counts[1:]) / (times[-1] - times[0])


def ray_beside_inline(units: int = 300) -> Iterator[dict[str, object]]:
    """Medians over rounds in which the three take turns: evaluations per second inline, with one actor and with two, and their ratios."""
    import ray

    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    try:
        engines: dict[str, Engine] = {
            "inline": InlineEngine(),
            "one": RayEngine(actors=1, gpus_per_actor=0),
            "two": RayEngine(actors=2, gpus_per_actor=0),
        }
        found = [{name: rate(engine, units) for name, engine in engines.items()} for _ in range(ROUNDS)]
    finally:
        ray.shutdown()
    rates = {name: round(statistics.median(r[name] for r in found), 1) for name in engines}
    seconds = UNIT_DRAWS * 2 / rates["inline"]
    common = {
        "rounds": ROUNDS,
        "units": units,
        "seconds_of_a_unit": round(seconds, 4),
        "cores": os.cpu_count(),
        **rates,
    }
    one = statistics.median(r["one"] / r["inline"] for r in found)
    two = statistics.median(r["two"] / r["one"] for r in found)
    yield {"figure": "one actor beside inline, evaluations per second", **common, "value": round(one, 3)}
    yield {"figure": "two actors beside one, evaluations per second", **common, "value": round(two, 3)}
