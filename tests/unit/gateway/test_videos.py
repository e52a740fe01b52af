from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from shared.catalog.lookup import Catalog
from shared.catalog.models import videos as models
from shared.errors import InputRefused, InvalidRequest
from shared.gateway import reading
from shared.gateway.adapters import videos
from shared.gateway.call import Call, Media
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
from shared.gateway.request import Part, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, call, reply

ID: Final = "task_Qm3k9sT2vX7pL0aZ4cB8nR6yW1eH5uJd"
CONTENT: Final = Source(path=f"/v1/videos/{ID}/content")
FILES: Final = "https://files.example"

CREATED: Final[dict[str, Outcome]] = {
    "7.1-create.json": Accepted(ID, "queued"),
    "7.1-create-22codex.json": Accepted("video_3f6c", "queued"),
    "7.1-create-submitted.json": Accepted(ID, "submitted"),
    "7.1-create-not-start.json": Accepted(ID, "not_start"),
    "6.5-create-task-id-only.json": Accepted(ID),
    "6.5-create-wrapped-object.json": Accepted(ID, "not_start"),
    "6.5-create-wrapped-id.json": Accepted(ID),
    "6.5-create-wrapped-text.json": Accepted(ID),
    "6.5-create-camel-case.json": Accepted(ID),
    "6.5-create-video-id.json": Accepted("video_3f6c"),
    "6.5-create-number.json": Accepted("1772620000123"),
    "6.5-create-long.json": Accepted(
        "bW9kZWxzL3Zlby0zLjEtZ2VuZXJhdGUtcHJldmlldy9vcGVyYXRpb25zL2FiMTJjZDM0ZWY1Ng==", "queued"
    ),
    "6.5-create-failed-at-once.json": Accepted(ID, "failed"),
    "8.1-create-colon.json": Accepted("veo3.1-fast:1772630000-kQ2x", "queued"),
    "8.1-create-created.json": Accepted(ID, "pending"),
    "8.1-create-video-generation.json": Accepted("veo-3.1-fast:1772630000-kQ2x", "processing"),
    "7.3-remix.json": Accepted("video_9a1e", "queued"),
}

NOT_CREATED: Final = ("6.5-create-without-id.json", *IN_NO_CONTRACT)

RUNNING: Final[dict[str, Pending]] = {
    "7.2-look-in-progress.json": Pending(37, "in_progress"),
    "6.3-look-unknown.json": Pending(0, "unknown"),
    "6.3-look-not-start.json": Pending(0, "not_start"),
    "6.3-look-word-nobody-listed.json": Pending(90, "polishing_frames"),
    "6.3-look-empty-status.json": Pending(None, ""),
    "6.2-look-completed-at-while-running.json": Pending(50, "in_progress"),
    "6.4-look-100-percent-while-running.json": Pending(100, "in_progress"),
    "7.2-look-detail-running.json": Pending(93, "processing"),
    "6.8-look-wrapper-running.json": Pending(37, "in_progress"),
}

#: By file, all places of the film, in order.
DONE: Final[dict[str, tuple[Source, ...]]] = {
    "7.2-look-completed-without-url.json": (CONTENT,),
    "7.2-look-completed-video-url.json": (Source(url=f"{FILES}/9f/boat.mp4"), CONTENT),
    "7.2-look-completed-video-url-empty.json": (CONTENT,),
    "7.2-look-completed-video-url-null.json": (CONTENT,),
    "7.2-look-22codex.json": (Source(url=f"{FILES}/9f/boat.mp4"), CONTENT),
    "7.2-look-detail-completed.json": (Source(url=f"{FILES}/d/boat.mp4"), CONTENT),
    "7.2-look-metadata-url.json": (Source(url=f"{FILES}/m/boat.mp4"), CONTENT),
    "7.2-look-modelsell.json": (
        Source(url=f"{FILES}/a.mp4"),
        Source(url=f"{FILES}/b.mp4"),
        Source(url=f"{FILES}/c.mp4"),
        CONTENT,
    ),
    "7.2-look-qnaigc.json": (Source(url=f"{FILES}/q/boat.mp4"),),
    "7.2-look-gpt-best.json": (Source(url=f"{FILES}/g/boat.mp4"), CONTENT),
    "6.8-look-wrapper.json": (Source(url=f"https://gw.example/v1/videos/{ID}/content"), CONTENT),
    "6.8-look-url-in-fail-reason.json": (Source(url=f"{FILES}/old/boat.mp4"), CONTENT),
    "6.8-look-live.json": (Source(url=f"{FILES}/l/kettle.mp4"), CONTENT),
    "6.8-look-sibling.json": (Source(url=f"{FILES}/s/kettle.mp4"), CONTENT),
    "6.9-look-gen-3.json": (CONTENT,),
    "7.3-look-remixed.json": (CONTENT,),
    "8.2-look-veo.json": (
        Source(url=f"{FILES}/v/kettle.mp4"),
        Source(path="/v1/videos/veo3.1-fast%3A1772630000-kQ2x/content"),
    ),
    "8.2-look-data-url.json": (
        Source(content=b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 16),
        CONTENT,
    ),
    "6.6-look-every-source.json": (
        Source(url=f"{FILES}/1.mp4"),
        Source(url=f"{FILES}/2.mp4"),
        Source(url=f"{FILES}/3.mp4?sig=a%2Fb"),
        Source(url=f"{FILES}/4.mp4"),
        Source(url=f"{FILES}/5.mp4"),
        Source(url=f"{FILES}/6.mp4"),
        CONTENT,
    ),
}

