"""What follows from an outcome, and when.  The only place that decides about a retry.  Pure.

Random numbers are handed in.  Times are waits in seconds, which the database adds to its own clock, so that a
worker whose clock is wrong does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import Cause


class OnUnknown(StrEnum):
    """What a job wants when nobody can tell whether its paid call went through."""

    HOLD = "hold"  #: a person decides; nothing is paid twice
    RETRY = "retry"  #: again, although it may be paid twice
    FAIL = "fail"  #: give up


class Follows(StrEnum):
    """What an error class leads to."""

    FAIL = "fail"  #: the same request will be refused again
    WAIT = "wait"  #: nothing was charged and no attempt is counted: back to the queue
    RETRY = "retry"  #: another attempt, while there are any left
    ASK = "ask"  #: the job's own `on_unknown` decides; if that is to hold it, a person


FOLLOWS: Final[Mapping[ErrorClass, Follows]] = {
    ErrorClass.INVALID_REQUEST: Follows.FAIL,
    ErrorClass.AUTH: Follows.WAIT,
    ErrorClass.QUOTA_EXHAUSTED: Follows.WAIT,
    ErrorClass.CONTENT_POLICY: Follows.FAIL,
    ErrorClass.NO_MEDIA: Follows.RETRY,
    ErrorClass.RATE_LIMITED: Follows.WAIT,
    ErrorClass.UNAVAILABLE: Follows.WAIT,
    ErrorClass.TASK_FAILED: Follows.RETRY,
    ErrorClass.UNKNOWN_OUTCOME: Follows.ASK,
    ErrorClass.STORAGE: Follows.RETRY,
}

ON_UNKNOWN: Final[Mapping[OnUnknown, Follows]] = {
    OnUnknown.HOLD: Follows.ASK,
    OnUnknown.RETRY: Follows.RETRY,
    OnUnknown.FAIL: Follows.FAIL,
}

FIRST_WAIT_S: Final[Mapping[ErrorClass, float]] = {
    ErrorClass.AUTH: 30,
    ErrorClass.QUOTA_EXHAUSTED: 60,
    ErrorClass.RATE_LIMITED: 2,
    ErrorClass.UNAVAILABLE: 2,
    ErrorClass.NO_MEDIA: 1,
    ErrorClass.TASK_FAILED: 5,
    ErrorClass.UNKNOWN_OUTCOME: 5,
    ErrorClass.STORAGE: 2,
}
"""The first wait of each class, seconds; it doubles up to `MOST_WAIT_S`."""
MOST_WAIT_S: Final = 300.0

ASKED_MOST_S: Final = 3600.0
"""Longest wait that a `Retry-After` may ask for: a slip of the gateway's must not put a job away for years."""

PAUSES_LANE: Final[Mapping[ErrorClass, str]] = {
    ErrorClass.AUTH: "the gateway refuses the key",
    ErrorClass.QUOTA_EXHAUSTED: "the account at the gateway has no balance left",
}
"""Classes after which no job of the lane can do better, with the reason that people read."""

PAUSE_S: Final = 60.0
"""So long a lane is paused by such a class; then one look at the queue tells whether it is over.  A `Retry-After`
pauses it for at most as long."""
WAITS_MOST: Final = 20
"""So often in a row the gateway may answer that it cannot take the job, uncharged; about an hour and a half."""
UNSERVED: Final = "model_not_found"
"""The code of a model that no channel serves: misspelled or not for this key, or all channels rest for a moment."""
UNSERVED_WAITS_MOST: Final = 6
"""So often in a row that is waited for: about a minute and a half (images 2.2 says twice)."""

WORKER_DIED: Final = "worker_died"
"""What a job waits for whose worker died before anything was sent, and the code when that was once too often."""
DEATHS_MOST: Final = 4
"""So many workers in a row may die with a job's inputs in hand; it need not be its fault, so it is tried alone."""

VANISHED_MOST: Final = 3
"""So many looks in a row that say "no such task" are believed; other trouble is waited out until the task is stuck."""
UNSEEN_PATIENCE: Final = 4
"""A task that cannot be seen (the gateway is away, the key refused) is stuck only after so many times its limit."""
LOOK_AGAIN_S: Final = 5.0
"""A failed task is looked at once more after this long, before it is believed."""


@dataclass(frozen=True)
class Tried:
    """What a decision needs to know of the job."""

    attempt: int
    """Number of this attempt, from 1."""
    max_attempts: int
    on_unknown: OnUnknown
    waits: int = 0
    """How often in a row it was sent back to the queue uncharged; the wait grows with it."""
    is_accepted: bool = False
    """The gateway had taken the work: then an attempt is counted, whatever it says later."""


