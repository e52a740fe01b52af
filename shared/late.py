"""What comes after its job has ended or gone on: the rows of `late_results`, and the writes that they take.

A job that is canceled, expires or is given up while the gateway is at work leaves work behind that is paid for all the
same.  And a process that was taken for dead may come back with a success when another attempt is under way.  Both have
a row here, by job and attempt.  The job's own state never changes by it: final is final.

Each write says which state it expects, so that any of them may happen twice or too late.  Whoever writes here and to
the job in one transaction has the job's row first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import CursorResult, Executable, and_, case, delete, func, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from shared import events, spools
from shared.lifecycle import State
from shared.tables import Job, JobResult, LateResult, LateState, Process

if TYPE_CHECKING:
    from shared.claims import Claim

HURRIED_MOST: Final = 1000
"""So many late results come due at once when S3 is back; the others at their time."""

EVENT: Final = "job.late_result"
"""News of a late result; it is no move."""

UNFINISHED: Final = (LateState.LOOKING, LateState.STORING)

_ITS_OWN: Final = frozenset({State.SUBMITTING, State.RUNNING, State.STORING, State.SUCCEEDED})
"""A job that is here is at its attempt itself, so that nothing of that attempt is late."""

DEATHS_FORGIVEN: Final = 2
"""So many processes may die with a result in hand before others leave it alone until its lease is over: it may be what
ends them."""

STORER_S: Final = 60.0
"""A result that is being stored when its job ends is left so long to the process that has it in hand."""


def _run(session: Session, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
    return session.connection().execute(statement)


def _seconds(seconds: float) -> Any:
    """From now, by the database's clock."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _is(claim: Claim) -> tuple[Any, ...]:
    return col(LateResult.job_id) == claim.job_id, col(LateResult.attempt) == claim.attempt


# How a row comes to be, and how it is not needed any more.


def leave(session: Session, claim: Claim, state: State) -> None:
    """Go on with what the attempt has at the gateway, or in hand: its job goes another way.

    Args:
        state: where the job was until now.
    """
    if state is State.STORING:
        _leave_result(session, claim)
    elif claim.upstream_task_id is not None:
        values = {**_beginning(claim), "state": LateState.LOOKING, "upstream_task_id": claim.upstream_task_id}
        _run(session, insert(LateResult).values(created_at=func.now(), **values).on_conflict_do_nothing())


def _leave_result(session: Session, claim: Claim) -> None:
    values: dict[str, Any] = {
        "job_id": claim.job_id,
        "attempt": claim.attempt,
        "lane": claim.lane,
        "state": LateState.STORING.value,
        "upstream_task_id": claim.upstream_task_id,
    }
    outputs = select(
        *(literal(value).label(name) for name, value in values.items()),
        # As the row has it, and not as it was read: who stores it may have put it into a spool since.
        select(col(Job.spool_host)).where(col(Job.id) == claim.job_id).scalar_subquery(),
        col(JobResult.outputs),
        col(JobResult.result),
        func.now() if claim.holder is None else _seconds(STORER_S),
        func.now(),
    ).where(col(JobResult.job_id) == claim.job_id, col(JobResult.attempt) == claim.attempt)
    names = [*values, "spool_host", "outputs", "result", "due_at", "created_at"]
    _run(session, insert(LateResult).from_select(names, outputs).on_conflict_do_nothing())


def _beginning(claim: Claim) -> dict[str, Any]:
    return {"job_id": claim.job_id, "attempt": claim.attempt, "lane": claim.lane, "due_at": func.now()}


def take_up(session: Session, claim: Claim) -> None:
    """Forget the row: its job goes on with this very attempt."""
    _run(session, delete(LateResult).where(*_is(claim)))


def accepted(session: Session, claim: Claim, task_id: str) -> bool:
    """Keep what the gateway has accepted of an attempt that its job is not at any more; False if it still is."""
    return _arrived(session, claim, {"state": LateState.LOOKING, "upstream_task_id": task_id}, ())


def produced(
    session: Session,
    claim: Claim,
    outputs: list[dict[str, Any]],
    result: Mapping[str, Any],
    spool_host: str | None,
) -> bool:
    """Keep the outputs of an attempt that its job is not at any more; False if it still is.

    Args:
        outputs: as in `job_results`, and what PostgreSQL can keep.
    """
    values = {
        "state": LateState.STORING,
        "upstream_task_id": claim.upstream_task_id,
        "outputs": outputs,
        "result": dict(result) or None,
        "spool_host": spool_host,
    }
    return _arrived(session, claim, values, (LateState.LOOKING, LateState.GIVEN_UP))


