"""Following jobs to their end, and showing how they come along."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from api.cli.progress import Bar, Display
from api.client import Darkroom, Job

LOOK_S: Final = 1.0
UNFINISHED: Final = ("waiting", "queued", "dispatched", "submitting", "running", "storing", "held")


def follow(client: Darkroom, job_ids: Sequence[str], display: Display, changed: Callable[[Job], None]) -> list[Job]:
    """Look at these jobs until each is final or held.

    Args:
        changed: is called with a job whenever its state or progress is another one.
    """
    jobs: dict[str, Job] = {}
    while True:
        for job_id in job_ids:
            before = jobs.get(job_id)
            if before is None or not before.is_settled:
                jobs[job_id] = now = client.jobs.get(job_id)
                if before is None or (now.state, now.progress) != (before.state, before.progress):
                    changed(now)
        display.show([bar(job) for job in jobs.values()])
        if all(job.is_settled for job in jobs.values()):
            return list(jobs.values())
        time.sleep(LOOK_S)


def unfinished(client: Darkroom) -> list[str]:
    """Oldest first."""
    return [job.id for job in client.jobs.each(state=UNFINISHED)][::-1]


def bar(job: Job) -> Bar:
    return Bar(f"{job.id} {job.model}", job.state, job.progress)
