"""What a person sees: results, tables, plots, the HTML report, and objects of shap and shapiq."""

from xai_ray.reports.result import Result

__all__ = ["Result"]
