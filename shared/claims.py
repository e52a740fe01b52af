"""Taking, moving and giving back jobs: the conditional UPDATEs that everything else leans on.

The database is the truth, and several processes look at it at once.  So nobody reads a state and then writes
another one: each write says which state and attempt it expects (`WHERE id = … AND attempt = … AND state = …`),
and the number of rows says whether that still held.  Nothing matched is normal: the row has moved on without us,
because it was canceled, or because we looked dead and another process took it.  Then drop what you hold.

A *claim* is the row while a worker process holds it: `submitting` and `storing` name that process in
`claimed_by`, and the sweep takes back what dead processes held.  All times are the database's.

This module alone writes `state`, and every move records its event in the same transaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    Float,
    Row,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from shared import events, late, lifecycle, policy, spools
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.tables import Event, Job, JobNeed, JobResult, Process


@dataclass(frozen=True)
class Claim:
    """What we know of a job from when we took or read it; `attempt` and `state` guard every write."""

    job_id: str
    project_id: str
    attempt: int
    state: State
    operation: str
    model: str
    lane: str
    max_attempts: int
    on_unknown: OnUnknown
    waits: int
    waits_for: str | None
    upstream_task_id: str | None
    misses: int
    vanished: int
    doubted: bool
    store_tries: int
    spool_host: str | None
    holder: str | None
    """The process that held it when we looked."""
    age_s: float
    """Seconds since it came into its state, by the database's clock."""
    by: str | None = None
    """The process that holds it; None for the API and for reads."""
    size: str | None = None
    """What of it moves how long its upstream task takes."""
    since_call_s: float | None = None
    """Seconds since its paid call was begun, by the database's clock; None: there was none."""
    since_pending_s: float | None = None
    """Seconds since a look last said that its upstream task goes on; None: none has."""


_COLUMNS: Final[tuple[Any, ...]] = (
    col(Job.id).label("job_id"),
    Job.project_id,
    Job.attempt,
    Job.state,
    Job.operation,
    Job.model,
    Job.lane,
    Job.max_attempts,
    Job.on_unknown,
    Job.waits,
    Job.waits_for,
    Job.upstream_task_id,
    Job.misses,
    Job.vanished,
    Job.doubted,
    Job.store_tries,
    Job.spool_host,
    col(Job.claimed_by).label("holder"),
    func.extract("epoch", func.now() - Job.moved_at).cast(Float).label("age_s"),
    Job.size,
    func.extract("epoch", func.now() - Job.submitted_at).cast(Float).label("since_call_s"),
    func.extract("epoch", func.now() - Job.pending_at).cast(Float).label("since_pending_s"),
)

_FRESH: Final[Mapping[str, Any]] = {
    "claimed_by": None,
    "upstream_task_id": None,
    "upstream_status": None,
    "progress": 0,
    "misses": 0,
    "vanished": 0,
    "doubted": False,
    "store_tries": 0,
    "spool_host": None,
    "finished_at": None,
    "upstream_finished_at": None,
}
_ENDED: Final[Mapping[str, Any]] = {"claimed_by": None, "due_at": None, "finished_at": func.now()}

ENTERING: Final[Mapping[State, Mapping[str, Any]]] = {
    State.QUEUED: {**_FRESH, "due_at": None, "state_reason": None},
    State.DISPATCHED: {"due_at": None, "state_reason": None},
    State.SUBMITTING: {"submitted_at": func.now()},
    State.RUNNING: {
        "claimed_by": None,
        "due_at": func.now(),  # a row without it would never be looked at again
        "state_reason": None,
        "pending_at": None,
        "misses": 0,
        "vanished": 0,
        "doubted": False,
        "waits": 0,
        "waits_for": None,
    },
    State.STORING: {
        "claimed_by": None,
        "due_at": func.now(),
        "state_reason": None,
        "upstream_finished_at": func.now(),
        "waits": 0,
        "waits_for": None,
        "store_tries": 0,
    },
    State.HELD: {"claimed_by": None, "due_at": None},
    State.SUCCEEDED: {**_ENDED, "progress": 100, "state_reason": None, "spool_host": None},
    State.FAILED: _ENDED,
    State.CANCELED: _ENDED,
}
"""What else becomes true of a row when it comes into a state."""

