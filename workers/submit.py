"""The one paid call of an attempt: prepare, take, exchange, read, move.

The claim is committed *before* the request leaves, and nothing is sent without it.  So what happened to the money
is known from the row alone: `dispatched`, nothing was sent; `submitting`, it may have been; anything later, the
gateway answered.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from sqlalchemy import Float
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, func, select
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from shared import claims, credentials, durations, late, policy, storage
from shared.catalog.entry import Operation
from shared.claims import Claim
from shared.errors import InputRefused, StorageUnavailable
from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import Call, Media
from shared.gateway.outcome import (
    Accepted,
    Continued,
    ErrorClass,
    GatewayError,
    Outcome,
    Output,
    Produced,
    Refused,
    Source,
)
from shared.gateway.request import Reply, Request
from shared.lifecycle import Cause, State
from shared.tables import Job, JobRequest
from workers import evidence, fitting, inputs, lanes, manifest, store
from workers.gateway.client import Answer, Large
from workers.gateway.clients import NoCredential
from workers.manifest import Manifest
from workers.patience import passes, patiently
from workers.ports import Ports

log = structlog.get_logger(__name__)

INPUT_WAITS_MOST: Final = 6
"""So often an input may be unavailable before the job fails: some minutes.  Our own S3 is waited for without end."""


REQUESTS_MOST: Final = 3
"""So many requests one paid call may take."""

RESULT_MOST_BYTES: Final = 64 * 1024
"""A longer `result` is no column of a row: it goes to S3."""
SUMMARY_FIELD_BYTES: Final = 1024
"""Of such a result the row keeps the fields that are no longer than this."""

LARGE: Final = threading.BoundedSemaphore(4)
"""So many large answers are in memory at once, read and decoded; the others wait on the disk."""

KEEP_S: Final = 60.0
"""So long a result in memory is tried to be kept, while neither the disk nor S3 takes it."""

FRESH_S: Final = 5.0
"""A claim older than this is given back instead of sent: well under the age at which a process counts as dead."""
UNHINTED_S: Final = 5.0
"""After this long a hint is late: most are there in a few milliseconds."""
UNHINTED_LEASE_S: Final = 30.0
"""So long we leave a job whose hint is late to the process that found it."""


@dataclass(frozen=True)
class Prepared:
    """A dispatched job with all that its call needs."""

    job_id: str
    call: Call
    request: Request
    changes: tuple[str, ...] = ()
    """What was done to its pictures so that the endpoint takes them, for people."""


@dataclass(frozen=True)
class UnderWay:
    """A paid call that was begun."""

    claim: Claim
    call: Call
    answer: Future[Answer]


def submit(job_ids: Sequence[str], ports: Ports) -> None:
    """Make the paid calls of these dispatched jobs, all at once, and record what came of each.

    Each has a thread of its own: a slow input, a slow answer or a large result of one keeps no other waiting.
    """
    if len(job_ids) <= 1:
        for job_id in job_ids:
            _submit_one(job_id, ports)
        return
    with ThreadPoolExecutor(len(job_ids), thread_name_prefix="submit") as threads:
        for job_id in job_ids:
            threads.submit(_submit_one, job_id, ports)


def find(ports: Ports) -> None:
    """Begin what was dispatched and no hint brought to anybody: while the broker is away, this is how jobs get on."""
    free = ports.near.free
    if free == 0 or ports.stopping.is_set():
        return
    with ports.transaction() as session:
        job_ids = claims.due_dispatched(session, free, UNHINTED_S, UNHINTED_LEASE_S)
    ports.near.take(job_ids, lambda job_id: submit([job_id], ports))


def _submit_one(job_id: str, ports: Ports) -> None:
    """One job, from its inputs to its result; what goes wrong with it is told by the log and by its row."""
    with ports.in_hand.only(job_id) as is_only:
        if not is_only:
            return  # a doubled hint
        try:
            under_way = _begin(job_id, ports)
            if under_way is not None:
                finish(under_way.claim, under_way.call, under_way.answer.result(), ports)
        except Exception:
            log.error("submit.failed", job_id=job_id, exc_info=True)


def _begin(job_id: str, ports: Ports) -> UnderWay | None:
    if ports.stopping.is_set():
        _give_back(job_id, ports)
        return None
    prepared = prepare(job_id, ports)
    if prepared is None:
        return None
    began = time.monotonic()
    claim = _take(prepared, ports)
    if claim is None:
        return None
    if time.monotonic() - began > FRESH_S or claim.attempt != prepared.call.attempt:
        # We were stopped or starved.  Others may think us dead by the time it is sent, so it is not.
        # Or somebody made an attempt while we prepared this one: its mark would be that attempt's.
        patiently(lambda: _untake(job_id, ports))
        return None
    try:
        return UnderWay(claim, prepared.call, ports.gateways.of(claim.lane).start(prepared.request))
    except BaseException:
        patiently(lambda: _untake(job_id, ports))  # nothing was sent
        raise


def prepare(job_id: str, ports: Ports) -> Prepared | None:
    """The job's request with its inputs in hand; None if it is not ours to send, or cannot be sent."""
    with ports.transaction() as session:
        claim = claims.read(session, job_id)
        asked = session.get(JobRequest, job_id)
        if claim is None or asked is None or claim.state is not State.DISPATCHED:
            return None  # a doubled or late hint
        if asked.inputs:
            claims.prepare(session, job_id, by=ports.process_id)
    if not ports.gateways.knows(claim.lane):
        _leave_to_others(claim, ports)
        return None
    try:
        with ports.transaction() as session:
            places = inputs.locate(session, claim.project_id, asked.inputs)
        operation = ports.catalog.operations[claim.operation]
        return _prepared(claim, asked, operation, inputs.fetch(places, operation.inputs, ports), ports)
    except InputRefused as error:
        _refuse(claim, error, ports)
    except inputs.InputUnavailable as error:
        _wait_for_input(claim, error, ports)
    except Exception as error:
        if passes(error):
            raise  # the database is away; the sweep gives the row back
        log.error("submit.not_prepared", job_id=job_id, exc_info=True)
        told = f"its request could not be built ({type(error).__name__}; the worker's log says more)"
        _wait_for_input(claim, inputs.InputUnavailable(told), ports)
    return None