FAILED: Final[dict[str, tuple[ErrorClass, str, str]]] = {
    "6.7-look-failed-moderation.json": (
        ErrorClass.CONTENT_POLICY,
        "moderation_blocked",
        "The request was blocked by the moderation system.",
    ),
    "6.7-look-failed-without-code.json": (
        ErrorClass.TASK_FAILED,
        "task_failed",
        "Sora is under heavy load, please try again later.",
    ),
    "6.7-look-failed-fail-reason.json": (
        ErrorClass.CONTENT_POLICY,
        "content_policy",
        "This content may violate our guardrails concerning similarity to third-party content.",
    ),
    "6.7-look-failed-without-reason.json": (ErrorClass.TASK_FAILED, "task_failed", "the gateway gave no reason"),
    "6.7-look-failed-error-text.json": (ErrorClass.TASK_FAILED, "task_failed", "task failed"),
    "6.7-look-failed-size.json": (
        ErrorClass.INVALID_REQUEST,
        "invalid_request",
        "Inpaint image must match the requested width and height",
    ),
    "6.8-look-wrapper-failed.json": (ErrorClass.TASK_FAILED, "task_failed", "任务超时（1440分钟）"),
    "10.1-look-outer-final-inner-running.json": (ErrorClass.TASK_FAILED, "task_failed", "heavy load"),
    "6.3-look-cancelled.json": (ErrorClass.TASK_FAILED, "task_failed", "the gateway gave no reason"),
    "6.3-look-expired.json": (ErrorClass.TASK_FAILED, "task_failed", "the gateway gave no reason"),
}

#: By file, the HTTP status that it comes with.
UNSEEN: Final[dict[str, int]] = {
    "6.7-look-400-task-not-exist.json": 400,
    "1.1-look-401-key-exhausted.json": 401,
    "1.1-look-403-allow-list.json": 403,
    "1.3-look-200-page.html": 200,
    "1.4-look-404.json": 404,
    "6.8-look-invalid-url.json": 404,
    "2.5-look-200-error.json": 200,
    "6.8-look-empty-record.json": 200,
    **dict.fromkeys(IN_NO_CONTRACT, 200),
}

REPLIES: Final = frozenset(f"videos/{name}" for name in (*CREATED, *NOT_CREATED, *RUNNING, *DONE, *FAILED, *UNSEEN))


def created(response: Response) -> Outcome:
    return reading.outcome_of(response, lambda answer: videos.read(answer, call("video.create")))


def asked(model: str, *images: Media, **params: Any) -> Call:
    return replace(call("video.create", *images, **params), model=model)


def look(name: str, status: int = 200) -> Look:
    return reading.look_of(reply(f"videos/{name}", status), videos.read_look)


def look_at(body: Any) -> Look:
    return reading.look_of(Response(200, body=json.dumps(body).encode()), videos.read_look)


@pytest.mark.parametrize("name", sorted(CREATED))
def test_each_answer_to_a_create_gives_the_id_to_look_for(name: str) -> None:
    assert created(reply(f"videos/{name}")) == CREATED[name]