_BEGUN: Final = frozenset({State.SUBMITTING, State.RUNNING, State.STORING, State.HELD})
"""Where the gateway may have been at work."""

UNCOUNTED: Final = frozenset({Cause.NOT_SENT, Cause.THROTTLED})
"""Nothing was charged: the number of the attempt is given back with the job."""

READY_INPUTS_LOCK: Final = 0x696E70757473  # "inputs"
DEATHS_FORGIVEN: Final = 2
"""So many processes in a row may die with a result in hand before it is left alone for a while."""
DEATH_REST_S: Final = 20.0
WORD_MOST: Final = 200
"""Longest word of the gateway's that a column of the hot row keeps, characters."""


def _run(
    session: Session, statement: Executable, values: Mapping[str, Any] | None = None
) -> CursorResult[*tuple[Any, ...]]:
    """Past the ORM, which would follow the row objects that it has loaded; there are none here, and it costs as much
    again as the statement."""
    return session.connection().execute(statement, values)


def _claim(row: Row[Any], by: str | None = None) -> Claim:
    return Claim(**row._mapping, by=by)


def read(session: Session, job_id: str) -> Claim | None:
    """The job as it is now, to be moved by somebody who does not hold it (the API, a sweep)."""
    row = _run(session, select(*_COLUMNS).where(col(Job.id) == job_id)).one_or_none()
    return None if row is None else _claim(row)


def held_by(session: Session, job_id: str, state: State, by: str) -> Claim | None:
    """The job if this process holds it in that state: what is true after a commit whose answer was lost."""
    row = _run(
        session, select(*_COLUMNS).where(col(Job.id) == job_id, col(Job.state) == state, col(Job.claimed_by) == by)
    ).one_or_none()
    return None if row is None else _claim(row, by)


def take(session: Session, job_id: str, by: str, data: dict[str, Any] | None = None) -> Claim | None:
    """Claim a dispatched job for its paid call, as the next attempt.

    Args:
        data: kept with the event.

    Returns:
        None if it is not dispatched (a doubled, late or lost hint), or past its deadline; that is normal.
    """
    state = lifecycle.after(State.DISPATCHED, Cause.CLAIMED)
    row = _run(
        session,
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state) == State.DISPATCHED)
        .where(or_(col(Job.deadline_at).is_(None), col(Job.deadline_at) > func.now()))
        .values(state=state, attempt=Job.attempt + 1, claimed_by=by, moved_at=func.now(), **ENTERING[state])
        .returning(*_COLUMNS),
    ).one_or_none()
    if row is None:
        return None
    claim = _claim(row, by)
    _record(session, claim, State.DISPATCHED, Cause.CLAIMED, state, data=data)
    return claim


def move(
    session: Session,
    claim: Claim,
    cause: Cause,
    *,
    reason: str | None = None,
    data: dict[str, Any] | None = None,
    due_in_s: float | None = None,
    waits_for: str | None = None,
    **changes: Any,
) -> bool:
    """Take the job to its next state, with its event, in the caller's transaction.

    Args:
        reason: for people; kept in `state_reason` and in the event.
        due_in_s: when to look again, seconds from now by the database's clock.
        waits_for: what it is sent back for without a count; `waits` counts the times in a row for the same.
        changes: further columns.

    Returns:
        False if the row has moved on without us.  Then drop what you hold; that is normal.

    Raises:
        IllegalMove: a bug of ours.
    """
    reason, data = plain(reason), plain(data)
    for origin in lifecycle.origins(claim.state, cause):
        state = lifecycle.after(origin, cause)
        values = {
            **ENTERING[state],
            **_reasoned(reason),
            **_due(due_in_s),
            **_uncounted(cause),
            **_waiting(waits_for),
            **_called_in(claim, cause),
            **_words(changes),
        }
        moved = _run(
            session,
            update(Job)
            .where(*_still(claim, origin, cause))
            .values(state=state, moved_at=func.now(), **values)
            .returning(col(Job.id)),
        )
        if moved.one_or_none() is not None:
            _record(session, claim, origin, cause, state, reason=reason, data=data)
            if (origin, cause) in lifecycle.LEAVES_WORK:
                late.leave(session, claim, origin)
            elif origin in lifecycle.NOT_BEGUN_ANEW and cause in lifecycle.WELCOME_LATE:
                late.take_up(session, claim)
            return True
    return False


