"""When tasks are looked at: few looks, and none much too late."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from shared import foresight
from shared.durations import Between, Durations
from shared.foresight import FEW, LONGEST, LOOKS_AIM, Plan
from tests.unit import draw_looks
from tests.unit.draw_looks import around, delay_s, looks, shifting, simulate

TASKS, LEARNING = 1500, 300


def known(median_s: float = 180, spread: float = 0.15, tasks: int = 200) -> Durations:
    random, draw, made = Random(1), around(median_s, spread), Durations()
    for number in range(tasks):
        took_s = draw(random, number)
        made = made.add(Between(took_s, took_s))
    return made


def planned(durations: Durations, **times: float) -> Plan:
    plan = foresight.plan(durations, draw_looks.film(**times))
    assert plan is not None
    return plan


def evenly() -> float:
    """In place of random numbers: nothing is explored, and no wait is shortened by much."""
    return 0.5


def ages(plan: Plan, until_s: float) -> list[float]:
    """When a task is looked at that does not end."""
    found = [plan.first_look_s(evenly)]
    while found[-1] < until_s:
        found.append(found[-1] + plan.wait_s(found[-1], evenly))
    return found


# What was asked for.


@pytest.mark.parametrize(("spread", "tells"), [(0.10, True), (0.10, False), (0.15, True)])
@pytest.mark.parametrize("seed", [1, 14])
def test_a_film_of_three_minutes_takes_six_looks_and_is_seen_within_ten_seconds(
    spread: float, tells: bool, seed: int
) -> None:
    seen = simulate(around(180, spread), TASKS, tells=tells, seed=seed)[LEARNING:]

    assert looks(seen) <= 6
    assert delay_s(seen, 0.95) <= 10


def test_so_does_one_that_tells_no_times_but_for_a_second() -> None:
    seen = simulate(around(180, 0.15), TASKS, tells=False)[LEARNING:]

    assert looks(seen) <= 6
    assert delay_s(seen, 0.95) <= 11


@pytest.mark.parametrize("name", draw_looks.KINDS)
def test_whatever_films_take_they_cost_six_looks_and_few_are_seen_half_a_minute_late(name: str) -> None:
    seen = simulate(draw_looks.KINDS[name], TASKS, tells=True)[LEARNING:]

    assert looks(seen) <= 6
    assert delay_s(seen, 0.95) < 30


@pytest.mark.parametrize("tells", [True, False])
def test_a_model_that_has_become_faster_is_found_out(tells: bool) -> None:
    seen = simulate(shifting(400, around(180, 0.15), around(60, 0.15)), 900, tells=tells)

    assert delay_s(seen[400:430], 0.5) > 20
    assert delay_s(seen[700:], 0.95) <= 10.5
    assert looks(seen[700:]) <= 6


@pytest.mark.parametrize("tells", [True, False])
def test_a_model_that_has_become_slower_is_not_asked_ever_faster(tells: bool) -> None:
    seen = simulate(shifting(400, around(90, 0.15), around(240, 0.15)), 1200, tells=tells)

    assert looks(seen[400:450]) < 20
    assert looks(seen[1000:]) < 7
    assert delay_s(seen[1000:], 0.95) < 30


# How it comes about.


def test_too_few_tasks_make_no_plan() -> None:
    assert foresight.plan(known(tasks=FEW - 1), draw_looks.film()) is None
    assert foresight.plan(known(tasks=FEW), draw_looks.film()) is not None


def test_the_first_look_comes_near_the_tenth_percentile() -> None:
    durations = known(spread=0.2)

    first_s = planned(durations).first_look_s(evenly)

    assert durations.quantile(0.02) < first_s < durations.quantile(0.25)


def test_looks_are_close_while_tasks_end_and_rare_once_nearly_all_have() -> None:
    durations = known(spread=0.15)
    plan = planned(durations)

    taken = list(pairwise(ages(plan, 1800)))
    busy = [later - age for age, later in taken if durations.quantile(0.25) < age < durations.quantile(0.75)]
    tail = [later - age for age, later in taken if age > 600]

    assert max(busy) < 15
    assert min(tail) > 35


def test_nothing_is_looked_at_in_a_valley_in_which_no_task_ends() -> None:
    durations = Durations()
    for _ in range(100):
        durations = durations.add(Between(40, 40)).add(Between(300, 300))

    valley = [age for age in ages(planned(durations), 300) if 60 < age < 260]

    assert len(valley) <= 200 / 40 + 1


def test_a_model_with_two_kinds_of_tasks_is_not_looked_at_only_when_the_longer_ones_end() -> None:
    durations = Durations()
    for _ in range(100):
        durations = durations.add(Between(2, 2)).add(Between(60, 60))

    plan = planned(durations, look_every_s=1.0, first_look_s=1.0)

    assert plan.first_look_s(evenly) < 4
    assert plan.looks > LOOKS_AIM


@pytest.mark.parametrize("every_s", [0.2, 1.0, 5.0, 10.0, 60.0])
@pytest.mark.parametrize("median_s", [2.0, 20.0, 180.0, 2000.0])
def test_the_catalog_bounds_every_wait(every_s: float, median_s: float) -> None:
    plan = planned(known(median_s, 0.4), look_every_s=every_s)
    random = Random(2).random

    for age_s in (0.0, 0.1, 1, 7, 30, 100, 179, 200, 500, 2000, 10_000, 10**6):
        assert every_s * (1 - foresight.JITTER) <= plan.wait_s(age_s, random) <= every_s * LONGEST


@pytest.mark.parametrize("age_s", [2.0, 5.0])
def test_a_small_interval_in_the_catalog_is_kept_for_tasks_of_some_seconds(age_s: float) -> None:
    plan = planned(known(4, 0.4), look_every_s=0.5, first_look_s=0.5, typical_s=4)

    assert plan.first_look_s(evenly) < 4
    assert plan.wait_s(age_s, evenly) <= 2.0


@pytest.mark.parametrize("tasks", [FEW, 12, 24, 50])
def test_a_catalog_that_is_wrong_by_far_does_not_keep_the_first_look_waiting(tasks: int) -> None:
    plan = planned(known(3, 0.2, tasks), look_every_s=1, first_look_s=1, typical_s=120)

    assert plan.first_look_s(evenly) <= 5


def test_now_and_then_a_task_is_looked_at_early_to_find_out_whether_it_is_faster_now() -> None:
    plan, random = planned(known()), Random(5).random

    firsts = [plan.first_look_s(random) for _ in range(3000)]
    early = [first for first in firsts if first < plan.next_s[0] * 0.9]

    assert len(early) / len(firsts) == pytest.approx(foresight.EXPLORED, rel=0.4)
    assert min(early) == pytest.approx(plan.next_s[0] / 2)


def test_tasks_that_began_together_are_not_looked_at_together() -> None:
    plan, random = planned(known()), Random(6).random

    assert len({plan.wait_s(180, random) for _ in range(100)}) == 100
    assert len({plan.first_look_s(random) for _ in range(100)}) > 90


def test_a_plan_keeps_to_the_looks_it_counts_on() -> None:
    for spread in (0.1, 0.2, 0.3, 0.4):
        assert planned(known(spread=spread)).looks <= LOOKS_AIM
