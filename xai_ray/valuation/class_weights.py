"""Weights of the members of a coalition by their class, as scikit-learn computes them for a fit on that coalition alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Ints, Mask

ClassWeight: TypeAlias = Floats | Literal["balanced"] | None
"""One weight a class, shape (C,); `balanced`: members / (classes held x members of the class); None: 1."""


def member_weights(coalitions: Mask | Ints, held: Floats, class_weight: ClassWeight) -> Floats:
    """Weights of n points with one-hot labels (n, C) in coalitions (c, n), shape (c, n); 0 for points outside. A bootstrap holds a
    point several times.
    """
    members = coalitions.astype(np.float64)
    if class_weight is None:
        return members
    if not isinstance(class_weight, str):
        return members * (held @ class_weight)
    counts = members @ held
    present = counts > 0
    shares = members.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True), 1)
    return members * (np.where(present, shares / np.maximum(counts, 1.0), 0.0) @ held.T)


def class_weight_of(given: object, classes: tuple[str, ...]) -> ClassWeight:
    """An estimator's `class_weight` for classes in this order. Raises InputError for a weight that is no positive number or a class
    that no training point has, SpecError when one of three classes or more has no weight: scikit-learn then refuses some coalitions.
    """
    if given is None or given == "balanced":
        return "balanced" if given == "balanced" else None
    if not isinstance(given, Mapping):
        raise InputError(f"class_weight is 'balanced', None or a weight for each class, got {given!r}")
    weights = np.ones(len(classes))
    named = {_place(key, classes): float(value) for key, value in given.items()}
    for place, value in named.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"class_weight of {classes[place]} is {value}; it must be a positive number")
        weights[place] = value
    if len(classes) > 2 and len(named) < len(classes):
        missing = next(name for place, name in enumerate(classes) if place not in named)
        raise SpecError(f"class_weight names no weight for the class {missing}; give every class one")
    return weights


def _place(key: object, classes: tuple[str, ...]) -> int:
    if str(key) in classes:
        return classes.index(str(key))
    for place, name in enumerate(classes):
        try:
            if float(name) == float(str(key)):
                return place
        except ValueError:
            continue
    raise InputError(f"class_weight names the class {key!r}, which no training point has; known: {', '.join(classes)}")
