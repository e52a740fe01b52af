"""Where a result is now: links expire, and the task that made it may name others.  Asking costs nothing.

Source: gateway/midjourney-and-video.md 2.8, 6.6, 10.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from sqlmodel import col, update

from shared import claims
from shared.claims import Claim
from shared.errors import DarkroomError
from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import GatewayError, Look, Output, Pending, Produced, Refused, Unseen
from shared.tables import JobResult
from workers.ports import Ports

log = structlog.get_logger(__name__)

Sources = list[dict[str, str]]
"""The places of one output, as its row keeps them."""


class TaskFailed(DarkroomError):
    """A result that is nowhere, and whose task, which was done once, says now that it failed (video 8.2).

    Whether it was refunded nobody says: the gateway had called it done.  So no attempt follows by itself.
    """

    code = "task_failed"

    def __init__(self, error: GatewayError, trouble: DarkroomError) -> None:
        super().__init__(f"{trouble}; its task says now that it failed: {error.message}")
        self.error = error


class Renewal:
    """The outputs of one attempt, whose task is asked about them at most once."""

    def __init__(self, claim: Claim, outputs: Sequence[dict[str, Any]], ports: Ports) -> None:
        self._claim = claim
        self._outputs = outputs
        self._ports = ports
        self._renewed: dict[int, Sources] | None = None
        self.failure: GatewayError | None = None
        """What the task said when it was asked, if it said that it failed."""

    def sources(self, index: int) -> Sources:
        """Where else an output is, as its task says now; none if it names no other place.

        The gateway's own are among them also if they are known: it may have a fresh link for itself, too.
        """
        if self._renewed is None:
            self._renewed = self._renew()
        known = self._outputs[index]["sources"]
        return [place for place in self._renewed.get(index, []) if "url" not in place or place not in known]

    def _renew(self) -> dict[int, Sources]:
        look = _ask(self._claim, self._ports)
        self.failure = look.error if isinstance(look, Refused) else None
        told = look.outputs if isinstance(look, Produced) else ()
        pairs = enumerate(zip(self._outputs, told, strict=False))
        places = {index: self._places(index, new) for index, (known, new) in pairs if new.kind == known["kind"]}
        renewed = {index: found for index, found in places.items() if self._is_new(index, found)}
        log.info("renewal.asked", job_id=self._claim.job_id, outputs=len(told), renewed=len(renewed))
        if renewed:
            self._record(renewed)
        return renewed

    def _places(self, index: int, output: Output) -> Sources:
        claim, places = self._claim, []
        for source in output.sources:
            if source.content is not None:
                place = {"spool": self._ports.spool.keep(claim.job_id, claim.attempt, index, source.content)}
            else:
                place = {"path": source.path} if source.path is not None else {"url": source.url or ""}
            places.append(place)
        return places

    def _is_new(self, index: int, places: Sources) -> bool:
        known = self._outputs[index]["sources"]
        return any("spool" in place or place not in known for place in places)

    def _record(self, renewed: dict[int, Sources]) -> None:
        """Keep the new places, so that the next try begins with them."""
        outputs = [
            {**output, "sources": renewed.get(index, output["sources"])} for index, output in enumerate(self._outputs)
        ]
        same = (col(JobResult.job_id) == self._claim.job_id, col(JobResult.attempt) == self._claim.attempt)
        with self._ports.transaction() as session:
            session.execute(update(JobResult).where(*same).values(outputs=claims.plain(outputs)))


def _ask(claim: Claim, ports: Ports) -> Look | None:
    """What the task says now; None where there is no task, or nobody to ask."""
    adapter, task_id = BY_OPERATION.get(claim.operation), claim.upstream_task_id
    if adapter is None or adapter.looking is None or task_id is None:
        return None
    looking = adapter.looking
    if not ports.gateways.knows(claim.lane):
        return None
    gateway = ports.gateways.of(claim.lane)
    look: Look = Pending()
    for misses in range(1 if looking.build_elsewhere is None else 2):
        request = replace(looking.ask(task_id, misses), timeout_s=ports.settings.poll_timeout_s)
        reply = gateway.look(request).result()
        look = reading.look_of(reply, lambda response: looking.read(response, task_id))
        if not isinstance(look, Unseen):
            break
    return look
