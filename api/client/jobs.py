"""Jobs: ask for media, follow it, take it back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Required, Self, TypedDict, Unpack
from urllib.parse import quote

from api.client.artifacts import Artifact
from api.client.pages import Page, moment
from api.client.transport import Transport

FINAL: Final = frozenset({"succeeded", "failed", "canceled"})
LONGEST_WAIT_S: Final = 15.0
"""Of one request: the API answers when the job is final, and `held` is noticed between two."""


class Wishes(TypedDict, total=False):
    """What a new job and a follow-up have in common, as `/docs` explains it."""

    prompt: str
    inputs: Mapping[str, Any]
    """By role: `{"images": ["https://…", "asset_…", {"job": "job_…", "index": 0}]}`."""
    params: Mapping[str, Any]
    priority: int
    ttl_seconds: int
    max_attempts: int
    on_unknown: Literal["hold", "retry", "fail"]
    metadata: Mapping[str, str]
    webhook: Mapping[str, Any]


class JobBody(Wishes, total=False):
    """The body of `POST /v1/jobs`."""

    model: Required[str]
    operation: str


class ActionBody(Wishes, total=False):
    """The body of `POST /v1/jobs/{id}/actions`: an `action`, or a button's `custom_id`."""

    action: str
    index: int
    direction: str
    custom_id: str


@dataclass(frozen=True)
class Job:
    """One request for media, as it stood when it was read."""

    id: str
    state: str
    model: str
    operation: str
    prompt: str
    progress: int
    """Percent."""
    artifacts: tuple[Artifact, ...]
    error: Mapping[str, Any] | None
    """`{class, code, message, retryable, …}`, for a job that failed or is held."""
    cost_usd: Decimal | None
    """By the catalog's list price."""
    created_at: datetime | None
    finished_at: datetime | None
    metadata: Mapping[str, str]
    raw: Mapping[str, Any] = field(repr=False)
    """The whole job as the API said it."""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        cost = (raw.get("cost") or {}).get("estimated")
        return cls(
            id=str(raw["id"]),
            state=str(raw["state"]),
            model=str(raw.get("model") or ""),
            operation=str(raw.get("operation") or ""),
            prompt=str(raw.get("prompt") or ""),
            progress=int(raw.get("progress") or 0),
            artifacts=tuple(Artifact.read(each) for each in raw.get("artifacts") or ()),
            error=raw.get("error"),
            cost_usd=Decimal(cost) if cost is not None else None,
            created_at=moment(raw.get("created_at")),
            finished_at=moment(raw.get("finished_at")),
            metadata=raw.get("metadata") or {},
            raw=raw,
        )

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_settled(self) -> bool:
        """It goes no further by itself: final, or held until a person decides."""
        return self.is_final or self.state == "held"

    @property
    def seconds(self) -> float | None:
        """From its creation to its end."""
        if self.created_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.created_at).total_seconds()

    @property
    def why(self) -> str:
        """In one sentence, why it is where it is; empty if there is nothing to say."""
        queue = self.raw.get("queue") or {}
        return str((self.error or {}).get("message") or self.raw.get("state_reason") or queue.get("reason") or "")


@dataclass(frozen=True)
class JobEvent:
    """One step of a job's life."""

    type: str
    created_at: datetime | None
    attempt: int | None
    state: str | None
    """The job's state after it."""
    cause: str | None
    reason: str | None
    """For people."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            type=str(raw.get("type") or ""),
            created_at=moment(raw.get("created_at")),
            attempt=raw.get("attempt"),
            state=raw.get("state"),
            cause=raw.get("cause"),
            reason=raw.get("reason"),
            raw=raw,
        )


class Jobs:
    """`darkroom.jobs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, *, idempotency_key: str | None = None, wait_s: int | None = None, **body: Unpack[JobBody]) -> Job:
        """Ask for media; the job exists once this returns.

        Args:
            idempotency_key: the same key and body give the same job again, for at least 7 days.
            wait_s: answer only when the job is finished, or after so many seconds (at most 60).
        """
        answer = self._transport.post(
            "/v1/jobs", body, idempotency_key=idempotency_key, params={"wait": wait_s}, wait_s=wait_s or 0
        )
        return Job.read(answer)

    def get(self, job_id: str, *, wait_s: float | None = None) -> Job:
        """One job; with `wait_s` (at most 60) the answer comes when it is finished, or after that time."""
        return Job.read(self._transport.get(_path(job_id), {"wait": wait_s}, wait_s or 0))

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **filters: str | Sequence[str] | None,
    ) -> Page[Job]:
        """A page of jobs, newest first.

        Args:
            filters: `state` (one or several), `model`, `operation`, `created_after`, `created_before`, `q` (words of
                the prompt) ….
        """
        labels = {f"metadata.{name}": value for name, value in (metadata or {}).items()}
        answer = self._transport.get("/v1/jobs", {"limit": limit, "cursor": cursor, **filters, **labels})
        return Page.read(answer, Job.read)

    def each(
        self, *, metadata: Mapping[str, str] | None = None, **filters: str | Sequence[str] | None
    ) -> Iterator[Job]:
        """All jobs that the filters of `list` leave, page by page."""
        cursor: str | None = None
        while True:
            page = self.list(limit=200, cursor=cursor, metadata=metadata, **filters)
            yield from page.data
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The job, once it is final or held.

        Raises:
            TimeoutError: it is neither after `timeout_s`; it goes on all the same.
        """
        ends_at = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        job = self.get(job_id)
        while not job.is_settled:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"{job_id} is {job.state} after {timeout_s:g} s")
            job = self.get(job_id, wait_s=max(1, int(min(left_s, LONGEST_WAIT_S))))
        return job

    def cancel(self, job_id: str) -> Job:
        """Nobody wants it any more; canceling twice is fine, a finished job is an `ApiError` (409)."""
        return Job.read(self._transport.post(f"{_path(job_id)}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Queue a failed, canceled or held job again as a new attempt, which is paid for."""
        return Job.read(self._transport.post(f"{_path(job_id)}/retry"))

    def resolve(
        self,
        job_id: str,
        outcome: Literal["failed", "retry", "running"],
        *,
        task_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Say what became of a held job: it failed, is to be tried again, or runs at the gateway as `task_id`."""
        body = {"as": outcome} | ({"task_id": task_id} if task_id is not None else {})
        return Job.read(self._transport.post(f"{_path(job_id)}/resolve", body, idempotency_key=idempotency_key))

    def action(self, job_id: str, *, idempotency_key: str | None = None, **body: Unpack[ActionBody]) -> Job:
        """A follow-up on a result, as `action="upscale", index=2`; a new job, `parent_id` is this one."""
        return Job.read(self._transport.post(f"{_path(job_id)}/actions", body, idempotency_key=idempotency_key))

    def events(self, job_id: str) -> tuple[JobEvent, ...]:
        """Its history, oldest first."""
        found: list[JobEvent] = []
        cursor: str | None = None
        while True:
            answer = self._transport.get(f"{_path(job_id)}/events", {"limit": 200, "cursor": cursor})
            page = Page.read(answer, JobEvent.read)
            found.extend(page.data)
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return tuple(reversed(found))  # they come newest first


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
