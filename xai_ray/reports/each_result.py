"""What a job of inputs with players of their own answers: a result for each input, read from the store one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xai_ray.engine.reading import Curve
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, EachPool, Explained, Stop, boundaries
from xai_ray.games.view import View
from xai_ray.indices import Question
from xai_ray.reports.result import Result
from xai_ray.stores import Manifest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class EachResult:
    """Values of R inputs for k outputs, with standard errors."""

    job: str
    digest: str
    pool: EachPool = field(repr=False)
    row_ids: tuple[str, ...] | None = field(default=None, repr=False)
    first: int = 0
    """Number of the first input in its file."""
    provenance: dict[str, Any] = field(default_factory=dict)
    question: Ask | None = None
    """Another one than the job's, answered from the same values."""

    @classmethod
    def of(cls, manifest: Manifest, pool: EachPool, provenance: dict[str, Any]) -> EachResult:
        """From a job's manifest and its inputs."""
        said = manifest.document["dataset"]
        ids = None if said["ids"] is None else tuple(said["ids"])
        return cls(manifest.job, manifest.digest, pool, ids, said["first"], provenance)

    @property
    def n_inputs(self) -> int:
        """R: of a partial result, those that are finished without a gap."""
        return self.pool.count

    @property
    def evaluations(self) -> int:
        """Evaluations of v that all inputs took together."""
        return self.pool.evaluations

    def results(self) -> Iterator[Result]:
        """The result of each input, in order, one in memory at a time."""
        return (self.result_of(one) for one in self.pool.inputs(0))

    def result(self, row: int) -> Result:
        """That of one input, number `row` of the job, from 0. Raises SpecError."""
        if not 0 <= row < self.n_inputs:
            raise SpecError(f"row {row}: job {self.job} has the texts 0 to {self.n_inputs - 1}")
        return self.result_of(next(self.pool.inputs(row)))

    def numbered(self, number: int) -> Result:
        """That of the input which is number `number` in its file, as its line is called where inputs have no names. Raises SpecError."""
        if not self.first <= number < self.first + self.n_inputs:
            raise SpecError(
                f"row {number}: job {self.job} has the texts {self.first} to {self.first + self.n_inputs - 1}"
            )
        return self.result(number - self.first)

    def asked(self, question: Question, estimator: str = "auto") -> EachResult:
        """Another index of every input, from the values already evaluated."""
        return replace(self, question=Ask(question, estimator))

    def check(self) -> None:
        """Raise what an input raises for another question than the job's, with its name. The job's own questions are answered."""
        if self.question is not None:
            for one in self.pool.inputs(0):
                self._asked(one, self.question)

    def table(self) -> pa.Table:
        """The whole table; see `xai_ray.reports.each_arrow`."""
        from xai_ray.reports.each_arrow import each_table

        return each_table(self.results(), self.row_ids)

    def name(self, row: int) -> str:
        """How people call an input."""
        return str(self.first + row) if self.row_ids is None else self.row_ids[row]

    def result_of(self, one: Explained) -> Result:
        """What a person reads of an input."""
        found = one if self.question is None else self._asked(one, self.question)
        first = Ask(found.estimates[0].question, found.estimates[0].estimator)
        return Result(
            job=self.job,
            digest=self.digest,
            players=one.players,
            outputs=one.outputs,
            evaluations=one.evaluations,
            estimates=found.estimates,
            ends=one.pool.ends(),
            view=None if one.view is None else View.from_document(one.view),
            convergence=Curve(one.pool, first, {one.pool.draws: found.estimates[0]}),
            provenance=self.provenance | {"row": one.at, "evaluations": one.evaluations} | self._ended(one),
            asker=one.pool.answer,
        )

    def _asked(self, one: Explained, question: Ask) -> Explained:
        try:
            return one.asked(question)
        except (NotEnoughSamples, SpecError) as error:
            kind = NotEnoughSamples if isinstance(error, NotEnoughSamples) else SpecError
            raise kind(f"row {self.name(one.at)}: {error}") from error

    def _ended(self, one: Explained) -> dict[str, Any]:
        """Why this input ended where it did and whether it is as precise as was asked, as `Ending.document` of a job of its own."""
        said = self.provenance.get("stop")
        if said is None:
            return {}
        if not said:
            return {"precise": True, "stop": {}}
        stop, design, draws = Stop.of(said["asked"]), one.pool.design, one.pool.draws
        left = list[str]()
        if one.open:
            look = len(list(boundaries(design, draws)))
            left = [v.words for e in one.estimates for v in stop.judge(e, look) if not v.met]
        # Rules end an input at a boundary before the last of its budget.
        early = draws != design.capacity and draws in boundaries(design, draws + 1)
        by = "rules" if stop.rules and early and not one.open else "budget"
        document = {"asked": said["asked"], "by": by, "open": left, "precise": not one.open}
        return {"precise": not one.open, "stop": document}
