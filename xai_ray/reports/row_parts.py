"""The rows of a dataset job as files while it runs: one a unit, there when it is whole, from the moment the unit is in the store.

`DIR/JOB.rows/part-000000256.arrow` holds the rows from 256 on, in the layout of `result.arrow` (`xai_ray.reports.rows_arrow`). Sorted by
name the parts are in the order of the rows; together they are a dataset that any reader of Arrow opens, `pyarrow.dataset` for one. They are
drafts: `result.arrow` is written from the store, and takes their place.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from xai_ray.coalitions import EachInput, RowBlocks, Unit
from xai_ray.engine.each_reading import explained_of
from xai_ray.engine.reading import design_of
from xai_ray.engine.row_reading import asks_of, block_of
from xai_ray.estimators import EachPool, RowPool
from xai_ray.estimators.row_pool import RowBlock, RowSums
from xai_ray.reports.each_arrow import write_each
from xai_ray.reports.each_result import EachResult
from xai_ray.reports.rows_arrow import batch_of, placed, schema_of
from xai_ray.reports.rows_result import RowsResult
from xai_ray.stores import Manifest, Store


class RowParts:
    """The parts of one job below `directory`. Memory: one unit."""

    def __init__(self, store: Store, manifest: Manifest, directory: Path) -> None:
        self.folder = directory / f"{manifest.job}.rows"
        self._store, self._manifest = store, manifest
        self._written = set[Unit]()

    def write(self, unit: Unit) -> None:
        """The part of a unit that is in the store, unless it is there. Raises InputError, StoreError."""
        design = design_of(self._manifest)
        if isinstance(design, EachInput):
            self._write_input(unit, design)
            return
        path = self._path(unit.start)
        if path.exists():
            return
        assert isinstance(design, RowBlocks)
        for record in self._store.records(self._manifest.job, [unit]):
            block = block_of(record, design)
            found = rows_of_block(self._manifest, design, block)
            remedy = "give another folder with --out; what was computed is in the store"
            placed(path, lambda sink, found=found, block=block: _write(found, block, sink), remedy)

    def _write_input(self, unit: Unit, design: EachInput) -> None:
        # A later stage replaces what an earlier one, maybe of a run that was killed, has left.
        if unit in self._written:
            return
        self._written.add(unit)
        for record in self._store.records(self._manifest.job, [unit]):
            one = explained_of(record, design)
            pool = EachPool(design, unit.stop, len(one.outputs), lambda _, one=one: iter([one]))
            found = EachResult.of(self._manifest, pool, {})
            write_each(found.results(), self._path(one.at), found.row_ids, one.at)

    def _path(self, row: int) -> Path:
        return self.folder / f"part-{row:09d}.arrow"

    def catch_up(self) -> None:
        """The parts of all units that are in the store."""
        for unit in sorted(self._store.committed(self._manifest.job), key=lambda unit: unit.start):
            self.write(unit)

    def remove(self) -> None:
        """All parts, and the folder if nothing else is in it."""
        for path in self.folder.glob("part-*.arrow"):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def parts_of(store: Store, manifest: Manifest, directory: Path | None) -> RowParts | None:
    """Where the rows of a dataset job go while it runs; None for other jobs, and without a folder."""
    rows = isinstance(design_of(manifest), (EachInput, RowBlocks))
    return RowParts(store, manifest, directory) if rows and directory is not None else None


def rows_of_block(manifest: Manifest, design: RowBlocks, block: RowBlock) -> RowsResult:
    """A result that holds one block."""
    sums = RowSums(design, shapes=[(a.sizes, a.contexts) for a in block.answers])
    return RowsResult.of(manifest, RowPool(sums, asks_of(manifest), lambda: iter([block])), {})


def _write(found: RowsResult, block: RowBlock, sink: pa.NativeFile) -> None:
    schema = schema_of(found)
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch_of(found, schema, block))
