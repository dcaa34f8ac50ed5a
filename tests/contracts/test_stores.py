"""Both stores keep the contract."""

from pathlib import Path

import pytest

from xai_ray.stores import ArrowFileStore, MemoryStore, Store, open_store
from xai_ray.testing.stores import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestArrowFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        (tmp_path / "store").mkdir()
        return ArrowFileStore(tmp_path / "store")

    def reopen(self, store: Store) -> Store:
        return open_store(store.url)


class TestArrowFileStoreWithFsync(TestArrowFileStore):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        (tmp_path / "store").mkdir()
        return ArrowFileStore(tmp_path / "store", fsync=True)
