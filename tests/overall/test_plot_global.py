"""Plots of a dataset: what is drawn, and what is refused."""

import numpy as np
import pytest
from matplotlib.axes import Axes

import xai_ray as xr
from xai_ray.errors import InputError

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(40, 3)) * [0.1, 2.0, 1.0]
NAMES = ["small", "large", "middle"]


def test_importance_of_local_values():
    errors = np.full(VALUES.shape, 0.5)
    found = xr.global_values(VALUES, errors)
    ax = xr.plots.importance(found, NAMES, top=2)
    assert isinstance(ax, Axes)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["large", "middle"]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, found.absolute[[1, 2]])
    assert ax.get_legend() is not None  # the plug-in means beside
    exact = xr.plots.importance(xr.global_values(VALUES), NAMES)
    assert exact.get_legend() is None
    with pytest.raises(InputError, match="2 names for 3 players"):
        xr.plots.importance(found, NAMES[:2])


def test_importance_by_permutation():
    found = xr.permutation_importance(lambda x: x[:, 0], VALUES, VALUES[:, 0], loss="squared_error", player_names=NAMES)
    ax = xr.plots.importance(found)
    assert ax.get_yticklabels()[0].get_text() == "small"
    with pytest.raises(InputError, match="output 1"):
        xr.plots.importance(found, output=1)


def test_beeswarm_puts_every_row_at_its_value():
    features = np.where(np.arange(120).reshape(40, 3) == 4, np.nan, VALUES)
    ax = xr.plots.beeswarm(VALUES, features, NAMES)
    swarms = [np.asarray(c.get_offsets()) for c in ax.collections]
    assert len(swarms) == 3
    np.testing.assert_allclose(swarms[0][:, 0], VALUES[:, 1])
    assert all(np.abs(swarm[:, 1] - place).max() <= 0.41 for place, swarm in enumerate(swarms))
    near = np.abs(swarms[2][:, 0]) < 0.05
    assert len(np.unique(swarms[2][near, 1])) > 1  # points of one place lie apart
    for values, features in ((VALUES[0], None), (VALUES * np.nan, None), (VALUES, VALUES[:, :2])):
        with pytest.raises(InputError):
            xr.plots.beeswarm(values, features)
