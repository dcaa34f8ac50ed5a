"""What training points are worth: closed forms, and games whose value is the score of a model trained on a coalition."""

from xai_ray.valuation.knn import knn_shapley, threshold_knn_shapley

__all__ = ["knn_shapley", "threshold_knn_shapley"]
