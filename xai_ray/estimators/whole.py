"""One estimate from the read-outs of all set sizes that a question asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.readouts import asked_sets
from xai_ray.estimators.sized import SizedRows
from xai_ray.indices import Question, Readout, readouts
from xai_ray.types import Floats, Ints


def assemble(
    question: Question,
    name: str,
    rows: SizedRows,
    read: Callable[[Readout, Ints], tuple[Floats, Floats]],
    listed: Callable[[Readout], Ints] | None = None,
) -> Estimate:
    """Reads every size in turn; `read` gives values and standard errors (c, R, k) for sets (c, s). `listed` names the sets of a
    read-out; left out, those that are asked.

    Raises NotEnoughSamples when nothing could be estimated, and says which sizes were not drawn.
    """
    n, asked = rows.n_players, readouts(question, rows.n_players)
    sets = [listed(readout) if listed else asked_sets(question, n, readout.size) for readout in asked]
    found = [read(readout, at) for readout, at in zip(asked, sets, strict=True)]
    values, errors = (np.concatenate(part) for part in zip(*found, strict=True))
    if np.isnan(values).all():
        raise NotEnoughSamples(f"{name}: {_missing(question, rows, asked)}")
    if question.contexts is None:
        values, errors = values[:, 0], errors[:, 0]
    coalitions = tuple(tuple(one) for at in sets for one in at.tolist())
    return Estimate(question, coalitions, values, errors, name, len(rows.coalitions))


def _missing(question: Question, rows: SizedRows, asked: tuple[Readout, ...]) -> str:
    sizes = np.flatnonzero(np.any([readout.sizes for readout in asked], axis=0) & (rows.drawn == 0))
    what = (
        f"no coalition of size {', '.join(map(str, sizes[:8]))} was drawn, which {question.index} needs"
        if len(sizes)
        else f"no set has all the coalitions that {question.index} needs"
    )
    return f"{what}; extend the budget, or ask this question in the spec so that the design draws for it"
