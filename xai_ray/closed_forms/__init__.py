"""Answers of a model game without an evaluation: linear models and tree ensembles, where the Shapley value has a closed form.

A linear function and a sum of trees are sums of conjunctions over the players, and so are their means over background rows: every index
that is a read-out follows leaf by leaf, of exactly the game that `ModelGame` would have evaluated.
"""

from xai_ray.closed_forms.game import ClosedFormGame, answer_plan, closed_form_game
from xai_ray.closed_forms.rows import ClosedForm, closed_form_values

TREES = "Lundberg et al., Nature Machine Intelligence 2020 (interventional trees)"
"""Source of the closed form of trees."""

__all__ = ["TREES", "ClosedForm", "ClosedFormGame", "closed_form_game", "answer_plan", "closed_form_values"]
