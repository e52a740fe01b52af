"""Looking at Midjourney's pictures; submits, films and words have files of their own."""

from __future__ import annotations

from typing import Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters.midjourney import looks as looking
from shared.gateway.outcome import ErrorClass, Look, Output, Pending, Produced, Refused, Source, Unseen
from tests.unit.gateway import test_midjourney_results, test_midjourney_submits
from tests.unit.gateway.replies import IN_NO_CONTRACT, reply

ID: Final = "1772611200345018"
OTHER: Final = "1772611300777042"
CUSTOM_ID: Final = "MJ::JOB::upsample::1::7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
OWN: Final = Source(path=f"/mj/image/{ID}")
GRID: Final = Source(url=f"https://gw.example/mj/image/{ID}")
TILES: Final = tuple(Source(url=f"https://cdn.example/{ID}/0_{index}.png") for index in range(4))
FILMS: Final = tuple(Source(url=f"https://cdn.example/{index}.mp4") for index in range(2))

RUNNING: Final[dict[str, Pending]] = {
    "2.4-task-just-submitted.json": Pending(0, ""),
    "2.4-task-running.json": Pending(46, "in_progress"),
    "2.5-task-modal.json": Pending(0, "modal"),
    "2.5-task-submitted-raw-progress.json": Pending(None, "submitted"),
    "2.5-task-paused.json": Pending(None, "in_progress"),
    "2.5-task-progress-number.json": Pending(46, "in_progress"),
    "2.5-task-word-nobody-listed.json": Pending(46, "upscaling_soon"),
    "2.5-task-done-without-picture.json": Pending(100, "success"),
    "2.5-task-done-picture-null.json": Pending(100, "success"),
    "1.6-task-reason-while-running.json": Pending(46, "in_progress"),
}

DONE: Final[dict[str, tuple[Output, ...]]] = {
    "2.4-task-done.json": (Output("image", (GRID, OWN)),),
    "2.5-task-completed-lower-case.json": (Output("image", (GRID, OWN)),),
    "1.6-task-done-with-a-reason.json": (Output("image", (GRID, OWN)),),
    "2.4-task-done-tiles-objects.json": (
        Output("image", (GRID, OWN)),
        *(Output("image", (tile,)) for tile in TILES),
    ),
    "2.4-task-done-tiles-thumbnails.json": (
        Output("image", (GRID, OWN)),
        *(Output("image", (tile,)) for tile in TILES),
    ),
    "2.4-task-done-tiles-texts.json": (
        Output("image", (GRID, OWN)),
        *(Output("image", (tile,)) for tile in TILES),
    ),
    "2.4-task-done-tiles-only.json": tuple(Output("image", (tile,)) for tile in TILES),
    "2.4-task-done-one-tile.json": (Output("image", (GRID, TILES[0], OWN)),),
    "2.4-task-done-snake-case.json": (Output("image", (Source(url="https://cdn.example/1.png"), OWN)),),
    "2.4-task-done-video-objects.json": tuple(Output("video", (film,)) for film in FILMS),
    "2.4-task-done-video-texts.json": tuple(Output("video", (film,)) for film in FILMS),
    "2.4-task-done-video-json-in-text.json": tuple(Output("video", (film,)) for film in FILMS),
    "2.4-task-done-video-url.json": (Output("video", FILMS[:1]),),
    "2.8-task-done-discord.json": (
        Output(
            "image",
            (Source(url="https://cdn.discordapp.com/attachments/1/2/fog.png?ex=65f1&is=65ef&hm=9a8b"), OWN),
        ),
    ),
    "4.1-task-wrapped.json": (Output("image", (GRID, OWN)),),
    "4.1-task-in-result.json": (Output("image", (GRID, OWN)),),
}

FAILED: Final[dict[str, ErrorClass]] = {
    "2.4-task-failed-parameter.json": ErrorClass.INVALID_REQUEST,
    "2.4-task-failed-banned.json": ErrorClass.CONTENT_POLICY,
    "2.4-task-failed-moderation.json": ErrorClass.CONTENT_POLICY,
    "2.4-task-failed-chinese.json": ErrorClass.CONTENT_POLICY,
    "2.4-task-failed-no-reason.json": ErrorClass.TASK_FAILED,
    "1.8-task-failed-timeout.json": ErrorClass.TASK_FAILED,
    "1.6-task-refunded-with-a-reason.json": ErrorClass.TASK_FAILED,
    "2.5-task-cancel-with-a-reason.json": ErrorClass.TASK_FAILED,
    "2.5-task-cancel.json": ErrorClass.UNKNOWN_OUTCOME,  # nothing says that it was refunded (1.6)
}

#: By file, the HTTP status that it comes with.
UNSEEN: Final[dict[str, int]] = {
    "4.1-task-unknown-400.json": 400,
    "1.1-task-403-allow-list.json": 403,
    "4.1-task-null.json": 200,
    **dict.fromkeys(IN_NO_CONTRACT, 200),
}

GRID_LOOK: Final = "a grid"
LISTED: Final[dict[str, dict[str, Pending | str]]] = {
    "4.2-list-one-unreadable.json": {ID: GRID_LOOK},
    "4.2-list-twice-unreadable-and-running.json": {OTHER: Pending(55, "in_progress")},
    "4.2-list.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-result.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-data.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-list.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-empty.json": {},
    "4.2-list-twice.json": {ID: GRID_LOOK},
    "4.2-list-twice-running.json": {ID: Pending(55, "in_progress")},
    "4.2-list-twice-failed-and-done.json": {ID: GRID_LOOK},
}

