"""What holds over a dataset: means of local explanations, strengths of interactions, permutation importance, each with standard errors."""

from xai_ray.overall.local import GlobalValues, LocalSums, global_values
from xai_ray.overall.permutation_importance import PermutationImportance, permutation_importance
from xai_ray.overall.strengths import DatasetStrength, StrengthSums, dataset_strength

__all__ = [
    "DatasetStrength",
    "GlobalValues",
    "LocalSums",
    "PermutationImportance",
    "StrengthSums",
    "dataset_strength",
    "global_values",
    "permutation_importance",
]
