"""What must be true of some jobs after every step, by their rows, their events, S3 and the gateway's ledger."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, text

from shared.db import Transaction
from shared.lifecycle import FINAL, IN_FLIGHT, MOVES, NOT_BEGUN_ANEW, Cause, State
from tests.chaos.actors import Cellar
from tests.chaos.upstream import Charge, Task, Upstream

ITS_OWN: Final = frozenset({State.SUBMITTING, State.RUNNING, State.STORING, State.SUCCEEDED})
"""A job that is here is at its attempt itself: nothing of that is late."""
TAKEN: Final = frozenset({State.RUNNING, State.STORING, State.SUCCEEDED})
"""A job that is here has what came of its attempt."""
UNCOUNTED: Final = frozenset({Cause.NOT_SENT, Cause.THROTTLED})
TAKEN_UP: Final = frozenset({Cause.ACCEPTED, Cause.FOUND, Cause.RESOLVED_RUNNING})
"""Whoever comes back from where nothing is in flight by one of these is running at the gateway, whatever the limit."""
PROGRESS: Final = "job.progress"

_JOBS: Final = text("""
    SELECT id, state, attempt, lane, pinned, claimed_by, due_at, upstream_task_id, on_unknown, model
    FROM jobs WHERE id = ANY(:ids)
""")
_EVENTS: Final = text("""
    SELECT seq, job_id, type, attempt, cause, from_state, state, process_id, data FROM events
    WHERE job_id = ANY(:ids) AND seq > :seq ORDER BY seq
""")
_LATE: Final = text("""
    SELECT job_id, attempt, state, upstream_task_id FROM late_results WHERE job_id = ANY(:ids)
""")
_ARTIFACTS: Final = text("""
    SELECT job_id, attempt, index, sha256, object_key FROM artifacts WHERE job_id = ANY(:ids)
