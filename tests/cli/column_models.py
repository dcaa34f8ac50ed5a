"""Linear models of three columns that know the names of their columns, or do not."""

import numpy as np

from xai_ray.zoo.model import ZooModel

WEIGHTS = np.array([1.0, 2.0, 4.0])


def unnamed() -> ZooModel:
    return ZooModel(lambda rows: np.asarray(rows) @ WEIGHTS, "raw")


def named() -> ZooModel:
    return ZooModel(lambda rows: np.asarray(rows) @ WEIGHTS, "raw", columns=("a", "b", "c"))
