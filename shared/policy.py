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

PAUSE_S: Final = 60.0
"""So long a lane is paused by a `Retry-After`, at most."""


@dataclass(frozen=True)
class Pause:
    """A lane that the gateway serves no more takes no job for a while."""

    told: str
    """Why, for people."""
    first_s: float
    """The first pause, seconds."""
    most_s: float
    """Each pause that follows without a success between is twice as long, up to this."""
    after: int = 1
    """So many such answers in a row bring it about."""


PAUSES: Final[Mapping[ErrorClass, Pause]] = {
    ErrorClass.AUTH: Pause("the gateway refuses the key", 60, 1800),
    ErrorClass.QUOTA_EXHAUSTED: Pause("the account at the gateway has no balance left", 60, 1800),
    # Short at first: a gateway that is started anew is away for some seconds, and each job waits by itself, too.
    ErrorClass.UNAVAILABLE: Pause("the gateway has served none of the last calls", 5, 300, after=5),
}
"""By error class: no job of the lane would fare better."""
OF_ONE_MODEL: Final = frozenset(
    {"model_not_found", "get_channel_failed", "upscale_worker_offline", "midjourney_3", "midjourney_9"}
)
"""Codes that tell of one model's channels, or of one account behind them, and not of the credential."""
AWAY: Final = frozenset({"not_sent", "no_answer"})
"""Codes of calls that nobody answered (`reading.outcome_of`)."""


def sick_with(error: GatewayError) -> ErrorClass | None:
    """The row of `PAUSES` that a refused paid call counts for; None: it says nothing against its credential."""
    if error.error_class in (ErrorClass.AUTH, ErrorClass.QUOTA_EXHAUSTED):
        return error.error_class
    if error.code in OF_ONE_MODEL or error.code.startswith("channel:"):
        return None
    is_down = error.upstream_status is not None and error.upstream_status >= 500
    is_away = error.code in AWAY
    lost = error.error_class in (ErrorClass.UNAVAILABLE, ErrorClass.UNKNOWN_OUTCOME)
    return ErrorClass.UNAVAILABLE if lost and (is_down or is_away) else None


def pause_s(sick: ErrorClass, pauses: int, random: Callable[[], float]) -> float:
    """Seconds that a lane is paused after so many pauses in a row; jitter only shortens it."""
    pause = PAUSES[sick]
    return min(pause.most_s, pause.first_s * 2.0 ** min(pauses, 20)) * (0.8 + 0.2 * random())


EMPTY_MOST: Final = 2
"""So many answers without any media are paid for, whatever `max_attempts` says: a model that refuses twice goes on
refusing (images 2.4 allows one more try)."""
WAITS_MOST: Final = 20
"""So often in a row the gateway may answer that it cannot take the job, uncharged; about an hour and a half."""
SEARCHES_S: Final[Mapping[OnUnknown, tuple[float, ...]]] = {
    OnUnknown.HOLD: (5, 30, 120, 600),
    OnUnknown.RETRY: (5, 15, 35),
    OnUnknown.FAIL: (5, 15, 35),
}
"""Waits before each search for the task of a lost answer, where the gateway can be searched, seconds.

A task shows its mark some 15 s after it was accepted (video 2.9).  Who does not want to hold waits a minute at most.
"""
UNSERVED: Final = "model_not_found"
"""The code of a model that no channel serves: misspelled or not for this key, or all channels rest for a moment."""
UNSERVED_WAITS_MOST: Final = 6
"""So often in a row that is waited for: about a minute and a half (images 2.2 says twice)."""

OUR_STORAGE: Final = "our_storage"
"""What a job waits for while our S3 or our disk is away: no fault of its own, and without end."""
WORKER_DIED: Final = "worker_died"
"""What a job waits for whose worker died before anything was sent, and the code when that was once too often."""
DEATHS_MOST: Final = 4
"""So many workers in a row may die with a job's inputs in hand; it need not be its fault, so it is tried alone."""
STORE_DEATHS_MOST: Final = 10
"""The same of a result: it is paid for, so more may; over half an hour, since it is left alone for ever longer."""

