"""The driver that tests of hosts start on the head: `python -m tests.cluster.host_run ADDRESS OUT SECONDS`.

Evaluates every coalition of a small game on the cluster and writes the values; one line a commit goes to OUT.commits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.engine.engine_games import SlotSensitive
from xai_ray.coalitions import Exhaustive, Unit
from xai_ray.engine.protocol import Engine
from xai_ray.stores.protocol import Record, Segment

UNITS = list(Segment(0, 1 << 9, 5).units())


def game(seconds: float) -> SlotSensitive:
    """Nine players; so many seconds of sleep a batch."""
    return SlotSensitive(n_players=9, seconds=seconds)


def evaluated(engine: Engine, seconds: float, told: Path | None = None) -> list[Record]:
    """The records in canonical order; the engine is held to one commit a unit."""
    records: dict[Unit, Record] = {}

    def commit(record: Record) -> None:
        assert record.unit not in records, f"{record.unit} was committed twice"
        records[record.unit] = record
        if told is not None:
            with told.open("a") as out:
                out.write(f"{len(records)}\n")

    engine.run(game(seconds), Exhaustive(9), UNITS, commit, lambda: False)
    return [records[unit] for unit in UNITS]


def values(records: list[Record]) -> np.ndarray:
    """All values, one row a draw."""
    return np.concatenate([record.values for record in records])


def main(address: str, out: Path, seconds: float) -> None:
    """Run on the cluster and write `values` and the hosts that had a part in them."""
    from xai_ray.engine import RayEngine

    records = evaluated(RayEngine(address=address), seconds, out.with_suffix(".commits"))
    np.save(out, values(records))
    out.with_suffix(".done").touch()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