@dataclass(frozen=True)
class Decision:
    """What to do with the job."""

    cause: Cause
    due_in_s: float | None = None
    """Seconds until it may be dispatched again, by the database's clock; None for causes that do not queue it."""


SATURATED: Final = frozenset({503, 529})
"""With these an answer of class `unavailable` says that the gateway has too much to do."""


def slows(error: GatewayError) -> bool:
    """Whether fewer calls at once would fare better."""
    if error.error_class is ErrorClass.UNAVAILABLE:
        return error.upstream_status in SATURATED and error.code != UNSERVED
    return error.error_class is ErrorClass.RATE_LIMITED


def wait_s(first_s: float, times: int, random: Callable[[], float], retry_after_s: float | None = None) -> float:
    """Seconds to wait before the next try: half of a doubling cap and a random part of the other half.

    Never less than was asked for, up to `ASKED_MOST_S`.
    Source: "equal jitter" of Exponential Backoff and Jitter (AWS Architecture Blog); `random` gives 0 to 1.
    """
    cap = min(MOST_WAIT_S, first_s * 2.0 ** min(times, 20))
    return max(cap * (0.5 + 0.5 * random()), _asked(retry_after_s))


def _asked(retry_after_s: float | None) -> float:
    return min(retry_after_s or 0.0, ASKED_MOST_S)


def follows(error: GatewayError, tried: Tried) -> Follows:
    """What kind of thing follows.  An error that is billed is never taken for a free one."""
    wanted = FOLLOWS[error.error_class]
    if wanted is Follows.ASK:
        return ON_UNKNOWN[tried.on_unknown]
    if wanted is Follows.WAIT and (error.charged or tried.is_accepted):
        return Follows.RETRY
    most = UNSERVED_WAITS_MOST if error.code == UNSERVED else WAITS_MOST
    if wanted is Follows.WAIT and tried.waits >= most and error.error_class is ErrorClass.UNAVAILABLE:
        # Nobody answers: the gateway is away, and the job waits for it.  An answer: it does not serve this model.
        return Follows.WAIT if error.upstream_status is None else Follows.FAIL
    return wanted


def decide(error: GatewayError, tried: Tried, random: Callable[[], float]) -> Decision:
    """What follows from a refusal, and after how long."""
    what = follows(error, tried)
    if what is Follows.ASK:
        return Decision(Cause.UNKNOWN)
    if what is Follows.FAIL or (what is Follows.RETRY and tried.attempt >= tried.max_attempts):
        return Decision(Cause.REFUSED)
    times = tried.waits if what is Follows.WAIT else tried.attempt - 1
    wait = wait_s(FIRST_WAIT_S[error.error_class], times, random, error.retry_after_s)
    if what is Follows.RETRY:
        return Decision(Cause.RETRIED, wait)
    throttled = error.error_class is ErrorClass.RATE_LIMITED
    return Decision(Cause.THROTTLED if throttled else Cause.NOT_SENT, wait)


def deaths(waits: int, waits_for: str | None) -> int:
    """How many workers in a row have died with a job's inputs in hand, the last one included."""
    return 1 + (waits if waits_for == WORKER_DIED else 0)


def death_wait_s(times: int, random: Callable[[], float]) -> float:
    """Seconds until its inputs are looked at again: spread widely, so that those who died together part."""
    return wait_s(FIRST_WAIT_S[ErrorClass.STORAGE], times + 1, random)


STORE_TRIES: Final[Mapping[str, int]] = {
    "wrong_media": 3,
    "fetch_failed": 60,  # some hours: it is paid for
    "result_gone": 10,
    "unsafe_address": 1,
    "result_missing": 3,
    "store_failed": 20,
}
"""So often a result is fetched before it is given up, by the code of the error; S3 itself is waited for without end."""


def store_wait_s(code: str, tries: int, random: Callable[[], float]) -> float | None:
    """Seconds until a result is tried again that could not be stored for the `tries`th time; None: give it up."""
    if tries >= STORE_TRIES.get(code, tries + 1):
        return None
    return wait_s(FIRST_WAIT_S[ErrorClass.STORAGE], tries - 1, random)


def next_look_s(every_s: float, misses: int, random: Callable[[], float], retry_after_s: float | None = None) -> float:
    """Seconds until the next look at a task: its model's interval, doubled for each look in a row that told nothing.

    Jitter only shortens it, so that what is finished is seen within one interval.
    """
    wait = min(max(every_s, 60.0), every_s * 2.0 ** min(misses, 20))
    return max(wait * (0.8 + 0.2 * random()), _asked(retry_after_s))