def _prepared(
    claim: Claim, asked: JobRequest, operation: Operation, in_hand: dict[str, tuple[Media, ...]], ports: Ports
) -> Prepared:
    call = Call(
        operation=claim.operation,
        model=ports.catalog.entry(claim.model).gateway_model or claim.model,
        prompt=asked.prompt,
        params=operation.params.model_validate(asked.params),
        inputs=in_hand,
        job_id=claim.job_id,
        attempt=claim.attempt + 1,
    )
    fit = fitting.fitted(call)
    # Built before the claim: if this raises, nothing was sent.
    request = BY_OPERATION[claim.operation].build(fit.call)
    timeout_s = max(request.timeout_s, operation.timeout_s)
    request = replace(request, name=claim.operation, timeout_s=timeout_s)
    return Prepared(claim.job_id, fit.call, request, fit.changes)


def _refuse(claim: Claim, error: InputRefused, ports: Ports) -> None:
    refused = GatewayError(ErrorClass.INVALID_REQUEST, error.code, str(error))
    with ports.transaction() as session:
        if claims.move(session, claim, Cause.INPUT_REFUSED, reason=f"an input cannot be used: {error}"):
            claims.keep_result(session, claim, error=refused)


def _wait_for_input(claim: Claim, error: inputs.InputUnavailable, ports: Ports) -> None:
    what = policy.OUR_STORAGE if error.is_ours else "input"
    waits = claim.waits if claim.waits_for == what else 0
    if waits >= INPUT_WAITS_MOST and not error.is_ours:
        _refuse(claim, InputRefused(str(error)), ports)
        return
    wait = policy.wait_s(policy.FIRST_WAIT_S[ErrorClass.STORAGE], waits, ports.random)
    reason = f"an input cannot be had just now: {error}"
    with ports.transaction() as session:
        claims.move(session, claim, Cause.GIVEN_BACK, reason=reason, due_in_s=wait, waits_for=what)


def _leave_to_others(claim: Claim, ports: Ports) -> None:
    """It was let go by a process whose settings are newer or older than ours."""
    told = str(NoCredential(credentials.of_lane(claim.lane)))
    with ports.transaction() as session:
        claims.move(session, claim, Cause.GIVEN_BACK, reason=told, due_in_s=policy.LOOK_AGAIN_S)


def _give_back(job_id: str, ports: Ports) -> None:
    with ports.transaction() as session:
        claim = claims.read(session, job_id)
        if claim is not None and claim.state is State.DISPATCHED:
            claims.move(session, claim, Cause.GIVEN_BACK)


