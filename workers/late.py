"""Late results: looks at upstream tasks whose jobs have ended or gone on, and stores what they give.

Take, ask, write down, as the poller and store do, whose functions these are; only the rows are others, and nobody is in
a hurry.  Whoever claims the rows does the work, so that the ticks of all processes are harmless together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from sqlmodel import Session

from shared import claims, late, policy
from shared.claims import Claim
from shared.gateway.outcome import GatewayError, Look, Produced, Refused, Unseen
from shared.lifecycle import State
from shared.tables import LateResult, LateState
from workers import poll, store, submit
from workers.patience import passes
from workers.ports import Ports

log = structlog.get_logger(__name__)

AT_ONCE: Final = 100
"""Tasks that one tick looks at."""
EVERY_S: Final = 60.0
"""A task is looked at no more often."""


def look(ports: Ports) -> bool:
    """Look once at what is due; whether there may be more."""
    if ports.stopping.is_set():
        return False
    with ports.transaction() as session:
        taken = late.take_looking(session, AT_ONCE, ports.settings.poll_timeout_s + poll.LEASE_SPARE_S)
        due = list(_attempts(session, taken, State.RUNNING, ports))
    asked = [(question, question.gateway.look(question.request)) for question in poll.questions(due, ports)]
    heard_of = {claim for question, _ in asked for claim in question.claims}
    for claim in due:
        if claim not in heard_of:  # its credential is not in the settings, or its operation of another release
            _write_down(claim, Unseen("nobody can ask for its task"), ports)
    for question, reply in asked:
        try:
            for claim, seen in poll.looks(question, reply.result()):
                _write_down(claim, seen, ports)
        except Exception as error:
            if passes(error):
                raise  # the database is away: a hundred time-outs, one after the other, would help nobody
            # The rows come due again by themselves, and the other answers are written down.
            log.error("late.unread", job_ids=[claim.job_id for claim in question.claims], exc_info=True)
    return len(taken) == AT_ONCE


def _attempts(session: Session, rows: list[LateResult], state: State, ports: Ports) -> Iterator[Claim]:
    """The attempts as they were, each with what its row knows of it."""
    for row in rows:
        job = claims.read(session, row.job_id)  # one query for each: they are few
        if job is not None:
            yield replace(
                job,
                attempt=row.attempt,
                state=state,
                lane=row.lane,
                waits=row.waits,
                upstream_task_id=row.upstream_task_id,
                misses=row.tries,
                vanished=0,
                doubted=row.doubted,
                store_tries=row.tries,
                spool_host=row.spool_host,
                holder=row.claimed_by,
                age_s=late.age_s(session, row),
                by=ports.process_id,
            )


def _write_down(claim: Claim, seen: Look, ports: Ports) -> None:
    if isinstance(seen, Produced):
        _found(claim, seen, ports)
    elif isinstance(seen, Refused) and claim.doubted:
        _give_up(claim, f"its task failed at the gateway: {seen.error.message}", ports)
    elif isinstance(seen, Refused):
        with ports.transaction() as session:
            late.look_again(session, claim, policy.LOOK_AGAIN_S, tries=claim.misses, doubted=True)
    else:
        limit_s = ports.catalog.entry(claim.model).stuck_after_s
        if claim.age_s > limit_s:
            _give_up(claim, f"its task was not finished another {limit_s:g} s later", ports)
        else:
            _look_again(claim, seen, ports)


def _found(claim: Claim, produced: Produced, ports: Ports) -> None:
    in_hand = submit.in_hand_of(claim, produced, ports)
    spool_host = ports.spool.name if in_hand.is_spooled else None
    with ports.transaction() as session:
        late.found(session, claim, in_hand.outputs, in_hand.result or {}, spool_host)
    log.info("late.found", job_id=claim.job_id, attempt=claim.attempt)


def _look_again(claim: Claim, seen: Look, ports: Ports) -> None:
    is_unseen = isinstance(seen, Unseen)
    misses = claim.misses + 1 if is_unseen else 0
    asked_s = seen.retry_after_s if isinstance(seen, Unseen) else None
    every_s = max(EVERY_S, ports.catalog.entry(claim.model).look_every_s)
    due_in_s = policy.next_look_s(every_s, misses, ports.random, asked_s)
    with ports.transaction() as session:
        late.look_again(session, claim, due_in_s, tries=misses, doubted=claim.doubted and is_unseen)


def _give_up(claim: Claim, reason: str, ports: Ports) -> None:
    with ports.transaction() as session:
        late.give_up(session, claim, LateState.LOOKING, claims.plain(reason))
    log.info("late.gave_up", job_id=claim.job_id, attempt=claim.attempt, reason=reason)


def keep(ports: Ports) -> bool:
    """Store one late result; whether there was one."""
    if ports.stopping.is_set():
        return False
    with ports.transaction() as session:
        taken = late.take_storing(
            session, ports.process_id, ports.spool.name, ports.settings.dead_after_s, claims.STORE_LEASE_S
        )
        due = list(_attempts(session, taken, State.STORING, ports))
    for claim in due:
        store.store_claimed(claim, ports, LATE)
    return bool(taken)


class LateRow:
    """The row apart from its job, for `store.py`."""

    def outputs(self, session: Session, claim: Claim) -> list[dict[str, Any]] | None:
        row = session.get(LateResult, (claim.job_id, claim.attempt))
        return None if row is None else list(row.outputs or [])

    def stored(self, session: Session, claim: Claim, artifacts: int) -> bool:
        return late.stored(session, claim, artifacts)

    def store_later(self, session: Session, claim: Claim, due_in_s: float, reason: str, *, is_counted: bool) -> object:
        late.store_later(session, claim, due_in_s, claims.plain(reason), is_counted=is_counted)
        return None

    def keep_places(
        self, session: Session, claim: Claim, places: Mapping[int, dict[str, str]], spool: str | None
    ) -> object:
        return late.keep_places(session, claim, places, spool)

    def give_up(self, session: Session, claim: Claim, error: GatewayError) -> bool:
        reason = f"its result could not be stored: {error.message}"
        return late.give_up(session, claim, LateState.STORING, claims.plain(reason))


LATE: Final = LateRow()
