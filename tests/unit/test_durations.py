"""What is learned of how long tasks take."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shared import durations
from shared.durations import BUCKETS, EDGES_S, PRIOR, PRIOR_UNTIL, REFRESH_S, REMEMBERED, Between, Durations, Shares


def learned(*took_s: float) -> Durations:
    known = Durations()
    for seconds in took_s:
        known = known.add(Between(seconds, seconds))
    return known


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({}, "video.create"),
        ({"seconds": 8, "size": "720x1280"}, "video.create seconds=8 size=720x1280"),
        ({"size": "1280X720"}, "video.create size=720x1280"),
        ({"size": "16x9"}, "video.create size=9x16"),
        ({"size": "auto", "quality": "High"}, "video.create size=auto quality=high"),
        ({"seconds": None, "prompt": "a boat", "seed": 7, "metadata": {"a": 1}}, "video.create"),
        ({"resolution": "4 K" + "x" * 1000}, "video.create resolution=4k" + "x" * 22),
    ],
)
def test_what_moves_a_duration_is_told_from_what_does_not(params: dict[str, Any], size: str) -> None:
    assert durations.size_of("video.create", params) == size


def test_a_task_that_tells_nothing_ended_between_the_last_two_looks() -> None:
    assert durations.between(150, 160, None) == Between(150, 160)
    assert durations.between(None, 160, None) == Between(0, 160)


@pytest.mark.parametrize(
    ("took_s", "knew_s"),
    [(145, 145 + REFRESH_S / 2), (10, 150), (149, 149 + REFRESH_S / 2), (500, 160), (-3, 150)],
)
def test_what_a_task_tells_of_itself_is_believed_as_far_as_our_looks_allow(took_s: float, knew_s: float) -> None:
    assert durations.between(150, 160, took_s) == Between(knew_s, knew_s)


def test_a_look_that_is_older_than_the_task_was_at_its_end_makes_no_interval_turned_around() -> None:
    assert durations.between(170, 160, None) == Between(160, 160)


@pytest.mark.parametrize(
    ("earliest_s", "latest_s"),
    [(0, 0), (0, 0.1), (0, 200), (150, 160), (150, 150), (EDGES_S[50], EDGES_S[51]), (6000, 10**6), (10**6, 10**7)],
)
@pytest.mark.parametrize("known", [Durations(), learned(1, 100, 155, 5000)])
def test_each_task_counts_once_wherever_it_lies(known: Durations, earliest_s: float, latest_s: float) -> None:
    more = known.add(Between(earliest_s, latest_s))

    assert more.total == pytest.approx(known.total + 1)
    assert min(count - before for count, before in zip(more.counts, known.counts, strict=True)) >= 0


def test_a_task_that_was_seen_late_counts_where_its_like_end() -> None:
    known = learned(*([140.0] * 50))

    more = known.add(Between(0, 200))

    assert Shares.of(more).by(130) < 0.001
    assert Shares.of(more).by(155) > 0.99


def test_a_task_whose_like_never_ended_there_counts_in_the_later_half_of_what_may_be() -> None:
    more = learned(*([600.0] * 50)).add(Between(0, 200))

    assert Shares.of(more).by(90) == 0
    assert Shares.of(more).by(250) * more.total == pytest.approx(1)


def test_half_is_forgotten_once_more_than_enough_is_remembered() -> None:
    known = learned(*([100.0] * (REMEMBERED + 1)))

    assert known.forget().total == pytest.approx((REMEMBERED + 1) / 2)
    assert learned(100, 200).forget() == learned(100, 200)


def test_many_tasks_at_once_are_forgotten_as_often_as_is_needed() -> None:
    known = Durations((1000.0,) * BUCKETS)

    assert REMEMBERED / 2 < known.forget().total <= REMEMBERED


def test_a_model_that_has_changed_is_known_as_it_is_now() -> None:
    known = learned(*([180.0] * 200))

    for _ in range(3 * REMEMBERED):
        known = known.add(Between(60, 60)).forget()

    assert known.quantile(0.9) < 66


def test_quantiles_are_as_close_as_the_buckets_are_fine() -> None:
    random = Random(3)
    took_s = sorted(random.lognormvariate(5.19, 0.3) for _ in range(5000))
    known = learned(*took_s)

    for share in (0.05, 0.1, 0.5, 0.9, 0.95):
        assert known.quantile(share) == pytest.approx(took_s[int(share * 5000)], rel=0.02)
        assert Shares.of(known).by(took_s[int(share * 5000)]) == pytest.approx(share, abs=0.01)


def test_nothing_known_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no task was seen"):
        Durations().quantile(0.5)
    assert Shares.of(Durations()).by(10**6) == 0


@pytest.mark.parametrize(("seen", "weight"), [(0, PRIOR), (PRIOR_UNTIL // 2, PRIOR / 2), (PRIOR_UNTIL, 0)])
def test_the_catalog_weighs_less_the_more_tasks_were_seen(seen: int, weight: float) -> None:
    known = learned(*([60.0] * seen))

    with_prior = known.with_prior(180)

    assert with_prior.total - known.total == pytest.approx(weight)


def test_what_the_catalog_says_is_the_middle_of_what_it_is_taken_for() -> None:
    assert Durations().with_prior(180).quantile(0.5) == pytest.approx(180, rel=0.05)