@pytest.mark.parametrize("name", NOT_CREATED)
def test_a_create_without_an_id_has_an_unknown_outcome(name: str) -> None:
    outcome = created(reply(f"videos/{name}"))

    assert isinstance(outcome, Refused)
    assert (outcome.error.error_class, outcome.error.code) == (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply")


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_a_film_runs_until_its_status_ends_it(name: str) -> None:
    assert look(name) == RUNNING[name]


@pytest.mark.parametrize("name", sorted(DONE))
def test_a_finished_film_has_every_place_that_it_may_be_at(name: str) -> None:
    found = look(name)

    assert isinstance(found, Produced)
    assert found.outputs == (Output("video", DONE[name]),)


def test_what_the_user_wants_of_a_finished_film_is_kept() -> None:
    codex, veo = look("7.2-look-22codex.json"), look("8.2-look-veo.json")

    assert isinstance(codex, Produced)
    assert isinstance(veo, Produced)
    assert codex.result == {"enhanced_prompt": "a small paper boat"}
    assert veo.result == {"seconds": "8", "size": "1280x720"}


@pytest.mark.parametrize("name", sorted(FAILED))
def test_a_failed_film_says_why(name: str) -> None:
    found = look(name)

    assert isinstance(found, Refused)
    error = found.error
    assert (error.error_class, error.code, error.message) == FAILED[name]
    assert not error.charged


@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_trouble_with_a_look_says_nothing_about_the_film(name: str) -> None:
    found = look(name, UNSEEN[name])

    assert isinstance(found, Unseen)
    assert found.upstream_status == UNSEEN[name]


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("IN_PROGRESS", "completed", Produced),
        ("SUCCESS", "in_progress", Produced),
        ("FAILURE", "completed", Refused),
        ("IN_PROGRESS", "", Pending),
    ],
)
def test_where_two_statuses_differ_the_gateways_own_wins_once_it_is_final(
    outer: str, inner: str, expected: type[Look]
) -> None:
    found = look_at({"code": "success", "data": {"task_id": ID, "status": outer, "data": {"status": inner}}})

    assert isinstance(found, expected)


def test_a_finished_film_that_is_nowhere_yet_is_looked_at_again() -> None:
    assert look_at({"status": "completed", "video_url": ""}) == Pending(None, "completed")


@pytest.mark.parametrize("word", ["in_progress", "IN-PROGRESS", "Brewing", "", "video_upsampling", "unknown"])
def test_a_status_that_does_not_end_a_clip_leaves_it_running(word: str) -> None:
    found = look_at({"id": "v", "status": word, "progress": "37%", "video_url": "https://a/b.mp4", "completed_at": 1})

    assert isinstance(found, Pending)
    assert found.progress == 37


@pytest.mark.parametrize("word", ["Completed", "succeeded", "FINISHED", "video_generation_completed"])
def test_each_word_for_success_ends_a_clip(word: str) -> None:
    assert isinstance(look_at({"id": "v", "status": word}), Produced)


def test_a_create_is_a_form_even_without_a_file() -> None:
    request = videos.CREATE.build(call("video.create", seconds=8, size="1280x720", watermark=False))

    assert (request.method, request.path, request.name) == ("POST", "/v1/videos", "video.create")
    assert request.json is None
    assert request.form == {
        "model": "the-model",
        "prompt": "a tin robot",
        "seconds": "8",
        "size": "1280x720",
        "watermark": "false",
    }
    assert request.files == ()


def test_pictures_go_along_as_files_of_one_name() -> None:
    request = videos.CREATE.build(call("video.create", PNG, JPEG))

    assert request.files == (
        Part("input_reference", "frame.png", "image/png", PNG.content),
        Part("input_reference", "second.jpg", "image/jpeg", JPEG.content),
    )


def test_what_only_veo_knows_is_sent_as_metadata() -> None:
    request = videos.CREATE.build(call("video.create", seed=0, negative_prompt="雾", aspect_ratio="9:16"))

    assert request.form is not None
    assert json.loads(request.form["metadata"]) == {"negativePrompt": "雾", "seed": 0, "aspectRatio": "9:16"}
    assert "seed" not in request.form
    assert request.form["aspect_ratio"] == "9:16"


@pytest.mark.parametrize(
    ("model", "metadata"),
    [
        ("veo-3.1-generate-preview", {"resolution": "1080p", "personGeneration": "allow_adult", "durationSeconds": 8}),
        ("veo3.1", {"resolution": "1080p", "personGeneration": "allow_adult"}),
    ],
)
def test_an_official_veo_is_told_its_length_in_every_way_that_one_of_them_reads(
    model: str, metadata: dict[str, Any]
) -> None:
    request = videos.build(asked(model, seconds=8, resolution="1080p", person_generation="allow_adult"))

    assert request.form is not None
    assert json.loads(request.form["metadata"]) == metadata
    assert request.form["seconds"] == "8"
    assert ("duration" in request.form) == ("durationSeconds" in metadata)
    assert "resolution" not in request.form


