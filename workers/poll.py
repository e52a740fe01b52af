"""The poller: looks at many upstream tasks at once, in one loop.

One go claims up to some hundred due rows, asks the gateway about all of them at the same time (Midjourney: one call
for up to a hundred), and writes the answers back in one statement.  A running film is a row, not a worker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Final

import structlog

from shared import claims, policy
from shared.catalog.entry import Entry
from shared.claims import Claim, Glance
from shared.gateway import reading
from shared.gateway.adapter import Looking
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import ErrorClass, GatewayError, Look, Pending, Produced, Refused, Unseen
from shared.gateway.request import Reply, Request
from shared.lifecycle import Cause
from workers import store, submit
from workers.patience import passes
from workers.ports import Ports

log = structlog.get_logger(__name__)

LEASE_SPARE_S: Final = 15.0
"""A claimed row comes due again by itself so long after its look must be over."""
ROUND_S: Final = 0.5
"""So long the answers of a round are waited for; what is slower is written down in a later round."""


@dataclass(frozen=True)
class Question:
    """One request, and the jobs that its answer is about."""

    request: Request
    claims: tuple[Claim, ...]
    looking: Looking


def poll(ports: Ports) -> int:
    """Look once at what is due and wait for every answer; returns how many rows were looked at."""
    looks = Looks(ports)
    begun = looks.begin()
    while looks.under_way:
        looks.take_in()
    return begun


class Looks:
    """The looks that are under way, so that one that hangs keeps no other waiting.  For one thread."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.under_way: dict[Future[Reply], Question] = {}

    def go(self) -> bool:
        """Begin what is due and write down what is there; whether there is more to do at once."""
        begun = self.begin()
        self.take_in()
        return bool(self.under_way) or begun >= self._ports.settings.poll_batch

    def begin(self) -> int:
        """Ask about the rows that are due; returns how many they are."""
        ports = self._ports
        room = ports.settings.poll_batch - sum(len(question.claims) for question in self.under_way.values())
        if ports.stopping.is_set() or room <= 0:
            return 0
        with ports.transaction() as session:
            due = claims.due_running(session, room, ports.settings.poll_timeout_s + LEASE_SPARE_S)
        self.under_way |= {ports.gateway.look(question.request): question for question in _questions(due, ports)}
        return len(due)

    def take_in(self) -> None:
        """Write down the answers that come within a round."""
        done, _ = wait(self.under_way, ROUND_S)
        answered = [(self.under_way.pop(reply), reply.result()) for reply in done]
        glances = [glance for question, reply in answered for glance in _glances(question, reply, self._ports)]
        if glances:
            with self._ports.transaction() as session:
                claims.write_glances(session, glances)


def _questions(due: Sequence[Claim], ports: Ports) -> Iterator[Question]:
    """Few requests for many jobs, where the protocol has such a one."""
    by_looking: dict[Looking, list[Claim]] = defaultdict(list)
    for claim in due:
        adapter = BY_OPERATION.get(claim.operation)
        if adapter is None or adapter.looking is None:
            # Another release may know it; it comes due again, and must not keep the others from being looked at.
            log.error("poll.no_adapter", job_id=claim.job_id, operation=claim.operation)
            continue
        by_looking[adapter.looking].append(claim)
    for looking, group in by_looking.items():
        for some in _batches(group, looking.most):
            yield Question(_request(looking, some, ports.settings.poll_timeout_s), some, looking)


def _glances(question: Question, reply: Reply, ports: Ports) -> Iterator[Glance]:
    """What an answer says of tasks that go on; those that are over are moved here and now."""
    try:
        judged = [(claim, _judge(claim, look, ports)) for claim, look in _looks(question, reply)]
    except Exception:
        # A bug of ours.  The rows come due again by themselves, and the other answers are written down.
        log.error("poll.unread", job_ids=[claim.job_id for claim in question.claims], exc_info=True)
        return
    for claim, verdict in judged:
        if isinstance(verdict, Glance):
            yield verdict
        else:
            _end(claim, verdict, ports)


def _batches(group: Sequence[Claim], most: int) -> Iterator[tuple[Claim, ...]]:
    for start in range(0, len(group), most):
        yield tuple(group[start : start + most])


