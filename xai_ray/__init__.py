"""Shapley values and interactions of every order, with standard errors, on Ray: resumable, and the same bits whatever dies.

    players x removal x behaviour  ->  game v(S)        what is evaluated
    index + order                  ->  question         what is asked
    design (law, budget, seed)     ->  coalitions       what is drawn
    estimator                      ->  answer           how values become estimates with standard errors

Names are imported when they are first used, so `import xai_ray` is quick and needs neither torch nor Ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xai_ray.api import explain as explain
    from xai_ray.api import open_result as open_result
    from xai_ray.client import Client as Client
    from xai_ray.closed_forms import closed_form_values as closed_form_values
    from xai_ray.engine import InlineEngine as InlineEngine
    from xai_ray.engine.ray_engine import RayEngine as RayEngine
    from xai_ray.estimators import Ask as Ask
    from xai_ray.estimators import Estimate as Estimate
    from xai_ray.estimators import mean_strength as mean_strength
    from xai_ray.explaining_each import explain_each as explain_each
    from xai_ray.explaining_rows import explain_rows as explain_rows
    from xai_ray.explaining_rows import open_rows as open_rows
    from xai_ray.games import AirportGame as AirportGame
    from xai_ray.games import AnswerLogProbability as AnswerLogProbability
    from xai_ray.games import Attention as Attention
    from xai_ray.games import Blur as Blur
    from xai_ray.games import ColumnGroups as ColumnGroups
    from xai_ray.games import Columns as Columns
    from xai_ray.games import Constant as Constant
    from xai_ray.games import Drop as Drop
    from xai_ray.games import Game as Game
    from xai_ray.games import GloveGame as GloveGame
    from xai_ray.games import Logit as Logit
    from xai_ray.games import LogOdds as LogOdds
    from xai_ray.games import LogProbability as LogProbability
    from xai_ray.games import Loss as Loss
    from xai_ray.games import LossGame as LossGame
    from xai_ray.games import MajorityGame as MajorityGame
    from xai_ray.games import Margin as Margin
    from xai_ray.games import Marginal as Marginal
    from xai_ray.games import MaskToken as MaskToken
    from xai_ray.games import Mean as Mean
    from xai_ray.games import ModelGame as ModelGame
    from xai_ray.games import Numerics as Numerics
    from xai_ray.games import Passages as Passages
    from xai_ray.games import Patches as Patches
    from xai_ray.games import Probability as Probability
    from xai_ray.games import Raw as Raw
    from xai_ray.games import Regions as Regions
    from xai_ray.games import RowsGame as RowsGame
    from xai_ray.games import Segments as Segments
    from xai_ray.games import Sentences as Sentences
    from xai_ray.games import SumOfUnanimityGames as SumOfUnanimityGames
    from xai_ray.games import TableGame as TableGame
    from xai_ray.games import Tokens as Tokens
    from xai_ray.games import UnanimityGame as UnanimityGame
    from xai_ray.games import Uniform as Uniform
    from xai_ray.games import VarianceGame as VarianceGame
    from xai_ray.games import WeightedVotingGame as WeightedVotingGame
    from xai_ray.games import Words as Words
    from xai_ray.games import Zeros as Zeros
    from xai_ray.indices import INDICES as INDICES
    from xai_ray.indices import Question as Question
    from xai_ray.job_handle import JobHandle as JobHandle
    from xai_ray.overall import dataset_strength as dataset_strength
    from xai_ray.overall import global_values as global_values
    from xai_ray.overall import permutation_importance as permutation_importance
    from xai_ray.reports import Result as Result
    from xai_ray.reports import plots as plots
    from xai_ray.reports.each_arrow import each_table as each_table
    from xai_ray.reports.each_arrow import write_each as write_each
    from xai_ray.reports.rows_result import RowsResult as RowsResult
    from xai_ray.reports.value_report import value_report as value_report
    from xai_ray.stores import open_store as open_store
    from xai_ray.valuation import TrainingGame as TrainingGame
    from xai_ray.valuing import value as value

__version__ = "0.1.0"

_GAMES = [
    "AirportGame",
    "AnswerLogProbability",
    "Attention",
    "Blur",
    "ColumnGroups",
    "Columns",
    "Constant",
    "Drop",
    "Game",
    "GloveGame",
    "LogOdds",
    "LogProbability",
    "Logit",
    "Loss",
    "LossGame",
    "MajorityGame",
    "Margin",
    "Marginal",
    "MaskToken",
    "Mean",
    "ModelGame",
    "Numerics",
    "Passages",
    "Patches",
    "Probability",
    "Raw",
    "Regions",
    "RowsGame",
    "Segments",
    "Sentences",
    "SumOfUnanimityGames",
    "TableGame",
    "Tokens",
    "UnanimityGame",
    "Uniform",
    "VarianceGame",
    "WeightedVotingGame",
    "Words",
    "Zeros",
]

_PLACES: dict[str, str] = {
    **dict.fromkeys(_GAMES, "xai_ray.games"),
    "Ask": "xai_ray.estimators",
    "Client": "xai_ray.client",
    "JobHandle": "xai_ray.job_handle",
    "mean_strength": "xai_ray.estimators",
    "closed_form_values": "xai_ray.closed_forms",
    "dataset_strength": "xai_ray.overall",
    "global_values": "xai_ray.overall",
    "permutation_importance": "xai_ray.overall",
    "Estimate": "xai_ray.estimators",
    "INDICES": "xai_ray.indices",
    "InlineEngine": "xai_ray.engine",
    "Question": "xai_ray.indices",
    "RayEngine": "xai_ray.engine",
    "Result": "xai_ray.reports",
    "Stop": "xai_ray.estimators",
    "RowsResult": "xai_ray.reports.rows_result",
    "explain": "xai_ray.api",
    "explain_rows": "xai_ray.explaining_rows",
    "explain_each": "xai_ray.explaining_each",
    "each_table": "xai_ray.reports.each_arrow",
    "write_each": "xai_ray.reports.each_arrow",
    "open_rows": "xai_ray.explaining_rows",
    "open_result": "xai_ray.api",
    "open_store": "xai_ray.stores",
    "TrainingGame": "xai_ray.valuation",
    "value": "xai_ray.valuing",
    "value_report": "xai_ray.reports.value_report",
}
"""Public name -> the module that holds it."""

_MODULES = {"plots": "xai_ray.reports.plots", "zoo": "xai_ray.zoo"}

__all__ = ["__version__", *_MODULES, *_PLACES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'xai_ray' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