""")


class Referee:
    """Looks at everything after every step."""

    def __init__(self, look: Transaction, upstream: Upstream, cellar: Cellar, limits: Mapping[str, int]) -> None:
        """
        Args:
            limits: by lane.
        """
        self._look, self._upstream, self._cellar, self._limits = look, upstream, cellar, limits
        self._seq = 0
        self.jobs: dict[str, Row[Any]] = {}
        self.late: dict[tuple[str, int], Row[Any]] = {}
        self.artifacts: list[Row[Any]] = []
        self.at: dict[str, tuple[State, int]] = {}
        """State and attempt of each job, as its events tell."""
        self._holders: dict[str, str] = {}
        """Who took each job last."""
        self.ways: Counter[tuple[str, str]] = Counter()
        """How often a job went from a state by a cause."""
        self._pinned: dict[str, str] = {}
        self._lanes: dict[str, str] = {}
        """Where each job was at the last look."""

    def know(self, job_ids: Sequence[str]) -> None:
        """The jobs, as they begin."""
        with self._look() as session:
            self.jobs = {row.id: row for row in session.execute(_JOBS, {"ids": list(job_ids)})}
        self.at = {job_id: (State(row.state), row.attempt) for job_id, row in self.jobs.items()}
        self._lanes = {job_id: row.lane for job_id, row in self.jobs.items()}
        self._pinned = {job_id: row.lane for job_id, row in self.jobs.items() if row.pinned}

    def look(self) -> list[str]:
        """What is wrong, if anything."""
        ids = {"ids": list(self.at)}
        with self._look() as session:
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            self.jobs = {row.id: row for row in session.execute(_JOBS, ids)}
            news = list(session.execute(_EVENTS, {**ids, "seq": self._seq}))
            self.late = {(row.job_id, row.attempt): row for row in session.execute(_LATE, ids)}
            self.artifacts = list(session.execute(_ARTIFACTS, ids))
        wrong = list(self._upstream.faults)
        released: set[str] = set()
        slack: Counter[str] = Counter()
        for event in news:
            self._seq = event.seq
            if event.cause is not None:
                wrong += self._follow(event)
                lane = self.jobs[event.job_id].lane
                if event.cause == Cause.RELEASED:
                    released.add(lane)
                if event.cause in TAKEN_UP and event.from_state in NOT_BEGUN_ANEW:
                    slack[lane] += 1
            elif event.type == PROGRESS and (event.state, event.attempt) != self.at[event.job_id]:
                wrong.append(f"{event.job_id} is at {self.at[event.job_id]}, and attempt {event.attempt} goes on")
        wrong += self._check_limits(released, slack)
        let_go = {event.job_id for event in news if event.cause == Cause.RELEASED}
        wrong += [
            f"{job.id} is {job.state} and was lent from {self._lanes[job.id]} to {job.lane}"
            for job in self.jobs.values()
            if job.lane != self._lanes[job.id] and job.state != State.QUEUED and job.id not in let_go
        ]
        self._lanes = {job.id: job.lane for job in self.jobs.values()}
        by_job: defaultdict[str, list[Row[Any]]] = defaultdict(list)
        for artifact in self.artifacts:
            by_job[artifact.job_id].append(artifact)
        for job in self.jobs.values():
            wrong += self._check_row(job)
            wrong += self._check_artifacts(job, by_job[job.id])
        wrong += self._check_late()
        for charge in self._upstream.charges:
            job = self.jobs[charge.job_id]
            if charge.attempt == job.attempt and job.state in TAKEN and not charge.is_free:
                charge.is_taken = True
        return wrong

    def _follow(self, event: Row[Any]) -> list[str]:
        """Whether a move follows from where its job was."""
        state, attempt = self.at[event.job_id]
        cause = Cause(event.cause)
        self.ways[event.from_state, cause] += 1
        told = f"{event.job_id} moved {event.from_state} -> {event.state} by {cause}, attempt {event.attempt}"
        wrong = []
        if event.from_state != state:
            wrong.append(f"{told}, but it was {state}")
        if MOVES.get((State(event.from_state), cause)) != event.state:
            wrong.append(f"{told}: there is no such move")
        if state in FINAL and cause is not Cause.REQUEUED:
            wrong.append(f"{told}, but {state} is final")
        if cause is Cause.CLAIMED:
            self._holders[event.job_id] = event.process_id
        elif state is State.SUBMITTING and cause in UNCOUNTED and event.process_id != self._holders[event.job_id]:
            wrong.append(f"{told}, told by {event.process_id}, who does not hold it")
        now = attempt + (cause is Cause.CLAIMED)
        if event.attempt != now:
            wrong.append(f"{told}, but it was at {now}")
        self.at[event.job_id] = State(event.state), now - (cause in UNCOUNTED)
        return wrong

    def _check_row(self, job: Row[Any]) -> list[str]:
        """Whether the row is what its events make of it, and has what its state needs."""
        state, attempt = self.at[job.id]
        charge = next((one for one in self._upstream.of(job.id) if one.task_id == job.upstream_task_id), None)
        is_of_another = charge is None or (charge.job_id, charge.attempt) != (job.id, job.attempt)
        wrong = {
            f"is {job.state} at attempt {job.attempt}, and its events tell {state} at {attempt}": (
                (job.state, job.attempt) != (state, attempt)
            ),
            "is submitting and held by nobody": job.state == State.SUBMITTING and job.claimed_by is None,
            "is held by a process": job.claimed_by is not None
            and job.state not in (State.DISPATCHED, State.SUBMITTING, State.STORING),
            f"has the task {job.upstream_task_id} of another call": (
                job.upstream_task_id is not None and is_of_another and job.state in (State.RUNNING, State.STORING)
            ),
            "is queued and still has a task": job.state == State.QUEUED and job.upstream_task_id is not None,
            "is running without a task": job.state == State.RUNNING and job.upstream_task_id is None,
            "is never looked at again": job.state in (State.RUNNING, State.STORING) and job.due_at is None,
            f"is in lane {job.lane}, and pinned to another": self._pinned.get(job.id, job.lane) != job.lane,
            "has ended and is due": job.state in FINAL and job.due_at is not None,
        }
        return [f"{job.id} {told}" for told, is_so in wrong.items() if is_so]

    def _check_artifacts(self, job: Row[Any], artifacts: Sequence[Row[Any]]) -> list[str]:
        """Whether a success has its own, each is what was paid for, and each is in S3."""
        wrong = []
        if job.state == State.SUCCEEDED and job.attempt not in {one.attempt for one in artifacts}:
            wrong.append(f"{job.id} succeeded without an artifact")
        for one in artifacts:
            paid = [charge.sha256 for charge in self._upstream.of(job.id) if charge.attempt == one.attempt]
            if one.sha256 not in paid:
                wrong.append(f"the artifact of {job.id}, attempt {one.attempt}, is not what was paid for")
            kept = self._cellar.objects.get(one.object_key)
            if kept is None or hashlib.sha256(kept).hexdigest() != one.sha256:
                wrong.append(f"the artifact of {job.id}, attempt {one.attempt}, is not in S3")
        return wrong

    def _check_late(self) -> list[str]:
        wrong = []
        for (job_id, attempt), row in self.late.items():
            job = self.jobs[job_id]
            if row.state in ("looking", "storing") and job.attempt == attempt and job.state in ITS_OWN:
                wrong.append(f"{job_id} is {job.state} at attempt {attempt}, whose result is {row.state} late, too")
            if row.upstream_task_id is not None and not any(
                one.task_id == row.upstream_task_id and one.attempt == attempt for one in self._upstream.of(job_id)
            ):
                wrong.append(f"the late result of {job_id}, attempt {attempt}, has the task of another call")
        return wrong

    def _check_limits(self, released: set[str], slack: Counter[str]) -> list[str]:
        """Whether what was let go had room: more are in flight only if they came back from the gateway meanwhile."""
        busy = Counter(job.lane for job in self.jobs.values() if job.state in IN_FLIGHT)
        return [
            f"{busy[lane]} jobs of {lane} are in flight"
            for lane in released
            if busy[lane] > self._limits[lane] + slack[lane]
        ]

    def heard(self, charge: Charge) -> list[str]:
        """A living process was told that this call succeeded: whether anybody has what came of it."""
        job = self.jobs[charge.job_id]
        if (job.id, charge.attempt) in self.late or charge.is_taken:
            return []
        where = f"{job.id}, attempt {charge.attempt}, which is {job.state} at attempt {job.attempt}"
        return [f"nobody has what was paid for: {where}"]

    def end(self) -> list[str]:
        """What is wrong when everything has come to rest."""
        wrong = [
            f"{job.id} is {job.state} in the end" for job in self.jobs.values() if job.state not in FINAL | {State.HELD}
        ]
        wrong += [
            f"the late result of {key} is {row.state} in the end" for key, row in self.late.items() if is_open(row)
        ]
        kept = {(one.job_id, one.attempt) for one in self.artifacts}
        for charge in self._upstream.charges:
            key = charge.job_id, charge.attempt
            has_result = not charge.has_task or charge.task is Task.DONE
            if has_result and not charge.is_free and (charge.is_taken or key in self.late) and key not in kept:
                wrong.append(f"the result of {key} was paid for and is nowhere")
        return wrong


def is_open(row: Row[Any]) -> bool:
    """Whether something may still come of a late result."""
    return row.state in ("looking", "storing")