def _request(looking: Looking, some: tuple[Claim, ...], timeout_s: float) -> Request:
    task_ids = [claim.upstream_task_id or "" for claim in some]
    if looking.build_many is not None:
        return replace(looking.build_many(task_ids), timeout_s=timeout_s)
    return replace(looking.ask(task_ids[0], some[0].misses), timeout_s=timeout_s)


def _looks(question: Question, reply: Reply) -> Iterator[tuple[Claim, Look]]:
    looking = question.looking
    if looking.read_many is None:
        claim = question.claims[0]
        yield claim, reading.look_of(reply, lambda response: looking.read(response, claim.upstream_task_id or ""))
        return
    looks = reading.looks_of(reply, [claim.upstream_task_id or "" for claim in question.claims], looking.read_many)
    for claim in question.claims:
        yield claim, looks[claim.upstream_task_id or ""]


@dataclass(frozen=True)
class Stuck:
    """A task that is older than its model's limit; whether it will be paid for, nobody knows."""

    error: GatewayError


def _judge(claim: Claim, look: Look, ports: Ports) -> Glance | GatewayError | Produced | Stuck:
    """What a look means for its job: it goes on, it has failed, or it is done."""
    entry = ports.catalog.entry(claim.model)
    if isinstance(look, Produced):
        return look
    if isinstance(look, Refused):
        return look.error if claim.doubted else _doubt(claim)
    if isinstance(look, Unseen) and look.is_missing and claim.vanished + 1 >= policy.VANISHED_MOST:
        told = f"the gateway no longer knows this task: {look.reason}"
        return GatewayError(ErrorClass.UNKNOWN_OUTCOME, "upstream_vanished", told, look.upstream_status)
    limit_s = entry.stuck_after_s * (policy.UNSEEN_PATIENCE if isinstance(look, Unseen) else 1)
    if claim.age_s > limit_s:
        told = f"the upstream task was not finished after {limit_s:g} s"
        return Stuck(GatewayError(ErrorClass.UNKNOWN_OUTCOME, "upstream_stuck", told))
    return _go_on(claim, look, entry, ports)


def _doubt(claim: Claim) -> Glance:
    """A gateway turns its own trouble into "failed": it is asked once more before it is believed."""
    return Glance(claim, None, None, policy.LOOK_AGAIN_S, doubted=True)


def _go_on(claim: Claim, look: Pending | Unseen, entry: Entry, ports: Ports) -> Glance:
    if isinstance(look, Pending):
        due_in_s = policy.next_look_s(entry.look_every_s, 0, ports.random)
        return Glance(claim, look.progress, look.status or None, due_in_s)
    misses = claim.misses + 1
    vanished = claim.vanished + 1 if look.is_missing else 0
    due_in_s = policy.next_look_s(entry.look_every_s, misses, ports.random, look.retry_after_s)
    log.info("poll.unseen", job_id=claim.job_id, misses=misses, reason=look.reason)
    return Glance(claim, None, None, due_in_s, misses=misses, vanished=vanished, doubted=claim.doubted)


def _end(claim: Claim, judged: Produced | GatewayError | Stuck, ports: Ports) -> None:
    """One task is over: its move is a transaction of its own, so that trouble with one leaves the others alone."""
    try:
        if isinstance(judged, Produced):
            submit.record_produced(claim, judged, ports, is_ours=False)
            ports.hints.store(ports.near.take([claim.job_id], lambda job_id: store.store([job_id], ports)))
        elif isinstance(judged, Stuck):
            _give_up(claim, judged.error, ports)
        else:
            submit.refuse(claim, judged, ports)
    except Exception as error:
        if passes(error):
            raise  # the database is away: five hundred time-outs, one after the other, would help nobody
        # The row comes due again by itself; what was seen is seen again.
        log.error("poll.unrecorded", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
    ports.wake_dispatch()


def _give_up(claim: Claim, error: GatewayError, ports: Ports) -> None:
    with ports.transaction() as session:
        if claims.move(session, claim, Cause.STUCK, reason=error.message, data=claims.as_error(error, False)):
            claims.keep_result(session, claim, error=error)
    log.info("poll.stuck", job_id=claim.job_id, attempt=claim.attempt, age_s=round(claim.age_s))
