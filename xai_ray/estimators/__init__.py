"""How values become answers: estimators, partials, standard errors, stopping rules."""

from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.piece_pool import PiecePool, PieceSums
from xai_ray.estimators.plan import Ask, Plan, plan
from xai_ray.estimators.pool import Pool
from xai_ray.estimators.protocol import Estimator
from xai_ray.estimators.row_pool import AnyPool, RowPool
from xai_ray.estimators.stop_rules import Verdict
from xai_ray.estimators.stopping import Stop, boundaries
from xai_ray.estimators.strength import MeanStrength, mean_strength
from xai_ray.estimators.table import ESTIMATORS

__all__ = [
    "ESTIMATORS",
    "AnyPool",
    "Ask",
    "Estimate",
    "Estimator",
    "EstimatorInfo",
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
