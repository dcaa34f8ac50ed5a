"""What a server or the way to it refuses is said in words, with what to do."""

import os
import pickle
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.redis_server import KINDS, Server, running
from xai_ray.coalitions import Unit
from xai_ray.errors import SpecError, StoreError
from xai_ray.stores import Record, Segment, open_store
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.redis_place import parse_place
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import JOB, a_manifest, a_record, same_record

KEYS = dict(zip(scripts.KEYS, scripts.keys_of(JOB), strict=True))
PASSWORD = "s3cret/with:odd@signs"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(kind: str) -> Iterator[Server]:
    with running(kind) as started:
        yield started


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("XAI_RAY_REDIS")]:
        monkeypatch.delenv(name)


def large(start: int, size: int) -> Record:
    """A record of about `size` bytes."""
    return Record(
        Unit(start, start + 1), np.sqrt(np.arange(size // 8, dtype=np.float64) + start)[:, None], {"n": start}
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host"),
        ("redis://host:7000/3", "redis://host:7000/3"),
        ("redis://:pass@host", "redis://host"),
        ("redis://user:p%40ss@host:1/2", "redis://user@host:1/2"),
        ("rediss://u:p@host?ssl_ca_certs=/ca.pem", "rediss://u@host?ssl_ca_certs=/ca.pem"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("redis+unix://u:p@/run/redis.sock", "redis+unix://u@/run/redis.sock"),
        ("redis://[::1]:6380", "redis://[::1]:6380"),
    ],
)
def test_a_url_is_shown_without_its_password_and_opens_the_same_place(url: str, shown: str) -> None:
    store = open_store(url)
    assert store.url == shown
    assert open_store(store.url).url == shown
    assert parse_place(shown, {"XAI_RAY_REDIS_PASSWORD": parse_place(url, {}).password or ""}) == parse_place(url, {})
    assert "p@" not in repr(store)
    assert "pass" not in repr(parse_place(url, {})).replace("password", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://", "names no host"),
        ("unix://relative", "names no socket"),
        ("redis://host:port", "Port"),
        ("redis://host/name", "database"),
        ("redis://host?password=hunter2", "unknown option"),
        ("redis://u:hunter2@host?ssl_ca_certs=x", "unknown option 'ssl_ca_certs'"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATIENCE", "long"),
        ("SPILL", "s3://bucket"),
        ("SPILL_ABOVE", "many"),
        ("EXPIRE", "1.5"),
        ("PASSWORD_FILE", "/no"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"XAI_RAY_REDIS_{name}", value)
    with pytest.raises(SpecError, match=f"XAI_RAY_REDIS_{name}"):
        open_store("redis://host")


def test_nothing_is_touched_before_the_store_is_used() -> None:
    assert open_store("redis://nowhere.invalid").url == "redis://nowhere.invalid"


def test_a_refused_connection_says_so_soon() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+: no answer.*check that the server runs"):
        open_store(f"redis://127.0.0.1:{free_port()}").jobs()


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.sock"):
        open_store(f"unix://{tmp_path}/none.sock").jobs()


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_password_from_anywhere_but_the_command_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(kind, requirepass=PASSWORD) as server:
        with pytest.raises(StoreError, match="XAI_RAY_REDIS_PASSWORD"):
            open_store(server.url).jobs()
        monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD", "wrong")
        with pytest.raises(StoreError, match="refused user name or password") as caught:
            open_store(server.url).jobs()
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD", PASSWORD)
        store = open_store(server.url)
        store.open(a_manifest())
        monkeypatch.delenv("XAI_RAY_REDIS_PASSWORD")
        (tmp_path / "secret").write_text(PASSWORD + "\n")
        monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD_FILE", str(tmp_path / "secret"))
        assert open_store(server.url).jobs() == [JOB]
        monkeypatch.delenv("XAI_RAY_REDIS_PASSWORD_FILE")
        assert pickle.loads(pickle.dumps(store)).commit(JOB, a_record(0, 1))
        assert PASSWORD not in store.url + repr(store)


def test_a_user_with_the_rights_we_ask_for_can_do_everything(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very line that a refusal prints."""
    with running(kind) as server, server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "xai", "on", f">{PASSWORD}", "~other:*", "+@all")
        monkeypatch.setenv("XAI_RAY_REDIS_USERNAME", "xai")
        monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD", PASSWORD)
        with pytest.raises(
            StoreError, match=r"user 'xai' may not.*ACL SETUSER xai on >PASSWORD resetkeys ~xr:"
        ) as caught:
            open_store(server.url).open(a_manifest())
        advice = str(caught.value).partition("with: ")[2].replace(">PASSWORD", f">{PASSWORD}").split()
        admin.execute_command(*advice[:3], "reset", *advice[3:])
        store = RedisStore(server.url)
        store.open(a_manifest())
        store.extend(JOB, Segment(0, 300, 1))
        epoch = store.claim(JOB)
        assert all(store.commit(JOB, a_record(start, start + 1), epoch) for start in range(300))
        store.discard(JOB, Unit(3, 4))
        store.append(JOB, {"a": 1})
        store.cancel(JOB, True)
        store.close(JOB, {"state": "done"})
        store.expire(JOB, 100)
        store.open(a_manifest())
        assert (store.events(JOB), store.cancelled(JOB), store.jobs()) == ([{"a": 1}], True, [JOB])
        assert len(list(store.records(JOB, sorted(store.committed(JOB))))) == 299
        assert store.facts()["server"] == kind
        admin.execute_command("ACL", "SETUSER", "xai", "-hsetnx")
        with pytest.raises(StoreError, match=r"user 'xai' may not.*ACL SETUSER"):
            store.commit(JOB, a_record(3, 4))


def test_without_the_right_to_ask_for_settings_the_store_works_and_warns(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(kind) as server, server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "xai", "on", f">{PASSWORD}", "~xr:*", "+@all", "-info")
        monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD", PASSWORD)
        store = RedisStore(server.url.replace("unix://", "unix://xai@"))
        store.open(a_manifest())
        assert "noeviction" in store.facts()["warnings"][0]


def test_tls_with_a_certificate_of_our_own(kind: str, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    port, plain = free_port(), free_port()
    settings = {"tls_port": str(port), "tls_cert_file": str(certificate), "tls_key_file": str(key)}
    try:
        with running(kind, port=plain, tls_ca_cert_file=str(certificate), tls_auth_clients="no", **settings) as server:
            url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"
            store = open_store(url)
            store.open(a_manifest())
            assert store.commit(JOB, a_record(0, 1))
            assert open_store(server.url).committed(JOB) == {Unit(0, 1)}
            with pytest.raises(SpecError, match=r"ssl_ca_certs names /none, which is no file"):
                open_store(f"rediss://127.0.0.1:{port}?ssl_ca_certs=/none").jobs()
            with pytest.raises(StoreError, match=r"certificate is not trusted.*ssl_ca_certs"):
                open_store(f"rediss://127.0.0.1:{port}").jobs()
            with pytest.raises(StoreError, match="rediss://"):
                open_store(f"redis://127.0.0.1:{port}").jobs()
    except AssertionError as error:
        if "Failed finding TLS support" in str(error):
            pytest.skip(f"this {kind} was built without TLS")
        raise


# --- what the server is set to ----------------------------------------------------------------------------------------


def test_a_server_that_evicts_is_refused(kind: str) -> None:
    with running(kind, maxmemory="200mb", maxmemory_policy="allkeys-lru") as server:
        with pytest.raises(StoreError, match=r"allkeys-lru.*maxmemory-policy noeviction"):
            open_store(server.url).open(a_manifest())
        with server.admin() as admin:
            admin.config_set("maxmemory-policy", "noeviction")
        open_store(server.url).open(a_manifest())


def test_facts_say_what_puts_records_at_risk(kind: str) -> None:
    with running(kind, appendonly="no") as server:
        facts = RedisStore(server.url).facts()
        assert (facts["server"], facts["append_only_file"], facts["maxmemory"]) == (kind, False, 0)
        assert ["append-only" in facts["warnings"][0], "maxmemory" in facts["warnings"][1]] == [True, True]
    with running(kind, maxmemory="200mb") as server:
        facts = RedisStore(server.url).facts()
        assert (facts["append_only_file"], facts["maxmemory"], facts["warnings"]) == (True, 200 << 20, [])


def test_a_full_server_refuses_and_keeps_what_it_has(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(server.url)
    store.open(a_manifest())
    with server.admin() as admin:
        admin.config_set("maxmemory", admin.info("memory")["used_memory"] + (3 << 20))
        with pytest.raises(StoreError, match=r"out of memory; raise its maxmemory, or set XAI_RAY_REDIS_SPILL"):
            [store.commit(JOB, large(start, 200_000)) for start in range(100)]
        committed = len(store.committed(JOB))
        assert 0 < committed < 100
        units = [Unit(start, start + 1) for start in range(committed)]
        assert store.committed(JOB) == set(units)
        admin.config_set("maxmemory", "1mb")
        with pytest.raises(StoreError, match="out of memory"):
            store.append(JOB, {"fill": "x" * 100})
        for unit, record in zip(units, store.records(JOB, units), strict=True):
            assert same_record(record, large(unit.start, 200_000))
        admin.config_set("maxmemory", 0)
        assert store.commit(JOB, large(committed, 200_000))


def test_a_full_disk_of_the_server_is_named(server: Server) -> None:
    """A server that cannot save its snapshot takes no writes, just as on a full disk."""
    store = open_store(server.url)
    store.open(a_manifest())
    with server.admin() as admin:
        admin.config_set("appendonly", "no")
        admin.config_set("save", "3600 1")
        (server.folder / "dump.rdb").mkdir()  # what it would write cannot be put in place
        admin.execute_command("BGSAVE")
        while admin.info("persistence")["rdb_bgsave_in_progress"]:
            pass
        assert admin.info("persistence")["rdb_last_bgsave_status"] == "err"
        with pytest.raises(StoreError, match=r"cannot save to its disk.*free space"):
            store.commit(JOB, a_record(0, 1))
        assert store.committed(JOB) == set()


def test_a_replica_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with running(kind, port=port) as primary:
        open_store(primary.url).open(a_manifest())
        with running(kind, replicaof=f"127.0.0.1 {port}") as replica, replica.admin() as admin:
            while admin.info("replication")["master_link_status"] != "up":
                pass
            store = open_store(replica.url)
            assert store.jobs() == [JOB]
            with pytest.raises(StoreError, match=r"read-only replica; give the address of the primary"):
                store.commit(JOB, a_record(0, 1))


def test_keys_of_another_program_are_named(server: Server) -> None:
    with server.admin() as admin:
        admin.set(scripts.JOBS, "not a list of jobs")
    with pytest.raises(StoreError, match="belongs to another program; use another database"):
        open_store(server.url).open(a_manifest())
