"""Who may take whose jobs: the decision alone."""

from __future__ import annotations

from shared.credentials import Credential
from workers import lending


def credential(name: str, *models: str) -> Credential:
    given = {"name": name, "base_url": "https://gate.example", "api_key": "sk-1", "models": models or ("*",)}
    return Credential.model_validate(given)


BOTH = [credential("a"), credential("b", "sora-*")]


def takers(
    waiting: dict[str, bool], rooms: dict[str, int], released: dict[str, int], known: list[Credential] = BOTH
) -> list[tuple[str, tuple[str, ...], int]]:
    return [(loan.taker, loan.givers, loan.most) for loan in lending.loans(waiting, rooms, released, known)]


def test_a_paused_lane_gives_to_one_with_room() -> None:
    assert takers({"a.sora": True}, {"b.sora": 3}, {}) == [("b.sora", ("a.sora",), 3)]


def test_a_full_lane_gives_what_the_other_has_room_for_after_its_own() -> None:
    found = takers({"a.sora": False, "b.sora": False}, {"a.sora": 2, "b.sora": 5}, {"a.sora": 2, "b.sora": 4})

    assert found == [("b.sora", ("a.sora",), 1)]


def test_a_lane_that_lets_all_its_jobs_go_keeps_them() -> None:
    assert takers({"a.sora": False}, {"a.sora": 5, "b.sora": 5}, {"a.sora": 3}) == []


def test_of_a_lane_that_another_dispatcher_holds_nobody_can_tell_whether_it_is_full() -> None:
    assert takers({"a.sora": False}, {"b.sora": 5}, {}) == []


def test_jobs_stay_in_their_family() -> None:
    assert takers({"a.sora": True}, {"b.veo": 5}, {}) == []


def test_what_a_removed_credential_left_is_given_away() -> None:
    assert takers({"gone.sora": False}, {"a.sora": 1}, {}) == [("a.sora", ("gone.sora",), 1)]


def test_a_full_lane_takes_nothing() -> None:
    assert takers({"a.sora": True}, {"b.sora": 0}, {}) == []


def test_a_loan_names_the_models_that_its_taker_serves() -> None:
    (loan,) = lending.loans({"a.sora": True}, {"b.sora": 1}, {}, BOTH)

    assert loan.models == ("sora-%",)


def test_the_lanes_that_might_take_are_those_of_the_same_families() -> None:
    assert lending.siblings(["a.sora", "gone.veo"], BOTH) == {"a.sora", "b.sora", "a.veo", "b.veo"}
