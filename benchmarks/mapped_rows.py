"""Private memory of Ray workers that explain rows which are mapped from a file: `python benchmarks/mapped_rows.py --rows 600`.

Rows are 1 MiB each. Printed for each worker: MiB of rows, and the largest sum of private pages that it had at a pass of the model.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from pathlib import Path

import numpy as np

import xai_ray as xr

COLUMNS = 1 << 17


class Watched:
    """A sum of some columns, which notes the private memory of its process at each call."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        pages = re.findall(r"Private_\w+:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
        with (Path(self.folder) / f"worker-{os.getpid()}").open("a") as out:
            out.write(f"{sum(map(int, pages)) >> 10}\n")
        return rows[:, ::4096].sum(axis=1)


def main() -> None:
    """Explain random rows on Ray."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--actors", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "rows.npy"
        rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(given.rows, COLUMNS))
        for at in range(given.rows):
            rows[at] = np.random.default_rng(at).normal(size=COLUMNS)
        rows.flush()
        mapped = np.load(path, mmap_mode="r")
        groups = np.arange(COLUMNS).reshape(2, -1).tolist()
        model, players = Watched(home), xr.ColumnGroups(groups)
        game = xr.RowsGame(model, mapped, players=players, removal=xr.Zeros(), behaviour=xr.Raw())
        (Path(home) / f"worker-{os.getpid()}").unlink()
        xr.explain_rows(game, budget="exact", unit_rows=8, engine=xr.RayEngine(actors=given.actors))
        for noted in sorted(Path(home).glob("worker-*")):
            most = max(map(int, noted.read_text().split()))
            print(f"{given.rows} MiB of rows, {most} MiB of private memory")


if __name__ == "__main__":
    main()
