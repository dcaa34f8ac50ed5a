"""Evaluations per second of a run beside a bare loop of the same model at its best batch size; one JSON line.

    python benchmarks/overhead.py [--evaluations 96] [--rounds 12] [--engine inline|ray] [--actors 1]

The bare loop is what a careful user would write by hand: masked inputs made in advance for one batch, `inference_mode`, the same number
of threads, the best of several batch sizes. Both sides alternate, and the ratio of each round is reported with its median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

import xai_ray as xr
from xai_ray.coalitions import Strata, Unit
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine import InlineEngine
from xai_ray.engine.worker import evaluate
from xai_ray.zoo.efficientnet import efficientnet_lite0

BATCHES = (1, 2, 4, 8, 16, 32)


def picture() -> np.ndarray:
    from skimage import data

    return data.chelsea()


def bare_rate(model: torch.nn.Module, shape: tuple[int, ...], batch: int, evaluations: int) -> float:
    """Forward passes per second, nothing around them."""
    x = torch.randn(batch, *shape)
    with torch.inference_mode():
        model(x)
        began = time.perf_counter()
        for _ in range(max(1, evaluations // batch)):
            model(x)
        return max(1, evaluations // batch) * batch / (time.perf_counter() - began)


def run_rate(game: xr.ModelGame, design: Strata, evaluations: int, engine: object) -> float:
    """Evaluations per second from the first committed unit to the last, start-up left out."""
    per_unit = 2 * game.block // 2
    units = [Unit(d, d + per_unit) for d in range(0, evaluations // 2, per_unit)]
    times: list[float] = []
    counts: list[int] = []

    def commit(record: object) -> None:
        times.append(time.perf_counter())
        counts.append(len(record.values))

    if isinstance(engine, InlineEngine):
        evaluate(units[0], game, design)
        began = time.perf_counter()
        engine.run(game, design, units, commit, lambda: False)
        return sum(counts) / (times[-1] - began)
    engine.run(game, design, units, commit, lambda: False)
    return sum(counts[1:]) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--engine", choices=("inline", "ray"), default="inline")
    parser.add_argument("--actors", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    zoo = efficientnet_lite0()
    x = zoo.preprocess(picture())
    game = xr.ModelGame(zoo.model, x, players=xr.Patches(7, 7), removal=xr.Blur(10.0), behaviour=xr.LogOdds())
    design = Strata(49, 0, uniform_law(49))
    engine = InlineEngine() if options.engine == "inline" else xr.RayEngine(actors=options.actors)
    trials = [{b: bare_rate(zoo.model, x.shape, b, 32) for b in BATCHES} for _ in range(3)]
    by_batch = {b: statistics.median(t[b] for t in trials) for b in BATCHES}
    best = max(by_batch, key=lambda b: by_batch[b])
    bare, run, ratios = [], [], []
    for _ in range(options.rounds):
        # The machine's speed drifts: each run stands between two bare loops of half its length.
        before = bare_rate(zoo.model, x.shape, best, options.evaluations // 2)
        run.append(run_rate(game, design, options.evaluations, engine))
        after = bare_rate(zoo.model, x.shape, best, options.evaluations // 2)
        bare.append((before + after) / 2)
        ratios.append(run[-1] / bare[-1])
    print(
        json.dumps(
            {
                "benchmark": "overhead",
                "model": "efficientnet_lite0",
                "engine": options.engine,
                "actors": options.actors,
                "threads": 1,
                "bare_best_batch": best,
                "bare_by_batch": {b: round(r, 2) for b, r in by_batch.items()},
                "run_batch": game.block,
                "bare_per_second": [round(r, 2) for r in bare],
                "run_per_second": [round(r, 2) for r in run],
                "ratios": [round(r, 3) for r in ratios],
                "ratio": round(statistics.median(ratios), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
