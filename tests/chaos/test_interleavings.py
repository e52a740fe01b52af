"""I2, I4, I5, I7: whatever several processes, callers and sweeps do to jobs, in whatever order.

Hypothesis drives the roles themselves on a real PostgreSQL.  Each process may stop at any commit, paid call, question
or upload, be taken for dead meanwhile, and go on; two transactions may meet while the first one holds its locks.  The
gateway keeps a ledger, and after every step a referee looks at everything.

`CHAOS_EXAMPLES=200` (of each story) looks for much longer, and elsewhere each time.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, Phase, currently_in_test_context, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr
from sqlalchemy import func, text
from sqlmodel import Session
from tenacity import wait_none

from api.jobs import steering
from api.shapes import Resolution
from shared import claims, db
from shared.claims import Claim
from shared.credentials import Credential
from shared.db import Transaction
from shared.errors import Conflict, StorageUnavailable
from shared.lifecycle import FINAL, MOVES, NOT_BEGUN_ANEW, Cause, State
from shared.policy import OnUnknown
from shared.settings import Settings
from shared.tables import Lane
from tests import factories
from tests.chaos.actors import Act, At, Cellar, Clock, Halt, Killed, Stop, Worker
from tests.chaos.referee import Referee, is_open
from tests.chaos.upstream import UNCHARGED, URL, Answer, Charge, Task, Upstream
from workers import adoption, dispatch, late, patience, poll, reconcile, store, submit, sweep
from workers.ports import Ports

PROCESSES: Final = 3
SECRET: Final = SecretStr("sk-nobody")
CREDENTIALS: Final = (
    Credential(name="alpha", base_url=URL, api_key=SECRET),
    Credential(name="beta", base_url=URL, api_key=SECRET, models=("midjourney*",)),
)
"""Two keys, of which the second one opens less."""
LIMITS: Final = {"alpha": 1, "beta": 1}
JOBS: Final = (
    ("midjourney.imagine", "alpha", False),
    ("image.generate", "alpha", False),
    ("midjourney.imagine", "beta", True),
)
"""Operation, credential, and whether it goes on from a task that only this one knows."""
ROUNDS: Final = 30
"""Everything has come to rest after so many at the latest."""
NO_MATTER: Final = ("_see_spool", "_collect_spool", "_forget_keys", "_flush_figures")
"""What a sweep does besides, and what takes most of its time."""

_CLEAN: Final = text("""
    UPDATE jobs SET state = 'canceled', claimed_by = NULL WHERE state NOT IN ('succeeded', 'failed', 'canceled')
