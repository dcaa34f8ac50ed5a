"""What is asked: the table of indices, their weights, and exact answers from a table of all 2^n values."""

from xai_ray.indices.exact import ExactAnswer, exact
from xai_ray.indices.named import player_numbers
from xai_ray.indices.question import Question
from xai_ray.indices.readouts import READ_OUT, KeepRate, Readout, readouts
from xai_ray.indices.resolve import resolve
from xai_ray.indices.strength import normalised_strength
from xai_ray.indices.table import INDICES, IndexInfo
from xai_ray.indices.weights import pair_profile_weights, semivalue_weights

__all__ = [
    "ExactAnswer",
    "INDICES",
    "IndexInfo",
    "KeepRate",
    "Question",
    "READ_OUT",
    "Readout",
    "exact",
    "normalised_strength",
    "pair_profile_weights",
    "player_numbers",
    "readouts",
    "resolve",
    "semivalue_weights",
]
