"""What a finished or running job answers."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xai_ray.errors import InputError, NotEnoughSamples, SpecError
from xai_ray.estimators.estimate import Estimate
from xai_ray.games.view import View
from xai_ray.indices.named import player_numbers
from xai_ray.indices.question import Question
from xai_ray.reports.document import result_document
from xai_ray.types import Floats

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import shap
    import shapiq

    from xai_ray.reports.each_result import EachResult
    from xai_ray.reports.rows_result import RowsResult


@dataclass(frozen=True, eq=False)
class Result:
    """Estimates with standard errors for n players and k outputs, and what is needed to draw and to reproduce them.

    Two results are the same answer when their `to_document()` are equal.
    """

    job: str
    digest: str
    """Hexadecimal digest of the spec and the game."""
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    evaluations: int
    """Evaluations of v that the job has spent."""
    estimates: tuple[Estimate, ...]
    """One a question, at least one."""
    ends: Floats
    """Shape (2, k): v(empty) and v(grand)."""
    view: View | None = None
    convergence: Sequence[Estimate] = ()
    """The first question's estimates at growing prefixes of the evaluations; of a run, each computed when it is first asked for."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """JSON: spec, versions, seed, design, engine, seconds."""
    game: Any = field(default=None, compare=False, repr=False)
    """The game that valued training points, where it is at hand; a report shows its points and may train more models."""
    rows: RowsResult | None = field(default=None, compare=False, repr=False)
    """Of a dataset job: the rows; the estimates are means over them, `evaluations` those of all rows together."""
    texts: EachResult | None = field(default=None, compare=False, repr=False)
    """Of a job of texts: their results; the estimates here are of no sets, since texts share no players."""
    asker: Callable[[Question, str], Estimate] | None = field(default=None, compare=False, repr=False)
    """Computes another (question, estimator name) from the stored values."""

    def __post_init__(self) -> None:
        if not self.estimates:
            raise InputError("a result needs at least one estimate")
        if self.ends.shape != (2, len(self.outputs)):
            raise InputError(
                f"ends must have shape (2, {len(self.outputs)}), one column an output; got {self.ends.shape}"
            )
        # Others are of the pool that the estimates are of, and would be computed for nothing.
        given = self.convergence if isinstance(self.convergence, tuple) else ()
        for estimate in (*self.estimates, *given):
            self._check(estimate)

    @property
    def values(self) -> Floats:
        """Values of the first estimate, shape (c,) or (c, m); with k > 1 outputs (c, k) or (c, m, k)."""
        return self._squeezed(self.estimates[0].values)

    @property
    def std_errors(self) -> Floats:
        """Standard errors of the first estimate, shaped as `values`, in units of v."""
        return self._squeezed(self.estimates[0].std_errors)

    @cached_property
    def rank_agreement(self) -> float | None:
        """Of the first estimate with the one from about half of its evaluations, which is computed when this is first asked for and was
        not seen during the run; see `xai_ray.estimators.agreement`. None where there is no such estimate.
        """
        from xai_ray.engine.reading import half_of
        from xai_ray.estimators.agreement import rank_agreement

        first = self.estimates[0]
        found = rank_agreement(first, half_of(self.convergence, first))
        return None if found is None else round(found, 3)

    @property
    def inputs_told(self) -> str | None:
        """Of a dataset job, how many rows or texts it explains; else None."""
        if self.texts is not None:
            return f"{self.texts.n_inputs} texts"
        return None if self.rows is None else f"{self.rows.n_rows} rows"

    def ask(
        self,
        index: str,
        order: int | None = None,
        estimator: str = "auto",
        contexts: Sequence[int] | None = None,
        pairs: Sequence[tuple[int, int]] | None = None,
        p: float | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        weights: Sequence[float] | None = None,
        groups: Sequence[Sequence[int]] | None = None,
        split: str | None = None,
        players: Sequence[int | str] | None = None,
    ) -> Result:
        """Another index from the values already evaluated, as a result of its own. Arguments as in `Question`.

        Raises NotEnoughSamples when this result keeps no values, or when they do not answer the question, SpecError.
        """
        if not isinstance(index, str):
            raise SpecError(
                f"ask takes the name of an index and its parameters, as ask('BETA', alpha=4, beta=1); got {index!r}"
            )
        if self.asker is None:
            raise NotEnoughSamples(
                f"job {self.job}: this result keeps no evaluated values, so {index} cannot be computed from it; "
                "open the job's store again, or add an [[ask]] with this index and run the job"
            )
        question = Question(
            index=index,
            order=order,
            contexts=None if contexts is None else tuple(contexts),
            pairs=None if pairs is None else tuple((int(i), int(j)) for i, j in pairs),
            p=p,
            alpha=alpha,
            beta=beta,
            weights=None if weights is None else tuple(weights),
            groups=None if groups is None else tuple(tuple(group) for group in groups),
            split=split,
            players=player_numbers(players, self.players, "players"),
        )
        if self.texts is not None:
            return replace(self, texts=self.texts.asked(question, estimator))
        if self.rows is not None:
            asked = self.rows.asked(question, estimator)
            return replace(self, estimates=asked.means, convergence=(), rows=asked)
        return replace(self, estimates=(self.asker(question, estimator),), convergence=())

    def to_document(self, bands: bool = False) -> dict[str, Any]:
        """The JSON form, see `xai_ray.reports.document`; with `bands`, half widths of simultaneous 95 % bands as well."""
        return result_document(self, bands)

    def save(self, directory: str | Path) -> list[Path]:
        """Write `result.json`, `result.arrow` and `report.html`, each whole or not at all; returns their paths."""
        from xai_ray.reports.arrow import arrow_bytes
        from xai_ray.reports.html import render_report
        from xai_ray.reports.rows_arrow import write_rows

        home = Path(directory)
        if self.texts is not None:
            return self._save_texts(self.texts, home)
        try:
            home.mkdir(parents=True, exist_ok=True)
            document = json.dumps(self.to_document(), allow_nan=False, ensure_ascii=False) + "\n"
            return [
                _write(home / "result.json", document.encode()),
                write_rows(self.rows, home / "result.arrow")
                if self.rows is not None
                else _write(home / "result.arrow", arrow_bytes(self)),
                _write(home / "report.html", render_report(self).encode()),
            ]
        except OSError as error:
            raise InputError(
                f"cannot write the result to {home}: {error.strerror or error}; choose another folder (--out, directory)"
            ) from error

    def to_arrow(self) -> pa.Table:
        """As one long Arrow table, a row a set, context and output, see `xai_ray.reports.arrow.SCHEMA`; means of a dataset job."""
        from xai_ray.reports.arrow import to_arrow

        return to_arrow(self)

    def to_pandas(self) -> pd.DataFrame:
        """`to_arrow` as a pandas.DataFrame, without the set's numbers where every set is one player: `player` names it then.

        Raises InputError where pandas is not installed.
        """
        from xai_ray.reports.arrow import to_pandas

        return to_pandas(self)

    def to_shap(self, index: str | None = None) -> shap.Explanation:
        """As a shap.Explanation, see `xai_ray.reports.peers.to_shap`. Raises SpecError for a job of texts."""
        from xai_ray.reports.peers import to_shap

        self._check_one_input("to_shap")
        return to_shap(self, index)

    def to_shapiq(self, index: str | None = None, output: int = 0) -> shapiq.InteractionValues:
        """As shapiq.InteractionValues, see `xai_ray.reports.peers.to_shapiq`. Raises SpecError for a job of texts."""
        from xai_ray.reports.peers import to_shapiq

        self._check_one_input("to_shapiq")
        return to_shapiq(self, index, output)

    def _repr_html_(self) -> str:
        from xai_ray.reports.html import render_fragment

        return render_fragment(self)

    def _check_one_input(self, called: str) -> None:
        """SpecError for a job of texts, which share no players."""
        if self.texts is not None:
            raise SpecError(
                f"{called}: job {self.job} explains {self.texts.n_inputs} texts, each with players of its own; take "
                f"result.texts.result(row).{called}() of one, or result.texts.results() for all"
            )

    def _save_texts(self, texts: EachResult, home: Path) -> list[Path]:
        from xai_ray.reports.each_arrow import write_each

        table = write_each(texts.results(), home / "result.arrow", texts.row_ids)
        document = json.dumps(self.to_document(), allow_nan=False, ensure_ascii=False) + "\n"
        return [_write(home / "result.json", document.encode()), table]

    def _squeezed(self, array: Floats) -> Floats:
        return array[..., 0] if len(self.outputs) == 1 else array

    def _check(self, estimate: Estimate) -> None:
        c, k = len(estimate.coalitions), len(self.outputs)
        shape = estimate.values.shape
        if shape[0] != c or shape[-1] != k or len(shape) not in (2, 3) or estimate.std_errors.shape != shape:
            raise InputError(
                f"estimate {estimate.question.index}: {c} sets and {k} outputs need values and std_errors of shape "
                f"({c}, {k}) or ({c}, m, {k}); got {shape} and {estimate.std_errors.shape}"
            )


def _write(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