def test_what_else_a_vendor_knows_goes_with_the_metadata() -> None:
    request = videos.build(call("video.create", seed=7, metadata={"cameraMotion": "orbit", "seed": 8}))

    assert request.form is not None
    assert json.loads(request.form["metadata"]) == {"seed": 8, "cameraMotion": "orbit"}


def test_as_json_what_must_be_a_text_is_one_and_the_rest_is_what_it_is() -> None:
    request = videos.build(
        call("video.create", encoding="json", seconds=8, watermark=False, enhance_prompt=True, seed=7)
    )

    assert (request.form, request.files) == (None, ())
    assert request.json == {
        "model": "the-model",
        "prompt": "a tin robot",
        "seconds": "8",
        "watermark": "false",
        "enhance_prompt": True,
        "metadata": {"seed": 7},
    }


HOSTED: Final = replace(PNG, url="https://mine.example/frame.png?sig=a%2Fb")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (None, {"images": [HOSTED.url]}),
        ("images", {"images": [HOSTED.url]}),
        ("image", {"image": HOSTED.url}),
        ("input_reference", {"input_reference": HOSTED.url}),
    ],
)
def test_as_json_a_picture_is_the_address_that_its_owner_gave(field: str | None, expected: dict[str, Any]) -> None:
    request = videos.build(call("video.create", HOSTED, encoding="json", images_in=field))

    assert {name: request.json[name] for name in request.json if name not in ("model", "prompt")} == expected


def test_as_json_a_picture_without_an_address_is_a_data_url() -> None:
    request = videos.build(call("video.create", PNG, JPEG, encoding="json"))

    assert request.json["images"] == [PNG.data_url, JPEG.data_url]


def test_a_field_for_one_picture_is_not_given_two() -> None:
    with pytest.raises(InputRefused, match="input_reference holds one picture, not 2"):
        videos.build(call("video.create", PNG, JPEG, encoding="json", images_in="input_reference"))


@pytest.mark.parametrize(
    "model", ["veo2-fast-frames", "veo3.1-components-4k", "veo_3_1-components-4K", "veo-3.1-landscape-fast-fl"]
)
def test_a_model_that_films_pictures_is_not_asked_without_any(model: str) -> None:
    with pytest.raises(InputRefused, match="makes films of pictures"):
        videos.build(asked(model))

    assert len(videos.build(asked(model, PNG)).files) == 1


@pytest.mark.parametrize("model", ["veo3.1", "veo-3.1-fast", "sora_video2-landscape", "flux-film"])
def test_other_models_are_asked_with_words_alone(model: str) -> None:
    assert videos.build(asked(model)).files == ()


@pytest.mark.parametrize("name", models.ENTRIES)
def test_the_name_of_a_model_says_how_many_pictures_it_takes(name: str) -> None:
    most = models.ENTRIES[name].max_images

    assert most in (0, 1, 2, 3)
    least = models.ENTRIES[name].min_images
    if videos.NEEDS_PICTURES.search(name):
        assert (least, most) == (1, 3 if "components" in name else 2)
    else:
        assert least == 0


def problems(model: str, operation: str | None = None, images: int = 0, **params: Any) -> list[tuple[str, str]]:
    inputs = {"images": images} if images else {}
    asked = {"model": model, "operation": operation, "prompt": "" if "messages" in params else "a boat"}
    try:
        Catalog.built_in().resolve(**asked, params=params, inputs_by_role=inputs)
    except InvalidRequest as error:
        return [(one.pointer, one.detail) for one in error.errors]
    return []


@pytest.mark.parametrize("operation", [None, "video.chat"])
def test_a_model_that_films_pictures_is_refused_without_any_before_a_job_is_made(operation: str | None) -> None:
    told = [("/inputs/images", "must be 1 to 2, not 0 (model veo3-frames)")]

    assert problems("veo3-frames", operation) == told
    assert problems("veo3-frames", operation, images=1) == []
    assert problems("veo3-frames", operation, images=3) == [(told[0][0], told[0][1].replace("0", "3", 1))]


def test_a_conversation_may_have_its_pictures_in_itself_and_a_remix_needs_none() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://mine.example/frame.png"}}

    assert problems("veo3-frames", "video.chat", messages=[{"role": "user", "content": [part]}]) == []
    assert problems("veo3-frames", "video.remix", task_id="video_1") == []


