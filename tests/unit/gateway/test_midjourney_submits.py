"""What Midjourney is asked, and what its answer to a submit means."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters.midjourney import requests, windows
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import Call, Media
from shared.gateway.outcome import Accepted, Continued, ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

ID: Final = "1772611200345018"
WINDOW_ID: Final = "1772611300777042"
HASH: Final = "7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
U1: Final = f"MJ::JOB::upsample::1::{HASH}"
V1: Final = f"MJ::JOB::variation::1::{HASH}"
REGION: Final = f"MJ::Inpaint::1::{HASH}::SOLO"
CUSTOM_ZOOM: Final = f"MJ::CustomZoom::{HASH}"
GIF: Final = Media("image/gif", "waves.gif", b"GIF89a-waves")

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
    "3.7-submit-1-same-id.json": Accepted(WINDOW_ID),
    "3.9-submit-1.json": Accepted(ID),
    "3.9-submit-22.json": Accepted(ID, "queued"),
    "5.1-submit-1.json": Accepted("1772612000888063"),
}

#: By file: class and code.
NOT_SUBMITTED: Final[dict[str, tuple[ErrorClass, str]]] = {
    "2.3-submit-3-no-account.json": (ErrorClass.UNAVAILABLE, "midjourney_3"),
    "2.3-submit-3-parent-gone.json": (ErrorClass.INVALID_REQUEST, "midjourney_3"),
    "2.3-submit-4.json": (ErrorClass.INVALID_REQUEST, "midjourney_4"),
    "2.3-submit-9.json": (ErrorClass.UNAVAILABLE, "midjourney_9"),
    "2.3-submit-23.json": (ErrorClass.RATE_LIMITED, "midjourney_23"),
    "2.3-submit-24.json": (ErrorClass.CONTENT_POLICY, "midjourney_24"),
    "2.3-submit-24-english.json": (ErrorClass.CONTENT_POLICY, "midjourney_24"),
    "2.3-submit-5-with-200.json": (ErrorClass.UNKNOWN_OUTCOME, "do_request_failed"),
    "3.7-submit-4-prompt.json": (ErrorClass.INVALID_REQUEST, "midjourney_4"),
    "3.7-submit-3-window-gone.json": (ErrorClass.INVALID_REQUEST, "midjourney_3"),
    "2.2-submit-1-null.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply"),
    "2.2-submit-1-blank.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply"),
    "2.2-submit-1-list.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply"),
    "2.3-submit-code-nobody-listed.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply"),
    **dict.fromkeys(IN_NO_CONTRACT, (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply")),
}

OPENED: Final = (
    "3.2-submit-21-window.json",
    "2.3-submit-21-window-without-words.json",
    "2.3-submit-1-window.json",
    "2.3-submit-1-window-english.json",
)
WITHOUT_PROMPT: Final = "2.3-submit-1-window-without-prompt.json"

SEEDS: Final = ("4.3-seed.json", "4.3-seed-number.json")

#: By file: HTTP status and class.
NO_SEEDS: Final[dict[str, tuple[int, ErrorClass]]] = {
    "4.3-seed-4.json": (200, ErrorClass.INVALID_REQUEST),
    "4.3-seed-9.json": (200, ErrorClass.TASK_FAILED),
    "4.3-seed-1-null.json": (200, ErrorClass.TASK_FAILED),
    "4.3-seed-400-task-no-found.json": (400, ErrorClass.INVALID_REQUEST),
    "4.3-seed-400-channel-disabled.json": (400, ErrorClass.INVALID_REQUEST),
    "4.3-seed-400-do-request-failed.json": (400, ErrorClass.UNKNOWN_OUTCOME),
    **dict.fromkeys(IN_NO_CONTRACT, (200, ErrorClass.TASK_FAILED)),
}

REPLIES: Final = frozenset(
    f"midjourney/{name}"
    for name in (*SUBMITTED, *NOT_SUBMITTED, *OPENED, WITHOUT_PROMPT, *SEEDS, *NO_SEEDS, *IN_NO_CONTRACT)
)

SUBMITS: Final = sorted(set(BY_OPERATION) & {name for name in BY_OPERATION if name.startswith("midjourney.")})
PRESSES: Final = ("midjourney.action", "midjourney.change", "midjourney.simple_change")
NEEDED: Final[dict[str, dict[str, Any]]] = {
    "midjourney.action": {"task_id": ID, "custom_id": U1},
    "midjourney.change": {"task_id": ID, "action": "VARIATION", "index": 3},
    "midjourney.simple_change": {"content": f"{ID} V3"},
    "midjourney.modal": {"task_id": WINDOW_ID},
    "midjourney.seed": {"task_id": ID},
}
INPUTS: Final[dict[str, dict[str, tuple[Media, ...]]]] = {
    "midjourney.blend": {"images": (PNG, JPEG)},
    "midjourney.describe": {"images": (PNG,)},
    "midjourney.swap_face": {"source": (PNG,), "target": (JPEG,)},
    "midjourney.video": {"images": (PNG,)},
}


def asked(name: str, prompt: str = "a tin robot", inputs: Any = None, **params: Any) -> Call:
    made = call(name, **{**NEEDED.get(name, {}), **params})
    return replace(made, prompt=prompt, inputs=INPUTS.get(name, {}) if inputs is None else inputs)


def built(name: str, prompt: str = "a tin robot", inputs: Any = None, **params: Any) -> Request:
    return BY_OPERATION[name].build(asked(name, prompt, inputs, **params))


def outcome(response: Response, of: Call | None = None) -> Outcome:
    made = of or asked("midjourney.action")
    return reading.outcome_of(response, lambda answer: BY_OPERATION[made.operation].read(answer, made))


# What it is asked.


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("imagine", "submit/imagine", {"prompt": "a tin robot", "base64Array": []}),
        ("blend", "submit/blend", {"prompt": "a tin robot", "base64Array": [PNG.data_url, JPEG.data_url]}),
        ("describe", "submit/describe", {"base64": PNG.data_url}),
        ("shorten", "submit/shorten", {"prompt": "a tin robot"}),
        ("action", "submit/action", {"taskId": ID, "customId": U1, "chooseSameChannel": True}),
        ("change", "submit/change", {"taskId": ID, "action": "VARIATION", "index": 3}),
        (
            "simple_change",
            "submit/simple-change",
            {"content": f"{ID} V3", "taskId": ID, "action": "VARIATION", "index": 3},
        ),
        ("modal", "submit/modal", {"taskId": WINDOW_ID, "prompt": "a tin robot"}),
        ("swap_face", "insight-face/swap", {"sourceBase64": PNG.data_url, "targetBase64": JPEG.data_url}),
        ("video", "submit/video", {"prompt": "a tin robot", "motion": "low", "image": PNG.data_url}),
    ],
)
@pytest.mark.parametrize(
    ("mode", "prefix"), [(None, ""), ("fast", "/mj-fast"), ("relax", "/mj-relax"), ("turbo", "/mj-turbo")]
)
def test_a_submit_has_its_speed_in_the_path_and_its_job_in_the_body(
    name: str, path: str, body: dict[str, Any], mode: str | None, prefix: str
) -> None:
    request = built(f"midjourney.{name}", mode=mode)

    assert (request.method, request.path) == ("POST", f"{prefix}/mj/{path}")
    assert request.json == {**body, "state": "job_1.1"}
    assert request.name == f"midjourney.{name}"
    assert request.timeout_s >= 90


def test_a_seed_is_asked_for_without_a_speed_or_a_body() -> None:
    request = built("midjourney.seed", task_id="a:1")

    assert (request.method, request.path, request.json) == ("GET", "/mj/task/a%3A1/image-seed", None)


def test_an_imagine_carries_its_references_and_its_bot() -> None:
    request = built("midjourney.imagine", inputs={"images": (PNG, JPEG)}, bot_type="NIJI_JOURNEY")

    assert request.json["base64Array"] == [PNG.data_url, JPEG.data_url]
    assert request.json["botType"] == "NIJI_JOURNEY"


@pytest.mark.parametrize(
    ("name", "params", "fields"),
    [
        ("blend", {"dimensions": "LANDSCAPE"}, {"dimensions": "LANDSCAPE"}),
        ("describe", {"language": "en", "bot_type": "MID_JOURNEY"}, {"language": "en", "botType": "MID_JOURNEY"}),
        ("action", {"enable_remix": True}, {"enableRemix": True}),
        (
            "video",
            {"motion": "high", "video_type": "vid_1.1_i2v_720", "batch_size": 2, "loop": True, "animate_mode": "auto"},
            {"motion": "high", "videoType": "vid_1.1_i2v_720", "batchSize": 2, "loop": True, "animateMode": "auto"},
        ),
        ("video", {"no_storage": True}, {"noStorage": True}),
    ],
)
def test_parameters_are_sent_in_the_gateways_spelling(
    name: str, params: dict[str, Any], fields: dict[str, Any]
) -> None:
    body = built(f"midjourney.{name}", **params).json

    assert {key: body[key] for key in fields} == fields


def test_a_reroll_has_an_index_since_the_gateway_wants_one() -> None:
    change = built("midjourney.change", action="REROLL", index=None).json
    simple = built("midjourney.simple_change", content=f"{ID} r").json

    assert (change["action"], change["index"]) == ("REROLL", 1)
    assert (simple["action"], simple["index"]) == ("REROLL", 1)


@pytest.mark.parametrize("name", ["blend", "modal", "video"])
def test_a_prompt_that_is_not_there_is_not_sent(name: str) -> None:
    assert "prompt" not in built(f"midjourney.{name}", prompt=" ").json


def test_a_modal_carries_its_mask() -> None:
    assert built("midjourney.modal", inputs={"mask": (PNG,)}).json["maskBase64"] == PNG.data_url


def test_a_film_may_have_a_last_frame() -> None:
    body = built("midjourney.video", inputs={"images": (PNG,), "end_image": (JPEG,)}).json

    assert (body["image"], body["endImage"]) == (PNG.data_url, JPEG.data_url)


@pytest.mark.parametrize(
    ("params", "index"), [({}, 0), ({"index": 2}, 2), ({"index_base": 1}, 1), ({"index": 2, "index_base": 1}, 3)]
)
def test_a_film_that_goes_on_is_named_in_both_spellings(params: dict[str, int], index: int) -> None:
    body = built("midjourney.video", prompt="", inputs={}, task_id=ID, **params).json

    assert body == {
        "action": "extend",
        "taskId": ID,
        "task_id": ID,
        "index": index,
        "motion": "low",
        "state": "job_1.1",
    }


@pytest.mark.parametrize("with_frame", [True, False])
def test_a_film_begins_either_with_a_frame_or_with_a_film(with_frame: bool) -> None:
    with pytest.raises(InputRefused, match=r"inputs\.images"):
        built(
            "midjourney.video", inputs={"images": (PNG,)} if with_frame else {}, **{"task_id": ID} if with_frame else {}
        )


def test_a_face_is_not_swapped_with_itself() -> None:
    with pytest.raises(InputRefused, match="must differ"):
        built("midjourney.swap_face", inputs={"source": (PNG,), "target": (PNG,)})


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("imagine", {"images": (GIF,)}),
        ("blend", {"images": (PNG, GIF)}),
        ("describe", {"images": (GIF,)}),
        ("swap_face", {"source": (PNG,), "target": (GIF,)}),
        ("video", {"images": (GIF,)}),
        ("modal", {"mask": (JPEG,)}),
        ("action", {"mask": (JPEG,)}),
    ],
)
def test_a_picture_of_a_type_that_would_fail_later_is_refused(name: str, inputs: Any) -> None:
    with pytest.raises(InputRefused, match="PNG"):
        built(f"midjourney.{name}", inputs=inputs)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("fog \u2014ar 3:2 \u2013v 7", "fog --ar 3:2 --v 7"),
        ("fog \u2014\u2014ar 3:2", "fog --ar 3:2"),
        ("fog \u2014 and rain", "fog \u2014 and rain"),
        ("a well\u2014lit room --ar 3:2", "a well\u2014lit room --ar 3:2"),
    ],
)
@pytest.mark.parametrize("name", ["imagine", "blend", "shorten", "modal", "video"])
def test_a_long_dash_before_a_flag_is_made_two(name: str, prompt: str, expected: str) -> None:
    assert built(f"midjourney.{name}", prompt).json["prompt"] == expected


def test_without_a_job_there_is_no_state() -> None:
    made = replace(asked("midjourney.imagine"), job_id="")

    assert requests.build_imagine(made).json == {"prompt": "a tin robot", "base64Array": []}


# What it answers.


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8"])
@pytest.mark.parametrize("name", sorted(SUBMITTED))
def test_each_submit_that_was_accepted_gives_the_id_to_look_for(name: str, content_type: str) -> None:
    assert outcome(reply(f"midjourney/{name}", content_type=content_type)) == SUBMITTED[name]


@pytest.mark.parametrize("operation", [name for name in SUBMITS if name != "midjourney.seed"])
def test_the_answers_of_all_submits_are_read_alike(operation: str) -> None:
    accepted = outcome(reply("midjourney/2.2-submit-1.json"), asked(operation))
    refused = outcome(reply("midjourney/2.3-submit-24.json"), asked(operation))

    assert accepted == Accepted(ID)
    assert isinstance(refused, Refused)
    assert refused.error.error_class is ErrorClass.CONTENT_POLICY


@pytest.mark.parametrize("name", sorted(NOT_SUBMITTED))
def test_a_submit_is_judged_by_the_code_in_its_body(name: str) -> None:
    refused = outcome(reply(f"midjourney/{name}"))

    assert isinstance(refused, Refused)
    error = refused.error
    assert (error.error_class, error.code, error.charged) == (*NOT_SUBMITTED[name], False)
    assert error.upstream_status == 200


def test_a_full_queue_is_left_alone_for_half_a_minute() -> None:
    refused = outcome(reply("midjourney/2.3-submit-23.json"))

    assert isinstance(refused, Refused)
    assert refused.error.retry_after_s == 30


def test_a_banned_word_is_named() -> None:
    refused = outcome(reply("midjourney/2.3-submit-24.json"))

    assert isinstance(refused, Refused)
    assert refused.error.message == "可能包含敏感词: gory"


@pytest.mark.parametrize("code", [1, "1"])
def test_a_code_may_be_a_text(code: int | str) -> None:
    assert outcome(Response(200, body=json.dumps({"code": code, "result": ID}).encode())) == Accepted(ID)


@pytest.mark.parametrize("code", [None, "", "success", {"a": 1}, [1], 1.5])
def test_a_code_of_another_kind_is_unreadable(code: Any) -> None:
    refused = outcome(Response(200, body=json.dumps({"code": code, "result": ID}).encode()))

    assert isinstance(refused, Refused)
    assert refused.error.error_class is ErrorClass.UNKNOWN_OUTCOME


# Windows.


@pytest.mark.parametrize("operation", PRESSES)
@pytest.mark.parametrize("name", OPENED)
def test_a_window_is_filled_in_at_once(name: str, operation: str) -> None:
    followed = outcome(reply(f"midjourney/{name}"), asked(operation, "a red boat \u2014ar 3:2", mode="relax"))

    assert isinstance(followed, Continued)
    assert followed.request.path == "/mj-relax/mj/submit/modal"
    assert followed.request.json == {"taskId": WINDOW_ID, "prompt": "a red boat --ar 3:2", "state": "job_1.1"}
    assert followed.request.timeout_s >= 90


@pytest.mark.parametrize(
    ("name", "operation", "params", "charged"),
    [
        ("3.2-submit-21-window.json", "action", {"custom_id": REGION}, False),
        ("3.2-submit-21-window.json", "action", {"custom_id": CUSTOM_ZOOM}, False),
        ("2.3-submit-1-window.json", "action", {"custom_id": REGION}, True),
        # In remix mode, where the gateway's rewriting of 21 missed a blank (2.3): billed as any press (1.6).
        ("3.2-submit-21-window.json", "action", {"custom_id": V1}, True),
        ("2.3-submit-21-window-without-words.json", "change", {}, True),
        ("2.3-submit-21-window-without-words.json", "simple_change", {}, True),
    ],
)
def test_a_window_is_free_for_the_buttons_that_always_open_one_and_for_no_other(
    name: str, operation: str, params: dict[str, Any], charged: bool
) -> None:
    followed = outcome(reply(f"midjourney/{name}"), asked(f"midjourney.{operation}", "a red boat", **params))

    assert isinstance(followed, Continued)
    assert followed.charged is charged


def test_a_window_for_a_region_gets_its_mask() -> None:
    pressed = asked("midjourney.action", inputs={"mask": (PNG,)}, custom_id=REGION)

    followed = outcome(reply("midjourney/3.2-submit-21-window.json"), pressed)

    assert isinstance(followed, Continued)
    assert followed.request.json["maskBase64"] == PNG.data_url


def test_what_the_job_does_not_say_the_window_does() -> None:
    followed = outcome(reply("midjourney/3.2-submit-21-window.json"), asked("midjourney.action", prompt=" "))

    assert isinstance(followed, Continued)
    assert followed.request.json["prompt"] == "paper lighthouse, fog --ar 3:2"


@pytest.mark.parametrize(
    ("own", "prompt", "filled"),
    [
        ("https://s.mj.run/a https://s.mj.run/b a boat --ar 3:2", "a boat  --ar 3:2", None),
        ("a boat --ar 3:2", "a boat --ar 3:2", None),
        ("https://s.mj.run/a a boat --ar 3:2", "a boat", "a boat"),
        ("https://s.mj.run/a a boat", "a boat at night", "a boat at night"),
        ("", "a boat", "a boat"),
        ("https://s.mj.run/a", "", None),
        ("a boat like https://s.mj.run/a here", "a boat like here", "a boat like here"),
    ],
)
def test_reference_pictures_are_kept_where_the_prompt_says_nothing_new(
    own: str, prompt: str, filled: str | None
) -> None:
    assert windows.words_for({"properties": {"finalPrompt": own}}, prompt) == (own if filled is None else filled)


def test_a_window_that_wants_words_nobody_has_is_refused_and_counted_as_paid_where_it_was() -> None:
    refused = outcome(reply(f"midjourney/{WITHOUT_PROMPT}"), asked("midjourney.action", prompt=""))

    assert isinstance(refused, Refused)
    error = refused.error
    assert (error.error_class, error.code, error.charged) == (ErrorClass.INVALID_REQUEST, "modal_required", True)


def test_a_free_window_that_wants_words_nobody_has_costs_nothing() -> None:
    answer = {"code": 21, "description": "Waiting for window confirm", "properties": {}, "result": WINDOW_ID}

    pressed = asked("midjourney.action", prompt="", custom_id=REGION)
    refused = outcome(Response(200, body=json.dumps(answer).encode()), pressed)

    assert isinstance(refused, Refused)
    assert not refused.error.charged


def test_a_window_that_is_filled_in_does_not_open_another() -> None:
    filled = outcome(reply("midjourney/2.3-submit-1-window.json"), asked("midjourney.modal"))

    assert filled == Accepted(WINDOW_ID)


@pytest.mark.parametrize(
    ("custom_id", "prompt", "has_mask", "pointer"),
    [
        (U1, "", False, None),
        (V1, "", False, None),
        (REGION, "a red boat", False, "/inputs/mask"),
        (REGION, "", True, None),
        (CUSTOM_ZOOM, "a boat", False, "/prompt"),
        (CUSTOM_ZOOM, "a boat --zoom 1", False, "/prompt"),
        (CUSTOM_ZOOM, "a boat --zoom 2.1", False, "/prompt"),
        (CUSTOM_ZOOM, "a boat --zoom 1.5x", False, "/prompt"),
        (CUSTOM_ZOOM, "a boat --zoom 1.5 --ar 3:2", False, None),
        (CUSTOM_ZOOM, "a boat --zoom 2", False, None),
        (CUSTOM_ZOOM, "a boat \u2014zoom 2", False, None),
    ],
)
def test_what_a_window_will_want_is_known_before_it_is_opened(
    custom_id: str, prompt: str, has_mask: bool, pointer: str | None
) -> None:
    lacking = windows.lacking(custom_id, prompt, has_mask=has_mask)

    assert (None if lacking is None else lacking.pointer) == pointer


@pytest.mark.parametrize("custom_id", [REGION, CUSTOM_ZOOM])
def test_a_window_that_could_not_be_filled_in_is_not_opened(custom_id: str) -> None:
    with pytest.raises(InputRefused, match=r"/inputs/mask|/prompt"):
        built("midjourney.action", custom_id=custom_id)


# Seeds.


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_is_a_result_without_artifacts(name: str) -> None:
    produced = outcome(reply(f"midjourney/{name}"), asked("midjourney.seed"))

    assert produced == Produced((), {"task_id": ID, "seed": "2903847561"})


@pytest.mark.parametrize("name", sorted(NO_SEEDS))
def test_no_seed_is_a_failure(name: str) -> None:
    status, error_class = NO_SEEDS[name]

    refused = outcome(reply(f"midjourney/{name}", status), asked("midjourney.seed"))

    assert isinstance(refused, Refused)
    assert refused.error.error_class is error_class
