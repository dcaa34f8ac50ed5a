"""All plots: free functions that take a result and return matplotlib Axes.

Without `ax` each makes a figure of its own (`axes.figure.savefig(...)` writes it) and leaves pyplot's state alone.
"""

from xai_ray.reports.plot_curves import Strength, convergence, orders, strength
from xai_ray.reports.plot_global import beeswarm, importance
from xai_ray.reports.plot_pairs import matrix, network, pairs
from xai_ray.reports.plot_points import inspected, point_curve, roc
from xai_ray.reports.plot_values import bar, heatmap

__all__ = [
    "Strength",
    "bar",
    "beeswarm",
    "convergence",
    "heatmap",
    "importance",
    "inspected",
    "matrix",
    "network",
    "orders",
    "pairs",
    "point_curve",
    "roc",
    "strength",
]
