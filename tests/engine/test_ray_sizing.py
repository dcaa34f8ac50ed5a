"""How many actors fit; no Ray is started."""

from __future__ import annotations

import pytest

from xai_ray.errors import EngineError

pytest.importorskip("ray")
from xai_ray.engine.ray_sizing import sizing_of

NODE = {"CPU": 4.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("actors", "cpus", "gpus", "nodes", "expected"),
    [
        (None, 1, None, [NODE], (2, 1.0)),
        (None, 1, 0, [NODE], (4, 0)),
        (None, 1, 0.4, [NODE], (4, 0.4)),
        (None, 0.5, 0.25, [NODE], (8, 0.25)),
        (None, 1, 2, [NODE], (1, 2)),
        (None, 1.5, 0, [NODE], (2, 0)),
        (None, 1.5, 0, [{"CPU": 2.0}, {"CPU": 2.0}], (2, 0)),  # not the two halves that are left on two nodes
        (None, 1, None, [{"CPU": 3.0}, NODE], (2, 1.0)),
        (3, 1, 0, [NODE], (3, 0)),
        (9, 1, 0, [NODE], (6, 0)),  # two of those that wait for a node
        (9, 1, 0, [NODE, NODE], (9, 0)),
        (9, 1, 0, [], (2, 0)),
    ],
)
def test_the_pool_is_sized_from_the_nodes(actors, cpus, gpus, nodes, expected) -> None:
    sizing = sizing_of(actors, cpus, gpus, nodes)
    assert (sizing.target(nodes), sizing.gpus) == expected


def test_the_part_of_the_cluster_that_an_actor_takes() -> None:
    assert sizing_of(None, 1, 0, [NODE, NODE]).share([NODE, NODE]) == 1 / 8
    assert sizing_of(None, 1, 1, [NODE, NODE]).share([NODE, NODE]) == 1 / 4
    assert sizing_of(1, 1, 1, []).share([]) == 1


def test_what_fits_nowhere_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        EngineError, match=r"needs 64 CPUs and 0 GPUs, the cluster has 4 CPUs and 2 GPUs.*name the number"
    ):
        sizing_of(None, 64, 0, [NODE])
