"""The poller: looks at many upstream tasks at once, in one loop.

One go claims up to some hundred due rows, asks the gateway about all of them at the same time (Midjourney: one call
for up to a hundred), and writes the answers back in one statement.  A running film is a row, not a worker.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from shared import claims, credentials, durations, policy
from shared.catalog.entry import Entry
from shared.claims import Claim, Glance
from shared.gateway import reading
from shared.gateway.adapter import Looking
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import ErrorClass, GatewayError, Look, Pending, Produced, Refused, Unseen
from shared.gateway.request import Reply, Request
from shared.lifecycle import Cause
from workers import store, submit
from workers.gateway import pace
from workers.gateway.client import Gateway
from workers.gateway.clients import NoCredential
from workers.gateway.pace import Pace
from workers.patience import passes
from workers.ports import Ports

log = structlog.get_logger(__name__)

LEASE_SPARE_S: Final = 15.0
"""A claimed row comes due again by itself so long after its look must be over."""
ROUND_S: Final = 0.5
"""So long the answers of a round are waited for; what is slower is written down in a later round."""
QUEUE_S: Final = 5.0
"""So many seconds' worth of a host's pace may wait here to be asked; less than `LEASE_SPARE_S`."""
ROWS_LEAST: Final = 100
"""So many rows may be claimed at once however slow the pace is: one question may be about all of them."""


@dataclass(frozen=True)
class Question:
    """One request, and the jobs that its answer is about."""

    gateway: Gateway
    """Whom it goes to: a task is known to the credential that asked for it."""
    request: Request
    claims: tuple[Claim, ...]
    looking: Looking
    made_at: float = field(default_factory=time.monotonic)
    """When its claims were true, by the monotonic clock."""

    def asked_now(self) -> Question:
        """The same, with its tasks as old as they are now."""
        now = time.monotonic()
        older = tuple(_older(claim, now - self.made_at) for claim in self.claims)
        return replace(self, claims=older, made_at=now)


def _older(claim: Claim, by_s: float) -> Claim:
    def later(age_s: float | None) -> float | None:
        return None if age_s is None else age_s + by_s

    return replace(claim, since_call_s=later(claim.since_call_s), since_pending_s=later(claim.since_pending_s))


@dataclass(frozen=True)
class Sent:
    """A question that was asked."""

    question: Question
    host: str
    at: float
    """By the monotonic clock."""


def poll(ports: Ports) -> int:
    """Look once at what is due and wait for every answer; returns how many rows were looked at."""
    looks = Looks(ports)
    begun = looks.begin()
    while looks.under_way:
        looks.take_in()
        looks.send()
    return begun


class Looks:
    """The looks that are under way, so that one that hangs keeps no other waiting.  For one thread.

    Each host is asked at a pace of its own.  What was claimed and cannot be asked yet waits here for a few seconds'
    worth of that pace; all else stays due in the database, for other processes, too.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._hosts = {one.name: one.base_url for one in ports.settings.credentials}
        """By credential."""
        self._paces = {host: Pace(host, ports.settings.poll_rate) for host in self._hosts.values()}
        self._waiting: dict[str, deque[Question]] = {host: deque() for host in self._paces}
        self.under_way: dict[Future[Reply], Sent] = {}
        self._asked: Counter[str] = Counter()
        """How many of them, by host."""
        self._late: set[Future[Reply]] = set()
        """Those of them that are told to their pace as slow."""

    def go(self) -> bool:
        """Begin what is due and write down what is there; whether there is more to do at once."""
        begun = self.begin()
        self.take_in()
        can_go_on = any(self._can_send(host) and self._paces[host].wait_s() < ROUND_S for host in self._waiting)
        return bool(self.under_way) or can_go_on or begun >= self._ports.settings.poll_batch

    def begin(self) -> int:
        """Ask about the rows that are due; returns how many they are."""
        due = [] if self._ports.stopping.is_set() else self._claim()
        for question in questions(due, self._ports):
            host = self._host_of(question)
            if len(self._waiting[host]) < self._queue_most(host):
                self._waiting[host].append(question)
            # Else its rows come due again when their lease is over.
        self.send()
        self._write_down([glance for claim in due for glance in _unasked(claim, self._ports)])
        return len(due)

    def _claim(self) -> list[Claim]:
        settings = self._ports.settings
        taken = sum(len(sent.question.claims) for sent in self.under_way.values())
        taken += sum(len(question.claims) for waiting in self._waiting.values() for question in waiting)
        busy = {host for host in self._paces if self._is_busy(host)}
        most = max(ROWS_LEAST, *(self._queue_most(host) for host in self._paces))
        room = min(settings.poll_batch - taken, most)
        if room <= 0 or (busy and len(busy) == len(self._paces)):
            return []
        names = [name for name, host in self._hosts.items() if host in busy]
        with self._ports.transaction() as session:
            return claims.due_running(session, room, settings.poll_timeout_s + LEASE_SPARE_S, but_credentials=names)

    def _host_of(self, question: Question) -> str:
        return self._hosts[credentials.of_lane(question.claims[0].lane)]

    def _queue_most(self, host: str) -> int:
        return max(1, int(self._paces[host].rate_per_s * QUEUE_S))

    def _is_busy(self, host: str) -> bool:
        return self._paces[host].is_paused or len(self._waiting[host]) >= self._queue_most(host)

    def _can_send(self, host: str) -> bool:
        return bool(self._waiting[host]) and self._asked[host] < self._paces[host].at_once

    def send(self) -> None:
        """Ask what waits, one after the other, as far as its turn comes within a round."""
        for host, waiting in self._waiting.items():
            its_pace, until = self._paces[host], time.monotonic() + ROUND_S / len(self._waiting)
            while self._can_send(host) and time.monotonic() + its_pace.wait_s() < until:
                if self._ports.stopping.wait(its_pace.wait_s()):
                    return
                question = waiting.popleft().asked_now()
                its_pace.went()
                self._asked[host] += 1
                self.under_way[question.gateway.look(question.request)] = Sent(question, host, time.monotonic())

    def take_in(self) -> None:
        """Write down the answers that come within a round, or those that are there if more is to be asked."""
        done, _ = wait(self.under_way, 0 if any(map(self._can_send, self._waiting)) else ROUND_S)
        answered = [(self.under_way.pop(reply), reply.result()) for reply in done]
        for sent, reply in answered:
            self._asked[sent.host] -= 1
            self._paces[sent.host].heard(reply, sent.at)
        self._tell_late(done)
        self._write_down([glance for sent, reply in answered for glance in _glances(sent.question, reply, self._ports)])

    def _tell_late(self, done: Collection[Future[Reply]]) -> None:
        """A gateway that does not answer at all is not to be noticed only when time is out."""
        self._late.difference_update(done)
        late_since = time.monotonic() - pace.SLOW_S
        for reply, sent in self.under_way.items():
            if sent.at < late_since and reply not in self._late:
                self._late.add(reply)
                self._paces[sent.host].waited(sent.at)

    def _write_down(self, glances: Sequence[Glance]) -> None:
        if glances:
            with self._ports.transaction() as session:
                claims.write_glances(session, glances)


