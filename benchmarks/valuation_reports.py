"""What the reports of the three small valuation jobs show: detection of known bad points, and accuracy after a fifth is removed.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_reports.py [--markdown]

Runs `jobs/value_digits.toml`, `value_reviews.toml` and `value_groups.toml` with their whole budgets, in this process. Curves have ten
random orders and are scored on the holdout of the job's data where there is one, and on its own test points; seconds are processor time
of the former. A JSON line a job and method.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xai_ray.api import run_planned
from xai_ray.build import manifest_for, prepare
from xai_ray.estimators import Stop
from xai_ray.reports.training import training_part
from xai_ray.spec import load
from xai_ray.valuation import PointCurves, point_curves

JOBS = Path(__file__).parents[1] / "jobs"
COLUMNS = {
    "job": "job",
    "method": "method",
    "bad": "known bad",
    "auroc": "AUROC, 95 % interval",
    "precision": "precision",
    "f1": "F1",
    "all": "all in",
    "lowest": "lowest first",
    "highest": "highest first",
    "random": "random",
    "own_tests": "own tests: all in, lowest first",
    "models": "models",
    "seconds": "s",
}


def rows(name: str) -> Iterator[dict[str, object]]:
    prepared = prepare(load(JOBS / f"{name}.toml"), JOBS)
    result = run_planned(manifest_for(prepared), prepared.game, prepared.plan, Stop(), "inline", None, False, None)
    began = time.process_time()
    part = training_part(result, curves=10)
    seconds = time.process_time() - began
    assert part is not None
    assert part.curves is not None
    own = point_curves(prepared.game, np.stack([m.values for m in part.methods]), random_orders=1)
    for at, method in enumerate(part.methods):
        found = part.detections[method.name]
        low, high = found.auroc_interval
        after = {kind: fifth(part.curves, kind, at) for kind in ("lowest", "highest")}
        yield {
            "job": name,
            "method": method.name,
            "bad": found.bad,
            "auroc": f"{found.auroc:.3f}, {low:.3f} to {high:.3f}",
            "precision": f"{found.precision_at(found.bad / len(result.players)):.0%}",
            "f1": f"{found.f1:.2f}",
            "all": f"{part.curves.of('remove', 'lowest')[at, 0, 0]:.3f}",
            **{kind: f"{score:.3f}" for kind, score in after.items()},
            "random": f"{np.mean([fifth(part.curves, 'random', r) for r in range(10)]):.3f}",
            "own_tests": f"{own.of('remove', 'lowest')[at, 0, 0]:.3f}, {fifth(own, 'lowest', at):.3f}",
            "models": part.curves.models,
            "seconds": round(seconds, 1),
        }


def fifth(curves: PointCurves, order: str, at: int) -> float:
    """The score after a fifth of the players is removed."""
    step = int(np.argmin(np.abs(curves.counts - curves.players / 5)))
    return float(curves.of("remove", order)[at, step, 0])  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation besides")
    given = parser.parse_args()
    found = [row for name in ("value_digits", "value_reviews", "value_groups") for row in rows(name)]
    for row in found:
        print(json.dumps(row), flush=True)
    if given.markdown:
        print("| " + " | ".join(COLUMNS.values()) + " |\n|" + "---|" * len(COLUMNS))
        for row in found:
            print("| " + " | ".join(str(row[key]) for key in COLUMNS) + " |")


if __name__ == "__main__":
    main()