NOT_LISTED: Final[dict[str, int]] = {
    "4.2-list-400-numbers.json": 400,
    "4.2-list-404-invalid-url.json": 404,
    **dict.fromkeys(IN_NO_CONTRACT, 200),
}

REPLIES: Final = (
    frozenset(f"midjourney/{name}" for name in (*RUNNING, *DONE, *FAILED, *UNSEEN, *LISTED, *NOT_LISTED))
    | test_midjourney_results.REPLIES
    | test_midjourney_submits.REPLIES
)


def look(name: str, status: int = 200) -> Look:
    return reading.look_of(reply(f"midjourney/{name}", status), lambda answer: looking.PICTURES.read(answer, ID))


def produced(name: str) -> Produced:
    found = look(name)
    assert isinstance(found, Produced)
    return found


def looks(name: str, *task_ids: str, status: int = 200) -> dict[str, Look]:
    assert looking.PICTURES.read_many is not None
    return reading.looks_of(reply(f"midjourney/{name}", status), task_ids, looking.PICTURES.read_many)


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_a_task_runs_until_its_status_and_a_result_end_it(name: str) -> None:
    assert look(name) == RUNNING[name]


@pytest.mark.parametrize("name", sorted(DONE))
def test_a_finished_task_has_its_pictures_or_films(name: str) -> None:
    assert produced(name).outputs == DONE[name]


def test_what_the_next_action_needs_is_kept() -> None:
    assert produced("2.4-task-done.json").result == {
        "task_id": ID,
        "action": "IMAGINE",
        "prompt_en": "paper lighthouse, fog --ar 3:2",
        "final_prompt": "paper lighthouse, fog --ar 3:2 --v 7",
        "buttons": [
            {"custom_id": CUSTOM_ID, "label": "U1", "style": 2},
            {"custom_id": CUSTOM_ID.replace("upsample", "variation"), "label": "V1", "style": 2},
            {
                "custom_id": "MJ::JOB::reroll::0::7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41::SOLO",
                "emoji": "🔄",
                "style": 2,
            },
        ],
    }


def test_a_dashboard_row_is_a_task_too() -> None:
    result = produced("2.4-task-done-snake-case.json").result

    assert result["task_id"] == ID
    assert result["buttons"] == [{"custom_id": "MJ::JOB::upsample::1::7d2f", "label": "U1"}]


@pytest.mark.parametrize("name", sorted(FAILED))
def test_a_failed_task_says_whether_to_try_again(name: str) -> None:
    found = look(name)

    assert isinstance(found, Refused)
    assert found.error.error_class is FAILED[name]


def test_a_failed_task_says_why() -> None:
    found = look("2.4-task-failed-parameter.json")

    assert isinstance(found, Refused)
    assert found.error.message == "[Invalid parameter] Unrecognized parameter(s): `--arr`"


@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_trouble_with_a_look_says_nothing_about_the_task(name: str) -> None:
    assert isinstance(look(name, UNSEEN[name]), Unseen)


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_list_gives_the_furthest_state_of_each_task(name: str) -> None:
    found = looks(name, *LISTED[name])

    for task_id, expected in LISTED[name].items():
        seen = found[task_id]
        assert seen == expected or (expected is GRID_LOOK and isinstance(seen, Produced))


def test_a_task_that_a_list_leaves_out_was_not_seen() -> None:
    assert isinstance(looks("4.2-list.json", "1")["1"], Unseen)
    assert isinstance(looks("4.2-list-empty.json", ID)[ID], Unseen)


@pytest.mark.parametrize("name", sorted(NOT_LISTED))
def test_trouble_with_a_list_says_nothing_about_any_task(name: str) -> None:
    found = looks(name, ID, OTHER, status=NOT_LISTED[name])

    assert [type(one) for one in found.values()] == [Unseen, Unseen]
    assert not any(isinstance(one, Unseen) and one.is_missing for one in found.values())


def test_a_task_of_a_list_that_cannot_be_read_was_not_seen_and_is_not_missing() -> None:
    found = looks("4.2-list-one-unreadable.json", OTHER, ID)

    assert isinstance(found[ID], Produced)
    unread = found[OTHER]
    assert isinstance(unread, Unseen)
    assert not unread.is_missing
    assert unread.reason.startswith("UnicodeEncodeError (HTTP 200")


def test_a_task_that_was_canceled_is_not_asked_for_again_as_if_it_had_cost_nothing() -> None:
    found = look("2.5-task-cancel.json")

    assert isinstance(found, Refused)
    assert (found.error.code, found.error.charged) == ("upstream_canceled", False)
    assert "refunded" in found.error.message


def test_a_look_goes_without_a_speed() -> None:
    one = looking.build_look("a:1")
    many = looking.build_look_many([ID, OTHER])

    assert (one.method, one.path) == ("GET", "/mj/task/a%3A1/fetch")
    assert (many.method, many.path, many.json) == ("POST", "/mj/task/list-by-condition", {"ids": [ID, OTHER]})