def questions(due: Sequence[Claim], ports: Ports) -> Iterator[Question]:
    """Few requests for many jobs, where the protocol has such a one."""
    alike: dict[tuple[Gateway, Looking], list[Claim]] = defaultdict(list)
    for claim in due:
        adapter = BY_OPERATION.get(claim.operation)
        if adapter is None or adapter.looking is None:
            # Another release may know it; it comes due again, and must not keep the others from being looked at.
            log.error("poll.no_adapter", job_id=claim.job_id, operation=claim.operation)
            continue
        if ports.gateways.knows(claim.lane):
            alike[ports.gateways.of(claim.lane), adapter.looking].append(claim)
    for (gateway, looking), group in alike.items():
        for some in _batches(group, looking.most):
            yield Question(gateway, _request(looking, some, ports.settings.poll_timeout_s), some, looking)


def _unasked(claim: Claim, ports: Ports) -> Iterator[Glance]:
    """A task whose credential was taken out of the settings: it is missed until that is back, or the task is stuck."""
    if ports.gateways.knows(claim.lane):
        return
    told = str(NoCredential(credentials.of_lane(claim.lane)))
    verdict = _judge(claim, Unseen(told), ports)
    if isinstance(verdict, Glance):
        yield replace(verdict, reason=f"nobody looks at its task: {told}")
    elif isinstance(verdict, Stuck):
        _end(claim, Stuck(replace(verdict.error, message=f"{verdict.error.message}: {told}")), ports)


