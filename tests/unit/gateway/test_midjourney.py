from __future__ import annotations

import json
from typing import Any, Final

import pytest

from shared.gateway import reading
from shared.gateway.adapters import midjourney
from shared.gateway.outcome import (
    Accepted,
    ErrorClass,
    Look,
    Outcome,
    Output,
    Pending,
    Produced,
    Refused,
    Source,
    Unseen,
)
from shared.gateway.request import Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

ID: Final = "1772611200345018"
OTHER: Final = "1772611300777042"
CUSTOM_ID: Final = "MJ::JOB::upsample::1::7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
OWN: Final = Source(path=f"/mj/image/{ID}")
GRID: Final = Source(url=f"https://gw.example/mj/image/{ID}")
TILES: Final = tuple(Source(url=f"https://cdn.example/{ID}/0_{index}.png") for index in range(4))
FILMS: Final = tuple(Source(url=f"https://cdn.example/{index}.mp4") for index in range(2))

SUBMITTED: Final[dict[str, Accepted]] = {
    "2.2-submit-1.json": Accepted(ID),
    "2.2-submit-1-english.json": Accepted(ID),
    "2.2-submit-1-number.json": Accepted(ID),
    "2.2-submit-1-without-properties.json": Accepted(ID),
    "2.2-submit-1-several-ids.json": Accepted(ID),
    "2.3-submit-1-queued.json": Accepted(ID),
    "2.3-submit-22.json": Accepted(ID, "queued"),
    "2.3-submit-21-exists.json": Accepted(ID),
    "2.3-submit-0.json": Accepted(ID),
    "2.3-submit-200.json": Accepted("task_9f"),
}

#: By file: class, code, and whether it is counted as paid.
NOT_SUBMITTED: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "3.2-submit-21-window.json": (ErrorClass.INVALID_REQUEST, "modal_required", False),
    "2.3-submit-21-window-without-words.json": (ErrorClass.INVALID_REQUEST, "modal_required", False),
    "2.3-submit-1-window.json": (ErrorClass.INVALID_REQUEST, "modal_required", True),
    "2.3-submit-3-no-account.json": (ErrorClass.UNAVAILABLE, "midjourney_3", False),
    "2.3-submit-3-parent-gone.json": (ErrorClass.INVALID_REQUEST, "midjourney_3", False),
    "2.3-submit-4.json": (ErrorClass.INVALID_REQUEST, "midjourney_4", False),
    "2.3-submit-9.json": (ErrorClass.UNAVAILABLE, "midjourney_9", False),
    "2.3-submit-23.json": (ErrorClass.RATE_LIMITED, "midjourney_23", False),
    "2.3-submit-24.json": (ErrorClass.CONTENT_POLICY, "midjourney_24", False),
    "2.3-submit-24-english.json": (ErrorClass.CONTENT_POLICY, "midjourney_24", False),
    "2.3-submit-5-with-200.json": (ErrorClass.UNKNOWN_OUTCOME, "do_request_failed", False),
    "2.2-submit-1-null.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "2.2-submit-1-blank.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "2.2-submit-1-list.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "2.3-submit-code-nobody-listed.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    **dict.fromkeys(IN_NO_CONTRACT, (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False)),
}

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
}

DONE: Final[dict[str, tuple[Output, ...]]] = {
    "2.4-task-done.json": (Output("image", (GRID, OWN)),),
    "2.5-task-completed-lower-case.json": (Output("image", (GRID, OWN)),),
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
    "2.5-task-cancel.json": ErrorClass.TASK_FAILED,
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
    "4.2-list.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-result.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-data.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-in-list.json": {OTHER: Pending(80, "in_progress"), ID: GRID_LOOK},
    "4.2-list-empty.json": {},
    "4.2-list-twice.json": {ID: GRID_LOOK},
    "4.2-list-twice-running.json": {ID: Pending(55, "in_progress")},
    "4.2-list-twice-failed-and-done.json": {ID: GRID_LOOK},
}

NOT_LISTED: Final[dict[str, int]] = {"4.2-list-400-numbers.json": 400, **dict.fromkeys(IN_NO_CONTRACT, 200)}

REPLIES: Final = frozenset(
    f"midjourney/{name}"
    for name in (*SUBMITTED, *NOT_SUBMITTED, *RUNNING, *DONE, *FAILED, *UNSEEN, *LISTED, *NOT_LISTED)
)


def submitted(response: Response) -> Outcome:
    asked = call("midjourney.action", task_id=ID, custom_id=CUSTOM_ID)
    return reading.outcome_of(response, lambda answer: midjourney.read_submit(answer, asked))