def _take(prepared: Prepared, ports: Ports) -> Claim | None:
    data = {"fitted": list(prepared.changes)} if prepared.changes else None
    try:
        with ports.transaction() as session:
            return claims.take(session, prepared.job_id, by=ports.process_id, data=data)
    except DBAPIError:
        # The commit may have gone through before its answer was lost.  We have sent nothing and will not.
        patiently(lambda: _untake(prepared.job_id, ports))
        raise


def _untake(job_id: str, ports: Ports) -> None:
    with ports.transaction() as session:
        claim = claims.held_by(session, job_id, State.SUBMITTING, ports.process_id)
        if claim is not None:
            claims.move(session, claim, Cause.NOT_SENT, due_in_s=0)


def finish(claim: Claim, call: Call, answer: Answer, ports: Ports) -> None:
    """Read the answer, write down what follows, and store what came.  A large one is read when its turn comes."""
    with LARGE if isinstance(answer, Large) else nullcontext():
        storing = _written_down(claim, call, answer, ports)
    ports.wake_dispatch()
    if storing is not None:
        store.store_claimed(storing, ports)


def _written_down(claim: Claim, call: Call, answer: Answer, ports: Ports) -> Claim | None:
    """Nothing that goes wrong here may leave the row as it is.  Returns the job if it is to be stored now."""
    outcome: Outcome | None = None
    try:
        outcome = _outcome(answer.whole() if isinstance(answer, Large) else answer, claim, call, ports)
        in_hand = _kept(claim, outcome, ports)
        return patiently(lambda: _record(claim, outcome, in_hand, ports))
    except Exception as error:
        log.error("submit.unrecorded", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
        told = f"the answer could not be kept: {type(error).__name__}"
        lost = GatewayError(ErrorClass.UNKNOWN_OUTCOME, "unrecorded", told)
        if isinstance(outcome, Produced | Accepted):
            # This much is known: it is paid for.  Only a person may pay again.
            claim = replace(claim, on_unknown=policy.OnUnknown.HOLD)
        patiently(lambda: refuse(claim, lost, ports))
        return None


def _outcome(reply: Reply, claim: Claim, call: Call, ports: Ports) -> Outcome:
    """What came of the call; where the answer asks for another request, that one is sent, too."""
    outcome = reading.outcome_for(call, BY_OPERATION[claim.operation], reply)
    charged = False
    for _ in range(REQUESTS_MOST - 1):
        if not isinstance(outcome, Continued):
            break
        charged = charged or outcome.charged
        answer = ports.gateways.of(claim.lane).start(replace(outcome.request, name=claim.operation)).result()
        reply = answer.whole() if isinstance(answer, Large) else answer
        outcome = _read_next(reply, outcome, claim, call)
    if not isinstance(outcome, Refused):
        return outcome
    operation = ports.catalog.operations[claim.operation]
    if operation.is_free and outcome.error.error_class is ErrorClass.UNKNOWN_OUTCOME:
        return Refused(replace(outcome.error, error_class=ErrorClass.UNAVAILABLE, charged=False))
    body = evidence.excerpt(reply) if outcome.error.error_class is ErrorClass.UNKNOWN_OUTCOME else ""
    return Refused(replace(outcome.error, charged=outcome.error.charged or charged, body=body))


def _read_next(reply: Reply, before: Continued, claim: Claim, call: Call) -> Outcome:
    read = before.read or (lambda response: BY_OPERATION[claim.operation].read(response, call))
    return reading.outcome_of(reply, read)


def _kept(claim: Claim, outcome: Outcome, ports: Ports) -> Manifest | None:
    """What was paid for, on the disk with its manifest, before anything is said of it to the database."""
    if isinstance(outcome, Accepted):
        in_hand = manifest.of_accepted(claim, outcome)
    elif isinstance(outcome, Produced):
        in_hand = _persistently(lambda: in_hand_of(claim, outcome, ports))
    else:
        return None
    manifest.keep(in_hand, ports.spool)
    return in_hand


def _persistently(keep: Callable[[], Manifest]) -> Manifest:
    """Bytes that are paid for are in memory alone: while neither the disk nor S3 takes them, we try again."""
    tries = Retrying(
        retry=retry_if_exception_type((OSError, StorageUnavailable)),
        stop=stop_after_delay(KEEP_S),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    return tries(keep)


def _record(claim: Claim, outcome: Outcome, in_hand: Manifest | None, ports: Ports) -> Claim | None:
    """Write down an outcome.  Returns the job as it is to be stored now, if there is something to store."""
    if in_hand is not None:
        return record_in_hand(claim, in_hand, ports)
    if not isinstance(outcome, Refused):
        raise TypeError(f"{claim.operation} answered a paid call with {outcome}")
    refuse(claim, outcome.error, ports)
    return None


def record_in_hand(claim: Claim, in_hand: Manifest, ports: Ports, *, is_ours: bool = True) -> Claim | None:
    """Write the row of what is on the disk, and then forget the manifest: the database has it now.

    Args:
        is_ours: as for `record_produced`.
    """
    if in_hand.task_id is not None:
        storing = None
        _record_accepted(claim, in_hand.task_id, in_hand.status, ports)
    else:
        storing = _record_outputs(claim, in_hand, ports, is_ours=is_ours)
    ports.spool.drop_manifest(claim.job_id, claim.attempt)
    return storing


def _record_accepted(claim: Claim, task_id: str, status: str | None, ports: Ports) -> None:
    with ports.transaction() as session:
        lanes.answered(session, claim.lane, claim.job_id, is_success=True)
        size, first_look_s = _first_look(session, claim, ports)
        moved = claims.move(
            session,
            claim,
            Cause.ACCEPTED,
            due_in_s=first_look_s,
            upstream_task_id=task_id,
            upstream_status=status,
            size=size,
            data={"upstream_task_id": task_id},
        )
        if not moved:
            late.accepted(session, claim, task_id)


def _first_look(session: Session, claim: Claim, ports: Ports) -> tuple[str | None, float]:
    """What moves how long the task takes, and in how many seconds it is worth a look."""
    entry = ports.catalog.entry(claim.model)
    since_call_s = func.extract("epoch", func.now() - Job.submitted_at).cast(Float)
    asked = session.execute(
        select(JobRequest.params, since_call_s)
        .join(Job, col(Job.id) == JobRequest.job_id)
        .where(Job.id == claim.job_id)
    ).one_or_none()
    if asked is None:
        return None, entry.first_look_s
    params, age_s = asked
    size = durations.size_of(claim.operation, params)
    plan = ports.experience.plan((claim.model, size), entry)
    return size, entry.first_look_s if plan is None else max(0.0, plan.first_look_s(ports.random) - (age_s or 0.0))


def record_produced(claim: Claim, produced: Produced, ports: Ports, *, is_ours: bool = True) -> Claim | None:
    """Keep the outputs, and the row that says where they are.

    Args:
        is_ours: this process stores them itself, at once; else whoever is hinted or looks first does.
    """
    return _record_outputs(claim, in_hand_of(claim, produced, ports), ports, is_ours=is_ours)


def in_hand_of(claim: Claim, produced: Produced, ports: Ports) -> Manifest:
    """What came, as the row will keep it, its bytes on the disk.

    Raises:
        OSError, StorageUnavailable: there were bytes in it, and neither the spool nor S3 takes them.
    """
    produced = with_long_result_apart(produced)
    outputs = _kept_outputs(claim, produced.outputs, ports)
    return Manifest(
        job_id=claim.job_id,
        attempt=claim.attempt,
        process_id=claim.by,
        lane=claim.lane,
        status=claims.plain(produced.status) or None,
        outputs=claims.plain(outputs),
        result=claims.plain(produced.result) or None,
    )


def _record_outputs(claim: Claim, in_hand: Manifest, ports: Ports, *, is_ours: bool) -> Claim | None:
    spool = ports.spool.name if in_hand.is_spooled else None
    with ports.transaction() as session:
        if claim.state is State.SUBMITTING:
            lanes.answered(session, claim.lane, claim.job_id, is_success=True)
        moved = claims.move(
            session,
            claim,
            Cause.PRODUCED,
            due_in_s=claims.STORE_LEASE_S if is_ours else 0,
            claimed_by=ports.process_id if is_ours else None,
            spool_host=spool,
            upstream_status=in_hand.status,
        )
        if not moved:
            late.produced(session, claim, in_hand.outputs, in_hand.result or {}, spool)
            # Ours all the same if an earlier try committed and only its answer was lost.
            return claims.held_by(session, claim.job_id, State.STORING, ports.process_id)
        claims.keep_result(session, claim, outputs=in_hand.outputs, result=in_hand.result)
    storing = replace(claim, state=State.STORING, store_tries=0, waits=0, by=ports.process_id, holder=ports.process_id)
    return replace(storing, spool_host=spool) if is_ours else None


def with_long_result_apart(produced: Produced) -> Produced:
    """The same; a result that is too long for a row is its last output, as JSON, and `artifact_index` says which.

    What is left of it in `result` are its short fields, so that a look at the row tells what it is.
    """
    whole = claims.plain(produced.result)
    content = _as_json(whole)
    if len(content) <= RESULT_MOST_BYTES:
        return produced
    short = {name: value for name, value in whole.items() if len(_as_json(value)) <= SUMMARY_FIELD_BYTES}
    output = Output("text", (Source(content=content),))
    return replace(
        produced,
        outputs=(*produced.outputs, output),
        result={**short, "artifact_index": len(produced.outputs)},
    )


def _as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _kept_outputs(claim: Claim, outputs: Sequence[Output], ports: Ports) -> list[dict[str, Any]]:
    """The outputs as their row keeps them; bytes in hand go to the spool first.

    Raises:
        OSError, StorageUnavailable: neither the spool nor S3 takes the bytes.
    """
    return [
        {"kind": output.kind, "sources": [_place(claim, index, source, ports) for source in output.sources]}
        for index, output in enumerate(outputs)
    ]


def _place(claim: Claim, index: int, source: Source, ports: Ports) -> dict[str, str]:
    if source.content is not None:
        return keep_bytes(claim, index, source.content, ports)
    return {"path": source.path} if source.path is not None else {"url": source.url or ""}


def keep_bytes(claim: Claim, index: int, content: bytes, ports: Ports) -> dict[str, str]:
    """Where bytes in hand are from now on: in the spool; in S3, unchecked, if its disk does not take them."""
    try:
        return {"spool": ports.spool.keep(claim.job_id, claim.attempt, index, content)}
    except OSError as error:
        log.error("submit.no_disk", job_id=claim.job_id, attempt=claim.attempt, told=error.strerror)
    key = storage.unchecked_key(claim.project_id, claim.job_id, claim.attempt, index)
    ports.store.put_bytes(key, content, storage.UNTYPED, {"job": claim.job_id, "attempt": str(claim.attempt)})
    return {"object": key}


def refuse(claim: Claim, error: GatewayError, ports: Ports) -> None:
    """Let the policy decide what follows from a refusal, and write that down."""
    waits = claim.waits if claim.waits_for == error.error_class else 0
    is_accepted = claim.state is State.RUNNING
    is_findable = evidence.is_findable(claim)
    tried = policy.Tried(claim.attempt, claim.max_attempts, claim.on_unknown, waits, is_accepted, is_findable)
    decision = policy.decide(error, tried, ports.random)
    told = f"{error.error_class}: {error.message}"
    with ports.transaction() as session:
        if decision.cause is Cause.UNKNOWN and is_findable:
            told = evidence.told(session, claim, told)
        _tell_lane(session, claim, error, ports)
        moved = claims.move(
            session,
            claim,
            decision.cause,
            reason=told,
            due_in_s=decision.due_in_s,
            waits_for=error.error_class.value if decision.cause in claims.UNCOUNTED else None,
            data=claims.as_error(error, retryable=decision.due_in_s is not None),
        )
        if moved:
            claims.keep_result(session, claim, error=error, retryable=decision.due_in_s is not None)
            if decision.cause is Cause.UNKNOWN:
                evidence.keep(session, claim, error, is_findable=is_findable)
            if is_accepted and error.error_class is ErrorClass.UNKNOWN_OUTCOME and decision.cause is not Cause.UNKNOWN:
                late.leave(session, claim, claim.state)  # the gateway knows its task no more; perhaps it will again
    log.info("submit.refused", job_id=claim.job_id, attempt=claim.attempt, code=error.code, cause=decision.cause)


def _tell_lane(session: Session, claim: Claim, error: GatewayError, ports: Ports) -> None:
    """What a refusal says of all jobs of its lane; before the job moves: all lock the lane first, and then the job."""
    if policy.slows(error):
        lanes.slow(session, claim.lane, claim.job_id, f"{error.error_class}: {error.message}")
    if policy.slows(error) and error.retry_after_s:
        asked_s = min(error.retry_after_s, policy.PAUSE_S)
        lanes.pause(session, claim.lane, asked_s, f"the gateway asks to wait: {error.message}")
    sick = policy.sick_with(error)
    if claim.state is not State.SUBMITTING:
        return  # about a task, not about a call
    if sick is not None:
        lanes.suffer(session, claim.lane, claim.job_id, sick, error.message, ports.random)
    elif error.upstream_status is not None:
        lanes.answered(session, claim.lane, claim.job_id, is_success=False)
