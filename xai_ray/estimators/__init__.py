"""How values become answers: estimators, partials, standard errors, stopping rules."""

from typing import TypeAlias

from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.explained import EachPool, Explained
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.piece_pool import PiecePool, PieceSums
from xai_ray.estimators.plan import Ask, Plan, plan
from xai_ray.estimators.pool import Pool
from xai_ray.estimators.protocol import Estimator
from xai_ray.estimators.row_pool import RowPool
from xai_ray.estimators.stop_rules import Verdict
from xai_ray.estimators.stopping import Stop, boundaries
from xai_ray.estimators.strength import MeanStrength, mean_strength
from xai_ray.estimators.table import ESTIMATORS

AnyPool: TypeAlias = Pool | PiecePool | RowPool | EachPool
"""What a job's store holds, read back."""

__all__ = [
    "ESTIMATORS",
    "AnyPool",
    "Ask",
    "EachPool",
    "Estimate",
    "Estimator",
    "EstimatorInfo",
    "Explained",
    "Plan",
    "MeanStrength",
    "PiecePool",
    "PieceSums",
    "Pool",
    "RowPool",
    "Stop",
    "Verdict",
    "boundaries",
    "mean_strength",
    "plan",
]
