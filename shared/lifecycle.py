"""The life of a job: states, causes and moves, as data.  Nothing else decides a state.  Pure.

    waiting ── queued ── dispatched ── submitting ── running ── storing ── succeeded
                                            └── held            └── failed, canceled

`docs/lifecycle.md` is drawn from `MOVES` by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from shared.errors import IllegalMove


class State(StrEnum):
    """Each member says what is true of a job in it."""

    WAITING = "waiting"  #: an input is the result of another job that has not succeeded yet
    QUEUED = "queued"  #: may be dispatched when its lane has room and `due_at` has passed
    DISPATCHED = "dispatched"  #: a slot is reserved, a hint is on its way; nothing is paid
    SUBMITTING = "submitting"  #: the paid call may have happened
    RUNNING = "running"  #: the gateway has it; we look when `due_at` comes
    STORING = "storing"  #: the result exists and is paid for; it is not all in S3 yet
    HELD = "held"  #: a person must decide, because the outcome of a paid call is unknown
    SUCCEEDED = "succeeded"  #: every artifact is in S3, with its size and hash recorded
    FAILED = "failed"  #: it will not be tried again by itself; `error` says why
    CANCELED = "canceled"  #: somebody did not want it any more


class Cause(StrEnum):
    """Why a job changes its state."""

    INPUTS_READY = "inputs_ready"  #: all jobs that it waited for have succeeded
    INPUTS_FAILED = "inputs_failed"  #: a job that it waited for ended without a result
    INPUT_REFUSED = "input_refused"  #: an input cannot be used; nothing was sent
    RELEASED = "released"  #: its lane had room: the dispatcher let it go
    HINT_LOST = "hint_lost"  #: nobody claimed it in time; nothing was sent
    GIVEN_BACK = "given_back"  #: its worker stops, or could not prepare it; nothing was sent
    CLAIMED = "claimed"  #: a worker process holds it and makes the paid call now
    NOT_SENT = "not_sent"  #: the paid call surely did not reach the gateway; no attempt is counted
    THROTTLED = "throttled"  #: the gateway refused for now and charged nothing; no attempt is counted
    RETRIED = "retried"  #: this attempt is over, another one follows
    ACCEPTED = "accepted"  #: the gateway took the work and named its task
    PRODUCED = "produced"  #: the gateway has the result
    REFUSED = "refused"  #: the gateway will not do it, or its task failed, and no attempt follows
    UNKNOWN = "unknown"  #: nobody can tell whether the paid call went through
    FOUND = "found"  #: the gateway's list has the task of a call whose answer was lost
    STORED = "stored"  #: every artifact is in S3
    UNSTORABLE = "unstorable"  #: the result is cut, wrong, too large or gone
    STUCK = "stuck"  #: the upstream task is older than its model's limit
    EXPIRED = "expired"  #: its deadline has passed
    CANCELED = "canceled"  #: a caller canceled it
    REQUEUED = "requeued"  #: a caller wants another attempt
    RESOLVED_FAILED = "resolved_failed"  #: a person says that the held attempt came to nothing
    RESOLVED_RETRY = "resolved_retry"  #: a person wants the held job tried again
    RESOLVED_RUNNING = "resolved_running"  #: a person found the held attempt's upstream task


FINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})
IN_FLIGHT: Final = frozenset({State.DISPATCHED, State.SUBMITTING, State.RUNNING})
"""What counts against its lane's limit."""
CLAIMED: Final = frozenset({State.SUBMITTING, State.STORING})
"""Where a worker process may hold the row, so that its death leaves an orphan."""

_FROM_ANY: Final = {
    (state, cause): after
    for state in State
    if state not in FINAL
    for cause, after in ((Cause.CANCELED, State.CANCELED), (Cause.EXPIRED, State.FAILED))
}

NOT_BEGUN_ANEW: Final = (State.HELD, State.QUEUED, State.DISPATCHED)
"""Where a job is whose attempt was given up while the next one has not been sent."""

_LATE: Final = {
    (state, cause): after
    for state in NOT_BEGUN_ANEW
    for cause, after in ((Cause.ACCEPTED, State.RUNNING), (Cause.PRODUCED, State.STORING))
}
"""A zombie's late success: paid for, so welcome, as long as nobody has begun another attempt."""

