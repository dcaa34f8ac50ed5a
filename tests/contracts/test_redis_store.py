"""The store on a real server keeps the contract, on Redis and on Valkey."""

from collections.abc import Iterator

import pytest

from tests.redis_server import KINDS, Server, running
from xai_ray.stores import Store, open_store
from xai_ray.testing.stores import StoreContract


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
