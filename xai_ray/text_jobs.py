"""Specs of datasets of texts: each text has players of its own, so each is a job, and the results are one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from xai_ray.api import engine_of, result_of
from xai_ray.build import prepare
from xai_ray.dataset_texts import ReadTexts, is_texts, read_texts
from xai_ray.describing import describe_plan
from xai_ray.errors import Cancelled, XaiRayError
from xai_ray.game_spec import Dataset, ModelGameSpec, Text
from xai_ray.launch import Where, new_run, run_to_end, warn_of
from xai_ray.model_games import made_model, model_game
from xai_ray.reports import Result
from xai_ray.reports.each_arrow import write_each
from xai_ray.spec import Spec
from xai_ray.stores import Store, open_store
from xai_ray.talk import say

_SHOWN = 3
"""Players that a line names."""


def holds_texts(spec: Spec) -> bool:
    """Whether a spec explains a dataset of texts."""
    return isinstance(spec.game, ModelGameSpec) and is_texts(spec.game.input)


def run_texts(spec: Spec, base: Path, where: Where) -> None:
    """Explain every text, each a job `NAME-000017-...` of the store; a line each on stdout, and with a folder `result.arrow`.

    What was run before is read from the store. Raises typer.Exit(4) where texts are less precise than asked, and what `run` raises,
    with the row.
    """
    place = open_store(where.store)
    if not where.quiet:
        warn_of(place)
    batch = _Texts.read(spec, base)
    results = batch.results(place, where)
    try:
        if where.out is None:
            for _ in results:
                pass
        else:
            say(f"wrote {write_each(results, where.out / 'result.arrow', batch.read_texts.ids)}")
    except KeyboardInterrupt:
        raise Cancelled("interrupted; what was committed stays, the same command goes on") from None
    if batch.imprecise:
        texts = len(batch.read_texts.texts)
        say(f"{batch.imprecise} of {texts} texts are less precise than asked: run the spec with more evaluations")
        raise typer.Exit(4)


def describe_texts(spec: Spec, base: Path) -> dict[str, Any]:
    """What `check` prints: how many texts there are, and the plan of the first."""
    batch = _Texts.read(spec, base)
    own = batch.spec_of(0)
    return {
        "texts": f"{len(batch.read_texts.texts)}, a job each; the plan of the first:",
        **describe_plan(prepare(own, base, batch.game_of(own))),
    }


@dataclass
class _Texts:
    spec: Spec
    base: Path
    read_texts: ReadTexts
    model: Any
    """Made once for all texts."""
    imprecise: int = 0

    @classmethod
    def read(cls, spec: Spec, base: Path) -> _Texts:
        assert isinstance(spec.game, ModelGameSpec)
        assert isinstance(spec.game.input, Dataset)
        return cls(spec, base, read_texts(spec.game.input, base), made_model(spec.game.model, base))

    def spec_of(self, at: int) -> Spec:
        """The spec of one text, which is what its job keeps."""
        game = self.spec.game.model_copy(update={"input": Text(text=self.read_texts.texts[at])})
        name = f"{self.spec.name}-{self.read_texts.first + at:06d}"
        return self.spec.model_copy(update={"name": name, "game": game})

    def game_of(self, own: Spec) -> Any:
        assert isinstance(own.game, ModelGameSpec)
        return model_game(own.game, own.compute, own.seed, self.base, self.model)

    def results(self, place: Store, where: Where) -> Iterator[Result]:
        for at in range(len(self.read_texts.texts)):
            row = self.read_texts.first + at
            try:
                found = self._result(at, place, where)
            except Cancelled:
                raise
            except XaiRayError as error:
                raise type(error)(f"row {row}: {error}") from error
            name = row if self.read_texts.ids is None else self.read_texts.ids[at]
            typer.echo(_line(name, found))
            yield found

    def _result(self, at: int, place: Store, where: Where) -> Result:
        from xai_ray.engine.watching import Silent

        own = self.spec_of(at)
        engine = lambda: engine_of(where.engine, where.actors, where.address, where.priority)  # noqa: E731
        attempt = new_run(own, self.base, place, engine, Silent(), self.game_of(own))
        attempt.recompute, attempt.skip_killers = where.recompute, where.skip_killers
        finished = run_to_end(attempt)
        self.imprecise += not finished.precise
        return result_of(finished, attempt.game, engine=where.engine, store=place.url)


def _line(name: int | str, found: Result) -> str:
    estimate = found.estimates[0]
    values = np.nan_to_num(estimate.values[..., 0].reshape(len(estimate.coalitions), -1))
    strength = np.abs(values).max(axis=1)
    best = np.argsort(-strength, kind="stable")[:_SHOWN]
    told = [
        f"{' x '.join(found.players[i] for i in estimate.coalitions[s])} {values[s][np.abs(values[s]).argmax()]:+.3g}"
        for s in best
    ]
    return f"{name}  {found.job}  {len(found.players)} players  {found.evaluations} evaluations  {', '.join(told)}"
