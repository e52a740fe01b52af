"""I2, I4, I5: orders of steps that break a guard when it is weakened, one by one and every time.

The same processes, people, gateway and referee as in `test_interleavings.py`, which looks for orders that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from tests.chaos.actors import Act, At, Halt, Stop
from tests.chaos.test_interleavings import AGED, MISSED, House, Jobs, machine
from tests.chaos.test_interleavings import house as house  # a fixture
from tests.chaos.upstream import Answer, Task
from workers import adoption

DRAWN, PICTURE, OTHER = range(3)
"""The first one's paid call, and that of the third one, are under way when an order begins; the second one waits."""
TAKE = 3
"""The commit of a submit that takes the job."""

Begin = Callable[[OnUnknown], Jobs]


@pytest.fixture
def begin(house: House) -> Iterator[Begin]:
    """Begins the jobs; in the end everything comes to rest."""
    begun: list[Jobs] = []

    def begin_anew(on_unknown: OnUnknown) -> Jobs:
        jobs = machine(house)()
        begun.append(jobs)
        jobs.begin_anew((on_unknown,) * 3, Answer.SUCCESS)
        jobs.all_is_well()
        return jobs

    yield begin_anew
    for jobs in begun:
        jobs.all_is_well()
        jobs.teardown()


def call_of(jobs: Jobs, number: int) -> Act:
    """The paid call of a job that is under way."""
    return next(act for act in jobs.calls() if act.charge and act.charge.job_id == jobs.job_ids[number])


def answer(jobs: Jobs, number: int, what: Answer, stop: Stop | None = None) -> Act:
    """Answer the paid call of a job."""
    act = call_of(jobs, number)
    jobs.answer(jobs.calls().index(act), what, stop)
    jobs.all_is_well()
    return act


def goes_on(jobs: Jobs, act: Act) -> None:
    """An act that stopped goes on, from wherever it is."""
    jobs.acts.remove(act)
    jobs.go_from(act, Answer.SUCCESS, None)
    jobs.all_is_well()


def does(jobs: Jobs, by: int, what: str, number: int = 0, stop: Stop | None = None, *, is_slow: bool = False) -> Act:
    """A process, or a person, does something."""
    worker, work, _ = jobs.meeting(what, by, number)
    jobs.come_due()
    act = jobs.do(worker, work, stop, is_slow=is_slow)
    jobs.all_is_well()
    return act


def meet(jobs: Jobs, first: str, second: str, number: int = 0) -> None:
    """The second one comes while the first one has written, and not committed yet."""
    worker, work, _ = jobs.meeting(first, 1, number)
    jobs.come_due()
    one = Act(worker, work, Stop(1, Halt.BEFORE), is_slow=True).begin()
    assert one.settle() is At.COMMIT
    jobs.meet_at(one, second, 2, number)
    jobs.all_is_well()


def begin_all(jobs: Jobs, by: int) -> None:
    """A process begins what may go."""
    jobs.begin_all(by)
    jobs.all_is_well()


def is_taken_for_dead(jobs: Jobs, by: int) -> None:
    """Nothing is heard of a process, and another one sweeps."""
    jobs.silence(jobs.workers[by])
    does(jobs, 2 if by != 2 else 1, "sweep")


def dies_with_the_answer(jobs: Jobs, number: int) -> None:
    """What came of the paid call is on the disk, and its process dies before the row says so."""
    one = call_of(jobs, number)
    jobs.acts.remove(one)
    jobs.go_from(one, Answer.SUCCESS, Stop(1, Halt.BEFORE))
    assert one.at is At.COMMIT
    jobs.silence(one.worker)
    jobs.kill(one.worker)


def is_accepted(jobs: Jobs, number: int, *, is_seen: bool = True) -> None:
    """The gateway has the paid call that was made last, whether or not it shows that already."""
    jobs.upstream.of(jobs.job_ids[number])[-1].is_accepted = is_seen


def is_done(jobs: Jobs, number: int) -> None:
    """The task of the paid call that was made last is over."""
    jobs.upstream.of(jobs.job_ids[number])[-1].task = Task.DONE


def state(jobs: Jobs, number: int) -> State:
    return State(jobs.referee.jobs[jobs.job_ids[number]].state)


def charges(jobs: Jobs, number: int) -> int:
    """How many paid calls of a job were charged."""
    return sum(not charge.is_free for charge in jobs.upstream.of(jobs.job_ids[number]))


