"""What is known of an attempt whose outcome is not: written down when it is held, and added to as more is seen.

Its row is for the person who must decide, and it says when the attempt's task is searched for (`reconcile.py`).
It never changes the job: that is `claims.move`.  Times are the database's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import func, select, text, update
from sqlmodel import Session, col

from shared import claims, credentials, policy
from shared.claims import Claim
from shared.gateway import classify
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import GatewayError
from shared.gateway.request import Reply, Response
from shared.lifecycle import State
from shared.policy import OnUnknown
from shared.tables import HeldAttempt, JobRequest

UNHEARD: Final = frozenset({"worker_died", "call_lost"})
"""Codes with which the sweep tells of a call whose process heard of no end."""
BODY_BYTES: Final = 4000
"""So much of what came back is cleaned; what is kept of it is shorter."""

THEN: Final[Mapping[OnUnknown, str]] = {
    OnUnknown.HOLD: "",
    OnUnknown.RETRY: ", and is tried again if it is not there",
    OnUnknown.FAIL: ", and is given up if it is not there",
}

# `seen` is a look at the key's balance: the newest that was there when the call was begun is the one before it.
_KEEP: Final = text("""
    INSERT INTO held_attempts (
        job_id, attempt, held_at, sent_at, heard_at, came_back, credential, balance_before, looked_for, gives_way,
        due_at
    )
    SELECT
        jobs.id, jobs.attempt, now(), jobs.submitted_at, CASE WHEN :is_heard THEN now() END,
        CAST(:came_back AS jsonb), :credential, (
            SELECT look.seen
            FROM gateway_views, jsonb_array_elements(
                jsonb_build_array(jsonb_build_object(
                    'remaining_usd', data -> 'remaining_usd', 'used_usd', data -> 'used_usd', 'at', seen_at
                )) || earlier
            ) WITH ORDINALITY AS look(seen, place)
            WHERE name = :view AND CAST(look.seen ->> 'at' AS timestamptz) <= jobs.submitted_at
            ORDER BY place LIMIT 1
        ), '[]', :gives_way, now() + make_interval(secs => CAST(:due_in_s AS float8))
    FROM jobs WHERE id = :job_id
    ON CONFLICT (job_id, attempt) DO UPDATE SET
        held_at = EXCLUDED.held_at, heard_at = EXCLUDED.heard_at, came_back = EXCLUDED.came_back,
        balance_after = NULL, gives_way = EXCLUDED.gives_way, due_at = EXCLUDED.due_at
""")
_BALANCE_AFTER: Final = text("""
    UPDATE held_attempts SET balance_after = jsonb_build_object(
        'remaining_usd', CAST(:remaining_usd AS text), 'used_usd', CAST(:used_usd AS text), 'at', now()
    )
    WHERE credential = :credential AND balance_after IS NULL AND held_at < :begun_at
