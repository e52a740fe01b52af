"""Searches the gateway for the tasks of calls whose answers were lost, so that what is paid for goes on by itself.

An attempt with an unknown outcome is held first, so a death here changes nothing.  Its row of evidence says when it
is searched for: some times, at growing gaps.  The key's usage log names tasks, the gateway's list shows the mark of
each, and only a task with the mark of this very attempt is taken up.  That none is to be seen proves nothing: then
the job's `on_unknown` decides, and for one that holds, a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from shared import claims, credentials, late, policy
from shared.gateway import reading
from shared.gateway.adapter import SKEW, Finding, Found, Sight, Unfound, Wanted
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import marked
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.gateway.request import Reply
from shared.lifecycle import Cause
from shared.policy import OnUnknown
from shared.tables import Job, LateResult
from workers import evidence, usage_log
from workers.evidence import Lost
from workers.gateway.clients import NoCredential
from workers.patience import passes
from workers.ports import Ports
from workers.usage_log import Log

log = structlog.get_logger(__name__)

MOST: Final = 50
"""So many are searched for at once."""
LISTS_MOST: Final = 3
"""So many lists are asked for to find one."""
SPARE_S: Final = 30.0
"""So much longer than its questions may take, a search is left to the process that makes it."""
FOUND: Final = "the gateway's list has its task"


@dataclass(frozen=True)
class Search:
    """What is under way for one attempt."""

    lost: Lost
    wanted: Wanted
    finding: Finding | None
    looks: tuple[Future[Reply], ...] = ()


def reconcile(ports: Ports) -> bool:
    """Search once for what is due; whether there may be more."""
    if ports.stopping.is_set():
        return False
    lease_s = 3 * ports.settings.poll_timeout_s + SPARE_S
    with ports.transaction() as session:
        lost, looked_at = evidence.take_due(session, MOST, lease_s)
    by_credential: defaultdict[str, list[Lost]] = defaultdict(list)
    for one in lost:
        by_credential[credentials.of_lane(one.claim.lane)].append(one)
    for credential, some in by_credential.items():
        try:
            _search(some, usage_log.read(credential, ports), ports)
        except NoCredential as error:
            log.warning("reconcile.no_credential", credential=credential, jobs=len(some), error=str(error))
    return looked_at == MOST


def _search(lost: Sequence[Lost], seen: Log, ports: Ports) -> None:
    with ports.transaction() as session:
        known = _had(session, [entry["task_id"] for entry in seen.entries if entry["task_id"]])
    searches = []
    for one in lost:
        with _apart(one):
            searches.append(_begun(one, seen, known, ports))
    for search in searches:
        with _apart(search.lost):
            _write_down(search, _sight(search, seen), seen, ports)


@contextmanager
def _apart(lost: Lost) -> Iterator[None]:
    """Trouble with one keeps no other from being searched for; it comes due again."""
    try:
        yield
    except NoCredential:
        raise  # nor can the others of this credential be searched for
    except Exception as error:
        if passes(error):
            raise  # the database is away
        log.error("reconcile.failed", job_id=lost.claim.job_id, exc_info=True)


def _begun(lost: Lost, seen: Log, known: Collection[str], ports: Ports) -> Search:
    """Ask for the tasks that it may be: those of its time that nobody has."""
    claim = lost.claim
    wanted = Wanted(marked(claim.job_id, claim.attempt), claim.operation, lost.prompt, lost.sent_at)
    adapter = BY_OPERATION.get(claim.operation)
    finding = adapter.finding if adapter is not None else None
    if finding is None:
        return Search(lost, wanted, None)
    task_ids = [task_id for task_id in _named(seen, wanted) if task_id not in known][: LISTS_MOST * finding.most]
    batches = [task_ids[start : start + finding.most] for start in range(0, len(task_ids), finding.most)]
    gateway = ports.gateways.of(claim.lane)
    requests = [
        replace(finding.build(some, wanted), timeout_s=ports.settings.poll_timeout_s) for some in batches or [[]]
    ]
    return Search(lost, wanted, finding, tuple(gateway.look(request) for request in requests))


def _named(seen: Log, wanted: Wanted) -> Iterator[str]:
    """The tasks of the log's calls since it was sent, those next to that time first."""
    sent_at = wanted.sent_at.timestamp()
    since = [entry for entry in seen.entries if entry["task_id"] and entry["at"] >= sent_at - SKEW.total_seconds()]
    return (entry["task_id"] for entry in sorted(since, key=lambda entry: abs(entry["at"] - sent_at)))