def test_who_gives_an_attempt_back_twice_leaves_its_next_holder_alone(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    first = answer(jobs, DRAWN, Answer.THROTTLED, Stop(1, Halt.UNTOLD))
    begin_all(jobs, 1)
    assert state(jobs, DRAWN) is State.SUBMITTING

    goes_on(jobs, first)

    assert state(jobs, DRAWN) is State.SUBMITTING


def test_what_was_prepared_for_an_attempt_is_not_sent_as_the_next(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    prepared = does(jobs, 1, "submit", DRAWN, Stop(1, Halt.AFTER))
    does(jobs, 2, "submit", DRAWN)
    answer(jobs, DRAWN, Answer.SUCCESS)
    does(jobs, 2, "cancel", DRAWN)
    does(jobs, 2, "retry", DRAWN)
    does(jobs, 2, "dispatch")
    assert state(jobs, DRAWN) is State.DISPATCHED

    goes_on(jobs, prepared)

    assert charges(jobs, DRAWN) == 1


def test_who_slept_with_a_claim_sends_nothing(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    sleeper = does(jobs, 1, "submit", DRAWN, Stop(TAKE, Halt.AFTER))
    assert state(jobs, DRAWN) is State.SUBMITTING
    is_taken_for_dead(jobs, 1)

    goes_on(jobs, sleeper)

    assert charges(jobs, DRAWN) == 0


def test_who_was_not_told_of_its_claim_sends_nothing(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    untold = does(jobs, 1, "submit", DRAWN, Stop(TAKE, Halt.UNTOLD))

    goes_on(jobs, untold)

    assert (state(jobs, DRAWN), charges(jobs, DRAWN)) == (State.QUEUED, 0)


def test_a_late_success_is_welcome_while_nobody_has_begun_anew(begin: Begin) -> None:
    jobs = begin(OnUnknown.RETRY)
    is_taken_for_dead(jobs, 0)
    assert state(jobs, DRAWN) is State.HELD

    answer(jobs, DRAWN, Answer.SUCCESS)
    answer(jobs, OTHER, Answer.SUCCESS)

    assert state(jobs, DRAWN) is state(jobs, OTHER) is State.RUNNING


def test_a_late_success_is_kept_apart_once_another_attempt_has_begun(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    zombie = call_of(jobs, DRAWN)
    is_taken_for_dead(jobs, 0)
    does(jobs, 1, "resolve retry", DRAWN)
    begin_all(jobs, 1)
    assert state(jobs, DRAWN) is State.SUBMITTING

    jobs.acts.remove(zombie)
    jobs.go_from(zombie, Answer.SUCCESS, None)
    jobs.all_is_well()

    assert (jobs.job_ids[DRAWN], 1) in jobs.referee.late
    assert state(jobs, DRAWN) is State.SUBMITTING


def test_the_look_at_an_attempt_that_is_over_says_nothing_of_the_next(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    is_done(jobs, DRAWN)
    old = does(jobs, 1, "look", is_slow=True)
    assert old.at is At.QUESTION
    does(jobs, 1, "cancel", DRAWN)
    does(jobs, 1, "retry", DRAWN)
    begin_all(jobs, 2)
    answer(jobs, DRAWN, Answer.SUCCESS)
    assert state(jobs, DRAWN) is State.RUNNING

    goes_on(jobs, old)

    assert state(jobs, DRAWN) is State.RUNNING


def test_what_was_decided_on_old_news_changes_nothing(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    claim = jobs.read(PICTURE)
    does(jobs, 1, "cancel", PICTURE)
    does(jobs, 1, "retry", PICTURE)
    does(jobs, 1, "cancel", DRAWN)
    begin_all(jobs, 1)

    jobs.decide_on_old_news(claim, Cause.CANCELED)
    jobs.all_is_well()

    assert state(jobs, PICTURE) is not State.CANCELED


def test_two_dispatchers_at_once_let_go_what_one_may(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)

    meet(jobs, "dispatch", "dispatch")

    assert len(jobs.in_state(State.QUEUED)) == 1


def test_a_task_at_the_gateway_has_a_slot(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)

    does(jobs, 1, "dispatch")

    assert state(jobs, PICTURE) is State.QUEUED


@pytest.mark.parametrize(("first", "second"), [("cancel", "dispatch"), ("dispatch", "cancel"), ("cancel", "sweep")])
def test_who_comes_while_another_writes_neither_waits_nor_writes_over_it(begin: Begin, first: str, second: str) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)

    meet(jobs, first, second, DRAWN)


def test_two_at_once_give_one_lost_hint_back_once(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    jobs.change(DRAWN, AGED)

    meet(jobs, "return hints", "return hints")

    assert state(jobs, DRAWN) is State.QUEUED


def test_what_went_back_to_its_queue_is_not_taken(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    prepared = does(jobs, 1, "submit", DRAWN, Stop(1, Halt.AFTER))
    jobs.change(DRAWN, AGED)
    does(jobs, 2, "return hints")

    goes_on(jobs, prepared)

    assert state(jobs, DRAWN) is State.QUEUED


def test_what_is_past_its_deadline_is_not_sent(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    jobs.change(DRAWN, MISSED)

    does(jobs, 1, "submit", DRAWN)

    assert charges(jobs, DRAWN) == 0


def test_an_attempt_that_may_be_paid_for_keeps_its_number(begin: Begin) -> None:
    jobs = begin(OnUnknown.RETRY)
    answer(jobs, DRAWN, Answer.REFUSED)
    begin_all(jobs, 1)
    answer(jobs, PICTURE, Answer.LOST)
    assert state(jobs, PICTURE) is State.QUEUED

    begin_all(jobs, 1)

    assert [charge.attempt for charge in jobs.upstream.of(jobs.job_ids[PICTURE])] == [1, 2]


def test_two_storers_at_once_take_one_result_once(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    is_done(jobs, DRAWN)
    does(jobs, 1, "look")
    assert state(jobs, DRAWN) is State.STORING

    meet(jobs, "store", "store", DRAWN)


def test_two_pollers_at_once_do_not_wait_for_each_other(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)

    meet(jobs, "look", "look", DRAWN)


def test_what_goes_on_from_a_task_stays_in_its_lane(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, OTHER, Answer.THROTTLED)
    jobs.pause("beta", is_paused=True)
    does(jobs, 1, "cancel", DRAWN)
    does(jobs, 1, "cancel", PICTURE)

    does(jobs, 1, "dispatch")

    assert state(jobs, OTHER) is State.QUEUED


def test_a_lane_takes_over_what_its_credential_serves_and_nothing_else(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "cancel", OTHER)
    jobs.pause("alpha", is_paused=True)

    begin_all(jobs, 1)

    assert state(jobs, DRAWN) is State.SUBMITTING
    assert state(jobs, PICTURE) is State.QUEUED


def test_an_answer_on_the_disk_is_found_before_anybody_calls_it_unknown(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "RIPE_S", 60.0)  # too young for the sweep's look at all that lie there
    jobs = begin(OnUnknown.RETRY)
    dies_with_the_answer(jobs, DRAWN)

    does(jobs, 1, "sweep")

    assert state(jobs, DRAWN) is State.RUNNING


def test_what_is_made_for_a_canceled_job_is_kept(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)

    does(jobs, 1, "cancel", DRAWN)

    assert (jobs.job_ids[DRAWN], 1) in jobs.referee.late


def test_what_is_made_for_a_job_past_its_deadline_is_kept(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    jobs.change(DRAWN, MISSED)

    does(jobs, 1, "sweep")

    assert state(jobs, DRAWN) is State.FAILED
    assert (jobs.job_ids[DRAWN], 1) in jobs.referee.late


def test_a_lost_answer_is_searched_for_before_another_attempt_follows(begin: Begin) -> None:
    jobs = begin(OnUnknown.RETRY)
    answer(jobs, DRAWN, Answer.LOST)
    assert state(jobs, DRAWN) is State.HELD

    does(jobs, 1, "search")

    assert state(jobs, DRAWN) is State.RUNNING
    assert charges(jobs, DRAWN) == 1


def test_a_living_process_keeps_what_it_holds(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)

    does(jobs, 1, "sweep")

    assert state(jobs, DRAWN) is State.SUBMITTING


def test_what_a_dead_process_stored_is_stored_by_another(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    is_done(jobs, DRAWN)
    does(jobs, 1, "look")
    slow = does(jobs, 1, "store", is_slow=True)
    assert slow.at is At.UPLOAD
    jobs.silence(jobs.workers[1])

    for what in ("sweep", "store"):  # without waiting until its lease is over
        jobs.do(*jobs.meeting(what, 2, DRAWN)[:2])
        jobs.all_is_well()

    assert state(jobs, DRAWN) is State.SUCCEEDED


def test_a_picture_that_comes_after_its_job_has_begun_anew_is_kept_apart(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.REFUSED)
    begin_all(jobs, 1)
    zombie = call_of(jobs, PICTURE)
    is_taken_for_dead(jobs, 1)
    does(jobs, 1, "resolve retry", PICTURE)
    begin_all(jobs, 2)
    assert state(jobs, PICTURE) is State.SUBMITTING

    goes_on(jobs, zombie)

    assert (jobs.job_ids[PICTURE], 1) in jobs.referee.late
    assert state(jobs, PICTURE) is State.SUBMITTING


def test_what_was_left_behind_is_not_late_once_its_job_goes_on_with_it(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    zombie = call_of(jobs, DRAWN)
    is_taken_for_dead(jobs, 0)
    is_accepted(jobs, DRAWN)
    for wish in ("resolve running", "cancel", "retry"):
        does(jobs, 1, wish, DRAWN)
    assert (jobs.job_ids[DRAWN], 1) in jobs.referee.late

    goes_on(jobs, zombie)

    assert state(jobs, DRAWN) is State.RUNNING
    assert (jobs.job_ids[DRAWN], 1) not in jobs.referee.late


def test_what_was_found_for_a_job_is_not_late_when_its_process_comes_back(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    zombie = call_of(jobs, DRAWN)
    is_taken_for_dead(jobs, 0)
    is_accepted(jobs, DRAWN)
    does(jobs, 1, "search")
    assert state(jobs, DRAWN) is State.RUNNING

    goes_on(jobs, zombie)

    assert (jobs.job_ids[DRAWN], 1) not in jobs.referee.late


def test_who_stores_a_result_when_its_job_is_canceled_stores_it_to_the_end(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    is_done(jobs, DRAWN)
    does(jobs, 1, "look")
    storer = does(jobs, 1, "store", is_slow=True)
    does(jobs, 1, "cancel", DRAWN)

    goes_on(jobs, storer)

    assert [(one.job_id, one.attempt) for one in jobs.referee.artifacts] == [(jobs.job_ids[DRAWN], 1)]


def test_a_task_that_the_gateway_does_not_show_yet_is_searched_for_again(begin: Begin) -> None:
    jobs = begin(OnUnknown.RETRY)
    answer(jobs, DRAWN, Answer.LOST)
    is_accepted(jobs, DRAWN, is_seen=False)
    does(jobs, 1, "search")
    is_accepted(jobs, DRAWN)

    does(jobs, 1, "search")

    assert state(jobs, DRAWN) is State.RUNNING


def test_what_is_on_the_disk_of_an_attempt_says_nothing_of_the_next(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    is_taken_for_dead(jobs, 0)
    zombie = call_of(jobs, DRAWN)
    does(jobs, 1, "resolve retry", DRAWN)
    begin_all(jobs, 1)
    jobs.acts.remove(zombie)
    jobs.go_from(zombie, Answer.SUCCESS, Stop(1, Halt.BEFORE))
    jobs.kill(zombie.worker)

    does(jobs, 2, "sweep")

    assert state(jobs, DRAWN) is State.SUBMITTING
    assert (jobs.job_ids[DRAWN], 1) in jobs.referee.late


def test_a_look_that_was_slow_changes_nothing_of_what_is_over(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    slow = does(jobs, 1, "look", is_slow=True)
    does(jobs, 1, "cancel", DRAWN)

    goes_on(jobs, slow)

    assert state(jobs, DRAWN) is State.CANCELED


def test_a_look_that_was_slow_changes_nothing_of_the_next_attempt(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    answer(jobs, DRAWN, Answer.SUCCESS)
    slow = does(jobs, 1, "look", is_slow=True)
    does(jobs, 1, "cancel", DRAWN)
    does(jobs, 1, "retry", DRAWN)
    begin_all(jobs, 2)
    answer(jobs, DRAWN, Answer.SUCCESS)

    goes_on(jobs, slow)

    assert state(jobs, DRAWN) is State.RUNNING


def test_what_is_on_its_way_already_is_lent_to_nobody(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    does(jobs, 1, "cancel", OTHER)
    answer(jobs, DRAWN, Answer.THROTTLED)
    does(jobs, 1, "dispatch")
    assert state(jobs, DRAWN) is State.DISPATCHED
    jobs.pause("alpha", is_paused=True)

    does(jobs, 1, "dispatch")

    assert jobs.referee.jobs[jobs.job_ids[DRAWN]].lane == jobs.lanes["alpha"]


def test_who_takes_over_leaves_what_another_one_writes(begin: Begin) -> None:
    jobs = begin(OnUnknown.HOLD)
    does(jobs, 1, "cancel", OTHER)
    answer(jobs, DRAWN, Answer.THROTTLED)
    jobs.pause("alpha", is_paused=True)

    meet(jobs, "cancel", "dispatch", DRAWN)

    assert state(jobs, DRAWN) is State.CANCELED