""")
_DUE: Final = text("""
    UPDATE held_attempts SET due_at = now() + make_interval(secs => :lease_s)
    FROM (
        SELECT job_id, attempt FROM held_attempts WHERE due_at <= now()
        ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE held_attempts.job_id = due.job_id AND held_attempts.attempt = due.attempt
    RETURNING held_attempts.job_id, held_attempts.attempt, sent_at, held_at, came_back, gives_way,
        jsonb_array_length(looked_for) AS searches
""")


@dataclass(frozen=True)
class Lost:
    """A held attempt whose task is to be searched for now."""

    claim: Claim
    prompt: str
    sent_at: datetime
    came_back: Mapping[str, Any]
    gives_way: OnUnknown
    searches: int
    """So many were made before."""


def excerpt(reply: Reply) -> str:
    """The beginning of what came back, for people: cleaned of keys and data; empty if nothing did."""
    return classify.clean(reply.body[:BODY_BYTES].decode(errors="replace")) if isinstance(reply, Response) else ""


def is_findable(claim: Claim) -> bool:
    """Whether the gateway may show the task of this call, should its answer be lost."""
    adapter = BY_OPERATION.get(claim.operation)
    has_none_yet = claim.state is State.SUBMITTING and claim.upstream_task_id is None
    return has_none_yet and adapter is not None and adapter.finding is not None


def told(session: Session, claim: Claim, reason: str) -> str:
    """Why it is held, and how long it is searched for."""
    until: datetime = session.execute(
        select(claims.seconds_from_now(policy.searched_for_s(claim.on_unknown)))
    ).scalar_one()
    clock, then = f"{until.astimezone(UTC):%H:%M:%S} UTC", THEN[claim.on_unknown]
    return f"{reason}; it is searched for at the gateway until {clock}{then}"


def keep(session: Session, claim: Claim, error: GatewayError, *, is_findable: bool) -> None:
    """Write down what is known of an attempt, in the transaction that holds it."""
    # Where nothing can be found, the usage log may still say whether it was paid for.
    is_searched = is_findable or error.upstream_request_id is not None
    credential = credentials.of_lane(claim.lane)
    session.execute(
        _KEEP,
        {
            "job_id": claim.job_id,
            "is_heard": error.code not in UNHEARD,
            "came_back": json.dumps({**claims.as_error(error, False), "body": claims.plain(error.body)}),
            "credential": credential,
            "view": f"{credential}.token",
            "gives_way": claim.on_unknown.value if is_findable else OnUnknown.HOLD.value,
            "due_in_s": policy.next_search_s(claim.on_unknown, 0) if is_searched else None,
        },
    )


def keep_balance(session: Session, credential: str, balance: Mapping[str, Any], begun_at: datetime) -> None:
    """The first balance after them, for all attempts that were held before this look at it was begun."""
    seen = {"remaining_usd": balance.get("remaining_usd"), "used_usd": balance.get("used_usd")}
    session.execute(_BALANCE_AFTER, {"credential": credential, "begun_at": begun_at, **seen})


def take_due(session: Session, most: int, lease_s: float) -> tuple[list[Lost], int]:
    """The held attempts that are to be searched for now, and how many rows were looked at for them.

    They come due again after the lease, should this process die.  What has moved on since is not due any more.
    """
    rows = session.execute(_DUE, {"most": most, "lease_s": lease_s}).mappings().all()
    asked = select(col(JobRequest.job_id), col(JobRequest.prompt)).where(
        col(JobRequest.job_id).in_([row["job_id"] for row in rows])
    )
    prompts = {row.job_id: row.prompt for row in session.execute(asked)}
    found = []
    for row in rows:  # few: a held job is the exception
        claim = claims.read(session, row["job_id"])
        if claim is None or claim.state is not State.HELD or claim.attempt != row["attempt"]:
            _search_again(session, row["job_id"], row["attempt"], None)
            continue
        sent_at = row["sent_at"] or row["held_at"]
        gives_way = OnUnknown(row["gives_way"])
        found.append(Lost(claim, prompts[claim.job_id], sent_at, row["came_back"], gives_way, row["searches"]))
    return found, len(rows)


def searched(session: Session, claim: Claim, told: str, *, found: str | None = None, again_in_s: float | None) -> None:
    """Write down a search, and when the next one is due; None: never."""
    line = func.jsonb_build_array(func.jsonb_build_object("at", func.now(), "found", found, "told", claims.plain(told)))
    _search_again(session, claim.job_id, claim.attempt, again_in_s, looked_for=HeldAttempt.looked_for.op("||")(line))  # type: ignore[attr-defined]


def _search_again(session: Session, job_id: str, attempt: int, in_s: float | None, **changes: Any) -> None:
    due_at = None if in_s is None else claims.seconds_from_now(in_s)
    session.execute(
        update(HeldAttempt)
        .where(col(HeldAttempt.job_id) == job_id, col(HeldAttempt.attempt) == attempt)
        .values(due_at=due_at, **changes)
    )