def _sight(search: Search, seen: Log) -> Sight:
    """What the lists show; of a call that no list can show, nothing."""
    if search.finding is None:
        return Unfound("the gateway lists no tasks of this kind")
    read = search.finding.read
    sights = [reading.sight_of(look.result(), lambda answer: read(answer, search.wanted)) for look in search.looks]
    found = next((sight for sight in sights if isinstance(sight, Found)), sights[-1])
    if isinstance(found, Unfound) and seen.trouble is not None:
        return Unfound(f"{found.told}; the key's usage log could not be read: {seen.trouble}")
    return found


def _write_down(search: Search, sight: Sight, seen: Log, ports: Ports) -> None:
    claim = search.lost.claim
    if isinstance(sight, Found):
        sight = _taken_up(search, sight, ports)
    if isinstance(sight, Unfound):
        charge = _charge(search.lost, seen)
        _go_on(search, f"{sight.told}; {charge}" if charge else sight.told, ports)
    log.info("reconcile.searched", job_id=claim.job_id, attempt=claim.attempt, found=isinstance(sight, Found))


def _taken_up(search: Search, found: Found, ports: Ports) -> Sight:
    """Let the job run as this task, unless another one has it."""
    claim = search.lost.claim
    with ports.transaction() as session:
        if _had(session, [found.task_id]):
            return Unfound(f"another job has task {found.task_id} already")
        data = {"upstream_task_id": found.task_id}
        known: dict[str, Any] = {"upstream_task_id": found.task_id, "data": data}
        if not claims.move(session, claim, Cause.FOUND, reason=FOUND, due_in_s=0, **known):
            late.accepted(session, claim, found.task_id)  # it was canceled meanwhile, or goes another way
        evidence.searched(session, claim, FOUND, found=found.task_id, again_in_s=None)
    return found


def _had(session: Session, task_ids: Sequence[str]) -> set[str]:
    """Those of these tasks that a job has, or had."""
    if not task_ids:
        return set()
    jobs = select(col(Job.upstream_task_id)).where(col(Job.upstream_task_id).in_(task_ids))
    left = select(col(LateResult.upstream_task_id)).where(col(LateResult.upstream_task_id).in_(task_ids))
    return {task_id for task_id in session.execute(jobs.union(left)).scalars() if task_id is not None}


def _charge(lost: Lost, seen: Log) -> str:
    """What the usage log says of this very call, where its answer had the gateway's id of it."""
    request_id = lost.came_back.get("upstream_request_id")
    entry = next((one for one in seen.entries if request_id and one["request_id"] == request_id), None)
    if entry is None:
        return ""
    return f"the key's usage log has this call: it was charged ${entry['cost_usd'] or '?'}"


def _go_on(search: Search, told: str, ports: Ports) -> None:
    """Search again later, or let what is to follow."""
    lost = search.lost
    again_in_s = policy.next_search_s(lost.gives_way, lost.searches + 1)
    with ports.transaction() as session:
        if again_in_s is None:
            _give_way(session, lost, ports)  # first: all who write both have the job's row before the evidence
        evidence.searched(session, lost.claim, told, again_in_s=again_in_s)
    if again_in_s is None:
        ports.wake_dispatch()


def _give_way(session: Session, lost: Lost, ports: Ports) -> None:
    """It was searched for in vain: what the job's `on_unknown` says follows now."""
    error = _error(lost.came_back)
    reason = f"{error.error_class}: {error.message}; it was searched for at the gateway in vain"
    if lost.gives_way is OnUnknown.HOLD:
        claims.explain(session, lost.claim, reason)
        return
    tried = policy.Tried(lost.claim.attempt, lost.claim.max_attempts, lost.gives_way)
    decision = policy.decide(error, tried, ports.random)
    is_retried = decision.due_in_s is not None
    data = claims.as_error(error, retryable=is_retried)
    if claims.move(session, lost.claim, decision.cause, reason=reason, data=data, due_in_s=decision.due_in_s):
        claims.keep_result(session, lost.claim, error=error, retryable=is_retried)


def _error(came_back: Mapping[str, Any]) -> GatewayError:
    return GatewayError(
        ErrorClass.UNKNOWN_OUTCOME,
        came_back["code"],
        came_back["message"],
        upstream_status=came_back["upstream_status"],
        upstream_request_id=came_back["upstream_request_id"],
    )