""")
_COME_DUE: Final = (
    text("UPDATE jobs SET due_at = now() - interval '1 s' WHERE lane = ANY(:lanes) AND due_at IS NOT NULL"),
    text("UPDATE late_results SET due_at = now() - interval '1 s' WHERE lane = ANY(:lanes) AND due_at IS NOT NULL"),
    text("""UPDATE held_attempts SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL"""),
    text("UPDATE gateway_views SET tried_at = NULL, earlier = '[]' WHERE name LIKE '%.log'"),
    text("""UPDATE lanes SET tokens = 100, slowed_to = NULL, slowed_at = NULL,
        paused_until = CASE WHEN paused_until = 'infinity' THEN paused_until END WHERE name = ANY(:lanes)"""),
)
_LOCKED: Final = text("""
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = :name AND wait_event_type = 'Lock')
""")

UNFINISHED: Final = tuple(state for state in State if state not in FINAL)
TICKS: Final = {
    "dispatch": (State.QUEUED,),
    "submit": (State.DISPATCHED,),
    "look": (State.RUNNING,),
    "store": (State.STORING,),
    "search": (State.HELD,),
    "sweep": (State.DISPATCHED, State.SUBMITTING, State.STORING),
}
WISHES: Final = {
    "cancel": UNFINISHED,
    "retry": (State.FAILED, State.CANCELED, State.HELD),
    "resolve retry": (State.HELD,),
    "resolve failed": (State.HELD,),
    "resolve running": (State.HELD,),
}
MEETINGS: Final = {**TICKS, **WISHES, "return hints": (State.DISPATCHED,)}
"""What processes and people do, and the states that give it something to do."""
LATE: Final = {"look late": "looking", "store late": "storing"}
"""The same for late results."""
STORIES: Final[Mapping[str, Sequence[str]]] = {
    "calls": (),
    "dispatched": ("throttled", "dispatch"),
    "a task": ("accepted",),
    "a result": ("accepted", "done", "look"),
    "a slow upload": ("accepted", "done", "look", "slow store"),
    "a call without its process": ("silent", "sweep"),
    "two attempts": ("silent", "sweep", "retry", "begin"),
    "a task of nobody": ("accepted", "cancel"),
    "a slow look at what is over": ("accepted", "done", "slow look", "cancel", "retry", "begin", "accepted"),
    "a sleeper": ("throttled", "dispatch", "sleepy submit"),
    "given back and not told": ("told twice", "begin"),
}
"""What may have happened to the first job when the steps begin, so that chance need not find it step by step."""
AGED: Final = "moved_at = now() - interval '2 hours'"
MISSED: Final = "deadline_at = now() - interval '1 s'"
"""What the time does to a row."""

numbers = st.integers(0, len(JOBS) - 1)
processes = st.integers(0, PROCESSES - 1)
opened = st.integers(0, 9)
"""Which of the acts that have stopped, or of the things that can be done."""
stops = st.one_of(
    st.none(),
    st.builds(Stop, st.sampled_from((1, 1, 2, 3, 3, 4)), st.sampled_from((Halt.AFTER, Halt.UNTOLD))),
)
answers = st.sampled_from((Answer.SUCCESS, Answer.SUCCESS, *Answer))


class Noise:
    """Takes the log, and keeps what tells of a bug."""

    def __init__(self) -> None:
        self.surprises: list[str] = []

    def __call__(self, _logger: object, method: str, line: MutableMapping[str, Any]) -> NoReturn:
        trouble = sys.exception()
        # Who stores what another one has stored finds its file gone, and that is all.
        is_ordinary = trouble is None or patience.passes(trouble) or isinstance(trouble, FileNotFoundError)
        if method == "error" and not is_ordinary:
            self.surprises.append(f"{line['event']}: {trouble!r}")
        raise structlog.DropEvent


@dataclass(frozen=True)
class House:
    """What all examples share."""

    ports: Ports
    look: Transaction
    """Of nobody's: sees what is committed."""
    slots: tuple[Transaction, ...]
    """Connections of each process."""
    people: Transaction
    noise: Noise


def any_in(*states: State) -> Callable[[Any], Any]:
    """For a rule that makes sense only while a job is in one of these states."""
    return precondition(lambda self: self.in_state(*states))


