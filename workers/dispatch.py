"""The dispatcher: the only admission point.  It lets go as many jobs as their lanes have room for, and no more.

Waiting on a limit is a row, never a worker.  What is let go is begun here and now while this process has a thread
to spare, and hinted to the others when it has not: an idle system needs one message for a job, a busy one shares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlmodel import Session

from shared import claims, credentials
from shared.credentials import Credential
from workers import lanes, lending, submit
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

    released: Sequence[claims.Claim]
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
            go = _release(session, ports.process_id, ports.settings.credentials)
        job_ids = [claim.job_id for claim in go.released]
        ports.hints.submit(ports.near.take(job_ids, lambda job_id: submit.submit([job_id], ports)))
        if job_ids:
            log.info("dispatch.released", jobs=len(job_ids))
        busy += go.is_busy
        if not go.is_cut and (not go.is_busy or busy > BUSY_MOST or ports.stopping.wait(BUSY_S)):
            return


def _release(session: Session, by: str, known: Sequence[Credential]) -> Go:
    waiting = lanes.waiting(session)
    names = {one.name for one in known}
    due = [name for name, is_paused in waiting.items() if not is_paused and credentials.of_lane(name) in names]
    # Without a second credential, and without jobs that another one has left, there is nobody to lend to.
    siblings = lending.siblings(waiting, known) if len(known) > 1 or len(due) < len(waiting) else set()
    wanted = siblings.union(due)
    locked = lanes.lock(session, wanted) if wanted else []
    is_busy = bool(set(due) - {lane.name for lane in locked})
    if not locked:
        return Go([], is_busy=is_busy)
    rooms = lanes.room(session, locked)
    shares = _within({name: room for name, room in rooms.items() if name in waiting}, MOST_AT_ONCE)
    released = claims.release(session, shares, by)
    by_lane = Counter(claim.lane for claim in released)
    is_cut = any(by_lane[name] == share < rooms[name] for name, share in shares.items())
    if not is_cut:
        released += _release_lent(session, by, waiting, rooms, by_lane, known)
    lanes.spend(session, locked, Counter(claim.lane for claim in released))
    return Go(released, is_cut or len(released) >= MOST_AT_ONCE, is_busy)


def _release_lent(
    session: Session,
    by: str,
    waiting: Mapping[str, bool],
    rooms: Mapping[str, int],
    released: Mapping[str, int],
    known: Sequence[Credential],
) -> list[claims.Claim]:
    """Let go, in lanes that have room left, what waits in vain in others."""
    left = MOST_AT_ONCE - sum(released.values())
    paused = [name for name, is_paused in waiting.items() if is_paused]
    shares: dict[str, int] = {}
    for loan in lending.loans(waiting, rooms, released, known):
        lent = lending.lend(session, loan, paused, left) if left > 0 else 0
        left -= lent
        if lent > 0:
            shares[loan.taker] = lent
    return claims.release(session, shares, by) if shares else []


def _within(rooms: dict[str, int], most: int) -> dict[str, int]:
    """Lanes with room, cut so that together they release at most `most`; each gets its share."""
    open_lanes = {lane: room for lane, room in rooms.items() if room > 0}
    share = max(1, most // max(1, len(open_lanes)))
    return {lane: min(room, share) for lane, room in open_lanes.items()}
