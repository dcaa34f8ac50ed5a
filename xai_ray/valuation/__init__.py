"""What training points are worth: closed forms, and games whose value is the score of a model trained on a coalition."""

from xai_ray.valuation.knn import knn_shapley, threshold_knn_shapley
from xai_ray.valuation.network import Network
from xai_ray.valuation.own_score import OwnScore
from xai_ray.valuation.scores import SCORES
from xai_ray.valuation.self_check import SelfCheck
from xai_ray.valuation.training_game import TrainingGame

__all__ = ["SCORES", "Network", "OwnScore", "SelfCheck", "TrainingGame", "knn_shapley", "threshold_knn_shapley"]
