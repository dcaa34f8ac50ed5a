"""What a dataset job answers: a table of rows, and means over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import InputError, NotEnoughSamples
from xai_ray.estimators import Ask, Estimate, RowPool
from xai_ray.estimators.row_answers import family
from xai_ray.estimators.row_pool import RowBlock
from xai_ray.indices import Question
from xai_ray.overall import DatasetStrength, GlobalValues
from xai_ray.reports.rows_overall import overall_of
from xai_ray.stores import Manifest
from xai_ray.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import shap


@dataclass(frozen=True, eq=False)
class RowsResult:
    """Values of n players for R rows and k outputs, with standard errors; rows are read from the store block by block."""

    job: str
    digest: str
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    pool: RowPool = field(repr=False)
    asks: tuple[Ask, ...]
    """One a question of the job, at least one."""
    classes: tuple[str, ...] = ()
    """Names of all classes, where each row explains its own."""
    row_ids: tuple[int | str, ...] | None = field(default=None, repr=False)
    provenance: dict[str, Any] = field(default_factory=dict)
    data: Any = field(default=None, repr=False)
    """The rows (R, *input), where they are at hand."""

    @property
    def n_rows(self) -> int:
        """R."""
        return self.pool.draws

    @property
    def evaluations(self) -> int:
        """Evaluations of v that all rows took together."""
        return self.pool.evaluations

    @property
    def values(self) -> Floats:
        """Values of the first question, shape (R, c); with contexts (R, c, m), with k > 1 outputs one more axis. All rows in memory."""
        return self._stacked("values")

    @property
    def std_errors(self) -> Floats:
        """Standard errors, shaped as `values`, in units of v."""
        return self._stacked("std_errors")

    @property
    def base_values(self) -> Floats:
        """v(empty) of each row, shape (R,) or (R, k)."""
        return self._squeezed(np.concatenate([b.ends[:, 0] for b in self.pool.blocks()]))

    @property
    def full_values(self) -> Floats:
        """v(grand) of each row, shape (R,) or (R, k)."""
        return self._squeezed(np.concatenate([b.ends[:, 1] for b in self.pool.blocks()]))

    @property
    def row_evaluations(self) -> Ints:
        """Evaluations of v that each row took, shape (R,)."""
        return np.concatenate([b.evaluations for b in self.pool.blocks()])

    @property
    def means(self) -> tuple[Estimate, ...]:
        """Means of the values over the rows, one estimate a question.

        Each is unbiased over relabellings of the common design, so that errors of rows are independent (`xai_ray.estimators.row_sums`); of
        estimators of which that cannot be told, standard errors are as wide as errors common to all rows make them.
        """
        return tuple(self.pool.answer(a.question, a.estimator) for a in self.asks)

    def global_values(self, at: int = 0) -> GlobalValues:
        """Over all rows, of question number `at`: mean |value| (de-biased), mean value and mean square, each with its standard error.

        Arrays have the shape of one row of `values`. Block by block; raises NotEnoughSamples where a row has no value.
        """
        return overall_of(self, [at])[0].squeezed()

    def strength(self, at: int = 0) -> DatasetStrength:
        """J^(m) of question number `at`: mean |I^(m)| over rows and pairs, shape (m, k). Raises InputError, NotEnoughSamples."""
        found = overall_of(self, [at])[0].strength
        if found is None:
            raise InputError(
                f"{self.asks[at].question.index} has no values of pairs by context; ask for them, as ask('MOI', contexts=[0, 2])"
            )
        return found

    def blocks(self) -> Iterator[RowBlock]:
        """The rows, block by block, as they are stored: what a summary over the dataset is computed from."""
        return self.pool.blocks()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The table, a batch for each unit; see `xai_ray.reports.rows_arrow`."""
        from xai_ray.reports.rows_arrow import batch_of, schema_of

        schema = schema_of(self)
        return (batch_of(self, schema, block) for block in self.blocks())

    def table(self) -> pa.Table:
        """The whole table, a row for each row, question and output; see `xai_ray.reports.rows_arrow`."""
        import pyarrow as pa

        from xai_ray.reports.rows_arrow import schema_of

        return pa.Table.from_batches(self.batches(), schema_of(self))

    def to_pandas(self, what: str = "values") -> pd.DataFrame:
        """`values` or `std_errors` of the first question as a DataFrame: a line a row, a column a player (or set of players)."""
        import pandas as pd

        found = self._stacked(what)
        if found.ndim != 2:
            raise InputError(f"{found.shape} is no table of rows and players; take table(), or values")
        names = [" x ".join(self.players[i] for i in one) for one in self.sets()]
        return pd.DataFrame(
            found, index=pd.Index((self.row_ids or range(self.n_rows))[: self.n_rows], name="row"), columns=names
        )

    def sets(self, at: int = 0) -> tuple[tuple[int, ...], ...]:
        """The sets that question number `at` has values for, in order."""
        return family(len(self.players), self.pool.sums.shapes[at][0])

    def ask(
        self,
        index: str,
        order: int | None = None,
        estimator: str = "auto",
        contexts: Sequence[int] | None = None,
        p: float | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        weights: Sequence[float] | None = None,
    ) -> RowsResult:
        """Another index of every row from the values already evaluated. Arguments as in `Question`.

        Raises NotEnoughSamples when the values do not answer the question, SpecError.
        """
        question = Question(
            index,
            order,
            None if contexts is None else tuple(contexts),
            p=p,
            alpha=alpha,
            beta=beta,
            weights=None if weights is None else tuple(weights),
        )
        return self.asked(question, estimator)

    def asked(self, question: Question, estimator: str = "auto") -> RowsResult:
        """The same for a question."""
        pool = self.pool.asked(question, estimator)
        return replace(self, pool=pool, asks=pool.asks)

    @classmethod
    def of(cls, manifest: Manifest, pool: RowPool, provenance: dict[str, Any], game: Any = None) -> RowsResult:
        """From a job's manifest and its rows; with the game at hand, the rows' own numbers."""
        document, dataset = manifest.document, manifest.document["dataset"]
        rows = getattr(game, "rows", None)
        return cls(
            job=manifest.job,
            digest=manifest.digest,
            players=tuple(document["players"]),
            outputs=tuple(document["outputs"]),
            pool=pool,
            asks=pool.asks,
            classes=tuple(dataset["classes"]),
            row_ids=None if dataset["ids"] is None else tuple(dataset["ids"]),
            provenance=provenance,
            data=getattr(rows, "rows", None),
        )

    def to_shap(self) -> shap.Explanation:
        """As a shap.Explanation of (R, n) or (R, n, k) values with base values, data, names and `error_std`."""
        try:
            import shap
        except ImportError as error:
            raise InputError('shap is not installed; run: pip install "xai-ray[oracle]"') from error
        values, errors = self.values, self.std_errors
        if self.sets() != tuple((i,) for i in range(len(self.players))):
            raise InputError("shap draws values of single players; ask an index of order 1, or take table()")
        if np.isnan(values).any():
            raise NotEnoughSamples(f"{self.job}: values are missing, and a shap.Explanation cannot say so")
        data = None if self.data is None else np.asarray(self.data)[: self.n_rows]
        if data is not None and data.shape[1:] != (len(self.players),):
            data = None
        return shap.Explanation(
            values=values,
            base_values=self.base_values,
            data=data,
            feature_names=list(self.players),
            output_names=None if len(self.outputs) == 1 else list(self.outputs),
            error_std=errors,
        )

    def _stacked(self, what: str) -> Floats:
        if what not in ("values", "std_errors"):
            raise InputError(f"values or std_errors, got {what!r}")
        parts = [getattr(b.answers[0], what) for b in self.blocks()]
        found = np.concatenate(parts)
        if not self.pool.sums.shapes[0][1]:
            found = found[:, :, 0]
        return self._squeezed(found)

    def _squeezed(self, array: Floats) -> Floats:
        return array[..., 0] if len(self.outputs) == 1 else array