class Jobs(RuleBasedStateMachine):
    """Three jobs, two lanes, three processes, and people."""

    house: House
    story: str
    """What has happened already, one of `STORIES`."""

    known: Bundle[Claim] = Bundle("known")
    """What people have seen of jobs, a while ago."""

    @initialize(
        on_unknown=st.tuples(*[st.sampled_from(OnUnknown)] * len(JOBS)),
        ends=st.sampled_from(Answer),
    )
    def begin_anew(self, on_unknown: tuple[OnUnknown, ...], ends: Answer) -> None:
        house, family = self.house, uuid.uuid4().hex
        self.ends = ends
        self.lanes = {name: f"{name}.{family}" for name in LIMITS}
        self.cellar = Cellar()
        self.upstream = Upstream(house.look, CREDENTIALS)
        self.acts: list[Act] = []
        """Those that have stopped somewhere."""
        self.is_wrong = False
        house.noise.surprises.clear()
        with house.look() as session:
            session.execute(_CLEAN)
            for name, limit in LIMITS.items():
                values: dict[str, Any] = {
                    "limit": limit,
                    "rate_per_minute": 60_000,
                    "tokens": 100.0,
                    "tokens_at": func.now(),
                }
                session.add(Lane(name=self.lanes[name], **values))
            self.project_id = factories.project(session).id
            self.job_ids: list[str] = []
            for (operation, name, pinned), then in zip(JOBS, on_unknown, strict=True):
                prompt = f"boat {uuid.uuid4().hex}"
                job = factories.job(
                    session,
                    operation=operation,
                    prompt=prompt,
                    lane_name=self.lanes[name],
                    project_id=self.project_id,
                    on_unknown=then,
                    pinned=pinned,
                    priority=len(JOBS) - len(self.job_ids),
                )
                self.upstream.job_ids[prompt] = job.id
                self.job_ids.append(job.id)
        self.workers = [self._born(slot) for slot in range(PROCESSES)]
        self.person = Worker(house.ports, house.people, self.upstream, self.cellar)
        limits = {self.lanes[name]: limit for name, limit in LIMITS.items()}
        self.referee = Referee(house.look, self.upstream, self.cellar, limits)
        self.referee.know(self.job_ids)
        self.begin_all(0)
        for step in STORIES[self.story]:
            self.all_is_well()
            self._tell(step)

    def _tell(self, step: str) -> None:
        """What happened before."""
        if step in ("accepted", "throttled", "told twice"):
            answer = Answer.SUCCESS if step == "accepted" else Answer.THROTTLED
            calls = [act.charge.job_id for act in self.calls() if act.charge is not None]
            self.answer(calls.index(self.job_ids[0]), answer, Stop(1, Halt.UNTOLD) if step == "told twice" else None)
        elif step == "silent":
            self.silence(self.workers[0])
        elif step == "done":
            self.end_task(0, Task.DONE)
        elif step == "begin":
            self.begin_all(1)
        else:
            worker, work, _ = self.meeting(step.removeprefix("slow ").removeprefix("sleepy "), 1, 0)
            self.come_due()
            stop = Stop(3, Halt.AFTER) if step.startswith("sleepy") else None
            self.do(worker, work, stop, is_slow=step.startswith("slow"))

    def _born(self, slot: int) -> Worker:
        worker = Worker(self.house.ports, self.house.slots[slot], self.upstream, self.cellar)
        with self.house.look() as session:
            claims.beat(session, worker.process_id, f"process {slot}", "a host", slot)
        return worker

    def in_state(self, *states: State) -> list[int]:
        """The numbers of the jobs that are there."""
        return [number for number, job_id in enumerate(self.job_ids) if self.referee.jobs[job_id].state in states]

    def _one(self, number: int, *states: State) -> int:
        """A job in one of these states, if there is any."""
        found = self.in_state(*states)
        return found[number % len(found)] if found else number

    def late_in(self, state: str) -> list[Any]:
        return [row for row in self.referee.late.values() if row.state == state]

    # What processes do.

    def do(self, worker: Worker, work: Callable[[Ports], object], stop: Stop | None = None, **how: Any) -> Act:
        act = Act(worker, work, stop, **how).begin()
        act.settle()
        return self._watch(act)

    def _watch(self, act: Act) -> Act:
        """It has stopped or ended."""
        if act.at is not At.END:
            self.acts.append(act)
        elif isinstance(act.trouble, AssertionError):
            raise act.trouble
        return act

    def come_due(self) -> None:
        with self.house.look() as session:
            for statement in _COME_DUE:
                session.execute(statement, {"lanes": list(self.lanes.values())} if ":lanes" in statement.text else {})

    @rule(index=opened, number=numbers, by=processes, is_slow=st.booleans(), stop=stops)
    def tick(self, index: int, number: int, by: int, is_slow: bool, stop: Stop | None) -> None:
        """A process does one of the things that can be done now; a hint may be a doubled or a late one."""
        self.come_due()
        worker, work, _ = self.meeting(self._sensible(index, TICKS), by, number)
        self.do(worker, work, stop, is_slow=is_slow)

    @any_in(State.QUEUED)
    @rule(by=processes)
    def begin_all(self, by: int) -> None:
        """The usual way, so that chance need not find it step by step."""
        self.come_due()
        worker = self.workers[by]
        self.do(worker, dispatch.dispatch)
        for job_id in self.job_ids:
            if job_id in worker.hinted:
                self.do(worker, partial(submit.submit, [job_id]))
        worker.hinted.clear()

    @precondition(lambda self: self.calls())
    @rule(index=opened, answer=st.sampled_from((Answer.SUCCESS, Answer.SUCCESS, Answer.LOST)), stop=stops)
    def answer(self, index: int, answer: Answer, stop: Stop | None) -> None:
        """A paid call is answered: in time, or long after its process was taken for dead."""
        act = self.calls()[index % len(self.calls())]
        self.acts.remove(act)
        self.go_from(act, answer, stop)

    def go_from(self, act: Act, answer: Answer, stop: Stop | None) -> None:
        """It goes on from where it stopped."""
        before = self.referee.jobs[act.charge.job_id] if act.charge is not None else None
        self._released(act, answer, stop)
        act.settle()
        self._watch(act)
        self._heard(act, answer)
        if before is not None and act.charge is not None and act.was_at is At.CALL and answer is Answer.SUCCESS:
            is_welcome = before.attempt == act.charge.attempt and before.state in NOT_BEGUN_ANEW
            assert act.charge.is_taken or act.holds_locks or not is_welcome, (
                f"{before.id} did not take its late success"
            )

    @precondition(lambda self: self.calls())
    @rule(index=opened, answer=st.sampled_from(sorted(UNCHARGED)), stop=stops)
    def refuse(self, index: int, answer: Answer, stop: Stop | None) -> None:
        """The same, and nothing was charged."""
        self.answer(index, answer, stop)

    @precondition(lambda self: len(self.acts) > len(self.calls()))
    @rule(index=opened, answer=answers, stop=stops)
    def go_on(self, index: int, answer: Answer, stop: Stop | None) -> None:
        """Whoever has stopped elsewhere goes on."""
        waiting = [act for act in self.acts if act.at is not At.CALL]
        act = waiting[index % len(waiting)]
        self.acts.remove(act)
        self.go_from(act, answer, stop)

    def calls(self) -> list[Act]:
        return [act for act in self.acts if act.at is At.CALL]

    def _released(self, act: Act, answer: Answer, stop: Stop | None) -> None:
        where, charge = act.at, act.charge
        if where is At.CALL and charge is not None:
            act.is_slow = charge.number % 2 == 0
            act.go_on(self.upstream.answer(charge, answer), stop)
        elif where is At.UPLOAD and answer is Answer.LOST:
            act.go_on(StorageUnavailable("S3 is away"), stop)
        else:
            act.go_on(None, stop)
        act.was_at = where

    def _heard(self, act: Act, answer: Answer) -> None:
        """A living process has been told of a success: from now on nothing of it may be lost."""
        if act.was_at is At.CALL and act.charge is not None and answer is Answer.SUCCESS and not act.holds_locks:
            self._check(self.referee.look())
            self._check(self.referee.heard(act.charge))

    @precondition(lambda self: self.acts)
    @rule(index=opened, by=processes, is_killed=st.booleans())
    def end_one_that_has_stopped(self, index: int, by: int, is_killed: bool) -> None:
        """It dies, or is silent for so long that it counts as dead; another one looks."""
        worker = self.acts[index % len(self.acts)].worker
        slot = self.workers.index(worker) if worker in self.workers else None
        if slot is None:
            return
        self.silence(worker)
        if is_killed:
            self.kill(worker)
            self.workers[slot] = self._born(slot)
        other = self.workers[by if by != slot else (by + 1) % PROCESSES]
        self.do(other, sweep.sweep)
        self._beat(worker)  # whether it is known to live again changes nothing of what it held

    def _beat(self, worker: Worker) -> None:
        with self.house.look() as session:
            claims.beat(session, worker.process_id, "a process", "a host", 1)

    def silence(self, worker: Worker) -> None:
        with self.house.look() as session:
            session.execute(
                text("UPDATE processes SET heartbeat_at = now() - interval '5 min' WHERE id = :id"),
                {"id": worker.process_id},
            )

    def kill(self, worker: Worker) -> None:
        worker.is_dead = True
        for act in [act for act in self.acts if act.worker is worker]:
            self.acts.remove(act)
            act.go_on(Killed() if act.at is At.CALL else None).settle()

    # What the gateway and the time do.

    @precondition(lambda self: self._unfinished())
    @rule(index=opened, becomes=st.sampled_from((Task.DONE, Task.DONE, Task.FAILED)))
    def end_task(self, index: int, becomes: Task) -> None:
        tasks = self._unfinished()
        tasks[index % len(tasks)].task = becomes

    def _unfinished(self) -> list[Charge]:
        return [charge for charge in self.upstream.tasks() if charge.task is Task.RUNNING]

    @rule(what=st.sampled_from(("age", "age", "deadline", "pause", "go on")), number=numbers, by=processes)
    def time_passes(self, what: str, number: int, by: int) -> None:
        """A hint is lost, a call forgotten, a deadline missed, or a lane paused, so that the other takes its work."""
        if what == "age":
            self.change(self._one(number, State.DISPATCHED, State.SUBMITTING, State.RUNNING), AGED)
        elif what == "deadline":
            self.change(self._one(number, *UNFINISHED), MISSED)
        else:
            self.pause(sorted(LIMITS)[number % len(LIMITS)], is_paused=what == "pause")
        self.do(self.workers[by], dispatch.dispatch if what == "pause" else sweep.sweep)

    def pause(self, name: str, *, is_paused: bool) -> None:
        until = "'infinity'" if is_paused else "NULL"
        with self.house.look() as session:
            session.execute(
                text(f"UPDATE lanes SET paused_until = {until} WHERE name = :lane"), {"lane": self.lanes[name]}
            )

    def _age(self) -> None:
        """Who holds anything has been silent for long, and hints are lost."""
        for act in self.acts:
            self.silence(act.worker)
        for number in self.in_state(State.DISPATCHED):
            self.change(number, AGED)

    def change(self, number: int, change: str) -> None:
        with self.house.look() as session:
            session.execute(
                text(f"UPDATE jobs SET {change} WHERE id = :id AND state NOT IN ('succeeded', 'failed', 'canceled')"),
                {"id": self.job_ids[number]},
            )

    # What people do.

    def _steer(self, act: Callable[[Session, str, str], object], number: int) -> Callable[[Ports], object]:
        def work(ports: Ports) -> None:
            try:
                with ports.transaction() as session:
                    act(session, self.project_id, self.job_ids[number])
            except Conflict:
                pass

        return work

    @rule(index=opened, number=numbers)
    def steer(self, index: int, number: int) -> None:
        worker, work, _ = self.meeting(self._sensible(index, WISHES), 0, number)
        self.do(worker, work)

    def _resolve(self, number: int, outcome: str) -> Callable[[Ports], object]:
        job = self.referee.jobs[self.job_ids[number]]
        tasks = [one.task_id for one in self.upstream.tasks() if (one.job_id, one.attempt) == (job.id, job.attempt)]
        if outcome == "running" and not tasks:
            return lambda ports: None
        said = Resolution.model_validate({"as": outcome} | ({"task_id": tasks[0]} if outcome == "running" else {}))
        catalog = self.house.ports.catalog

        def resolve(session: Session, project_id: str, job_id: str) -> None:
            steering.resolve(session, project_id, job_id, said, catalog)

        return self._steer(resolve, number)

    @rule(target=known, number=numbers)
    def read(self, number: int) -> Any:
        with self.house.people() as session:
            claim = claims.read(session, self.job_ids[number])
        return multiple() if claim is None else claim

    @rule(
        claim=consumes(known),
        cause=st.sampled_from((Cause.CANCELED, Cause.REQUEUED, Cause.RESOLVED_RETRY, Cause.RESOLVED_FAILED)),
    )
    def decide_on_old_news(self, claim: Claim, cause: Cause) -> None:
        """Between the look of a caller's transaction and its write others have written."""
        if (claim.state, cause) in MOVES:
            with self.house.people() as session:
                claims.move(session, claim, cause)

    # Two at once.

    def _sensible(self, index: int, among: Mapping[str, Sequence[State]]) -> str:
        """One of the things that can be done now."""
        found = [what for what, states in among.items() if self.in_state(*states)]
        if among is not WISHES:
            found += [what for what, state in LATE.items() if self.late_in(state)]
        return found[index % len(found)] if found else "sweep"

    def meeting(self, what: str, by: int, number: int) -> tuple[Worker, Callable[[Ports], object], bool]:
        """Who does it, what, and whether it may have to wait for a lock."""
        worker = self.workers[by]
        ways: dict[str, tuple[Worker, Callable[[Ports], object], bool]] = {
            "dispatch": (worker, dispatch.dispatch, False),
            "look": (worker, poll.poll, False),
            "store": (worker, lambda ports: store.store(None, ports, most=1), False),
            "look late": (worker, late.look, False),
            "store late": (worker, late.keep, False),
            "return hints": (worker, _return_hints, False),
            "submit": (worker, partial(submit.submit, [self.job_ids[self._one(number, State.DISPATCHED)]]), True),
            "sweep": (worker, sweep.sweep, True),
            "search": (worker, reconcile.reconcile, True),
            "cancel": (self.person, self._steer(steering.cancel, number), True),
            "retry": (self.person, self._steer(steering.retry, self._one(number, *WISHES["retry"])), True),
            "resolve retry": (self.person, self._resolve(self._one(number, State.HELD), "retry"), True),
            "resolve failed": (self.person, self._resolve(self._one(number, State.HELD), "failed"), True),
            "resolve running": (self.person, self._resolve(self._one(number, State.HELD), "running"), True),
        }
        return ways[what]

    @rule(
        first=opened,
        second=st.none() | opened,
        by=st.permutations(range(PROCESSES)),
        number=numbers,
        other=st.none() | numbers,
        commit=st.sampled_from((1, 1, 2, 3)),
        is_old=st.booleans(),
    )
    def meet(
        self, first: int, second: int | None, by: list[int], number: int, other: int | None, commit: int, is_old: bool
    ) -> None:
        """The second one comes while the first one has written, and not committed yet."""
        self.come_due()
        if is_old:
            self._age()
        worker, work, _ = self.meeting(self._sensible(first, MEETINGS), by[0], number)
        one = Act(worker, work, Stop(commit, Halt.BEFORE), is_slow=True).begin()
        one.settle()
        second = first if second is None else second
        self.meet_at(one, self._sensible(second, MEETINGS), by[1], number if other is None else other)

    @precondition(lambda self: self.calls())
    @rule(
        index=opened,
        answer=answers,
        second=opened,
        by=processes,
        commit=st.integers(1, 2),
    )
    def meet_an_answer(self, index: int, answer: Answer, second: int, by: int, commit: int) -> None:
        """The second one comes while the answer of a paid call is written down."""
        one = self.calls()[index % len(self.calls())]
        self.acts.remove(one)
        self.come_due()
        self.silence(one.worker)
        self._released(one, answer, Stop(commit, Halt.BEFORE))
        one.settle()
        assert one.charge is not None
        slots = [slot for slot in range(PROCESSES) if self.workers[slot] is not one.worker]
        self.meet_at(
            one, self._sensible(second, MEETINGS), slots[by % len(slots)], self.job_ids.index(one.charge.job_id)
        )
        self._heard(one, answer)

    def meet_at(self, one: Act, second: str, by: int, number: int) -> None:
        if one.at is not At.COMMIT:
            self._watch(one)
            return
        worker, work, may_wait = self.meeting(second, by, number)
        if worker is one.worker:
            worker = self.workers[by]
        two = Act(worker, work, is_slow=True).begin()
        where = two.settle(partial(self._waits_for_lock, worker))
        one.go_on().settle()
        two.settle()
        self._watch(one)
        self._watch(two)
        assert may_wait or where is not At.LOCK, f"{second} waited for another transaction"

    def _waits_for_lock(self, worker: Worker) -> bool:
        slot = self.workers.index(worker) if worker in self.workers else "people"
        with self.house.look() as session:
            return bool(session.execute(_LOCKED, {"name": _name(slot)}).scalar_one())

    # What must hold.

    @invariant()
    def all_is_well(self) -> None:
        self._check(self.referee.look())

    def _check(self, wrong: list[str]) -> None:
        wrong = wrong + self.house.noise.surprises
        self.is_wrong = self.is_wrong or bool(wrong)
        assert not wrong, "\n".join(wrong)

    def teardown(self) -> None:
        if not hasattr(self, "referee"):
            return
        try:
            if not self.is_wrong:
                self._come_to_rest()
        finally:
            for worker in (*{act.worker for act in self.acts},):
                self.kill(worker)

    def _come_to_rest(self) -> None:
        """Whoever has stopped hears something, all processes die, and one that is new brings everything to its end."""
        for act in list(self.acts):
            self.acts.remove(act)
            self._released(act, self.ends, None)
            while act.settle() is not At.END:
                act.go_on()
            self._heard(act, self.ends)
        for worker in self.workers:
            self.silence(worker)
        last = self._born(0)
        self.workers = [last]
        for _ in range(ROUNDS):
            self._round(last)
            if self._is_at_rest():
                break
        self._check(self.referee.end())
        if currently_in_test_context():  # and not one of the known orders
            target(len(self.referee.ways), label="ways")

    def _round(self, last: Worker) -> None:
        for name in LIMITS:
            self.pause(name, is_paused=False)
        for number in range(len(JOBS)):
            self.change(number, AGED)
        self.come_due()
        for charge in self._unfinished():
            charge.task = Task.DONE
        for work in (sweep.sweep, dispatch.dispatch):
            self.do(last, work)
        for job_id in self.job_ids:
            act = Act(last, partial(submit.submit, [job_id])).begin()
            if act.settle() is At.CALL:
                self._released(act, Answer.SUCCESS, None)
                act.is_slow = False
                act.settle()
        self._check(self.referee.look())
        for what in ("look", "search", "store"):
            if self.in_state(*TICKS[what]):
                self.do(last, self.meeting(what, 0, 0)[1])
        for what, state in LATE.items():
            if self.late_in(state):
                self.do(last, self.meeting(what, 0, 0)[1])
        self._check(self.referee.look())

    def _is_at_rest(self) -> bool:
        resting = ("succeeded", "failed", "canceled", "held")
        is_over = all(job.state in resting for job in self.referee.jobs.values())
        return is_over and not any(is_open(row) for row in self.referee.late.values())


