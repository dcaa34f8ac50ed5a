"""The setting that says on which device estimators compute, checked before work begins. Loads torch only where it is set."""

from __future__ import annotations

import os

SETTING = "XAI_RAY_ESTIMATOR_DEVICE"


def check_estimator_device() -> None:
    """Raises SpecError if the environment names a device that is not there."""
    if os.environ.get(SETTING, "cpu") not in ("", "cpu"):
        from xai_ray.estimators.gp_device import chosen

        chosen()