def look(name: str, status: int = 200) -> Look:
    return reading.look_of(reply(f"midjourney/{name}", status), midjourney.read_look)


def produced(name: str) -> Produced:
    found = look(name)
    assert isinstance(found, Produced)
    return found


def looks(name: str, *task_ids: str, status: int = 200) -> dict[str, Look]:
    return reading.looks_of(reply(f"midjourney/{name}", status), task_ids, midjourney.read_look_many)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8"])
@pytest.mark.parametrize("name", sorted(SUBMITTED))
def test_each_submit_that_was_accepted_gives_the_id_to_look_for(name: str, content_type: str) -> None:
    assert submitted(reply(f"midjourney/{name}", content_type=content_type)) == SUBMITTED[name]


@pytest.mark.parametrize("name", sorted(NOT_SUBMITTED))
def test_a_submit_is_judged_by_the_code_in_its_body(name: str) -> None:
    outcome = submitted(reply(f"midjourney/{name}"))

    assert isinstance(outcome, Refused)
    error = outcome.error
    assert (error.error_class, error.code, error.charged) == NOT_SUBMITTED[name]
    assert error.upstream_status == 200


def test_a_banned_word_is_named() -> None:
    outcome = submitted(reply("midjourney/2.3-submit-24.json"))

    assert isinstance(outcome, Refused)
    assert outcome.error.message == "可能包含敏感词: gory"


@pytest.mark.parametrize("code", [1, "1"])
def test_a_code_may_be_a_text(code: int | str) -> None:
    assert submitted(Response(200, body=json.dumps({"code": code, "result": ID}).encode())) == Accepted(ID)


@pytest.mark.parametrize("code", [None, "", "success", {"a": 1}, [1], 1.5])
def test_a_code_of_another_kind_is_unreadable(code: Any) -> None:
    outcome = submitted(Response(200, body=json.dumps({"code": code, "result": ID}).encode()))

    assert isinstance(outcome, Refused)
    assert outcome.error.error_class is ErrorClass.UNKNOWN_OUTCOME


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


@pytest.mark.parametrize(
    ("mode", "path"),
    [
        (None, "/mj/submit/imagine"),
        ("fast", "/mj-fast/mj/submit/imagine"),
        ("relax", "/mj-relax/mj/submit/imagine"),
        ("turbo", "/mj-turbo/mj/submit/imagine"),
    ],
)
def test_the_speed_stands_in_the_path(mode: str | None, path: str) -> None:
    assert midjourney.IMAGINE.build(call("midjourney.imagine", mode=mode)).path == path


def test_an_imagine_carries_its_job_and_its_references() -> None:
    request = midjourney.IMAGINE.build(call("midjourney.imagine", PNG, JPEG, bot_type="NIJI_JOURNEY"))

    assert request.json == {
        "prompt": "a tin robot",
        "base64Array": [PNG.data_url, JPEG.data_url],
        "botType": "NIJI_JOURNEY",
        "state": "job_1",
    }


def test_an_action_names_the_parent_and_the_button() -> None:
    request = midjourney.ACTION.build(call("midjourney.action", task_id=ID, custom_id=CUSTOM_ID, mode="relax"))

    assert request.path == "/mj-relax/mj/submit/action"
    assert request.json == {"taskId": ID, "customId": CUSTOM_ID, "chooseSameChannel": True, "state": "job_1"}


def test_without_a_job_there_is_no_state() -> None:
    request = midjourney.IMAGINE.build(call("midjourney.imagine", job_id=""))

    assert request.json == {"prompt": "a tin robot", "base64Array": []}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("fog \u2014ar 3:2 \u2013v 7", "fog --ar 3:2 --v 7"),
        ("fog \u2014\u2014ar 3:2", "fog --ar 3:2"),
        ("fog \u2014 and rain", "fog \u2014 and rain"),
        ("a well\u2014lit room --ar 3:2", "a well\u2014lit room --ar 3:2"),
    ],
)
def test_a_long_dash_before_a_flag_is_made_two(prompt: str, expected: str) -> None:
    asked = call("midjourney.imagine")

    request = midjourney.IMAGINE.build(type(asked)(asked.operation, asked.model, prompt, asked.params))

    assert request.json["prompt"] == expected


def test_a_look_goes_without_a_speed() -> None:
    one = midjourney.build_look("a:1")
    many = midjourney.build_look_many([ID, OTHER])

    assert (one.method, one.path) == ("GET", "/mj/task/a%3A1/fetch")
    assert (many.method, many.path, many.json) == ("POST", "/mj/task/list-by-condition", {"ids": [ID, OTHER]})
