"""A dataset job read back from its store: each record once, in the order of the rows, one at a time in memory."""

from __future__ import annotations

from collections.abc import Iterator

from xai_ray.coalitions import RowBlocks
from xai_ray.engine.units import Units
from xai_ray.errors import MissingRecord
from xai_ray.estimators import Ask
from xai_ray.estimators.plan import described_question
from xai_ray.estimators.row_pool import RowBlock, RowPool, RowSums
from xai_ray.stores import Manifest, Record, Store


class RowReader:
    """Keeps the sums of the rows that it has read, so that growing prefixes read each record once."""

    def __init__(self, store: Store, manifest: Manifest, design: RowBlocks) -> None:
        self._store, self._manifest, self._design = store, manifest, design
        self._sums = RowSums(design)

    def pool(self, draws: int) -> RowPool:
        """The first `draws` rows. Raises MissingRecord where some are not there, CorruptRecord."""
        if draws < self._sums.rows:
            self._sums = RowSums(self._design)
        for block in self.blocks(self._sums.rows, draws):
            self._sums.add(block)
        return RowPool(self._sums.copy(), asks_of(self._manifest), lambda: self.blocks(0, draws))

    def blocks(self, start: int, stop: int) -> Iterator[RowBlock]:
        """The blocks of rows [start, stop), whose ends are those of units."""
        job = self._manifest.job
        units = [unit for unit in Units(self._store.segments(job), stop) if unit.start >= start]
        if start < stop and (not units or units[-1].stop < stop):
            raise MissingRecord(
                f"{self._store.url} has no plan for the first {stop} rows of job {job}; xai-ray resume {job}"
            )
        for record in self._store.records(job, units):
            yield block_of(record, self._design)


def block_of(record: Record, design: RowBlocks) -> RowBlock:
    """A record of a dataset job as the rows it holds."""
    return RowBlock.unpacked(design, record.unit.start, record.values, record.facts)


def asks_of(manifest: Manifest) -> tuple[Ask, ...]:
    """The questions that each row of a job was asked."""
    return tuple(Ask(described_question(a["question"]), a["estimator"]) for a in manifest.document["identity"]["asks"])
