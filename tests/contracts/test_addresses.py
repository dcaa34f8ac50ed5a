"""Addresses are shown without what was typed as a password, right or wrong."""

from __future__ import annotations

import pytest

from xai_ray.errors import SpecError
from xai_ray.stores import open_store
from xai_ray.stores.addresses import has_password, without_password

SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "reddis://me:s3cret@host/0",
        "postgres://:s3cret@host",
        "memory://:s3cret@x",
        "redis://:ab/s3cret@host:6379/0",
        "redis://me:12/s3cret@host",
        "redis://:ab?s3cret@host",
        "redis://:ab#s3cret@host",
        "redis://me:s3cret@host:port",
        "redis://me:s3cret@host:99999",
        "redis://:s3cret@",
        "redis://:s3cret@host?dbb=1",
        "redis://:s3cret@host/zero",
        "unix://:s3cret@host/x",
        "redis://me:a@s3cret@host:x",
    ],
)
def test_what_is_refused_does_not_show_a_password(url: str) -> None:
    with pytest.raises(SpecError) as refused:
        open_store(url)
    assert SECRET not in str(refused.value)
    assert SECRET not in without_password(url)
    assert has_password(url)


@pytest.mark.parametrize(
    "url", ["runs", "file:///data/a@b", "a@b:c/d", "memory://", "http://head:8265", "unix:///run/x@y"]
)
def test_an_address_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert without_password(url) == url
    assert not has_password(url)


def test_a_password_that_holds_signs_is_to_be_encoded() -> None:
    with pytest.raises(SpecError, match=r"'redis://host:6379/0' .* percent-encode .* XAI_RAY_REDIS_PASSWORD"):
        open_store("redis://:ab/cd@host:6379/0")


def test_the_address_of_a_server_is_no_folder() -> None:
    with pytest.raises(SpecError, match="redis://localhost:6379"):
        open_store("localhost:6379")
