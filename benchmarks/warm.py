"""How long an answer on a warm pool takes beyond the evaluations' own time. Prints JSON.

    python benchmarks/warm.py [--spec jobs/tumour.toml] [--answers 5] [--estimator leverage]

Starts a Ray of its own with two CPUs, loads the spec's game into one warm actor, and times `explain` in this process, which has
joined already, as a notebook has: `seconds` of each answer, `own` what workers spent in evaluations, `beyond` the difference.
`inline` is the same in this process without Ray: what it has beyond evaluations are the estimator's looks. `cold` is the first answer of
the usual Ray engine, whose actor has to start and to load the game.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import ray

from xai_ray.build import prepare
from xai_ray.engine import InlineEngine, RayEngine
from xai_ray.engine.job import Run, manifest_of
from xai_ray.engine.ray_connection import connected
from xai_ray.engine.ray_warm import WarmEngine
from xai_ray.engine.ray_warm_pool import start_pool, stop_pool
from xai_ray.spec import AskSpec, load
from xai_ray.stores import MemoryStore


def answer(prepared: Any, engine: Any) -> dict[str, float]:
    """One answer: its seconds, and those that workers spent in evaluations."""
    plan, store = prepared.plan, MemoryStore()
    manifest = manifest_of("warm", prepared.game, plan, {"budget": {}, "seed": 0})
    began = time.perf_counter()
    Run(manifest, prepared.game, plan.asks, plan.draws, store, engine).execute()
    seconds = time.perf_counter() - began
    units = [unit for segment in store.segments(manifest.job) for unit in segment.units()]
    own = sum(record.facts["seconds"] for record in store.records(manifest.job, units))
    return {"seconds": round(seconds, 3), "own": round(own, 3), "beyond": round(seconds - own, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=Path, default=Path("jobs/tumour.toml"))
    parser.add_argument("--answers", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument(
        "--estimator", default="leverage", help="of Shapley values; a quick one, so that looks take little"
    )
    given = parser.parse_args()
    spec = load(given.spec)
    asks = (AskSpec(index="SV", estimator=given.estimator),)
    spec = spec.model_copy(
        update={"ask": asks, "budget": spec.budget.model_copy(update={"evaluations": given.evaluations})}
    )
    prepared = prepare(spec, given.spec.resolve().parent)
    with connected("local", 2):
        inline = answer(prepared, InlineEngine())
        cold = answer(prepared, RayEngine(actors=1))
        start_pool(prepared.game, 1)
        warm = [answer(prepared, WarmEngine()) for _ in range(given.answers)]
        stop_pool()
        version = ray.__version__
    told = {
        "spec": given.spec.name,
        "evaluations": given.evaluations,
        "ray": version,
        "inline": inline,
        "cold": cold,
        "warm": warm,
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
