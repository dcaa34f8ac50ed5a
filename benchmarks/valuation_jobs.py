"""Closed forms and one-run methods as jobs over 100,000 points: one JSON line a job.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_jobs.py [--points 100000] [--only knn,data_oob] [--actors 0,1,2]

Labels from a linear rule in 20 features, with noise; 1,000 test points. With 0 actors the job runs in this process; else on so many Ray
actors, and `unit_seconds`, the sum of what the units took, says what part of the wall-clock time was work. `digest` of the values is the
same for any number of actors. Each job runs in a process of its own, into a store of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from xai_ray.engine import InlineEngine, RayEngine
from xai_ray.stores import open_store
from xai_ray.valuation import Network

TESTS, FEATURES = 1_000, 20


def perceptron() -> Any:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))


JOBS: dict[str, dict[str, Any]] = {
    "knn": {"estimator": KNeighborsClassifier(5)},
    "data_oob": {"estimator": LogisticRegression(), "budget": 1_000},
    "in_run": {"estimator": Network(perceptron, epochs=3, learning_rate=0.1, batch=256), "settings": {"order": 2}},
}


def data(points: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    rows, tests = rng.normal(size=(points, FEATURES)), rng.normal(size=(TESTS, FEATURES))
    labels = (rows[:, 0] + 0.5 * rng.normal(size=points) > 0).astype(int)
    return rows, labels, tests, (tests[:, 0] > 0).astype(int)


def measured(method: str, points: int, actors: int) -> dict[str, Any]:
    given = data(points)
    engine = RayEngine(actors=actors) if actors else InlineEngine()
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        asked = dict(JOBS[method])
        result = xr.value(
            asked.pop("estimator"), *given, method=method, engine=engine, store=f"file://{folder}", **asked
        )
        seconds, processor = time.perf_counter() - began, time.process_time() - used
        store = open_store(f"file://{folder}")
        (job,) = store.jobs()
        units = [record.facts["seconds"] for record in store.records(job, sorted(store.committed(job)))]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "method": method,
        "points": points,
        "actors": actors,
        "evaluations": result.evaluations,
        "wall_seconds": round(seconds, 1),
        "processor_seconds_here": round(processor, 1),
        "units": len(units),
        "unit_seconds": round(sum(units), 1),
        "peak_mb_here": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "store_mb": round(size / 2**20, 1),
        "load": round(os.getloadavg()[0], 1),
        "digest": hashlib.sha256(result.values.tobytes() + result.std_errors.tobytes()).hexdigest()[:16],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--only", default=",".join(JOBS))
    parser.add_argument("--actors", default="0,1,2")
    parser.add_argument("--here", action="store_true", help="measure one job in this process")
    asked = parser.parse_args()
    for method in asked.only.split(","):
        for actors in map(int, asked.actors.split(",")):
            if asked.here:
                print(json.dumps(measured(method, asked.points, actors)), flush=True)
                continue
            command = [sys.executable, __file__, "--here", "--points", str(asked.points), "--only", method]
            subprocess.run([*command, "--actors", str(actors)], check=True)


if __name__ == "__main__":
    main()
