"""What is true after a drill, by the rows, the objects and the gateway's ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import httpx
import psycopg
from psycopg.rows import namedtuple_row

from api.client import Darkroom
from tests.house import House

FINAL: Final = frozenset({"succeeded", "failed", "canceled"})

_STATES: Final = "SELECT id, state, state_reason FROM jobs WHERE id = ANY(%s)"
_OUT_OF_ORDER: Final = """
    SELECT count(DISTINCT job_id) FROM (
        SELECT job_id, from_state, lag(state) OVER (PARTITION BY job_id ORDER BY seq) AS before
        FROM events WHERE job_id = ANY(%s) AND (cause IS NOT NULL OR type = 'job.queued')
    ) AS moves
    WHERE before IS NOT NULL AND before IS DISTINCT FROM from_state
"""
_BARE: Final = """
    SELECT count(*) FROM jobs WHERE id = ANY(%s) AND state = 'succeeded'
        AND NOT EXISTS (SELECT FROM artifacts WHERE job_id = jobs.id AND artifacts.attempt = jobs.attempt)
"""


@dataclass(frozen=True)
class Verdict:
    """One line of the table.  All but the first three columns should be 0."""

    drill: str
    jobs: int
    held: int
    """Nobody can tell whether they were paid; a person decides."""
    failed: int
    """They ended without a result, and say why."""
    lost: int
    """The API had answered, and there is no such job."""
    paid_twice: int
    """Prompts with more charges than one, refunds apart."""
    unkept: int
    """Succeeded, without a whole artifact of the recorded hash."""
    unfinished: int
    over_limit: int
    """Most calls at once above the limit of their lane."""
    out_of_order: int
    """Jobs with an event twice, missing or in a wrong place."""
    seconds: float

    @property
    def faults(self) -> Mapping[str, int]:
        """What must be 0 and is not."""
        names = ("lost", "paid_twice", "unkept", "unfinished", "over_limit", "out_of_order")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def columns() -> list[str]:
    return [field.name for field in fields(Verdict)]


def unfinished(house: House, job_ids: Sequence[str]) -> int:
    """How many of them are neither final nor held."""
    with connect(house) as connection:
        rows = connection.execute(_STATES, [list(job_ids)]).fetchall()
    return sum(row.state not in FINAL | {"held"} for row in rows)


def judge(
    house: House,
    client: Darkroom,
    drill: str,
    words: str,
    job_ids: Sequence[str],
    limits: Mapping[str, int],
    seconds: float,
) -> Verdict:
    """Look at all of it.

    Args:
        words: what all prompts of the drill have, and no others.
        limits: most calls or tasks at once, by model; empty where a worker died in a call, which goes on without it.
    """
    with connect(house) as connection:
        rows = connection.execute(_STATES, [list(job_ids)]).fetchall()
        bare = connection.execute(_BARE, [list(job_ids)]).fetchone()
        disordered = connection.execute(_OUT_OF_ORDER, [list(job_ids)]).fetchone()
    states = Counter(row.state for row in rows)
    return Verdict(
        drill=drill,
        jobs=len(job_ids),
        held=states["held"],
        failed=states["failed"],
        lost=len(job_ids) - len(rows),
        paid_twice=_paid_twice(house, words),
        unkept=(bare[0] if bare else 0) + _broken(client, [row.id for row in rows if row.state == "succeeded"]),
        unfinished=sum(row.state not in FINAL | {"held"} for row in rows),
        over_limit=_over_limit(house, limits),
        out_of_order=disordered[0] if disordered else 0,
        seconds=round(seconds, 1),
    )


def connect(house: House) -> psycopg.Connection[Any]:
    """Past Darkroom, to its database; each statement commits."""
    url = house.runtime["database_url"].replace("postgresql+psycopg://", "postgresql://")
    return psycopg.connect(url, row_factory=namedtuple_row, autocommit=True)


def _paid_twice(house: House, words: str) -> int:
    entries = house.sandbox("GET", "ledger", params={"prompt": words})["data"]
    kept = Counter(entry["prompt"] for entry in entries if entry["refunded_at"] is None)
    return sum(count > 1 for count in kept.values())


def _broken(client: Darkroom, job_ids: Sequence[str]) -> int:
    """How many of these jobs have an artifact that is not what its row says."""
    return sum(not _is_whole(client, job_id) for job_id in job_ids)


def _is_whole(client: Darkroom, job_id: str) -> bool:
    artifacts = client.jobs.get(job_id).raw["artifacts"]
    with httpx.Client(trust_env=False, timeout=60) as http:
        contents = [http.get(artifact["download_url"]) for artifact in artifacts]
    return all(
        content.status_code == 200 and hashlib.sha256(content.content).hexdigest() == artifact["sha256"]
        for content, artifact in zip(contents, artifacts, strict=True)
    )


def _over_limit(house: House, limits: Mapping[str, int]) -> int:
    told = house.sandbox("GET", "requests", params={"prompt": "no such prompt"})
    most = Counter({model: gauge["most"] for model, gauge in told["in_flight"].items()})
    most |= Counter({model: gauge["most"] for model, gauge in told["running_tasks"].items()})
    return sum(max(0, most[model] - limit) for model, limit in limits.items())