@pytest.mark.parametrize(
    ("model", "params", "is_made"),
    [
        ("veo-3.1-generate-preview", {"seconds": 8, "resolution": "1080p"}, True),
        ("veo-3.1-generate-preview", {"seconds": 4, "resolution": "720p"}, True),
        ("veo-3.1-generate-preview", {"seconds": 4, "resolution": "1080p"}, False),
        ("veo-3.1-generate-preview", {"seconds": 6, "resolution": "4k"}, False),
        ("veo-3.1-fast-generate-preview", {"seconds": 4, "size": "1080x1920"}, False),
        ("veo-3.0-generate-001", {"seconds": 6, "metadata": {"resolution": "1080p"}}, False),
        ("veo-3.1-generate-preview", {"resolution": "1080p"}, True),
        ("veo3.1", {"seconds": 4, "size": "1920x1080"}, True),
    ],
)
def test_an_official_veo_is_asked_for_nothing_short_in_a_large_size(
    model: str, params: dict[str, Any], is_made: bool
) -> None:
    if is_made:
        assert videos.build(asked(model, **params)).form
        return
    with pytest.raises(InputRefused, match=f"seconds must be 8 .*, not {params['seconds']}"):
        videos.build(asked(model, **params))


@pytest.mark.parametrize(
    ("size", "cost_usd"),
    [("1280x720", "1.20"), ("1024x1792", "2.000001"), ("1792x1024", "2.000001")],
)
def test_a_large_film_is_estimated_by_what_the_gateway_reserves_for_it(size: str, cost_usd: str) -> None:
    asked = {"model": "sora-2-pro", "operation": None, "prompt": "a boat", "inputs_by_role": {}}

    resolved = Catalog.built_in().resolve(**asked, params={"seconds": 4, "size": size})

    assert resolved.estimated_cost_usd == Decimal(cost_usd)


@pytest.mark.parametrize(
    ("model", "cost_usd"),
    [
        ("sora-2", "0.40"),
        ("sora-2-pro-all", "3.00"),
        ("sora_video2", "1.00"),
        ("sora_video2-landscape-15s", "1.50"),
        ("veo3.1", "3.20"),
        ("veo-3.1-landscape-fast-fl", "1.20"),
        ("veo_3_1-4K", "4.80"),
    ],
)
def test_a_film_of_no_length_is_estimated_by_what_its_model_makes(model: str, cost_usd: str) -> None:
    inputs = {"images": models.ENTRIES[model].min_images}
    asked = {"model": model, "operation": None, "prompt": "a boat", "params": {}, "inputs_by_role": inputs}

    assert Catalog.built_in().resolve(**asked).estimated_cost_usd == Decimal(cost_usd)


@pytest.mark.parametrize("operation", ["video.create", "video.remix", "video.chat"])
@pytest.mark.parametrize("model", ["sora-2", "sora_video2-15s", "veo-3.1-fast-generate-preview"])
def test_every_model_that_films_serves_every_way_of_filming(model: str, operation: str) -> None:
    params = {"task_id": "video_1"} if operation == "video.remix" else {}

    resolved = Catalog.built_in().resolve(
        model=model, operation=operation, prompt="a boat", params=params, inputs_by_role={}
    )

    assert resolved.operation.name == operation


def test_a_remix_names_its_film_in_the_path_and_nothing_but_the_prompt() -> None:
    request = videos.REMIX.build(call("video.remix", task_id="sora-2:task_01k/9"))

    assert (request.method, request.path) == ("POST", "/v1/videos/sora-2%3Atask_01k%2F9/remix")
    assert (request.json, request.form, request.name) == ({"prompt": "a tin robot"}, None, "video.remix")


def test_what_was_remixed_is_told() -> None:
    found = look("7.3-look-remixed.json")

    assert isinstance(found, Produced)
    assert found.result["remixed_from_video_id"] == "video_3f6c"


def test_a_film_is_asked_about_at_both_routes_in_turn_while_nothing_is_told() -> None:
    looking = videos.CREATE.looking
    assert looking is not None

    paths = [looking.ask("veo3:1/a", misses).path for misses in range(4)]

    assert paths == ["/v1/videos/veo3%3A1%2Fa", "/v1/video/generations/veo3%3A1%2Fa"] * 2


@pytest.mark.parametrize("name", ["1.4-look-404.json", "6.8-look-invalid-url.json", "6.7-look-400-task-not-exist.json"])
def test_a_film_that_is_not_known_may_be_missing(name: str) -> None:
    found = look(name, UNSEEN[name])

    assert isinstance(found, Unseen)
    assert found.is_missing


def test_an_id_with_a_colon_is_encoded_when_it_is_looked_for() -> None:
    request = videos.build_look("veo3.1-fast:1772630000-kQ2x")

    assert (request.method, request.path) == ("GET", "/v1/videos/veo3.1-fast%3A1772630000-kQ2x")
