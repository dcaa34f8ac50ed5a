"""What training points are worth: closed forms, gradient methods, and games whose value is the score of a model trained on a
coalition.

Methods for torch models are imported when they are first used, so that the others need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xai_ray.valuation.banzhaf import banzhaf_values
from xai_ray.valuation.class_wise import class_wise_shapley
from xai_ray.valuation.data_oob import data_oob_values
from xai_ray.valuation.detection import Detection, detection, lower_cluster
from xai_ray.valuation.distributional import distributional_shapley
from xai_ray.valuation.exhibits import Exhibits, exhibits
from xai_ray.valuation.influence import logistic_influence
from xai_ray.valuation.knn import knn_shapley, threshold_knn_shapley
from xai_ray.valuation.lava import lava_values
from xai_ray.valuation.leave_one_out import leave_one_out_values, ridge_leave_one_out
from xai_ray.valuation.network import Network
from xai_ray.valuation.own_score import OwnScore
from xai_ray.valuation.point_curves import PointCurves, curve_counts, point_curves, weighted_drop
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.scores import SCORES
from xai_ray.valuation.training_game import TrainingGame
from xai_ray.valuation.truncated import truncated_shapley

if TYPE_CHECKING:
    from xai_ray.valuation.arnoldi import arnoldi_influence as arnoldi_influence
    from xai_ray.valuation.g_shapley import gradient_shapley as gradient_shapley
    from xai_ray.valuation.in_run import in_run_shapley as in_run_shapley
    from xai_ray.valuation.inverse_hessian import ConjugateGradients as ConjugateGradients
    from xai_ray.valuation.inverse_hessian import Lissa as Lissa
    from xai_ray.valuation.inverse_hessian import torch_influence as torch_influence
    from xai_ray.valuation.tracin import tracin_values as tracin_values
    from xai_ray.valuation.trak import trak_values as trak_values

_TORCH = {
    "ConjugateGradients": "inverse_hessian",
    "Lissa": "inverse_hessian",
    "arnoldi_influence": "arnoldi",
    "gradient_shapley": "g_shapley",
    "in_run_shapley": "in_run",
    "torch_influence": "inverse_hessian",
    "tracin_values": "tracin",
    "trak_values": "trak",
}
"""Name -> module."""

__all__ = [
    "SCORES",
    "Detection",
    "Exhibits",
    "Network",
    "OwnScore",
    "PointCurves",
    "TrainingGame",
    "Valuation",
    "banzhaf_values",
    "class_wise_shapley",
    "curve_counts",
    "data_oob_values",
    "detection",
    "distributional_shapley",
    "exhibits",
    "knn_shapley",
    "lava_values",
    "leave_one_out_values",
    "logistic_influence",
    "lower_cluster",
    "point_curves",
    "ridge_leave_one_out",
    "threshold_knn_shapley",
    "truncated_shapley",
    "weighted_drop",
]


def __getattr__(name: str) -> Any:
    if name not in _TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_TORCH[name]}"), name)
    globals()[name] = found
    return found
