"""Damped Newton steps on many convex problems at once, each with its own backtracking.

Boyd and Vandenberghe, Convex Optimization (2004), algorithm 9.5. Without backtracking the steps diverge on small coalitions.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xai_ray.errors import XaiRayError
from xai_ray.types import Floats, Ints, Mask

_STEPS = 100
_HALVINGS = 40


class Problems(Protocol):
    """b problems whose objectives depend on parameters (b, D) and on scores (b, E) linear in them."""

    def scores(self, parameters: Floats) -> Floats:
        """Shape (b, E)."""
        ...

    def objective(self, rows: Ints, parameters: Floats, scores: Floats) -> Floats:
        """Objectives of the problems `rows` (r,) at parameters (r, D) and scores (r, E), shape (r,)."""
        ...

    def chances(self, scores: Floats) -> Floats:
        """What gradients and Hessians are made of; any shape."""
        ...

    def gradient(self, parameters: Floats, chances: Floats) -> Floats:
        """Shape (b, D)."""
        ...

    def step(self, chances: Floats, gradient: Floats, active: Mask) -> Floats:
        """Inverse Hessian times gradient, shape (b, D); 0 for problems that are not `active`."""
        ...

    def told(self, row: int) -> str:
        """Which coalition a problem belongs to, for messages."""
        ...


def minimise(problems: Problems, start: Floats, active: Mask, *, tolerance: float) -> Floats:
    """Minimisers (b, D) from `start` (b, D), to `tolerance` in the largest entry of the gradient.

    Problems that are not `active` stay at the start. Raises XaiRayError naming the coalition.
    """
    theta = start.copy()
    scores = problems.scores(theta)
    value = problems.objective(np.arange(len(theta)), theta, scores)
    for _ in range(_STEPS):
        chances = problems.chances(scores)
        gradient = problems.gradient(theta, chances)
        active = active & ~(np.abs(gradient).max(axis=1) <= tolerance)
        if not active.any():
            return theta
        step = problems.step(chances, gradient, active)
        stuck = _walk(problems, theta, scores, value, step, (step * gradient).sum(axis=1), active)
        if stuck.any():
            _refuse(problems, stuck, "stopped decreasing before its minimum")
    return _refuse(problems, active, f"did not converge in {_STEPS} Newton steps")


def _walk(
    problems: Problems, theta: Floats, scores: Floats, value: Floats, step: Floats, slope: Floats, active: Mask
) -> Mask:
    """Move each active problem, in place, by the longest halving of its step that decreases enough; which ones cannot."""
    change = problems.scores(step)
    left = active.copy()
    for halving in range(_HALVINGS):
        rows = np.flatnonzero(left)
        if not len(rows):
            return left
        length = 0.5**halving
        to_theta, to_scores = theta[rows] - length * step[rows], scores[rows] - length * change[rows]
        to_value = problems.objective(rows, to_theta, to_scores)
        # Rounding of the objective must not refuse the last steps before the minimum.
        allowed = value[rows] - 1e-4 * length * slope[rows] + 1e-13 * (1.0 + np.abs(value[rows]))
        fine = to_value <= allowed
        moved = rows[fine]
        theta[moved], scores[moved], value[moved] = to_theta[fine], to_scores[fine], to_value[fine]
        left[moved] = False
    return left


def _refuse(problems: Problems, rows: Mask, what: str) -> Floats:
    raise XaiRayError(
        f"the fit of {problems.told(int(np.flatnonzero(rows)[0]))} {what}; scale the features or use a stronger penalty"
    )


def members_told(members: Ints) -> str:
    """The training points of a coalition, the first twenty of them."""
    named = ", ".join(str(i) for i in members[:20]) + (", ..." if len(members) > 20 else "")
    return f"the coalition of {len(members)} points [{named}]"