def _arrived(session: Session, claim: Claim, values: dict[str, Any], over: Sequence[LateState]) -> bool:
    """
    Args:
        over: what may be known already, and is less.
    """
    at = select(col(Job.attempt), col(Job.state)).where(col(Job.id) == claim.job_id).with_for_update(key_share=True)
    job = _run(session, at).one_or_none()
    if job is None or (job.attempt == claim.attempt and job.state in _ITS_OWN):
        return False
    anew = {**values, "due_at": func.now(), "reason": None, "tries": 0, "waits": 0, "doubted": False}
    kept = _run(
        session,
        insert(LateResult)
        .values(created_at=func.now(), **{**_beginning(claim), **values})
        .on_conflict_do_update(index_elements=["job_id", "attempt"], set_=anew, where=col(LateResult.state).in_(over))
        .returning(col(LateResult.job_id)),
    )
    if kept.one_or_none() is None:
        return False
    _tell(session, claim, values["state"], f"the call of attempt {claim.attempt} came to something after all")
    return True


# What the ticks take, and what comes of it.


def take_looking(session: Session, limit: int, lease_s: float) -> list[LateResult]:
    """What is to be looked at now; it comes due again by itself after the lease."""
    return _take(session, LateState.LOOKING, col(LateResult.due_at) <= func.now(), limit, due_at=_seconds(lease_s))


def take_storing(session: Session, by: str, spool: str, dead_after_s: float, lease_s: float) -> list[LateResult]:
    """One result that nobody stores, or whose process is dead.  Storing twice is storing once, so no harm in doubt.

    Who takes it from a process that never let go of it counts that among its `waits`.

    What lies in another spool is left to those who have that, as in `claims.take_storing`.
    """
    living = select(col(Process.id)).where(col(Process.heartbeat_at) > _seconds(-dead_after_s))
    is_dropped = col(LateResult.claimed_by).is_not(None)
    is_forgiven = col(LateResult.waits) < DEATHS_FORGIVEN
    is_orphan = is_dropped & col(LateResult.claimed_by).not_in(living) & is_forgiven
    place = col(LateResult.spool_host)
    is_lone = (col(LateResult.created_at) < _seconds(-spools.LONE_S)) & place.not_in(spools.seen(spools.LONE_S))
    is_here = or_(place.is_(None), place == spool, is_lone)
    is_free = or_(col(LateResult.due_at) <= func.now(), is_orphan) & is_here
    waits = case((is_dropped, LateResult.waits + 1), else_=LateResult.waits)
    return _take(session, LateState.STORING, is_free, 1, due_at=_seconds(lease_s), claimed_by=by, waits=waits)


