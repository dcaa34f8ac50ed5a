"""What a method of data valuation answers: a value a training point, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xai_ray.errors import NonFiniteValue
from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class Valuation:
    """Values of n training points, larger is better. Raises NonFiniteValue, naming the point."""

    values: Floats
    """Shape (n,), or (n, k) for k scores; units: see `method`."""
    std_errors: Floats
    """Shape of `values`; 0 where nothing was drawn at random."""
    method: str
    """Its name and, after a colon, what the values are measured in."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a reader may want to know of the computation: counts, scales, losses."""

    def __post_init__(self) -> None:
        for name, array in (("value", self.values), ("standard error", self.std_errors)):
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                place = tuple(int(b) for b in bad[0])
                raise NonFiniteValue(
                    f"{self.method.split(':')[0]}: the {name} of training point {place[0]} is {array[place]}; "
                    "scale the features"
                )


def without_sampling(values: Floats, method: str, facts: Mapping[str, Any]) -> Valuation:
    """A valuation with standard errors of 0."""
    return Valuation(values, np.zeros_like(values), method, facts)
