"""What becomes of the money, in words: for a job that ends before its result is here.  Pure.

The gateway cannot be stopped.  So each text says what may be charged, and what comes of it is told after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.lifecycle import State
from shared.tables import LateState

CANCELED: Final[Mapping[State, str]] = {
    State.WAITING: "canceled before anything was sent; nothing is charged",
    State.QUEUED: "canceled while it waited in the queue; nothing is charged for another attempt",
    State.DISPATCHED: "canceled before its call was made; nothing is charged for this attempt",
    State.SUBMITTING: (
        "canceled while its call was under way; it may be charged, and a result that still comes is kept"
    ),
    State.RUNNING: "canceled while the gateway was at work; it goes on, and charges unless it fails",
    State.STORING: "canceled while its result was being stored; it is paid for",
    State.HELD: (
        "canceled while it was unknown whether its call went through; it may have been charged, and a result that"
        " still comes is kept"
    ),
}
"""By the state in which it was canceled."""


@dataclass(frozen=True)
class Late:
    """What is known of an attempt that its job is not at any more."""

    attempt: int
    state: LateState
    reason: str | None
    """Why nothing came of it."""
    result: dict[str, Any] | None
    """What is not media."""


def told(state_reason: str | None, late: Sequence[Late]) -> str | None:
    """Why the job is where it is, and what has become of its late results by now."""
    words = "; ".join(_words(one, is_only=len(late) == 1) for one in late)
    return "; ".join(part for part in (state_reason, words) if part) or None


def _words(one: Late, *, is_only: bool) -> str:
    whose = "" if is_only else f" of attempt {one.attempt}"
    if one.state is LateState.LOOKING:
        return f"should the gateway's task{whose} still give a result, it is kept"
    if one.state is LateState.STORING:
        return f"the result{whose} goes on being stored and is kept"
    if one.state is LateState.STORED:
        return f"the result{whose} came late and is kept"
    what = "it" if is_only else f"attempt {one.attempt}"
    return f"nothing came of {what} later" + (f": {one.reason}" if one.reason else "")