def _take(session: Session, state: LateState, is_free: Any, limit: int, **values: Any) -> list[LateResult]:
    key = (col(LateResult.job_id), col(LateResult.attempt))
    free = (
        select(*key)
        .where(col(LateResult.state) == state, is_free)
        .order_by(col(LateResult.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    taken = update(LateResult).where(key[0] == free.c.job_id, key[1] == free.c.attempt).values(**values)
    return list(session.scalars(taken.returning(LateResult), execution_options={"populate_existing": True}))


def age_s(session: Session, row: LateResult) -> float:
    """Seconds since it was left behind, by the database's clock."""
    return float(session.execute(select(func.extract("epoch", func.now() - row.created_at))).scalar_one())


def wanted(session: Session, job_ids: Sequence[str]) -> set[tuple[str, int]]:
    """The late attempts (job, number) of these jobs that may still come to something."""
    key = (col(LateResult.job_id), col(LateResult.attempt))
    rows = _run(session, select(*key).where(key[0].in_(job_ids), col(LateResult.state).in_(UNFINISHED)))
    return {(row.job_id, row.attempt) for row in rows}


def look_again(
    session: Session, claim: Claim, due_in_s: float, *, tries: int, doubted: bool, reason: str | None = None
) -> None:
    """Nothing new, or nothing that is believed at once."""
    values = {"due_at": _seconds(due_in_s), "tries": tries, "doubted": doubted, "reason": reason}
    _change(session, claim, (LateState.LOOKING,), **values)


def found(
    session: Session,
    claim: Claim,
    outputs: list[dict[str, Any]],
    result: Mapping[str, Any],
    spool_host: str | None,
) -> bool:
    """The task has given a result, which is to be stored."""
    came: dict[str, Any] = {"outputs": outputs, "result": dict(result) or None, "spool_host": spool_host}
    anew: dict[str, Any] = {"state": LateState.STORING, "due_at": func.now(), "tries": 0, "doubted": False}
    return _change(session, claim, (LateState.LOOKING,), **came, **anew)


def store_later(session: Session, claim: Claim, due_in_s: float, reason: str, *, is_counted: bool) -> None:
    """Let go of a result that could not be stored now."""
    counts = {"tries": LateResult.tries + int(is_counted), "waits": LateResult.waits + int(not is_counted)}
    values = {"claimed_by": None, "due_at": _seconds(due_in_s), "reason": reason, **counts}
    _change(session, claim, (LateState.STORING,), holder=claim.by, **values)


def storage_is_back(session: Session) -> int:
    """Let come due at once what waits for our S3; as `claims.storage_is_back`."""
    waiting = _take(session, LateState.STORING, _waits_for_storage(), HURRIED_MOST, due_at=func.now())
    return len(waiting)


def _waits_for_storage() -> Any:
    return and_(col(LateResult.waits) > 0, col(LateResult.claimed_by).is_(None), col(LateResult.due_at) > func.now())


def keep_places(session: Session, claim: Claim, places: Mapping[int, dict[str, str]], spool_host: str | None) -> bool:
    """Write down where outputs are nearer than at their links; as `claims.keep_places`."""
    known = select(col(LateResult.outputs)).where(*_is(claim)).with_for_update()
    outputs = _run(session, known).scalar_one_or_none()
    if outputs is None:
        return False
    values = {"outputs": nearer(outputs, places), "spool_host": func.coalesce(spool_host, LateResult.spool_host)}
    return _change(session, claim, (LateState.STORING,), holder=claim.by, **values)


def nearer(outputs: Sequence[dict[str, Any]], places: Mapping[int, dict[str, str]]) -> list[dict[str, Any]]:
    """The outputs, with these places (by index) as the first of their sources."""
    return [
        output
        if index not in places
        else {**output, "sources": [places[index], *(one for one in output["sources"] if one != places[index])]}
        for index, output in enumerate(outputs)
    ]


def stored(session: Session, claim: Claim, artifacts: int) -> bool:
    """Every output is in S3; the caller writes its artifacts in the same transaction.

    Returns:
        False if there is no such row, or another process was first.
    """
    over = {"state": LateState.STORED, "due_at": None, "claimed_by": None, "reason": None}
    if not _change(session, claim, UNFINISHED, **over):
        return False
    told = f"the result of attempt {claim.attempt} came late and is kept"
    _tell(session, claim, LateState.STORED, told, artifacts=artifacts)
    return True


def give_up(session: Session, claim: Claim, state: LateState, reason: str) -> bool:
    """Nothing comes of it any more."""
    holder = claim.by if state is LateState.STORING else None
    over = {"state": LateState.GIVEN_UP, "due_at": None, "claimed_by": None, "reason": reason}
    if not _change(session, claim, (state,), holder=holder, **over):
        return False
    _tell(session, claim, LateState.GIVEN_UP, f"nothing came of attempt {claim.attempt} any more: {reason}")
    return True


def _change(
    session: Session, claim: Claim, states: Sequence[LateState], *, holder: str | None = None, **values: Any
) -> bool:
    """
    Args:
        holder: the process that must still hold it; None: whoever does.
    """
    is_held = true() if holder is None else col(LateResult.claimed_by) == holder
    changed = update(LateResult).where(*_is(claim), col(LateResult.state).in_(states), is_held).values(**values)
    return _run(session, changed.returning(col(LateResult.job_id))).one_or_none() is not None


def _tell(session: Session, claim: Claim, state: LateState, reason: str, **more: Any) -> None:
    """News of the job, in the state in which it is."""
    at = _run(session, select(col(Job.state)).where(col(Job.id) == claim.job_id)).scalar_one()
    data = {"late": state.value, **more}
    by = claim.by
    news = events.News(
        claim.project_id, claim.job_id, EVENT, claim.attempt, at, reason=reason, data=data, process_id=by
    )
    events.record(session, [news])