MOVES: Final[Mapping[tuple[State, Cause], State]] = {
    (State.WAITING, Cause.INPUTS_READY): State.QUEUED,
    (State.WAITING, Cause.INPUTS_FAILED): State.FAILED,
    (State.QUEUED, Cause.RELEASED): State.DISPATCHED,
    (State.DISPATCHED, Cause.CLAIMED): State.SUBMITTING,
    (State.DISPATCHED, Cause.HINT_LOST): State.QUEUED,
    (State.DISPATCHED, Cause.GIVEN_BACK): State.QUEUED,
    (State.DISPATCHED, Cause.INPUT_REFUSED): State.FAILED,
    (State.SUBMITTING, Cause.NOT_SENT): State.QUEUED,
    (State.SUBMITTING, Cause.THROTTLED): State.QUEUED,
    (State.SUBMITTING, Cause.RETRIED): State.QUEUED,
    (State.SUBMITTING, Cause.ACCEPTED): State.RUNNING,
    (State.SUBMITTING, Cause.PRODUCED): State.STORING,
    (State.SUBMITTING, Cause.REFUSED): State.FAILED,
    (State.SUBMITTING, Cause.UNKNOWN): State.HELD,
    (State.RUNNING, Cause.PRODUCED): State.STORING,
    (State.RUNNING, Cause.RETRIED): State.QUEUED,
    (State.RUNNING, Cause.REFUSED): State.FAILED,
    (State.RUNNING, Cause.UNKNOWN): State.HELD,
    (State.RUNNING, Cause.STUCK): State.FAILED,
    (State.STORING, Cause.STORED): State.SUCCEEDED,
    (State.STORING, Cause.UNSTORABLE): State.FAILED,
    (State.HELD, Cause.FOUND): State.RUNNING,
    (State.HELD, Cause.RETRIED): State.QUEUED,  # it was looked for in vain, and `on_unknown` says so
    (State.HELD, Cause.REFUSED): State.FAILED,
    (State.HELD, Cause.RESOLVED_FAILED): State.FAILED,
    (State.HELD, Cause.RESOLVED_RETRY): State.QUEUED,
    (State.HELD, Cause.RESOLVED_RUNNING): State.RUNNING,
    (State.HELD, Cause.REQUEUED): State.QUEUED,
    (State.FAILED, Cause.REQUEUED): State.QUEUED,
    (State.CANCELED, Cause.REQUEUED): State.QUEUED,
    **_LATE,
    **_FROM_ANY,
}

WELCOME_LATE: Final = frozenset({Cause.ACCEPTED, Cause.PRODUCED})
"""News that is taken from a process that was given up for dead."""

LEAVES_WORK: Final = frozenset(
    {
        *((state, Cause.CANCELED) for state in (State.RUNNING, State.STORING, State.HELD)),
        *((state, Cause.EXPIRED) for state in (State.RUNNING, State.STORING, State.HELD)),
        (State.RUNNING, Cause.STUCK),
        *((State.HELD, cause) for cause in (Cause.RESOLVED_FAILED, Cause.RESOLVED_RETRY, Cause.REQUEUED)),
    }
)
"""Moves that leave an upstream task or an unstored result behind, if there is one: paid for, so it is still kept."""

EVENT_OF: Final[Mapping[State, str]] = {
    State.WAITING: "job.waiting",
    State.QUEUED: "job.queued",
    State.DISPATCHED: "job.dispatched",
    State.SUBMITTING: "job.submitting",
    State.RUNNING: "job.running",
    State.STORING: "job.storing",
    State.HELD: "job.held",
    State.SUCCEEDED: "job.succeeded",
    State.FAILED: "job.failed",
    State.CANCELED: "job.canceled",
}
"""The event that tells of a move into a state."""


def after(state: State, cause: Cause) -> State:
    """The state that follows.

    Raises:
        IllegalMove: no such move; a bug of ours.
    """
    try:
        return MOVES[state, cause]
    except KeyError:
        raise IllegalMove(f"a job that is {state} has no move for {cause}") from None


def origins(state: State, cause: Cause) -> tuple[State, ...]:
    """The states in which the holder of a job may still move it: the one that it knows, then, if late news is welcome,
    those in which no other attempt has begun.

    Raises:
        IllegalMove: no such move; a bug of ours.
    """
    after(state, cause)
    return (state, *(late for late in NOT_BEGUN_ANEW if cause in WELCOME_LATE and late is not state))
