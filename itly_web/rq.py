"""RQ: a job knows the request that started it, and its process delivers before it ends.

queue = Queue(connection=redis, job_class="itly_web.rq.ItlyJob")
$ rq worker --job-class itly_web.rq.ItlyJob
"""

from __future__ import annotations

from typing import Any

from rq.job import Job  # type: ignore[import-untyped,unused-ignore]

from . import carried

FLUSH_S = 2.0  # most seconds a job's end waits for delivery


class ItlyJob(Job):
    """A job whose calls are its request's. RQ runs each in a process that leaves by `os._exit`, so it flushes at its end."""

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        job = super().create(*args, **kwargs)
        found = carried.carry()
        if found is not None:
            job.meta = {**job.meta, carried.KEY: found}
        return job

    def perform(self) -> Any:
        try:
            with carried.bound(self.meta.get(carried.KEY)):
                return super().perform()
        finally:
            carried.flush_all(FLUSH_S)
