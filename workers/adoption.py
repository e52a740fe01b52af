"""Taking up what a process of this host knew of a paid call when it died: the manifest is on the disk, its row is not.

Whoever finds a manifest writes the row, as its process would have done: once, since the move is guarded, also if that
process lives after all.  It comes before anybody calls the outcome of the call unknown; where somebody did, it is late
news, and welcome as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from shared import claims, lifecycle
from shared.claims import Claim
from shared.lifecycle import State
from workers import manifest, submit
from workers.manifest import Manifest
from workers.patience import passes
from workers.ports import Ports

log = structlog.get_logger(__name__)

RIPE_S: Final = 2.0
"""A manifest that is younger is left to the process that wrote it: the commit of its row takes milliseconds."""
MOST: Final = 500
"""So many manifests in one sweep."""
KEPT_S: Final = 3600.0
"""A manifest whose job is gone goes when it is so old."""


def adopt_all(ports: Ports) -> None:
    """Write the rows of all manifests that were left behind on this host."""
    left = ports.spool.manifests(RIPE_S, MOST)
    if not left:
        return
    with ports.transaction() as session:
        known = claims.known(session, left)
    for job_id, attempt in left:
        if (job_id, attempt) in known:
            ports.spool.drop_manifest(job_id, attempt)
        else:
            _adopt_found(job_id, attempt, ports)
    _collect(left, ports)


def adopt(job_id: str, attempt: int, ports: Ports) -> bool:
    """Write the row of this attempt if a manifest tells what came of it; whether one did.

    For whoever is about to say that nobody knows.
    """
    found = manifest.read(ports.spool, job_id, attempt)
    return found is not None and _write_row(found, ports)


def _adopt_found(job_id: str, attempt: int, ports: Ports) -> None:
    try:
        adopt(job_id, attempt, ports)
    except Exception as error:
        if passes(error):
            raise  # the database is away; the next sweep finds the manifest again
        log.error("adoption.failed", job_id=job_id, attempt=attempt, exc_info=True)


def _write_row(found: Manifest, ports: Ports) -> bool:
    with ports.transaction() as session:
        job = claims.read(session, found.job_id)
    if job is None:
        return False
    if _is_under_way(job, found):
        claim = replace(job, by=ports.process_id)
    else:
        # As its process knew it: where the job is now, and whether this is late, is for the guarded writes to say.
        known = replace(job, attempt=found.attempt, state=State.SUBMITTING, holder=found.process_id)
        lane = found.lane or job.lane
        claim = replace(known, lane=lane, upstream_task_id=None, by=ports.process_id)
    submit.record_in_hand(claim, found, ports, is_ours=False)
    log.warning("adoption.done", job_id=found.job_id, attempt=found.attempt, cause=found.cause, found=job.state)
    return True


def _is_under_way(job: Claim, found: Manifest) -> bool:
    """Whether a person has told us of the task meanwhile, so that the job runs with this very attempt."""
    return job.attempt == found.attempt and job.state is State.RUNNING and (job.state, found.cause) in lifecycle.MOVES


def _collect(tried: Sequence[tuple[str, int]], ports: Ports) -> None:
    """Drop the manifests whose jobs are gone.  What could not be written down because of other trouble stays: it is
    paid for, and this alone tells of it.
    """
    old = set(ports.spool.manifests(KEPT_S, MOST)) & set(tried)
    if not old:
        return
    with ports.transaction() as session:
        there = claims.there(session, [job_id for job_id, _ in old])
    for job_id, attempt in old:
        if job_id not in there:
            ports.spool.drop_manifest(job_id, attempt)
            log.info("adoption.dropped", job_id=job_id, attempt=attempt)