def _return_hints(ports: Ports) -> None:
    with ports.transaction() as session:
        claims.return_lost_hints(session, ports.settings.hint_lost_after_s, ports.process_id)


def _name(slot: int | str) -> str:
    return f"darkroom-act-{slot}"


@pytest.fixture
def house(
    ports: Ports, settings: Settings, transaction: Transaction, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    engines = {slot: db.engine(settings.database_url, 8, _name(slot)) for slot in (*range(PROCESSES), "people")}
    monkeypatch.setattr(submit, "time", Clock)
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: wait_none())
    monkeypatch.setattr(adoption, "RIPE_S", 0.0)
    monkeypatch.setattr("os.fsync", lambda _file: None)  # no power is cut here
    for chore in NO_MATTER:
        monkeypatch.setattr(sweep, chore, lambda _ports: None)
    known = replace(ports, settings=settings.model_copy(update={"gateways": CREDENTIALS}))
    slots = tuple(db.transactions(engines[slot]) for slot in range(PROCESSES))
    noise, processors = Noise(), structlog.get_config()["processors"]
    before = processors.copy()
    processors[:] = [noise]  # in place, since loggers keep the list
    yield House(known, transaction, slots, db.transactions(engines["people"]), noise)
    processors[:] = before
    for engine in engines.values():
        engine.dispose()


def machine(house: House, story: str = "calls") -> type[Jobs]:
    """The jobs, in this house: Hypothesis makes them without arguments."""
    return type("JobsHere", (Jobs,), {"house": house, "story": story})


MANY: Final = "CHAOS_EXAMPLES"
HEALTHY: Final = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def plan() -> settings:
    """In CI the same examples each time; if more are asked for, others each time."""
    if MANY in os.environ:
        return settings(
            max_examples=int(os.environ[MANY]), stateful_step_count=60, deadline=None, suppress_health_check=HEALTHY
        )
    return settings(
        max_examples=5,
        stateful_step_count=18,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=HEALTHY,
    )


@pytest.mark.timeout(0 if MANY in os.environ else 300)
@pytest.mark.parametrize("story", STORIES)
def test_no_order_of_steps_breaks_what_must_hold(house: House, story: str) -> None:
    run_state_machine_as_test(machine(house, story), settings=plan())
