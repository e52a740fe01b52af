"""The table of states, causes and moves: what must be true of it as a whole."""

from __future__ import annotations

import pytest

from shared import claims, lifecycle
from shared.errors import IllegalMove
from shared.lifecycle import EVENT_OF, FINAL, IN_FLIGHT, MOVES, WELCOME_LATE, Cause, State
from tests.unit import draw_lifecycle

BORN_IN = {State.WAITING, State.QUEUED}


def successors(state: State) -> set[State]:
    return {after for (before, _), after in MOVES.items() if before is state}


def reachable(begin: set[State]) -> set[State]:
    seen, new = set(begin), set(begin)
    while new:
        new = {after for state in new for after in successors(state)} - seen
        seen |= new
    return seen


def test_every_state_can_be_reached_by_a_new_job() -> None:
    assert reachable(BORN_IN) == set(State)


@pytest.mark.parametrize("state", State)
def test_from_every_state_but_the_last_three_a_job_can_still_end_well_or_badly(state: State) -> None:
    if state in FINAL:
        return
    assert {State.SUCCEEDED, State.FAILED, State.CANCELED} <= reachable({state})


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_but_a_callers_wish_takes_a_job_out_of_a_final_state(state: State) -> None:
    causes = {cause for before, cause in MOVES if before is state}

    assert causes <= {Cause.REQUEUED}


def test_what_has_succeeded_stays_so() -> None:
    assert successors(State.SUCCEEDED) == set()


def test_every_cause_is_used() -> None:
    assert {cause for _, cause in MOVES} == set(Cause)


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
@pytest.mark.parametrize(("cause", "after"), [(Cause.CANCELED, State.CANCELED), (Cause.EXPIRED, State.FAILED)])
def test_whatever_is_not_final_can_be_canceled_and_can_expire(state: State, cause: Cause, after: State) -> None:
    assert lifecycle.after(state, cause) is after


def test_only_the_claim_leads_to_the_paid_call() -> None:
    into = {(before, cause) for (before, cause), after in MOVES.items() if after is State.SUBMITTING}

    assert into == {(State.DISPATCHED, Cause.CLAIMED)}


def test_only_the_dispatcher_reserves_a_slot() -> None:
    into = {(before, cause) for (before, cause), after in MOVES.items() if after is State.DISPATCHED}

    assert into == {(State.QUEUED, Cause.RELEASED)}


def test_only_a_stored_result_is_a_success() -> None:
    into = {(before, cause) for (before, cause), after in MOVES.items() if after is State.SUCCEEDED}

    assert into == {(State.STORING, Cause.STORED)}


def test_the_cause_of_a_move_that_is_uncounted_leads_back_to_the_queue() -> None:
    assert {MOVES[State.SUBMITTING, cause] for cause in claims.UNCOUNTED} == {State.QUEUED}


def test_what_does_not_exist_is_an_illegal_move_that_names_both() -> None:
    with pytest.raises(IllegalMove, match=r"queued .* stored"):
        lifecycle.after(State.QUEUED, Cause.STORED)


@pytest.mark.parametrize("cause", sorted(WELCOME_LATE))
def test_late_news_is_also_taken_by_a_job_of_which_no_other_attempt_was_begun(cause: Cause) -> None:
    late = (State.HELD, State.QUEUED, State.DISPATCHED)

    assert lifecycle.origins(State.SUBMITTING, cause) == (State.SUBMITTING, *late)
    assert all((state, cause) in MOVES for state in late)


@pytest.mark.parametrize("cause", [Cause.REFUSED, Cause.RETRIED, Cause.NOT_SENT, Cause.THROTTLED, Cause.UNKNOWN])
def test_no_other_late_news_moves_a_held_job(cause: Cause) -> None:
    assert lifecycle.origins(State.SUBMITTING, cause) == (State.SUBMITTING,)


def test_a_held_job_itself_is_looked_for_once() -> None:
    assert lifecycle.origins(State.HELD, Cause.PRODUCED).count(State.HELD) == 1


def test_every_state_has_an_event_of_its_own_and_says_what_changes_on_entering() -> None:
    assert {state: f"job.{state}" for state in State} == EVENT_OF
    assert set(claims.ENTERING) == set(MOVES.values())


def test_a_row_that_comes_into_a_state_with_a_tick_comes_due_by_itself() -> None:
    for state in (State.RUNNING, State.STORING):
        assert claims.ENTERING[state]["due_at"] is not None


def test_a_slot_is_taken_from_release_until_the_gateway_is_done() -> None:
    assert {State.DISPATCHED, State.SUBMITTING, State.RUNNING} == IN_FLIGHT


@pytest.mark.parametrize("kind", [State, Cause])
def test_every_word_is_explained_where_it_is_declared(kind: type[State] | type[Cause]) -> None:
    assert set(draw_lifecycle.meanings(kind)) == {member.value for member in kind}


def test_the_picture_in_the_docs_is_the_table() -> None:
    committed = draw_lifecycle.PLACE.read_text(encoding="utf-8")

    assert committed == draw_lifecycle.drawn(), "write it anew: python -m tests.unit.draw_lifecycle"
