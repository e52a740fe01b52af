"""The dispatcher: the only admission point.  It lets go as many jobs as their lanes have room for, and no more.

Waiting on a limit is a row, never a worker.  What is let go is begun here and now while this process has a thread
to spare, and hinted to the others when it has not: an idle system needs one message for a job, a busy one shares.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import structlog
from sqlmodel import Session

from shared import claims
from workers import lanes, submit
from workers.ports import Ports

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 500
"""Jobs released in one transaction."""


BUSY_S: Final = 0.02
"""After this long we look again at a lane that another dispatcher held: it may have counted before our job came."""
BUSY_MOST: Final = 5
"""So often; then the next tick will do."""


@dataclass(frozen=True)
class Go:
    """What came of one transaction."""

    released: list[claims.Claim]
    is_cut: bool = False
    """A lane has room for more than one go may release."""
    is_busy: bool = False
    """Another dispatcher held one of the lanes."""


def dispatch(ports: Ports) -> None:
    """Release what there is room for; again at once while there is more than one go can take.

    Nothing while results cannot be kept: what is not begun is not paid for.
    """
    busy = 0
    while not ports.stopping.is_set() and not ports.outage.is_long:
        with ports.transaction() as session:
            go = _release(session, ports.process_id)
        job_ids = [claim.job_id for claim in go.released]
        ports.hints.submit(ports.near.take(job_ids, lambda job_id: submit.submit([job_id], ports)))
        if job_ids:
            log.info("dispatch.released", jobs=len(job_ids))
        busy += go.is_busy
        if not go.is_cut and (not go.is_busy or busy > BUSY_MOST or ports.stopping.wait(BUSY_S)):
            return


def _release(session: Session, by: str) -> Go:
    due = lanes.due(session)
    locked = lanes.lock(session, due) if due else []
    is_busy = len(locked) < len(due)
    if not locked:
        return Go([], is_busy=is_busy)
    rooms = lanes.room(session, locked)
    shares = _within(rooms, MOST_AT_ONCE)
    released = claims.release(session, shares, by)
    by_lane = Counter(claim.lane for claim in released)
    lanes.spend(session, locked, by_lane)
    return Go(released, any(by_lane[name] == share < rooms[name] for name, share in shares.items()), is_busy)


def _within(rooms: dict[str, int], most: int) -> dict[str, int]:
    """Lanes with room, cut so that together they release at most `most`; each gets its share."""
    open_lanes = {lane: room for lane, room in rooms.items() if room > 0}
    share = max(1, most // max(1, len(open_lanes)))
    return {lane: min(room, share) for lane, room in open_lanes.items()}
