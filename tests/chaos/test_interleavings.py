"""I2, I4, I5, I7: whatever several processes, callers and sweeps do to jobs, in whatever order.

Hypothesis drives the lifecycle on a real PostgreSQL: each step is one transaction of somebody, often of somebody whose
knowledge is old.  What must hold is read from the rows and their events after every step.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from shared import claims
from shared.claims import Claim
from shared.db import Transaction
from shared.errors import IllegalMove
from shared.lifecycle import FINAL, MOVES, Cause, State
from tests import factories

PROCESSES: Final = ("process_a", "process_b", "process_c")
LIMIT: Final = 1
JOBS: Final = 2
NUMBERS: Final = st.integers(0, JOBS - 1)
KNOWN: Final = frozenset(
    {
        *(Cause.NOT_SENT, Cause.THROTTLED, Cause.RETRIED),  # the gateway told, and charged nothing or gave it back
        *(Cause.RESOLVED_RETRY, Cause.REQUEUED),  # a person took it upon himself
    }
)
"""After one of these another paid call may be made."""
ENDS: Final = (
    *(Cause.ACCEPTED, Cause.PRODUCED, Cause.REFUSED, Cause.RETRIED),
    *(Cause.UNKNOWN, Cause.THROTTLED, Cause.NOT_SENT),
)
LOOKS: Final = (Cause.PRODUCED, Cause.RETRIED, Cause.REFUSED, Cause.UNKNOWN, Cause.STUCK)
PEOPLE: Final = (
    *(Cause.CANCELED, Cause.REQUEUED),
    *(Cause.RESOLVED_FAILED, Cause.RESOLVED_RETRY, Cause.RESOLVED_RUNNING),
)


class Jobs(RuleBasedStateMachine):
    """Some jobs of one lane, and all that may be known of them."""

    transaction: Transaction

    known: Bundle[Claim] = Bundle("known")
    """Claims, fresh and old, of whoever looked."""
    calls: Bundle[Claim] = Bundle("calls")
    """Claims of paid calls: a zombie is whoever uses an old one."""

    def __init__(self) -> None:
        super().__init__()
        with self.transaction() as session:
            self.lane = factories.lane(session, limit=LIMIT).name
            self.project_id = factories.project(session).id
            self.job_ids = [self._make(session) for _ in range(JOBS)]
        self.latest: dict[str, Claim] = {}
        """The last paid call of each job."""

    def _make(self, session: Any) -> str:
        return factories.job(session, lane_name=self.lane, project_id=self.project_id).id

    @rule(by=st.sampled_from(PROCESSES))
    def dispatch(self, by: str) -> None:
        with self.transaction() as session:
            (busy,) = session.execute(
                text("""SELECT count(*) FROM jobs
                    WHERE lane = :lane AND state IN ('dispatched', 'submitting', 'running')"""),
                {"lane": self.lane},
            ).one()
            claims.release(session, {self.lane: max(0, LIMIT - busy)}, by)

    @rule(target=calls, number=NUMBERS, by=st.sampled_from(PROCESSES))
    def take(self, number: int, by: str) -> Any:
        with self.transaction() as session:
            claim = claims.take(session, self.job_ids[number], by)
        if claim is not None:
            # As the call knows itself: the row names its holder only once it is taken.
            claim = self.latest[claim.job_id] = replace(claim, holder=by)
        return multiple() if claim is None else claim

    @rule(target=calls, number=NUMBERS, by=st.sampled_from(PROCESSES))
    def begin(self, number: int, by: str) -> Any:
        """The usual way, so that chance need not find it step by step."""
        self.dispatch(by)
        return self.take(number, by)

    @rule(number=NUMBERS)
    def give_up_and_try_again(self, number: int) -> None:
        self.sweep()
        self.decide(number, Cause.RESOLVED_RETRY)

    @rule(target=known, number=NUMBERS)
    def read(self, number: int) -> Any:
        with self.transaction() as session:
            claim = claims.read(session, self.job_ids[number])
        return multiple() if claim is None else claim

    @rule(target=known, number=NUMBERS, by=st.sampled_from(PROCESSES))
    def take_storing(self, number: int, by: str) -> Any:
        with self.transaction() as session:
            taken = claims.take_storing(session, by, "spool", job_ids=[self.job_ids[number]])
        return taken[0] if taken else multiple()

    @rule(claim=calls, cause=st.sampled_from(ENDS))
    def answer(self, claim: Claim, cause: Cause) -> None:
        """What came of a paid call, perhaps long after its process was given up, and another one was begun."""
        if self._move(claim, cause):
            latest = self.latest[claim.job_id]
            assert (claim.attempt, claim.by) == (latest.attempt, latest.by), "a zombie spoke for another call"

    @rule(claim=known, cause=st.sampled_from(LOOKS))
    def look(self, claim: Claim, cause: Cause) -> None:
        self._move(claim, cause, State.RUNNING)

    @rule(claim=consumes(known), cause=st.sampled_from((Cause.STORED, Cause.UNSTORABLE)))
    def store(self, claim: Claim, cause: Cause) -> None:
        self._move(claim, cause, State.STORING)

    @rule(claim=known, cause=st.sampled_from(PEOPLE))
    def decide_on_old_news(self, claim: Claim, cause: Cause) -> None:
        self._move(claim, cause)

    @rule(number=NUMBERS, cause=st.sampled_from(PEOPLE))
    def decide(self, number: int, cause: Cause) -> None:
        with self.transaction() as session:
            claim = claims.read(session, self.job_ids[number])
        assert claim is not None
        self._move(claim, cause)

    @rule(claim=known)
    def give_back(self, claim: Claim) -> None:
        self._move(claim, Cause.GIVEN_BACK, State.DISPATCHED)

    @rule()
    def sweep(self) -> None:
        """All processes count as dead: what they held is taken back."""
        with self.transaction() as session:
            orphans = [one for one in claims.orphaned_calls(session, 30) if one.lane == self.lane]
            for orphan in orphans:
                claims.move(session, orphan, Cause.UNKNOWN)
        with self.transaction() as session:
            claims.free_orphaned_stores(session, 30)

    @rule()
    def lose_hints(self) -> None:
        with self.transaction() as session:
            session.execute(
                text("UPDATE jobs SET moved_at = now() - interval '2 min' WHERE lane = :lane"), {"lane": self.lane}
            )
            claims.return_lost_hints(session, 60, "process_sweep")

    def _move(self, claim: Claim, cause: Cause, only: State | None = None) -> bool:
        if only is not None and claim.state is not only:
            return False
        with self.transaction() as session:
            try:
                return claims.move(session, claim, cause)
            except IllegalMove:
                assert (claim.state, cause) not in MOVES
                return False

    @invariant()
    def no_limit_is_broken(self) -> None:
        assert self._count("state IN ('dispatched', 'submitting', 'running')") <= LIMIT + self._taken_up_again()

    def _taken_up_again(self) -> int:
        """Late news and people bring tasks back that are running at the gateway whatever the limit says."""
        return self._count(
            """state = 'running' AND EXISTS (SELECT FROM events WHERE job_id = jobs.id AND state = 'running'
                AND from_state IN ('held', 'queued', 'dispatched'))"""
        )

    def _count(self, condition: str) -> int:
        with self.transaction() as session:
            found = session.execute(
                text(f"SELECT count(*) FROM jobs WHERE lane = :lane AND {condition}"),
                {"lane": self.lane},
            )
            return int(found.scalar_one())

    @invariant()
    def every_event_continues_the_one_before(self) -> None:
        for moves in self._histories():
            assert all(before.state == after.from_state for before, after in pairwise(moves)), moves
            assert all((State(move.from_state), Cause(move.cause)) in MOVES for move in moves), moves

    @invariant()
    def the_row_is_where_its_last_event_says(self) -> None:
        with self.transaction() as session:
            states = dict(
                session.execute(text("SELECT id, state FROM jobs WHERE lane = :lane"), {"lane": self.lane}).all()
            )
        for moves in self._histories():
            assert states[moves[-1].job_id] == moves[-1].state

    @invariant()
    def a_paid_call_follows_only_what_is_known_of_the_one_before(self) -> None:
        for moves in self._histories():
            calls = [place for place, move in enumerate(moves) if move.cause == Cause.CLAIMED]
            for first, second in pairwise(calls):
                between = {Cause(move.cause) for move in moves[first + 1 : second]}
                assert between & KNOWN, moves

    @invariant()
    def what_is_final_stays_so_until_a_person_wants_more(self) -> None:
        for moves in self._histories():
            for move in moves:
                assert State(move.from_state) not in FINAL or move.cause == Cause.REQUEUED, moves

    def _histories(self) -> list[list[Any]]:
        """The moves of each job that has any, in order."""
        with self.transaction() as session:
            rows = session.execute(
                text("""SELECT job_id, from_state, state, cause FROM events
                    WHERE job_id = ANY(:ids) AND cause IS NOT NULL ORDER BY seq"""),
                {"ids": self.job_ids},
            ).all()
        histories = [[row for row in rows if row.job_id == job_id] for job_id in self.job_ids]
        return [moves for moves in histories if moves]


@pytest.mark.timeout(300)
def test_no_order_of_steps_breaks_what_must_hold(transaction: Transaction) -> None:
    machine: type[Jobs] = type("JobsHere", (Jobs,), {"transaction": staticmethod(transaction)})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