def explain(session: Session, claim: Claim, reason: str) -> bool:
    """Say anew why the job is where it is; it stays there.  False if it has moved on."""
    explained = _run(
        session,
        update(Job)
        .where(*_still(claim, claim.state, Cause.UNKNOWN))
        .values(state_reason=plain(reason))
        .returning(col(Job.id)),
    )
    return explained.one_or_none() is not None


def _still(claim: Claim, state: State, cause: Cause) -> list[ColumnElement[bool]]:
    """That the row is the one that we know."""
    known = [col(Job.id) == claim.job_id, col(Job.attempt) == claim.attempt, col(Job.state) == state]
    if state is State.SUBMITTING or cause is Cause.UNSTORABLE:
        # What was not sent gives the number of its attempt back, so another process may hold the same one by now.
        # And who was taken for dead while it stored must not give up what another is storing.
        known.append(col(Job.claimed_by).is_not_distinct_from(claim.holder))
    return known


def plain(value: Any) -> Any:
    """What the gateway said, without what PostgreSQL keeps in no text: NUL, and halves of characters."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number, and PostgreSQL keeps none
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _words(changes: Mapping[str, Any]) -> dict[str, Any]:
    status = changes.get("upstream_status")
    shortened = {} if status is None else {"upstream_status": str(status)[:WORD_MOST]}
    return {name: plain(value) for name, value in {**changes, **shortened}.items()}


def _reasoned(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"state_reason": reason}


def _due(due_in_s: float | None) -> dict[str, Any]:
    return {} if due_in_s is None else {"due_at": seconds_from_now(due_in_s)}


def _uncounted(cause: Cause) -> dict[str, Any]:
    return {"attempt": Job.attempt - 1} if cause in UNCOUNTED else {}


def _called_in(claim: Claim, cause: Cause) -> dict[str, Any]:
    """A job that was given up may have been lent to another lane, whose credential knows nothing of this call."""
    return {"lane": claim.lane} if cause in lifecycle.WELCOME_LATE else {}


def _waiting(what: str | None) -> dict[str, Any]:
    if what is None:
        return {}
    return {"waits": case((col(Job.waits_for) == what, Job.waits + 1), else_=1), "waits_for": what}


def seconds_from_now(seconds: float) -> ColumnElement[datetime]:
    """A time by the database's clock."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _record(session: Session, claim: Claim, origin: State, cause: Cause, state: State, **more: Any) -> None:
    news = events.moved(
        claim.project_id, claim.job_id, claim.attempt, origin, cause, state, process_id=claim.by, **more
    )
    events.record(session, [news])


def keep_result(
    session: Session,
    claim: Claim,
    *,
    outputs: list[dict[str, Any]] | None = None,
    result: Mapping[str, Any] | None = None,
    error: GatewayError | None = None,
    retryable: bool = False,
) -> None:
    """What came of the attempt, in the transaction of the move that it caused; the last one that ended is kept."""
    values = {
        "attempt": claim.attempt,
        "outputs": plain(outputs),
        "result": plain(dict(result)) if result else None,
        "error": None if error is None else as_error(error, retryable),
    }
    _run(
        session,
        insert(JobResult)
        .values(job_id=claim.job_id, **values)
        .on_conflict_do_update(index_elements=["job_id"], set_=values),
    )