def _glances(question: Question, reply: Reply, ports: Ports) -> Iterator[Glance]:
    """What an answer says of tasks that go on; those that are over are moved here and now."""
    try:
        judged = [(claim, _judge(claim, look, ports)) for claim, look in looks(question, reply)]
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


def looks(question: Question, reply: Reply) -> Iterator[tuple[Claim, Look]]:
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
    if isinstance(look, Unseen) and look.is_missing and _has_vanished(claim):
        told = f"the gateway no longer knows this task: {look.reason}"
        return GatewayError(ErrorClass.UNKNOWN_OUTCOME, "upstream_vanished", told, look.upstream_status)
    limit_s = entry.stuck_after_s * (policy.UNSEEN_PATIENCE if isinstance(look, Unseen) else 1)
    if claim.age_s > limit_s:
        unseen = f"could not be seen: {look.reason}" if isinstance(look, Unseen) else "was not finished"
        told = f"after {limit_s:g} s the upstream task {unseen}"
        return Stuck(GatewayError(ErrorClass.UNKNOWN_OUTCOME, "upstream_stuck", told))
    return _go_on(claim, look, entry, ports)


def _has_vanished(claim: Claim) -> bool:
    """Whether "no such task", once more, is believed."""
    return claim.vanished + 1 >= policy.VANISHED_MOST and claim.age_s >= policy.VANISHED_AFTER_S


def _doubt(claim: Claim) -> Glance:
    """A gateway turns its own trouble into "failed": it is asked once more before it is believed."""
    return Glance(claim, None, None, policy.LOOK_AGAIN_S, doubted=True)


def _go_on(claim: Claim, look: Pending | Unseen, entry: Entry, ports: Ports) -> Glance:
    if isinstance(look, Pending):
        due_in_s = _due_in_s(claim, entry, ports)
        return Glance(claim, look.progress, look.status or None, due_in_s)
    misses = claim.misses + 1
    vanished = claim.vanished + 1 if look.is_missing else 0
    due_in_s = policy.next_look_s(entry.look_every_s, misses, ports.random, look.retry_after_s)
    log.info("poll.unseen", job_id=claim.job_id, misses=misses, reason=look.reason)
    return Glance(claim, None, None, due_in_s, misses=misses, vanished=vanished, doubted=claim.doubted)


def _due_in_s(claim: Claim, entry: Entry, ports: Ports) -> float:
    """When a task that goes on is worth another look: by what its like has taken, else by the catalog."""
    plan = ports.experience.plan((claim.model, claim.size or ""), entry)
    if plan is None or claim.since_call_s is None:
        return policy.next_look_s(entry.look_every_s, 0, ports.random)
    return plan.wait_s(claim.since_call_s, ports.random)


def _remember(claim: Claim, produced: Produced, ports: Ports) -> None:
    """How long the task took, for the looks at others."""
    if claim.size is None or claim.since_call_s is None:
        return
    pending_s = None if claim.since_pending_s is None else claim.since_call_s - claim.since_pending_s
    seen = durations.between(pending_s, claim.since_call_s, produced.took_s)
    ports.experience.add((claim.model, claim.size), seen)


def _end(claim: Claim, judged: Produced | GatewayError | Stuck, ports: Ports) -> None:
    """One task is over: its move is a transaction of its own, so that trouble with one leaves the others alone."""
    try:
        if isinstance(judged, Produced):
            submit.record_produced(claim, judged, ports, is_ours=False)
            _remember(claim, judged, ports)
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
