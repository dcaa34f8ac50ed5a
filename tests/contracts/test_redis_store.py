"""The store on a real server keeps the contract, on Redis and on Valkey."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.redis_server import KINDS, Server, running
from xai_ray.stores import Segment, Store, open_store
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.redis_folding import Group
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import JOB, StoreContract, a_manifest, a_record


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(request.param) as started:
        yield started


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, server: Server) -> Store:
        with server.admin() as client:
            client.flushall()
        return open_store(server.url)

    def reopen(self, store: Store) -> Store:
        return open_store(store.url)


def test_a_run_without_redis_does_not_load_its_client() -> None:
    code = "import sys, xai_ray.stores; xai_ray.stores.open_store('memory://'); sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_stay_few_and_every_record_is_in_one_place(server: Server, store_of_segments: RedisStore) -> None:
    """Two segments with units of two sizes; what is folded under segments that no longer hold is refused."""
    store = store_of_segments
    with server.admin() as client:
        assert client.dbsize() < 10
        keys = dict(zip(scripts.KEYS, scripts.keys_of(JOB), strict=True))
        assert client.hlen(keys["units"]) == 0
        folds = sorted(
            (fold.decode() for fold in client.hkeys(keys["folds"])), key=lambda fold: int(fold.split(":")[0])
        )
        assert folds == ["0:512:2", "512:1000:2", "1000:1256:1", "1256:1300:1"]
        counted = client.hgetall(keys["status"])
        assert (counted[b"units"], counted[b"evaluations"]) == (b"800", b"1300")
        assert len(client.xrange(keys["commits"])) == 800
        assert not [name for name in counted if name.startswith(b"group:")]
    for start in (1300, 1304):
        store.commit(JOB, a_record(start, start + 4))
    store._records.fold(JOB, Group("group:9:0", Segment(1300, 1308, 4)))  # as one who remembers other segments would
    with server.admin() as client:
        assert client.hlen(keys["units"]) == 2


@pytest.fixture
def store_of_segments(server: Server) -> RedisStore:
    with server.admin() as client:
        client.flushall()
    store = RedisStore(server.url)
    store.open(a_manifest())
    for segment in (Segment(0, 1000, 2), Segment(1000, 1300, 1)):
        store.extend(JOB, segment)
        for unit in reversed(list(segment.units())):
            store.commit(JOB, a_record(unit.start, unit.stop))
    return store
