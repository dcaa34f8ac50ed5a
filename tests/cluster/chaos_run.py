"""The driver that chaos tests start: `python -m tests.cluster.chaos_run ADDRESS STORE FOLDER`.

Runs one job on a cluster, in a game that tests hold and let go, and writes its result to FOLDER/result-PID.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.engine.engine_games import SumOfProducts
from xai_ray.api import explain
from xai_ray.engine.protocol import Engine
from xai_ray.errors import XaiRayError
from xai_ray.stores import Store
from xai_ray.types import Coalitions, Ints, Values

BUDGET = 480
"""Evaluations; 120 units of one call."""
_HELD_SECONDS = 240.0


@dataclass(frozen=True)
class Held(SumOfProducts):
    """Counts its calls in `folder`, in all processes together, and waits in those beyond the number in the file `allowed`."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        calls, waiting = Path(self.folder, "calls"), Path(self.folder, "waiting", str(os.getpid()))
        (calls / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        number, deadline = len(os.listdir(calls)), time.monotonic() + _HELD_SECONDS
        while number > int(Path(self.folder, "allowed").read_text()):
            waiting.touch()
            assert time.monotonic() < deadline, "nobody opened the gate"
            time.sleep(0.01)
        waiting.unlink(missing_ok=True)
        return super().values(coalitions, context)


def game(folder: str = "") -> SumOfProducts:
    """Twelve players, two outputs; held at the gate of a folder, if one is named."""
    return Held(n_players=12, folder=folder) if folder else SumOfProducts(n_players=12)


def result(of: SumOfProducts, engine: Engine | str, store: Store | str | None = None) -> bytes:
    """What `result.json` of the job holds."""
    found = explain(of, "SV", budget=BUDGET, estimator="leverage", seed=5, engine=engine, store=store)  # type: ignore[arg-type]
    return (json.dumps(found.to_document(), allow_nan=False, ensure_ascii=False) + "\n").encode()


def main(address: str, store: str, folder: str) -> int:
    """The exit code, as the command line has it; errors go to stderr."""
    from xai_ray.engine import RayEngine

    try:
        told = result(game(folder), RayEngine(address=address, gpus_per_actor=0), store)
    except XaiRayError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    new = Path(folder, f"new-{os.getpid()}")
    new.write_bytes(told)
    new.rename(Path(folder, f"result-{os.getpid()}.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
