"""The jobs on a Redis server: their list, and scripts that run on one of them."""

from __future__ import annotations

from typing import Any

from xai_ray.stores.redis_client import RedisClient
from xai_ray.stores.redis_scripts import JOBS, Script, keys_of
from xai_ray.stores.refusals import check_job_id, unknown_job

_UNKNOWN = b"no such job"
_STALE_MICROSECONDS = 86_400_000_000


class RedisJobs:
    """`run` is the way by which everything about a job is read and written."""

    def __init__(self, client: RedisClient) -> None:
        self.client = client

    @property
    def url(self) -> str:
        """Of the store, without the password."""
        return self.client.place.url

    def run(self, script: Script, job: str, *arguments: Any) -> Any:
        """What a script answers. Raises SpecError for what is no job id, StoreError for an unknown job."""
        check_job_id(job)
        answer = self.client.script(script, keys_of(job), list(arguments))
        if answer == _UNKNOWN:
            raise unknown_job(job, self.names(), self.url)
        return answer

    def names(self) -> list[str]:
        """Oldest first; jobs that expired are left out."""
        names: list[bytes] = self.client.patiently(lambda redis: redis.zrange(JOBS, 0, -1))
        there = self._there(names)
        return [name.decode() for name in names if name in there]

    def enlist(self, job: str, created: int) -> None:
        """Put a job into the list, at microseconds since 1970, unless it is there."""
        self.client.patiently(lambda redis: redis.zadd(JOBS, {job: created}, nx=True))

    def forget_expired(self, now: int) -> None:
        """Take jobs off the list that were created more than a day ago and are gone."""
        old: list[bytes] = self.client.patiently(
            lambda redis: redis.zrange(JOBS, 0, now - _STALE_MICROSECONDS, byscore=True)
        )
        there = self._there(old)
        if gone := [name for name in old if name not in there]:
            self.client.patiently(lambda redis: redis.zrem(JOBS, *gone))

    def _there(self, names: list[bytes]) -> set[bytes]:
        def ask(redis: Any) -> list[int]:
            with redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.exists(keys_of(name.decode())[0])
                return pipe.execute()

        found = self.client.patiently(ask) if names else []
        return {name for name, exists in zip(names, found, strict=True) if exists}
