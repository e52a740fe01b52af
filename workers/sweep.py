"""The sweep: takes back what dead processes held, what got lost on its way, and what is past its time.

A process that has not said for `dead_after_s` that it lives counts as dead.  What it held tells what is known:
a result being stored is stored by another; a paid call under way has an unknown outcome, and the job's own
`on_unknown` decides, unless a manifest on this host tells what came of it.  A sweep that finds nothing is the normal
case.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text

from shared import claims, policy, spools
from shared.claims import Claim
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import Cause
from workers import adoption, store, submit, trouble
from workers.patience import passes
from workers.ports import Ports

log = structlog.get_logger(__name__)

CALL_MOST_S: Final = 4500.0
"""No paid call takes this long, with all its time-outs: its process lives and has lost it."""

SPOOL_S: Final = 3600.0
"""A result in hand is looked at for whether anybody still wants it when it is so old."""
SPOOL_MOST: Final = 200
"""So many of them in one sweep."""
LEFT_OVER_S: Final = 7200.0
"""A download that nothing was written to for so long has nobody who goes on with it."""

_FORGET_KEYS: Final = text("DELETE FROM idempotency_keys WHERE created_at < now() - interval '8 days'")


def sweep(ports: Ports, *, may_judge: bool = True) -> None:
    """Look once for everything that nobody holds any more.

    Args:
        may_judge: heartbeats have been possible for long enough that a silent process is a dead one.
    """
    chores = [_return_hints, _expire, _take_back_overdue, _see_spool, _collect_spool, _forget_keys, _flush_figures]
    if may_judge:
        chores[:0] = [_take_back_preparations, _take_back_calls, _free_stores, _forget_dead]
    chores.insert(0, adoption.adopt_all)  # what is known comes before what is not
    for chore in chores:
        # Each in transactions of its own: one that cannot be done must not keep the others from being done.
        try:
            chore(ports)
        except Exception as error:
            trouble.tell("sweep.failed", error, chore=chore.__name__)


def _take_back_preparations(ports: Ports) -> None:
    """Inputs that end one process after the other must not end all of them: a few times, ever later, then no more."""
    with ports.transaction() as session:
        for claim in claims.orphaned_preparations(session, ports.settings.dead_after_s):
            deaths = policy.deaths(claim.waits, claim.waits_for)
            log.warning("sweep.preparation", job_id=claim.job_id, deaths=deaths)
            if deaths >= policy.DEATHS_MOST:
                told = f"{deaths} workers died with its inputs in hand; nothing was sent"
                error = GatewayError(ErrorClass.INVALID_REQUEST, policy.WORKER_DIED, told)
                if claims.move(session, claim, Cause.INPUT_REFUSED, reason=told):
                    claims.keep_result(session, claim, error=error)
            else:
                claims.move(
                    session,
                    claim,
                    Cause.HINT_LOST,
                    reason="its worker died with its inputs in hand; nothing was sent",
                    due_in_s=policy.death_wait_s(deaths, ports.random),
                    waits_for=policy.WORKER_DIED,
                )
    ports.wake_dispatch()


def _take_back_calls(ports: Ports) -> None:
    with ports.transaction() as session:
        orphans = claims.orphaned_calls(session, ports.settings.dead_after_s)
    for claim in orphans:
        _take_back(claim, "worker_died", "its worker died while the paid call was under way", ports)


def _take_back_overdue(ports: Ports) -> None:
    with ports.transaction() as session:
        overdue = claims.overdue_calls(session, CALL_MOST_S)
    for claim in overdue:
        _take_back(claim, "call_lost", f"nothing was heard of the paid call for {CALL_MOST_S:g} s", ports)


def _take_back(claim: Claim, code: str, message: str, ports: Ports) -> None:
    log.warning("sweep.orphan", job_id=claim.job_id, attempt=claim.attempt, code=code)
    try:
        if adoption.adopt(claim.job_id, claim.attempt, ports):
            return
        submit.refuse(claim, GatewayError(ErrorClass.UNKNOWN_OUTCOME, code, message), ports)
    except Exception as error:
        if passes(error):
            raise
        log.error("sweep.not_taken_back", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
    ports.wake_dispatch()


def _free_stores(ports: Ports) -> None:
    with ports.transaction() as session:
        freed = claims.free_orphaned_stores(session, ports.settings.dead_after_s)
    for claim in freed:
        log.warning("sweep.freed_store", job_id=claim.job_id, attempt=claim.attempt, deaths=claim.waits)
        if claim.waits >= policy.STORE_DEATHS_MOST:
            store.give_up_deadly(claim, ports)


def _return_hints(ports: Ports) -> None:
    with ports.transaction() as session:
        returned = claims.return_lost_hints(session, ports.settings.hint_lost_after_s, ports.process_id)
    if returned:
        log.info("sweep.returned", jobs=len(returned))
        ports.wake_dispatch()


def _expire(ports: Ports) -> None:
    with ports.transaction() as session:
        expired = claims.expire(session, ports.process_id)
    if expired:
        log.info("sweep.expired", jobs=len(expired))
        ports.wake_dispatch()


def _forget_dead(ports: Ports) -> None:
    with ports.transaction() as session:
        claims.forget_dead(session, ports.settings.dead_after_s)
        spools.forget(session)


def _forget_keys(ports: Ports) -> None:
    with ports.transaction() as session:
        session.execute(_FORGET_KEYS)


def _flush_figures(ports: Ports) -> None:
    with ports.transaction() as session:
        ports.figures.flush(session)


def _see_spool(ports: Ports) -> None:
    """Say what the spool of this host holds, and at the jobs that wait for another one's, that they do."""
    files, size_bytes = ports.spool.content()
    with ports.transaction() as session:
        spools.see(session, ports.spool.name, ports.host, files, size_bytes, ports.spool.free_bytes())
    with ports.transaction() as session:
        told = spools.tell(session)
    if told:
        log.warning("sweep.lone_results", jobs=told, told="their host is silent; see the runbook")


def _collect_spool(ports: Ports) -> None:
    """Remove results in hand that nobody wants any more, and downloads of dead processes: on this host alone."""
    # What has a manifest may be news that could not be written down yet: it is left to `adoption.py`.
    old = [one for one in ports.spool.old(SPOOL_S, SPOOL_MOST) if ports.spool.manifest(*one) is None]
    with ports.transaction() as session:
        wanted = claims.wanted(session, old)
    for job_id, attempt in set(old) - wanted:
        ports.spool.drop(job_id, attempt)
        log.info("sweep.spool_dropped", job_id=job_id, attempt=attempt)
    ports.spool.drop_left_over(LEFT_OVER_S)
