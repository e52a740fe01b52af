"""What came of a paid call, as the spool keeps it until the row says so.

Between the answer and the commit of its row a process may die; then this is all that is known of what was paid for.
Any process of the host finds it and writes the row (`adoption.py`).
"""

from __future__ import annotations

from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import claims
from shared.claims import Claim
from shared.gateway.outcome import Accepted
from shared.lifecycle import Cause
from workers.spool import Spool

log = structlog.get_logger(__name__)


class Manifest(BaseModel):
    """An upstream task that the gateway named, or outputs as their row keeps them; links and paths, never bytes."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    attempt: int
    process_id: str | None
    """Who made the call."""
    lane: str | None = None
    """Whose key it was made with: its job may have been lent to another lane since; None: an older release wrote it."""
    status: str | None = None
    """The gateway's own word."""
    task_id: str | None = None
    """Of a call that was accepted; None: the result is there."""
    outputs: list[dict[str, Any]] = []
    """`[{"kind", "sources": [{"url"} | {"path"} | {"spool"} | {"object"}]}]`."""
    result: dict[str, Any] | None = None
    """What is not media."""

    @property
    def cause(self) -> Cause:
        return Cause.PRODUCED if self.task_id is None else Cause.ACCEPTED

    @property
    def is_spooled(self) -> bool:
        """Whether bytes of it are on this host alone."""
        return any("spool" in source for output in self.outputs for source in output["sources"])


def of_accepted(claim: Claim, accepted: Accepted) -> Manifest:
    """Of a call that the gateway will see to."""
    status, task_id = claims.plain(accepted.status) or None, claims.plain(accepted.task_id)
    call = {"job_id": claim.job_id, "attempt": claim.attempt, "process_id": claim.by, "lane": claim.lane}
    return Manifest.model_validate({**call, "status": status, "task_id": task_id})


def keep(manifest: Manifest, spool: Spool) -> None:
    """Write it to the disk.  A disk that does not take it is no reason not to write the row."""
    try:
        spool.keep_manifest(manifest.job_id, manifest.attempt, manifest.model_dump_json().encode())
    except OSError:
        log.error("manifest.no_disk", job_id=manifest.job_id, attempt=manifest.attempt, exc_info=True)


def read(spool: Spool, job_id: str, attempt: int) -> Manifest | None:
    """What the spool knows of an attempt; None: nothing, or nothing that can be read, which goes."""
    content = spool.manifest(job_id, attempt)
    if content is None:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        log.error("manifest.unreadable", job_id=job_id, attempt=attempt, exc_info=True)
        spool.drop_manifest(job_id, attempt)
        return None