def keep_error(session: Session, claim: Claim, error: GatewayError, *, retryable: bool = False) -> None:
    """Why nothing more comes of the attempt; where its outputs are, if it had any, stays with it."""
    values = {"attempt": claim.attempt, "error": as_error(error, retryable)}
    is_same = col(JobResult.attempt) == claim.attempt
    of_attempt = {name: case((is_same, col(getattr(JobResult, name))), else_=None) for name in ("outputs", "result")}
    _run(
        session,
        insert(JobResult)
        .values(job_id=claim.job_id, **values)
        .on_conflict_do_update(index_elements=["job_id"], set_={**values, **of_attempt}),
    )


def as_error(error: GatewayError, retryable: bool) -> dict[str, Any]:
    """The error as the API shows it."""
    return {
        "class": error.error_class.value,
        "code": plain(error.code),
        "message": plain(error.message),
        "retryable": retryable,
        "upstream_status": error.upstream_status,
        "upstream_request_id": plain(error.upstream_request_id),
    }


# Many rows at once: the dispatcher, the poller, the store tick and the sweep.


def move_all(
    session: Session,
    where: ColumnElement[bool],
    origin: State,
    cause: Cause,
    *,
    by: str | None = None,
    limit: int = 1000,
    reason: str | None = None,
    due_in_s: float | None = None,
    **changes: Any,
) -> list[Claim]:
    """Move every job of `origin` that `where` names, with its event; rows that others have locked are left to them.

    Returns:
        What was moved, oldest first, at most `limit` of them.
    """
    state = lifecycle.after(origin, cause)
    picked = (
        select(col(Job.id))
        .where(col(Job.state) == origin, where)
        .order_by(col(Job.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    values = {**ENTERING[state], **_reasoned(reason), **_due(due_in_s), **_uncounted(cause), **changes}
    rows = _run(
        session,
        update(Job)
        .where(col(Job.id) == picked.c.id)
        .values(state=state, moved_at=func.now(), **values)
        .returning(*_COLUMNS),
    )
    claims = sorted((_claim(row, by) for row in rows), key=lambda claim: claim.job_id)
    events.record(
        session,
        [
            events.moved(
                claim.project_id, claim.job_id, claim.attempt, origin, cause, state, reason=reason, process_id=by
            )
            for claim in claims
        ],
    )
    if (origin, cause) in lifecycle.LEAVES_WORK:
        for claim in claims:  # few: what is left behind is the exception
            late.leave(session, claim, origin)
    return claims


_BEST: Final = text("""
    SELECT best.id
    FROM unnest(CAST(:lanes AS text[]), CAST(:rooms AS int[])) AS room(lane, free), LATERAL (
        SELECT id FROM jobs
        WHERE jobs.lane = room.lane AND state = 'queued' AND (due_at IS NULL OR due_at <= now())
        ORDER BY priority DESC, id
        LIMIT room.free
        FOR UPDATE SKIP LOCKED
    ) AS best
""")


def release(session: Session, room_by_lane: Mapping[str, int], by: str) -> list[Claim]:
    """Dispatch the best queued jobs of each lane, at most as many as it has room for.

    Best: highest priority, then oldest.  The caller holds the rows of these lanes locked.
    """
    lanes = {"lanes": list(room_by_lane), "rooms": list(room_by_lane.values())}
    best = _run(session, _BEST, lanes).scalars().all()
    if not best:
        return []
    return move_all(session, col(Job.id).in_(best), State.QUEUED, Cause.RELEASED, by=by, limit=len(best))


def ready_inputs(session: Session, by: str) -> int:
    """Queue the waiting jobs whose needs have all succeeded, and fail those that would wait in vain.

    One process at a time: with many that wait it is the dearest of the ticks.
    """
    if not _run(session, select(func.pg_try_advisory_xact_lock(READY_INPUTS_LOCK))).scalar_one():
        return 0
    # Row by row of the few that wait: the needs of all that ever waited are far more.
    needed = aliased(Job)
    needs = select(1).where(col(JobNeed.job_id) == col(Job.id), col(JobNeed.needs_id) == needed.id).correlate(Job)
    in_vain = needs.where(col(needed.state).in_((State.FAILED, State.CANCELED))).exists()
    not_yet = needs.where(col(needed.state) != State.SUCCEEDED).exists()
    reason = "a job whose result it needs as an input ended without one"
    failed = move_all(session, in_vain, State.WAITING, Cause.INPUTS_FAILED, by=by, reason=reason)
    for claim in failed:
        keep_result(session, claim, error=GatewayError(ErrorClass.INVALID_REQUEST, "input_failed", reason))
    ready = move_all(session, ~not_yet, State.WAITING, Cause.INPUTS_READY, by=by)
    return len(failed) + len(ready)


def due_dispatched(session: Session, limit: int, after_s: float, lease_s: float) -> list[str]:
    """Jobs that were dispatched `after_s` ago and that nobody has claimed: their hint is late or lost.

    Their `due_at` moves `lease_s` ahead, so that not all processes prepare the same ones.  It is no claim.
    """
    due = (
        select(col(Job.id))
        .where(
            col(Job.state) == State.DISPATCHED,
            col(Job.moved_at) < seconds_from_now(-after_s),
            or_(col(Job.due_at).is_(None), col(Job.due_at) <= func.now()),
        )
        .order_by(col(Job.moved_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = _run(
        session,
        update(Job).where(col(Job.id) == due.c.id).values(due_at=seconds_from_now(lease_s)).returning(col(Job.id)),
    )
    return list(rows.scalars())


def due_running(session: Session, limit: int, lease_s: float, *, but_credentials: Sequence[str] = ()) -> list[Claim]:
    """The running jobs that are to be looked at now, the longest due first.

    Their `due_at` moves `lease_s` ahead, so that no other poller takes them meanwhile, and so that they come due
    by themselves if this process dies.

    Args:
        but_credentials: whose gateways are not to be asked now; their jobs stay due.
    """
    credential = func.split_part(col(Job.lane), ".", 1)
    due = (
        select(col(Job.id))
        .where(col(Job.state) == State.RUNNING, col(Job.due_at) <= func.now())
        .where(credential.not_in(but_credentials) if but_credentials else true())
        .order_by(col(Job.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = _run(
        session,
        update(Job).where(col(Job.id) == due.c.id).values(due_at=seconds_from_now(lease_s)).returning(*_COLUMNS),
    )
    return [_claim(row) for row in rows]


@dataclass(frozen=True)
class Glance:
    """What a look changed of a job that goes on running."""

    claim: Claim
    progress: int | None
    """Percent; None leaves what was known."""
    status: str | None
    due_in_s: float
    misses: int = 0
    vanished: int = 0
    doubted: bool = False
    reason: str | None = None
    """Why nobody could look, for people; gone when the task is seen again."""


_WRITE_GLANCES: Final = text("""
    UPDATE jobs SET
        progress = COALESCE(glance.progress, jobs.progress),
        upstream_status = COALESCE(glance.status, jobs.upstream_status),
        due_at = now() + make_interval(secs => glance.due_in_s),
        misses = glance.misses, vanished = glance.vanished, doubted = glance.doubted,
        pending_at = CASE WHEN glance.misses = 0 AND NOT glance.doubted THEN now() ELSE jobs.pending_at END,
        state_reason = CASE WHEN glance.misses > 0 OR jobs.misses = 0
            THEN COALESCE(glance.reason, jobs.state_reason) ELSE glance.reason END
    FROM unnest(
        CAST(:ids AS text[]), CAST(:attempts AS int[]), CAST(:progress AS int[]), CAST(:status AS text[]),
        CAST(:due_in_s AS float8[]), CAST(:misses AS int[]), CAST(:vanished AS int[]), CAST(:doubted AS bool[]),
        CAST(:reasons AS text[])
    ) AS glance(id, attempt, progress, status, due_in_s, misses, vanished, doubted, reason),
    jobs AS before
    WHERE jobs.id = glance.id AND before.id = jobs.id AND jobs.attempt = glance.attempt AND jobs.state = 'running'
    RETURNING jobs.id, before.progress IS DISTINCT FROM jobs.progress AS went_on
""")


def write_glances(session: Session, glances: Sequence[Glance]) -> None:
    """Write back the looks that ended no task, all in one statement, with `job.progress` where it went on."""
    if not glances:
        return
    in_order = sorted(glances, key=lambda glance: glance.claim.job_id)  # one order for all, so no deadlock
    rows = _run(
        session,
        _WRITE_GLANCES,
        {
            "ids": [glance.claim.job_id for glance in in_order],
            "attempts": [glance.claim.attempt for glance in in_order],
            "progress": [glance.progress for glance in in_order],
            "status": [glance.status and plain(glance.status)[:WORD_MOST] for glance in in_order],
            "due_in_s": [glance.due_in_s for glance in in_order],
            "misses": [glance.misses for glance in in_order],
            "vanished": [glance.vanished for glance in in_order],
            "doubted": [glance.doubted for glance in in_order],
            "reasons": [plain(glance.reason) for glance in in_order],
        },
    )
    went_on = {row["id"] for row in rows.mappings() if row["went_on"]}
    events.record(session, [_progress(glance) for glance in in_order if glance.claim.job_id in went_on])


def _progress(glance: Glance) -> events.News:
    claim = glance.claim
    data = plain({"progress": glance.progress, "upstream_status": glance.status})
    return events.News(claim.project_id, claim.job_id, "job.progress", claim.attempt, State.RUNNING, data=data)


STORE_LEASE_S: Final = 3600.0
"""Who stores a result has it for so long.  Then it is free again, should its process live and have lost it."""


def take_storing(
    session: Session, by: str, spool: str, *, job_ids: Sequence[str] | None = None, limit: int = 1
) -> list[Claim]:
    """Claim results that nobody stores, by hint (`job_ids`) or by the tick (those that are due).

    Their `due_at` moves `STORE_LEASE_S` ahead.  A result that lies in another spool is left to those who have that,
    unless none of them has been seen for so long that others should look whether it is elsewhere, too.
    """
    is_lone = and_(
        col(Job.moved_at) < seconds_from_now(-spools.LONE_S), col(Job.spool_host).not_in(spools.seen(spools.LONE_S))
    )
    free = (
        select(col(Job.id))
        .where(
            col(Job.state) == State.STORING,
            col(Job.due_at) <= func.now(),
            or_(col(Job.spool_host).is_(None), col(Job.spool_host) == spool, is_lone),
            true() if job_ids is None else col(Job.id).in_(job_ids),
        )
        .order_by(col(Job.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    rows = _run(
        session,
        update(Job)
        .where(col(Job.id) == free.c.id)
        .values(claimed_by=by, due_at=seconds_from_now(STORE_LEASE_S))
        .returning(*_COLUMNS),
    )
    return [_claim(row, by) for row in rows]


def known(session: Session, attempts: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of these attempts (job, number) of which the database knows already what came, in time or late."""
    told = (Cause.ACCEPTED, Cause.PRODUCED)
    rows = _run(
        session,
        select(col(Event.job_id), col(Event.attempt)).where(
            col(Event.job_id).in_([job_id for job_id, _ in attempts]),
            or_(col(Event.cause).in_(told), col(Event.type) == late.EVENT),
        ),
    )
    return {(row["job_id"], row["attempt"]) for row in rows.mappings()} & set(attempts)


def there(session: Session, job_ids: Sequence[str]) -> set[str]:
    """Those of these jobs that there are."""
    return set(_run(session, select(col(Job.id)).where(col(Job.id).in_(job_ids))).scalars())


def wanted(session: Session, attempts: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of these attempts (job, number) that may come to something: their jobs are still at them, or late."""
    job_ids = [job_id for job_id, _ in attempts]
    rows = _run(
        session,
        select(col(Job.id), col(Job.attempt)).where(col(Job.id).in_(job_ids), col(Job.state).not_in(lifecycle.FINAL)),
    )
    return ({(row["id"], row["attempt"]) for row in rows.mappings()} | late.wanted(session, job_ids)) & set(attempts)


def keep_places(session: Session, claim: Claim, places: Mapping[int, dict[str, str]], spool: str | None) -> bool:
    """Write down where outputs of a result that we hold are from now on: first there, then at the places known before.

    Args:
        places: by index of the output.
        spool: the spool that some of them are in; None: none.

    Returns:
        False if the row has moved on without us.
    """
    held = (
        col(Job.id) == claim.job_id,
        col(Job.attempt) == claim.attempt,
        col(Job.state) == State.STORING,
        col(Job.claimed_by) == claim.by,
    )
    ours = update(Job).where(*held).values(spool_host=func.coalesce(spool, Job.spool_host)).returning(col(Job.id))
    if _run(session, ours).one_or_none() is None:
        return False
    same = (col(JobResult.job_id) == claim.job_id, col(JobResult.attempt) == claim.attempt)
    outputs = _run(session, select(col(JobResult.outputs)).where(*same)).scalar_one()
    _run(session, update(JobResult).where(*same).values(outputs=late.nearer(outputs, places)))
    return True


def store_later(session: Session, claim: Claim, due_in_s: float, reason: str, *, is_counted: bool) -> bool:
    """Let go of a result that could not be stored now.  It stays `storing`: it is paid for, and will be tried again.

    Args:
        is_counted: a try of the result itself; else ours was the trouble (S3, disk, database), which uses up no try.
    """
    let_go = _run(
        session,
        update(Job)
        .where(
            col(Job.id) == claim.job_id,
            col(Job.attempt) == claim.attempt,
            col(Job.state) == State.STORING,
            col(Job.claimed_by) == claim.by,
        )
        .values(
            claimed_by=None,
            due_at=seconds_from_now(due_in_s),
            store_tries=Job.store_tries + int(is_counted),
            state_reason=plain(reason),
            **({"waits": 0, "waits_for": None} if is_counted else _waiting(policy.OUR_STORAGE)),
        )
        .returning(col(Job.id)),
    )
    return let_go.one_or_none() is not None


def storage_is_back(session: Session) -> int:
    """Let come due at once what waits for our S3 or our disk: after a long outage, its next try may be minutes off."""
    waiting = (
        select(col(Job.id))
        .where(col(Job.waits_for) == policy.OUR_STORAGE, col(Job.due_at) > func.now(), col(Job.claimed_by).is_(None))
        .where(or_(col(Job.state) == State.STORING, col(Job.state) == State.QUEUED))
        .order_by(col(Job.id))
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    hurried = _run(
        session, update(Job).where(col(Job.id) == waiting.c.id).values(due_at=func.now()).returning(col(Job.id))
    )
    return len(hurried.all()) + late.storage_is_back(session)


# Processes, and what the dead ones held.


def beat(session: Session, process_id: str, name: str, host: str, pid: int) -> None:
    """Say that this process lives."""
    _run(
        session,
        insert(Process)
        .values(id=process_id, name=name, host=host, pid=pid, started_at=func.now(), heartbeat_at=func.now())
        .on_conflict_do_update(index_elements=["id"], set_={"heartbeat_at": func.now()}),
    )


def silence_s(session: Session, process_id: str) -> float | None:
    """How long ago, by the database's clock, this process last said that it lives; None if it never did."""
    ago = func.extract("epoch", func.now() - col(Process.heartbeat_at)).cast(Float)
    return _run(session, select(ago).where(col(Process.id) == process_id)).scalar_one_or_none()


def leave(session: Session, process_id: str) -> None:
    """Say that this process is gone; what it still holds is taken back by the next sweep."""
    _run(session, delete(Process).where(col(Process.id) == process_id))


def _orphaned(dead_after_s: float) -> ColumnElement[bool]:
    living = select(col(Process.id)).where(col(Process.heartbeat_at) > seconds_from_now(-dead_after_s))
    return and_(col(Job.claimed_by).is_not(None), col(Job.claimed_by).not_in(living))


def prepare(session: Session, job_id: str, by: str) -> None:
    """Say who has a dispatched job's inputs in hand: they may be what ends the process, and then this tells whose."""
    _run(session, update(Job).where(col(Job.id) == job_id, col(Job.state) == State.DISPATCHED).values(claimed_by=by))


def orphaned_preparations(session: Session, dead_after_s: float, limit: int = 500) -> list[Claim]:
    """Dispatched jobs whose process died with their inputs in hand.  Nothing was sent."""
    return _orphans(session, State.DISPATCHED, dead_after_s, limit)


def orphaned_calls(session: Session, dead_after_s: float, limit: int = 500) -> list[Claim]:
    """Jobs whose process died while its paid call may have been under way: nobody knows what came of it."""
    return _orphans(session, State.SUBMITTING, dead_after_s, limit)


def _orphans(session: Session, state: State, dead_after_s: float, limit: int) -> list[Claim]:
    rows = _run(
        session,
        select(*_COLUMNS)
        .where(col(Job.state) == state, _orphaned(dead_after_s))
        .order_by(col(Job.id))
        .limit(limit)
        .with_for_update(skip_locked=True),
    )
    return [_claim(row) for row in rows]


def free_orphaned_stores(session: Session, dead_after_s: float, limit: int = 500) -> list[Claim]:
    """Let others store what a dead process was storing, what it took first before the rest.

    Storing twice is storing once, so nothing is lost.  What was in the hands of several that died is left alone for
    ever longer: it may be what ends them.
    """
    again = _waiting(policy.WORKER_DIED)
    rest_s = case((again["waits"] <= DEATHS_FORGIVEN, 0.0), else_=DEATH_REST_S * again["waits"])
    orphans = (
        select(col(Job.id))
        .where(col(Job.state) == State.STORING, _orphaned(dead_after_s))
        .order_by(col(Job.due_at), col(Job.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("orphans")
    )
    freed = _run(
        session,
        update(Job)
        .where(col(Job.id) == orphans.c.id)
        .values(claimed_by=None, due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, rest_s), **again)
        .returning(*_COLUMNS),
    )
    return [_claim(row) for row in freed]


def return_lost_hints(session: Session, after_s: float, by: str) -> list[Claim]:
    """Queue what was dispatched and claimed by nobody.  Nothing was sent for it, so no attempt is counted."""
    return move_all(session, col(Job.moved_at) < seconds_from_now(-after_s), State.DISPATCHED, Cause.HINT_LOST, by=by)


def expire(session: Session, by: str) -> list[Claim]:
    """Fail what is past its deadline, whatever its state."""
    late = col(Job.deadline_at) < func.now()
    reason = "its deadline has passed"
    ended: list[Claim] = []
    for state in State:
        if state in lifecycle.FINAL:
            continue
        found = move_all(session, late, state, Cause.EXPIRED, by=by, reason=reason)
        error_class = ErrorClass.UNKNOWN_OUTCOME if state in _BEGUN else ErrorClass.UNAVAILABLE
        for claim in found:  # few: a deadline that passes is the exception
            keep_error(session, claim, GatewayError(error_class, "deadline_exceeded", reason), retryable=True)
        ended += found
    return ended


def overdue_calls(session: Session, after_s: float, limit: int = 500) -> list[Claim]:
    """Jobs whose paid call should have ended long ago although their process lives."""
    rows = _run(
        session,
        select(*_COLUMNS)
        .where(
            col(Job.state) == State.SUBMITTING,
            col(Job.claimed_by).is_not(None),  # as all are, and so there is an index for it
            col(Job.moved_at) < seconds_from_now(-after_s),
        )
        .limit(limit)
        .with_for_update(skip_locked=True),
    )
    return [_claim(row) for row in rows]


def forget_dead(session: Session, dead_after_s: float) -> None:
    """Drop the rows of processes that have been dead for long and hold nothing."""
    holding = select(col(Job.claimed_by)).where(col(Job.claimed_by).is_not(None))
    _run(
        session,
        delete(Process).where(
            col(Process.heartbeat_at) < seconds_from_now(-20 * dead_after_s), col(Process.id).not_in(holding)
        ),
    )