VANISHED_MOST: Final = 3
"""So many looks in a row that say "no such task" are believed; other trouble is waited out until the task is stuck."""
VANISHED_AFTER_S: Final = 60.0
"""Before a task is so old, seconds, nobody believes it: the gateway may not have it everywhere yet (video 10.2)."""
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
    is_findable: bool = False
    """The gateway may show what became of it: then it is searched for before anything else follows."""


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
    if wanted is Follows.WAIT and error.charged:
        # A part of the call is paid for: Midjourney billed a window that could then not be filled in (video 1.6).
        return ON_UNKNOWN[tried.on_unknown]
    if wanted is Follows.WAIT and tried.is_accepted:
        return Follows.RETRY
    is_empty = error.error_class is ErrorClass.NO_MEDIA and error.charged
    if is_empty and tried.attempt >= EMPTY_MOST:
        return Follows.FAIL
    most = UNSERVED_WAITS_MOST if error.code == UNSERVED else WAITS_MOST
    if wanted is Follows.WAIT and tried.waits >= most and error.error_class is ErrorClass.UNAVAILABLE:
        # Nobody answers: the gateway is away, and the job waits for it.  An answer: it does not serve this model.
        return Follows.WAIT if error.upstream_status is None else Follows.FAIL
    return wanted


def decide(error: GatewayError, tried: Tried, random: Callable[[], float]) -> Decision:
    """What follows from a refusal, and after how long."""
    what = follows(error, tried)
    is_searched_for = error.error_class is ErrorClass.UNKNOWN_OUTCOME and tried.is_findable
    if what is Follows.ASK or is_searched_for:
        return Decision(Cause.UNKNOWN)
    if what is Follows.FAIL or (what is Follows.RETRY and tried.attempt >= tried.max_attempts):
        return Decision(Cause.REFUSED)
    times = tried.waits if what is Follows.WAIT else tried.attempt - 1
    wait = wait_s(FIRST_WAIT_S[error.error_class], times, random, error.retry_after_s)
    if what is Follows.RETRY:
        return Decision(Cause.RETRIED, wait)
    throttled = error.error_class is ErrorClass.RATE_LIMITED
    return Decision(Cause.THROTTLED if throttled else Cause.NOT_SENT, wait)


def next_search_s(on_unknown: OnUnknown, searches: int) -> float | None:
    """Seconds until a lost answer's task is searched for again, after so many searches; None: that was the last."""
    waits = SEARCHES_S[on_unknown]
    return waits[searches] if searches < len(waits) else None


def searched_for_s(on_unknown: OnUnknown) -> float:
    """So long it is searched for in all, seconds."""
    return sum(SEARCHES_S[on_unknown])


def deaths(waits: int, waits_for: str | None) -> int:
    """How many workers in a row have died with a job's inputs in hand, the last one included."""
    return 1 + (waits if waits_for == WORKER_DIED else 0)


def death_wait_s(times: int, random: Callable[[], float]) -> float:
    """Seconds until its inputs are looked at again: spread widely, so that those who died together part."""
    return wait_s(FIRST_WAIT_S[ErrorClass.STORAGE], times + 1, random)


STORE_TRIES: Final[Mapping[str, int]] = {
    # A minute at least: a page from in front of the gateway, or a film that its own limit of a minute cut (video 6.6).
    "wrong_media": 7,
    "fetch_failed": 60,  # some hours: it is paid for
    "result_gone": 10,
    # The gateway itself answers 502 instead of the film: its provider has none, or not just now (video 6.6, 8.2).  The
    # contract gives up after a minute.  It is paid for, so three quarters of an hour: longer than an outage of the
    # gateway's way there mostly is, and about as long as the provider keeps a film; more hours would only hide it.
    "result_withheld": 20,
    # Its task says now that it failed.  Some minutes, in which a gateway may turn its own trouble into that word, too.
    "task_failed": 10,
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
