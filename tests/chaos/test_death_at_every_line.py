"""I2, I3, I6: a process dies at each line from the claim to the last move, and another one finishes its work.

Not by chance: a first run tells which lines of the roles are reached, then one run dies at each of them.  Who is dead
writes nothing any more, neither to the database nor to S3 nor to the gateway; a call that has left goes on.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import pytest
from sqlalchemy import text
from sqlmodel import Session

from shared import claims, events, ids
from shared.credentials import CREDENTIAL
from shared.lifecycle import State
from shared.tables import Job
from tests import factories, rows
from tests.factories import RecordedHints
from tests.sandbox import SandboxServer
from workers import dispatch, inputs, patience, poll, spool, store, submit, sweep
from workers.ports import Ports

ROLES: Final = {str(module.__file__) for module in (poll, spool, store, submit)}
WRITES: Final = {str(module.__file__) for module in (claims, events, inputs, patience)}
"""What every way goes through alike, and so one of them dies in."""
ROUNDS: Final = 12
Line = tuple[str, int]


class Died(BaseException):
    """The end of a process: nothing may handle it."""


class Mortal:
    """A process that dies when it comes to a line."""

    def __init__(self, ports: Ports, files: set[str], dies_at: Line | None = None) -> None:
        self._files = files
        self.is_dead = False
        self.lines: dict[Line, None] = {}
        """Those that it came to, in order."""
        self.under_way: list[Future[Any]] = []
        self._dies_at = dies_at
        self.ports = replace(
            ports,
            process_id=ids.new("process"),
            hints=RecordedHints(),
            transaction=self._transaction_of(ports),
            gateways=factories.gateways(cast(Any, Reached(ports.gateways.of(CREDENTIAL), self))),
            store=cast(Any, Reached(ports.store, self)),
        )

    def live(self, act: Callable[[Ports], object]) -> None:
        """Do something, and perhaps die of it."""
        if self.is_dead:
            return
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            act(self.ports)
        except Died:
            self.is_dead = True
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            self.lines[line] = None
            if line == self._dies_at:
                self.is_dead = True
                raise Died
        return self._trace

    def _transaction_of(self, ports: Ports) -> Any:
        @contextmanager
        def transaction() -> Iterator[Session]:
            self.check()
            with ports.transaction() as session:
                yield session
                self.check()  # it died inside, and something caught it: what it did is rolled back

        return transaction

    def check(self) -> None:
        if self.is_dead:
            raise Died


class Reached:
    """Something outside, which a dead process does not reach."""

    def __init__(self, what: object, by: Mortal) -> None:
        self._what, self._by = what, by

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._what, name)
        if not callable(found):
            return found

        def called(*arguments: Any, **named: Any) -> Any:
            self._by.check()
            answer = found(*arguments, **named)
            if isinstance(answer, Future):
                self._by.under_way.append(answer)
            return answer

        return called


def come_due(ports: Ports, job: Job) -> None:
    """Let time pass for the job."""
    with ports.transaction() as session:
        session.execute(
            text("""
                UPDATE jobs SET
                    due_at = CASE WHEN state = 'dispatched' OR claimed_by IS NOT NULL THEN due_at ELSE now() END,
                    moved_at = moved_at - interval '10 minutes'
                WHERE id = :id AND state NOT IN ('succeeded', 'failed', 'canceled', 'held')
            """),
            {"id": job.id},
        )


def live_through(process: Mortal, job: Job, ports: Ports) -> None:
    """The whole way of a job in one process."""
    process.live(lambda mine: submit.submit([job.id], mine))
    while not process.is_dead and rows.read(ports, job).state in (State.RUNNING, State.STORING):
        come_due(ports, job)
        process.live(poll.poll)
        process.live(lambda mine: store.store([job.id], mine))


def finish(ports: Ports, job: Job) -> Job:
    """What another process makes of it."""
    other = replace(ports, process_id=ids.new("process"), hints=RecordedHints())
    for _ in range(ROUNDS):
        row = rows.read(other, job)
        if row.state in (State.SUCCEEDED, State.FAILED, State.HELD):
            return row
        come_due(other, job)
        sweep.sweep(other)
        dispatch.dispatch(other)
        submit.submit([job.id], other)
        poll.poll(other)
        store.store([job.id], other)
    return rows.read(other, job)


def charges(sandbox: SandboxServer, job_prompt: str) -> int:
    return len(list(sandbox.ledger(prompt=job_prompt.split(" [[")[0])))


WAYS: Final = {
    "a picture by link": ("image.generate", "variant=url", ROLES | WRITES),
    "a picture in hand": ("image.generate", "variant=b64_json", ROLES),
    "a film": ("video.create", "render=plain", ROLES),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
def test_whoever_dies_wherever_the_job_is_paid_once_and_stored_or_held(
    ports: Ports, sandbox: SandboxServer, way: str
) -> None:
    operation, tag, files = WAYS[way]
    told_of: list[str] = []

    def one(dies_at: Line | None) -> Mortal:
        prompt = rows.prompt(tag, "latency=0")
        job = rows.make(ports, operation=operation, prompt=prompt)
        process = Mortal(ports, files, dies_at)
        live_through(process, job, ports)
        for call in process.under_way:
            call.exception(30)
        row = finish(ports, job)
        told_of.extend(wrong(ports, job, row, charges(sandbox, prompt), dies_at))
        return process

    lines = list(one(None).lines)
    ends = [one(line).is_dead for line in lines]

    assert len(lines) > 100, "the tracer does not see the roles"
    assert sum(ends) >= len(lines) * 0.9, "most runs should die where they are told to"
    assert told_of == []


def wrong(ports: Ports, job: Job, row: Job, paid: int, dies_at: Line | None) -> Iterator[str]:
    """What must not be."""
    at = "nowhere" if dies_at is None else f"{Path(dies_at[0]).name}:{dies_at[1]}"
    if row.state not in (State.SUCCEEDED, State.HELD):
        yield f"death at {at}: {row.state} ({row.state_reason})"
    if paid > 1 or (paid == 0 and row.state is State.SUCCEEDED):
        yield f"death at {at}: {row.state} and paid {paid} times"
    if row.state is State.SUCCEEDED:
        yield from (f"death at {at}: {told}" for told in not_kept(ports, job))
    yield from (f"death at {at}: {told}" for told in out_of_order(ports, job))


def not_kept(ports: Ports, job: Job) -> Iterator[str]:
    found = rows.artifacts(ports, job)
    if not found:
        yield "succeeded without an artifact"
    for artifact in found:
        opened = ports.store.open(artifact.object_key)
        content = b"".join(opened)
        if hashlib.sha256(content).hexdigest() != artifact.sha256:
            yield f"artifact {artifact.index} is not what its row says"


def out_of_order(ports: Ports, job: Job) -> Iterator[str]:
    """Each move begins where the one before it ended, and is told once."""
    with ports.transaction() as session:
        told = session.execute(
            text("SELECT from_state, state FROM events WHERE job_id = :id AND cause IS NOT NULL ORDER BY seq"),
            {"id": job.id},
        ).all()
    for before, after in itertools.pairwise(told):
        if before.state != after.from_state:
            yield f"events out of order: {[tuple(one) for one in told]}"
            return
