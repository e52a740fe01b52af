"""The sandbox gateway keeps the contract, and its own promises: real results, one ledger line for each charge.

Contract: gateway/midjourney-and-video.md (videos), gateway/images-text-audio-system.md (images).
"""

from __future__ import annotations

import base64
import io
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, get_args

import av
import httpx
import pytest
from PIL import Image

from deploy.sandbox import behaviour, faults, script, serving
from deploy.sandbox.faults import FAULTS
from deploy.sandbox.routes import image_view, midjourney_view, video_view, videos
from deploy.sandbox.sayings import table as sayings
from deploy.sandbox.sizes import film_size, midjourney_size, picture_size
from tests.sandbox import SandboxServer

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
JPEG_HEAD = b"\xff\xd8\xff"
README = Path(__file__).parents[2] / "deploy" / "sandbox" / "README.md"

_numbers = count()


def own(words: str) -> str:
    """A prompt that no other test uses."""
    return f"{words} {next(_numbers)}"


def generate(client: httpx.Client, prompt: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/images/generations", json={"model": "nano-banana", "prompt": prompt, **fields})


def film(client: httpx.Client, prompt: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/videos", json={"model": "sora-2", "prompt": prompt, "size": "1280x720", **fields})


def started_film(client: httpx.Client, tag: str = "") -> str:
    """The id of a film that was accepted."""
    return str(film(client, f"{own('a boat')} [[sandbox render=plain {tag}]]").json()["id"])


def imagine(client: httpx.Client, prompt: str, mode: str = "", **fields: Any) -> httpx.Response:
    return client.post(f"{mode}/mj/submit/imagine", json={"prompt": prompt, **fields})


def grid(client: httpx.Client, tag: str = "") -> dict[str, Any]:
    """A Midjourney task as a first look shows it."""
    task_id = imagine(client, f"{own('a lighthouse')} [[sandbox {tag}]]").json()["result"]
    return dict(client.get(f"/mj/task/{task_id}/fetch").json())


def press(client: httpx.Client, task: dict[str, Any], button: str) -> httpx.Response:
    custom_id = next(one["customId"] for one in task["buttons"] if button in (one["label"], one["emoji"]))
    return client.post("/mj/submit/action", json={"taskId": task["id"], "customId": custom_id})


def picture(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def png(size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "orange").save(buffer, "PNG")
    return buffer.getvalue()


# The door.


def test_healthz_needs_no_key(server: SandboxServer) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/images/edits"),
        ("POST", "/v1/videos"),
        ("GET", "/v1/videos/x"),
        ("GET", "/v1/videos/x/content"),
        ("POST", "/mj/submit/imagine"),
        ("POST", "/mj-fast/mj/submit/action"),
        ("GET", "/mj/task/1/fetch"),
        ("POST", "/mj/task/list-by-condition"),
        ("GET", "/v1/models"),
        ("GET", "/_sandbox/ledger"),
        ("DELETE", "/_sandbox/ledger"),
        ("GET", "/_sandbox/requests"),
        ("POST", "/_sandbox/script"),
    ],
)
def test_a_missing_or_wrong_key_is_401_in_envelope_a(server: SandboxServer, method: str, path: str) -> None:
    bare = httpx.request(method, server.url + path)
    wrong = httpx.request(method, server.url + path, headers={"Authorization": "Bearer sk-wrong"})

    assert (bare.status_code, wrong.status_code) == (401, 401)
    assert wrong.json()["error"]["type"] == "new_api_error"
    assert wrong.headers["X-Oneapi-Request-Id"] in wrong.json()["error"]["message"]


@pytest.mark.parametrize("shown", ["Bearer sk-sandbox", "bearer sk-sandbox", "sk-sandbox", "sandbox", "Bearer sandbox"])
def test_the_key_may_be_shown_as_stock_takes_it(server: SandboxServer, shown: str) -> None:
    assert httpx.get(f"{server.url}/v1/models", headers={"Authorization": shown}).status_code == 200


def test_midjourney_takes_the_key_from_its_own_header(server: SandboxServer) -> None:
    answer = httpx.get(f"{server.url}/mj/task/1/fetch", headers={"mj-api-secret": "sk-sandbox"})

    assert answer.json() == {"description": "task_no_found ", "type": "upstream_error", "code": 4}


def test_an_unknown_address_is_404_and_says_so(client: httpx.Client) -> None:
    answers = [client.get("/v1/v1/models"), client.delete("/v1/videos/x"), client.get("/v1/videos")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert answers[0].json()["error"]["message"].startswith("Invalid URL (GET /v1/v1/models)")
    assert all(answer.headers["X-Oneapi-Request-Id"] for answer in answers)


# Pictures.


def test_a_picture_by_address_has_the_size_asked_for(client: httpx.Client) -> None:
    answer = generate(client, own("a cat"), size="640x352").json()

    assert set(answer) == {"created", "data"}
    hosted = httpx.get(answer["data"][0]["url"])
    assert hosted.headers["content-type"] == "image/png"
    assert picture(hosted.content).size == (640, 352)


def test_a_signed_address_must_come_back_byte_for_byte(client: httpx.Client) -> None:
    answer = generate(client, own("a cat"), size="64x64")

    url = answer.json()["data"][0]["url"]
    assert "\\u0026" in answer.text
    assert httpx.get(url.replace("%2B", "+", 1)).status_code == 403
    assert httpx.get(url.partition("?")[0]).status_code == 403


def test_gpt_image_answers_base64_with_usage(client: httpx.Client) -> None:
    answer = generate(client, own("a cat"), model="gpt-image-1", size="64x96").json()

    assert picture(base64.b64decode(answer["data"][0]["b64_json"])).size == (64, 96)
    assert answer["usage"]["total_tokens"] > 0


def test_seedream_answers_jpeg_with_its_real_size(client: httpx.Client) -> None:
    answer = generate(client, own("a cat"), model="doubao-seedream-4-0-250828", size="128x64").json()

    assert answer["data"][0]["size"] == "128x64"
    assert httpx.get(answer["data"][0]["url"]).content.startswith(JPEG_HEAD)


def test_several_pictures_differ_and_cost_their_number(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("cats")

    answer = generate(client, prompt, n=3, size="64x64").json()

    contents = {httpx.get(one["url"]).content for one in answer["data"]}
    assert len(contents) == 3
    assert [entry["price_usd"] for entry in server.ledger(prompt)] == ["0.117"]


def test_an_edit_shows_the_picture_that_came_in(client: httpx.Client) -> None:
    form = {"model": "gpt-4o-image", "prompt": own("a frame"), "size": "256x256"}

    answer = client.post("/v1/images/edits", data=form, files=[("image", ("in.png", png(), "image/png"))])

    made = picture(httpx.get(answer.json()["data"][0]["url"]).content)
    assert made.size == (256, 256)
    red, green, blue = made.getpixel((128, 94))  # type: ignore[misc]
    assert red > 230
    assert 140 < green < 190
    assert blue < 40


@pytest.mark.parametrize("name", ["image", "image[]", "image[0]"])
def test_an_edit_takes_its_files_by_every_name(client: httpx.Client, name: str) -> None:
    form = {"model": "gpt-4o-image", "prompt": own("two"), "size": "64x64", "n": "2"}

    files = [(name, ("a.png", png(), "image/png")), (name, ("b.png", png(), "image/png"))]
    answer = client.post("/v1/images/edits", data=form, files=files)

    assert len(answer.json()["data"]) == 2


def test_an_edit_without_a_picture_or_with_something_else_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client
) -> None:
    form = {"model": "gpt-4o-image", "prompt": own("nothing")}

    without = client.post("/v1/images/edits", data=form, files={"other": ("a.txt", b"x")})
    fake = client.post("/v1/images/edits", data=form, files={"image": ("a.png", b"<html>", "image/png")})
    as_json = client.post("/v1/images/edits", json=form)

    assert (without.status_code, without.json()["error"]["code"]) == (500, "convert_request_failed")
    assert (fake.status_code, fake.json()["error"]["code"]) == (400, "invalid_image_file")
    assert (as_json.status_code, as_json.json()["error"]["code"]) == (500, "convert_request_failed")
    assert server.ledger(form["prompt"]) == []


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"model": 5}, 400, ""),
        ({"n": "2"}, 500, "invalid_request"),
        ({"n": 99}, 400, "invalid_value"),
        ({"size": "64×64"}, 500, "invalid_request"),
        ({"size": "9000x9000"}, 400, "invalid_value"),
        ({"image": "not base64!"}, 400, "invalid_image_file"),
    ],
)
def test_wrong_fields_of_a_picture_are_refused_unpaid(
    server: SandboxServer, client: httpx.Client, fields: dict[str, Any], status: int, code: str
) -> None:
    prompt = own("wrong")

    answer = generate(client, prompt, **fields)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert server.ledger(prompt) == []


def test_every_picture_variant_of_the_contract_is_offered() -> None:
    assert {*image_view.VARIANTS, "moderation"} == set(get_args(behaviour.ImageVariant))


def variant(client: httpx.Client, name: str, **fields: Any) -> Any:
    return generate(client, own(f"a cat [[sandbox variant={name} render=plain]]"), **fields)


def test_variants_with_a_picture_carry_one(client: httpx.Client) -> None:
    both = variant(client, "both_empty").json()["data"][0]
    assert (both["url"], both["revised_prompt"]) == ("", "")
    assert base64.b64decode(both["b64_json"]).startswith(PNG_HEAD)
    assert variant(client, "data_uri").json()["data"][0]["url"].startswith("data:image/png;base64,iVBOR")
    assert variant(client, "b64_data_uri").json()["data"][0]["b64_json"].startswith("data:image/png;base64,iVBOR")
    assert variant(client, "url", response_format="b64_json").json()["data"][0]["url"].startswith("http")
    assert variant(client, "single_object").json()["data"]["url"].startswith("http")
    assert variant(client, "images_key").json()["images"][0]["url"].startswith("http")
    raw = variant(client, "raw")
    assert raw.headers["content-type"] == "image/png"
    assert raw.content.startswith(PNG_HEAD)
    stream = variant(client, "sse")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.rstrip().endswith("data: [DONE]")


def test_variants_with_less_than_a_picture(client: httpx.Client) -> None:
    partial = variant(client, "partial", n=3).json()["data"]
    assert [set(item) for item in partial] == [{"url"}, {"url"}, {"error"}]
    assert len(variant(client, "fewer", n=3).json()["data"]) == 2
    assert variant(client, "empty").json()["data"] == []
    assert variant(client, "null_data").json()["data"] is None
    assert set(variant(client, "refusal").json()["data"][0]) == {"error"}
    assert "can't" in variant(client, "no_media").json()["data"][0]["revised_prompt"]
    assert variant(client, "error200").json()["error"]["type"] == "upstream_error"
    assert variant(client, "receipt").json()["object"] == "generation.task"
    page = variant(client, "html200")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    blocked = variant(client, "moderation")
    assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "moderation_blocked")


# Films.


def test_a_film_has_the_length_size_and_codec_asked_for(client: httpx.Client, tmp_path: Path) -> None:
    form = {"model": "sora-2", "prompt": own("a boat"), "seconds": "8", "size": "1280x720"}
    reference = {"input_reference": ("frame.png", png((320, 180)), "image/png")}
    made = client.post("/v1/videos", data=form, files=reference).json()

    assert {name: made[name] for name in ("object", "model", "status", "progress", "seconds", "size")} == {
        "object": "video",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "seconds": "8",
        "size": "1280x720",
    }
    assert made["id"] == made["task_id"]
    answer = client.get(f"/v1/videos/{made['id']}/content")
    assert answer.headers["content-type"] == "video/mp4"
    content = answer.content
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(io.BytesIO(content), "r") as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (1280, 720)
        assert opened.duration is not None
        assert opened.duration / av.time_base == pytest.approx(8, abs=0.1)
        frames = [frame.to_image() for frame in opened.decode(video=0)]  # type: ignore[no-untyped-call]
    assert frames[0].tobytes() != frames[-1].tobytes()
    assert frames[0].getpixel((640, 100)) == pytest.approx((255, 165, 0), abs=12)


def test_veo_takes_its_fields_as_json(client: httpx.Client) -> None:
    made = film(client, own("a kettle [[sandbox render=plain]]"), model="veo3.1-fast", seconds="8", size="16x9").json()

    assert client.get(f"/v1/videos/{made['id']}").json()["status"] == "completed"


def test_hosted_results_serve_ranges_and_the_picture_proxy_does_not(client: httpx.Client) -> None:
    part = {"Range": "bytes=0-7"}
    url, proxied = generate(client, own("a cat"), size="64x64").json()["data"][0]["url"], grid(client)["imageUrl"]

    answers = [httpx.get(url, headers=part), httpx.get(proxied, headers=part)]

    assert [answer.status_code for answer in answers] == [206, 200]
    assert int(httpx.head(url).headers["content-length"]) > 8


def test_fields_that_the_gateway_drops_from_json_survive_in_a_form(client: httpx.Client) -> None:
    fields = {"model": "nano-banana", "prompt": own("wide"), "aspect_ratio": "16:9"}

    dropped = client.post("/v1/images/generations", json=fields).json()
    kept = client.post("/v1/images/edits", data=fields, files={"image": ("a.png", png(), "image/png")}).json()

    sizes = [picture(httpx.get(answer["data"][0]["url"]).content).size for answer in (dropped, kept)]
    assert sizes == [(1024, 1024), (1360, 768)]


def test_content_serves_ranges(client: httpx.Client) -> None:
    task_id = started_film(client)

    part = client.get(f"/v1/videos/{task_id}/content", headers={"Range": "bytes=4-7"})

    assert (part.status_code, part.content) == (206, b"ftyp")
    assert client.get(f"/v1/videos/{task_id}/content", headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"seconds": 4}, 400, "invalid_json"),
        ({"duration": "4"}, 400, "invalid_json"),
        ({"model": ""}, 400, "missing_model"),
        ({"prompt": ""}, 400, "invalid_request"),
        ({"size": "123x456"}, 400, "invalid_size"),
        ({"seconds": "9"}, 400, "fail_to_fetch_task"),
        ({"input_reference": "not base64!"}, 400, "fail_to_fetch_task"),
    ],
)
def test_wrong_fields_of_a_film_are_refused_in_envelope_b_unpaid(
    server: SandboxServer, client: httpx.Client, fields: dict[str, Any], status: int, code: str
) -> None:
    prompt = own("wrong")

    answer = film(client, **{"prompt": prompt, **fields})

    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (status, code, None)
    assert server.ledger(prompt) == []


def test_a_film_without_a_channel_is_503(client: httpx.Client) -> None:
    answer = film(client, own("x"), model="nano-banana")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_found")


def test_unknown_and_unfinished_films(client: httpx.Client) -> None:
    task_id = started_film(client, "latency=60")

    unknown, lost = client.get("/v1/videos/task_x"), client.get("/v1/videos/task_x/content")
    early = client.get(f"/v1/videos/{task_id}/content")

    assert (unknown.status_code, unknown.json()["code"]) == (400, "task_not_exist")
    assert (lost.status_code, early.status_code) == (404, 400)
    assert "Task is not completed yet, current status: NOT_START" in early.json()["error"]["message"]
    assert client.get(f"/v1/videos/{task_id}").json()["status"] == "queued"


def test_every_shape_of_a_finished_film_is_offered() -> None:
    assert set(video_view.SHAPES) == set(get_args(behaviour.VideoVariant))


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("video_url", ["video_url"], "completed"),
        ("metadata_url", ["metadata", "url"], "completed"),
        ("unified", ["video_url"], "completed"),
        ("detail", ["detail", "url"], "completed"),
        ("output_list", ["output", 0], "succeeded"),
        ("videos_list", ["data", "videos", 0, "url"], "Completed"),
        ("fail_reason_url", ["data", "fail_reason"], None),
        ("data_wrapper", ["data", "result_url"], None),
    ],
)
def test_a_finished_film_says_where_it_is(
    client: httpx.Client, name: str, path: list[str | int], status: str | None
) -> None:
    task_id = started_film(client, f"variant={name}")

    body = client.get(f"/v1/videos/{task_id}").json()

    found = body
    for step in path:
        found = found[step]
    assert body.get("status") == status
    assert client.get(found).content[4:8] == b"ftyp"


def test_a_finished_film_that_does_not_say_where_it_is(client: httpx.Client) -> None:
    plain = client.get(f"/v1/videos/{started_film(client)}").json()
    assert (plain["status"], plain["progress"]) == ("completed", 100)
    assert not [name for name in plain if "url" in name]

    native = client.get(f"/v1/videos/{started_film(client, 'variant=native')}").json()
    assert (native["status"], native["progress"]) == ("SUCCESS", "100%")

    inline = client.get(f"/v1/videos/{started_film(client, 'variant=data_uri')}").json()
    assert inline["metadata"]["url"].startswith("data:video/mp4;base64,")

    late = started_film(client, "variant=late_url")
    assert [bool(client.get(f"/v1/videos/{late}").json()["video_url"]) for _ in range(3)] == [False, False, True]

    indirect = client.get(f"/v1/videos/{started_film(client, 'variant=content_json')}/content").json()
    assert client.get(indirect["url"]).content[4:8] == b"ftyp"


@pytest.mark.parametrize("form", ["video", "colon", "long", "uuid"])
def test_ids_of_every_form_lead_to_their_film(client: httpx.Client, form: str) -> None:
    task_id = started_film(client, f"id_form={form}")

    quoted = task_id.replace(":", "%3A")

    assert client.get(f"/v1/videos/{quoted}").json()["id"] == task_id
    assert client.get(f"/v1/videos/{quoted}/content").status_code == 200


def test_create_answers_in_every_form(client: httpx.Client) -> None:
    answers = {
        name: film(client, own(f"x [[sandbox create={name} render=plain]]")).json()
        for name in ("bare", "task_id", "wrapped", "data_string", "created")
    }

    assert "task_id" not in answers["bare"]
    assert set(answers["task_id"]) == {"task_id"}
    assert answers["wrapped"]["data"]["task_id"].startswith("task_")
    assert answers["data_string"]["data"].startswith("task_")
    assert "created_at" not in answers["created"]


@pytest.mark.parametrize(
    ("tag", "status", "progress"),
    [
        ("words=upper", "IN_PROGRESS", 42),
        ("words=unknown", "brewing", 42),
        ("words=blank", "", 42),
        ("progress=percent", "in_progress", "42%"),
        ("progress=float", "in_progress", 0.42),
        ("progress=blank", "in_progress", ""),
        ("progress=none", "in_progress", None),
    ],
)
def test_a_stuck_film_runs_for_ever_in_many_words(
    client: httpx.Client, tag: str, status: str, progress: object
) -> None:
    task_id = started_film(client, f"stuck=true {tag}")

    body = client.get(f"/v1/videos/{task_id}").json()

    assert (body["status"], body.get("progress")) == (status, progress)


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("fail", "failed", "heavy load, please try again later"),
        ("moderation", "failed", "The request was blocked by the moderation system."),
        ("fail_bare", "failed", None),
        ("fail_reason", "failed", "task failed"),
        ("cancelled", "cancelled", None),
    ],
)
def test_a_failed_film_is_refunded_once(
    server: SandboxServer, client: httpx.Client, how: str, status: str, reason: str | None
) -> None:
    task_id = started_film(client, f"task={how}")

    body = client.get(f"/v1/videos/{task_id}").json()

    assert body["status"] == status
    assert (body.get("error") or {}).get("message", body.get("fail_reason")) == reason
    [entry] = [entry for entry in server.ledger() if entry["task_id"] == task_id]
    assert entry["refunded_at"]


def test_a_lying_film_fails_once_and_is_not_refunded(server: SandboxServer, client: httpx.Client) -> None:
    task_id = started_film(client, "lying=true")

    words = [client.get(f"/v1/videos/{task_id}").json()["status"] for _ in range(3)]

    assert words == ["failed", "completed", "completed"]
    assert [one["refunded_at"] for one in server.ledger() if one["task_id"] == task_id] == [None]


def test_the_first_queries_of_a_film_may_fail(client: httpx.Client) -> None:
    task_id = started_film(client, "poll_fail=404 poll_fails=2")

    answers = [client.get(f"/v1/videos/{task_id}") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert answers[0].json()["code"] == "task_not_exist"


def test_a_film_progresses_with_the_clock(client: httpx.Client) -> None:
    task_id = started_film(client, "latency=0.6")
    seen: list[tuple[str, int]] = []

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and ("completed", 100) not in seen:
        body = client.get(f"/v1/videos/{task_id}").json()
        seen.append((body["status"], body["progress"]))

    words = list(dict.fromkeys(word for word, _ in seen))
    percents = [percent for _, percent in seen]
    assert words == ["queued", "in_progress", "completed"]
    assert percents == sorted(percents)


# Midjourney.


@pytest.mark.parametrize("mode", ["", "/mj-fast", "/mj-relax", "/mj-turbo"])
def test_imagine_answers_json_that_is_called_text(client: httpx.Client, mode: str) -> None:
    answer = imagine(client, own("a lighthouse"), mode)

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json()["code"] == 1
    assert len(answer.json()["result"]) == 16


def test_a_grid_of_four_and_its_third_tile_enlarged(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("a lighthouse --ar 3:2")
    task_id = imagine(client, prompt, state="job-42").json()["result"]
    task = client.get(f"/mj/task/{task_id}/fetch").json()

    assert (task["status"], task["progress"], task["action"], task["state"]) == ("SUCCESS", "100%", "IMAGINE", "job-42")
    assert (task["buttons"][0]["label"], task["failReason"]) == ("U1", "")
    whole = picture(httpx.get(task["imageUrl"]).content)
    assert whole.size == (1248, 832)

    upscaled = client.get(f"/mj/task/{press(client, task, 'U3').json()['result']}/fetch").json()

    alone = picture(httpx.get(upscaled["imageUrl"]).content)
    assert alone.size == whole.size
    assert alone.resize((619, 411)).getpixel((300, 100)) == pytest.approx(whole.getpixel((300, 521)), abs=40)
    assert "Vary (Subtle)" in {button["label"] for button in upscaled["buttons"]}
    assert [(one["kind"], one["model"], one["price_usd"]) for one in server.ledger(prompt)] == [
        ("midjourney.imagine", "mj_imagine", "0.1"),
        ("midjourney.action", "mj_upscale", "0.05"),
    ]


@pytest.mark.parametrize("button", ["V2", "🔄"])
def test_variation_and_reroll_give_new_grids(client: httpx.Client, button: str) -> None:
    task = grid(client)

    new = client.get(f"/mj/task/{press(client, task, button).json()['result']}/fetch").json()

    assert new["buttons"][0]["label"] == "U1"
    assert httpx.get(new["imageUrl"]).content != httpx.get(task["imageUrl"]).content


def test_buttons_that_need_a_window_are_free_and_wait(server: SandboxServer, client: httpx.Client) -> None:
    single = client.get(f"/mj/task/{press(client, grid(client), 'U1').json()['result']}/fetch").json()
    before = len(server.ledger())

    answer = press(client, single, "Vary (Region)").json()

    assert answer["code"] == 21
    assert client.get(f"/mj/task/{answer['result']}/fetch").json()["status"] == "MODAL"
    assert len(server.ledger()) == before


def test_wrong_buttons_are_refused_each_in_its_way(client: httpx.Client) -> None:
    task, running = grid(client), grid(client, "stuck=true")
    foreign = task["buttons"][0]["customId"].replace("::1::", "::7::")

    def send(task_id: str, custom_id: str) -> httpx.Response:
        return client.post("/mj/submit/action", json={"taskId": task_id, "customId": custom_id})

    assert send(task["id"], foreign).json()["code"] == 4
    assert send(task["id"], "").json()["error"]["message"].startswith("custom_id_is_required")
    assert send(task["id"], "U1").json()["error"]["type"] == "new_api_panic"
    assert send(task["id"], "MJ::BOOKMARK::1").json()["error"]["message"].startswith("unknown_action:")
    assert send("", foreign).json()["description"] == "task_id_is_required "
    assert send("1", foreign).json()["description"] == "task_not_found "
    assert send(running["id"], foreign).json()["description"] == "task_status_not_success "


def test_wrong_imagines_are_refused(client: httpx.Client) -> None:
    assert imagine(client, " ").json()["description"] == "prompt_is_required "
    assert imagine(client, own("x"), base64Array=["data:image/png;base64,AAAA"]).json()["code"] == 4
    assert imagine(client, own("x"), base64Array=[base64.b64encode(png()).decode()]).json()["code"] == 1


def test_a_list_leaves_unknown_ids_out(client: httpx.Client) -> None:
    first, second = grid(client)["id"], grid(client)["id"]

    rows = client.post("/mj/task/list-by-condition", json={"ids": [second, "1", first]}).json()
    wrong = client.post("/mj/task/list-by-condition", json={"ids": [1]})

    assert {row["id"] for row in rows} == {first, second}
    assert client.post("/mj/task/list-by-condition", json={"ids": []}).json() == []
    assert (wrong.status_code, wrong.json()["description"]) == (400, "do_request_failed ")


@pytest.mark.parametrize(("form", "key"), [("code_result", "result"), ("data", "data"), ("list", "list")])
def test_a_list_may_be_wrapped(client: httpx.Client, form: str, key: str) -> None:
    task_id = grid(client, f"list_form={form}")["id"]

    assert client.post("/mj/task/list-by-condition", json={"ids": [task_id]}).json()[key][0]["id"] == task_id


def test_a_row_of_a_list_may_be_missing_or_doubled(client: httpx.Client) -> None:
    def rows(task_id: str) -> int:
        return len(client.post("/mj/task/list-by-condition", json={"ids": [task_id]}).json())

    once, never, twice = (grid(client, f"list_row={how}")["id"] for how in ("omitted_once", "omitted", "doubled"))

    assert [rows(once), rows(once), rows(never), rows(twice)] == [0, 1, 0, 2]


@pytest.mark.parametrize(("code", "is_paid"), [("1", 1), ("21", 1), ("22", 1), ("23", 0), ("24", 0), ("3", 0)])
def test_codes_of_a_submit_and_what_they_cost(
    server: SandboxServer, client: httpx.Client, code: str, is_paid: int
) -> None:
    prompt = own("a lighthouse")

    answer = imagine(client, f"{prompt} [[sandbox code={code}]]").json()

    assert answer["code"] == int(code)
    assert bool(answer["result"]) is bool(is_paid)
    assert len(server.ledger(prompt)) == is_paid


def test_other_answers_to_a_submit(client: httpx.Client) -> None:
    number = imagine(client, own("x [[sandbox result=number]]")).json()["result"]
    saturated = imagine(client, own("x [[sandbox code=30]]"))

    assert isinstance(number, int)
    assert client.get(f"/mj/task/{number}/fetch").json()["status"] == "SUCCESS"
    assert imagine(client, own("x [[sandbox result=null]]")).json()["result"] is None
    assert imagine(client, own("x [[sandbox code=empty]]")).content == b""
    assert (saturated.status_code, saturated.json()["code"]) == (429, 30)


def test_a_failed_grid_says_why_at_100_percent_and_is_refunded(server: SandboxServer, client: httpx.Client) -> None:
    task = grid(client, "task=fail")

    assert (task["status"], task["progress"], task["imageUrl"], task["buttons"]) == ("FAILURE", "100%", "", None)
    assert task["failReason"].startswith("[Invalid parameter]")
    assert client.get(f"/mj/image/{task['id']}").status_code == 500
    assert [bool(one["refunded_at"]) for one in server.ledger() if one["task_id"] == task["id"]] == [True]


def test_a_grid_may_show_its_picture_in_other_places(client: httpx.Client) -> None:
    late = grid(client, "late_image=2")
    looks = [client.get(f"/mj/task/{late['id']}/fetch").json() for _ in range(2)]
    assert [(task["status"], bool(task["imageUrl"])) for task in (late, *looks)] == [
        ("SUCCESS", False),
        ("SUCCESS", False),
        ("SUCCESS", True),
    ]
    assert "/files/" in grid(client, "image_place=hosted")["imageUrl"]
    assert "/files/" in grid(client, "image_place=snake")["image_url"]
    tiles = grid(client, "image_urls=objects")["imageUrls"]
    assert picture(httpx.get(tiles[3]["url"]).content).size == (1024, 1024)
    assert isinstance(grid(client, "image_urls=strings")["imageUrls"][0], str)
    assert grid(client, "buttons=none")["buttons"] is None
    assert grid(client, "words=pending")["status"] == "COMPLETED"


def test_a_running_grid_shows_a_preview_and_a_new_one_nothing(client: httpx.Client) -> None:
    running, fresh = grid(client, "stuck=true"), grid(client, "latency=60")

    assert (running["status"], running["progress"]) == ("IN_PROGRESS", "42%")
    assert "?rand=" in running["imageUrl"]
    assert picture(httpx.get(running["imageUrl"]).content).size == (1024, 1024)
    assert (fresh["status"], fresh["imageUrl"], fresh["buttons"], fresh["properties"]) == ("", "", None, None)
    assert httpx.get(str(client.base_url.join("/mj/image/1"))).json() == {"error": "midjourney_task_not_found"}


# The account.


def test_models_usage_and_user(server: SandboxServer, client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    usage = client.get("/api/usage/token/").json()
    user = client.get(
        "/api/user/self",
        headers={"Authorization": "sandbox-access-token-for-user-1842", "New-Api-User": "1842"},
    ).json()

    assert {"sora-2", "nano-banana", "gpt-image-1", "mj_imagine", "veo3.1"} <= {one["id"] for one in listed["data"]}
    assert usage["code"] is True
    assert usage["data"]["total_available"] == usage["data"]["total_granted"] - usage["data"]["total_used"]
    assert user["data"]["quota"] == usage["data"]["total_available"]
    assert client.get("/api/user/self", headers={"New-Api-User": "1842"}).json()["success"] is False
    assert client.get("/api/user/self").status_code == 401
    assert httpx.get(f"{server.url}/api/usage/token/", headers={"Authorization": "sk-sandbox"}).status_code == 401


def test_an_empty_account_pays_for_nothing(ruled: SandboxServer, client: httpx.Client) -> None:
    ruled.forget()
    ruled.set(balance_usd="0.05")
    try:
        paid, unpaid = generate(client, own("a"), size="64x64"), generate(client, own("b"), size="64x64")
        grid_answer = imagine(client, own("c"))
    finally:
        ruled.set(balance_usd="1000")

    assert (paid.status_code, unpaid.status_code) == (200, 403)
    assert unpaid.json()["error"]["code"] == "insufficient_user_quota"
    assert (grid_answer.status_code, grid_answer.json()["description"]) == (400, "quota_not_enough ")
    assert len(ruled.ledger()) == 1


# The ledger.


def test_a_paid_call_is_in_the_ledger_before_it_is_answered(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("slow")

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(generate, client, f"{prompt} [[sandbox latency=1 render=plain]]")
        deadline = time.monotonic() + 5
        while not server.ledger(prompt) and time.monotonic() < deadline:
            assert not answer.done()

        [entry] = server.ledger(prompt)
        assert not answer.done()
        assert answer.result().headers["X-Oneapi-Request-Id"] == entry["request_id"]
    assert (entry["kind"], entry["model"], entry["price_usd"]) == ("image.generate", "nano-banana", "0.039")
    assert entry["task_id"] is None
    assert "sk-sandbox" not in entry["key"]


def test_the_ledger_counts_on_from_a_number(server: SandboxServer, client: httpx.Client) -> None:
    started_film(client)
    last = server.ledger()[-1]["seq"]

    task_id = started_film(client)

    assert [entry["task_id"] for entry in server.ledger(since_seq=last)] == [task_id]


def test_a_caller_that_hangs_up_has_paid(server: SandboxServer) -> None:
    prompt = own("gone")

    with server.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/images/generations",
            json={"model": "nano-banana", "prompt": f"{prompt} [[sandbox hang=30 render=plain]]"},
            timeout=0.4,
        )

    assert len(server.ledger(prompt)) == 1


@pytest.mark.parametrize(("where", "paid"), [("before_charge", 0), ("after_charge", 1), ("mid_body", 1)])
@pytest.mark.parametrize("send", [generate, film, imagine])
def test_a_cut_connection_and_what_it_cost(
    server: SandboxServer, client: httpx.Client, send: Any, where: str, paid: int
) -> None:
    prompt = own("cut")

    with pytest.raises(httpx.TransportError):
        send(client, f"{prompt} [[sandbox cut={where} render=plain]]")

    assert len(server.ledger(prompt)) == paid


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_is_answered_unpaid_and_after_the_charge_paid(
    server: SandboxServer, client: httpx.Client, name: str
) -> None:
    prompt = own("fault")

    answers = [
        send(client, f"{prompt} [[sandbox {word}={name} retry_after=7 render=plain]]")
        for send in (generate, film, imagine)
        for word in ("fail", "fail_after")
    ]

    families: tuple[faults.Family, ...] = ("image", "image", "video", "video", "midjourney", "midjourney")
    assert [answer.status_code for answer in answers] == [faults.fault(name, one).status for one in families]
    assert {answer.headers["Retry-After"] for answer in answers} == {"7"}
    assert len(server.ledger(prompt)) == 3


# The script.


def test_a_rule_holds_for_so_many_calls_of_what_it_names(ruled: SandboxServer, client: httpx.Client) -> None:
    prompt = own("ruled")
    match = {"route": "images.generate", "model": "nano-banana", "prompt_contains": prompt}
    ruled.script([{"match": match, "times": 2, "do": {"fail": 429, "retry_after": 1}}])

    answers = [generate(client, prompt, size="64x64") for _ in range(3)]
    other = generate(client, own("other"), size="64x64")

    assert [answer.status_code for answer in (*answers, other)] == [429, 429, 200, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert len(ruled.ledger(prompt)) == 1


def test_a_rule_can_spoil_a_query(ruled: SandboxServer, client: httpx.Client) -> None:
    task_id, picture_id = started_film(client), grid(client)["id"]
    ruled.script(
        [
            {"match": {"route": "videos.fetch"}, "times": 1, "do": {"fail": "502"}},
            {"match": {"route": "mj.list"}, "times": 1, "do": {"fail": "401_exhausted"}},
            {"match": {"route": "videos.content"}, "times": 1, "do": {"cut": "before_charge"}},
        ]
    )

    looks = [client.get(f"/v1/videos/{task_id}").status_code for _ in range(2)]
    lists = [client.post("/mj/task/list-by-condition", json={"ids": [picture_id]}).status_code for _ in range(2)]

    assert (looks, lists) == ([502, 200], [401, 200])
    with pytest.raises(httpx.TransportError):
        client.get(f"/v1/videos/{task_id}/content")


def test_words_that_nobody_knows_are_refused(server: SandboxServer, client: httpx.Client) -> None:
    unknown = generate(client, own("x [[sandbox latncy=3]]"))
    wrong = generate(client, own("x [[sandbox fail=999]]"))
    rule = client.post("/_sandbox/script", json=[{"do": {"nonsense": 1}}])

    assert [answer.status_code for answer in (unknown, wrong, rule)] == [400, 400, 400]
    assert "latncy" in unknown.json()["error"]["message"]
    assert client.get("/_sandbox/script").json() == []


def test_tags_are_not_drawn_and_those_for_buttons_wait_for_them() -> None:
    prompt = "a cat [[sandbox latency=3 lying=true]] [[sandbox.action code=23]]"

    assert script.drawn(prompt) == "a cat"
    assert script.tags(prompt) == {"latency": "3", "lying": "true"}
    assert script.tags(prompt, is_action=True) == {"code": "23"}


def test_latency_is_kept(client: httpx.Client) -> None:
    begun = time.monotonic()
    generate(client, own("x [[sandbox latency=0.5 render=plain]]"))

    assert time.monotonic() - begun >= 0.5


def test_a_submit_may_be_slow(client: httpx.Client) -> None:
    begun = time.monotonic()
    film(client, own("x [[sandbox submit_latency=0.4 render=plain]]"))

    assert time.monotonic() - begun >= 0.4


# Results that are not.


def hosted(client: httpx.Client, tag: str) -> str:
    """The address of a picture that is served as told."""
    return str(generate(client, own(f"x [[sandbox render=plain {tag}]]")).json()["data"][0]["url"])


def test_every_result_fault_is_offered() -> None:
    assert set(serving.SPOILED) == set(get_args(behaviour.ContentFault))


def test_results_that_are_something_else(client: httpx.Client) -> None:
    page = httpx.get(hosted(client, "content=html"))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert httpx.get(hosted(client, "content=json")).json()["error"]["code"] == "AccessDenied"
    wrong = httpx.get(hosted(client, "content=wrong_kind"))
    assert (wrong.headers["content-type"], wrong.content[4:8]) == ("image/png", b"ftyp")
    assert httpx.get(hosted(client, "content=empty")).content == b""
    corrupt = httpx.get(hosted(client, "content=corrupt")).content
    assert corrupt.startswith(PNG_HEAD)
    with pytest.raises((OSError, SyntaxError)):
        picture(corrupt)
    film_id = started_film(client, "content=wrong_kind")
    assert client.get(f"/v1/videos/{film_id}/content").content.startswith(PNG_HEAD)


@pytest.mark.parametrize("status", [403, 404, 502])
def test_a_result_that_is_gone_for_one_fetch(client: httpx.Client, status: int) -> None:
    url = hosted(client, f"content={status} content_times=1")

    assert [httpx.get(url).status_code for _ in range(2)] == [status, 200]


def test_a_truncated_result_lies_about_its_length(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        httpx.get(hosted(client, "content=truncated"))


def test_a_result_without_a_length_is_whole(client: httpx.Client) -> None:
    answer = httpx.get(hosted(client, "content=no_length"))

    assert "content-length" not in answer.headers
    assert picture(answer.content).size == (256, 144)


def test_a_slow_result_is_slow_and_whole(client: httpx.Client) -> None:
    url, begun = hosted(client, "content=slow content_s=0.5"), time.monotonic()

    content = httpx.get(url).content

    assert time.monotonic() - begun >= 0.45
    assert picture(content).size == (256, 144)


def test_a_result_too_large_says_so_beforehand(client: httpx.Client) -> None:
    with httpx.stream("GET", hosted(client, "content=too_large")) as answer:
        assert int(answer.headers["content-length"]) > 8 * 2**30


def test_a_padded_film_is_long_and_still_a_film(client: httpx.Client) -> None:
    task_id = started_film(client, "pad_mb=3")

    content = client.get(f"/v1/videos/{task_id}/content").content

    assert len(content) > 3 * 2**20
    with av.open(io.BytesIO(content), "r") as opened:
        assert len(list(opened.decode(video=0))) == 24


# Crashes and crowds.


def test_a_killed_server_comes_back_with_its_tasks_results_rules_and_ledger(tmp_path: Path) -> None:
    server = SandboxServer(tmp_path / "sandbox", speed=0)
    try:
        with server.client() as client:
            server.script([{"match": {"route": "images.edit"}, "do": {"fail": "503"}}])
            film_id, running_id = started_film(client), started_film(client, "latency=3600")
            url = generate(client, "a cat", size="64x64").json()["data"][0]["url"]
            before = {"film": client.get(f"/v1/videos/{film_id}/content").content, "picture": httpx.get(url).content}
            ledger, port = server.ledger(), url.split("/")[2].split(":")[1]

        server.kill()
        for file in (server.data_dir / "results").iterdir():
            file.unlink()
        with (server.data_dir / "ledger.jsonl").open("ab") as torn:
            torn.write(b'{"seq": 99, "at": "20')
        server = SandboxServer(server.data_dir, speed=0, port=int(port))

        with server.client() as client:
            assert server.ledger() == ledger
            assert client.get(f"/v1/videos/{running_id}").json()["status"] == "queued"
            assert client.get(f"/v1/videos/{film_id}/content").content == before["film"]
            assert httpx.get(url).content == before["picture"]
            assert client.get("/_sandbox/script").json()[0]["do"] == {"fail": "503"}
            generate(client, "another", size="64x64")
            assert server.ledger()[-1]["seq"] == ledger[-1]["seq"] + 1
    finally:
        server.stop()


def test_a_killed_pen_is_replaced(tmp_path: Path) -> None:
    with SandboxServer(tmp_path, speed=0) as server, server.client() as client:
        assert generate(client, "one", response_format="b64_json", size="64x64").status_code == 200
        pens = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()

        for pen in pens:
            with suppress(ProcessLookupError):
                os.kill(int(pen), signal.SIGKILL)

        assert generate(client, "two", response_format="b64_json", size="64x64").status_code == 200


def test_requests_are_counted_and_their_crowd_is_measured(ruled: SandboxServer) -> None:
    ruled.forget()
    prompt = own("crowd")

    with ruled.client() as client, ThreadPoolExecutor(20) as pool:
        tag = "[[sandbox latency=1 render=plain]]"
        answers = list(pool.map(lambda number: generate(client, f"{prompt} {tag} {number}", model="flux"), range(20)))

    report = ruled.requests(prompt)
    assert {answer.status_code for answer in answers} == {200}
    assert report["calls"]["images.generate"] == 20
    assert report["in_flight"]["flux"] == {"now": 0, "most": 20}
    assert len(report["arrivals"]) == 20
    assert all(abs(arrival["at"] - time.time()) < 60 for arrival in report["arrivals"])


def test_running_tasks_are_counted_by_model(ruled: SandboxServer, client: httpx.Client) -> None:
    ruled.forget()

    for _ in range(3):
        film(client, own("x [[sandbox latency=30 render=plain]]"), model="sora-2-pro")

    assert ruled.requests()["running_tasks"]["sora-2-pro"]["most"] == 3


# What is written about it.


def test_the_readme_has_the_tables_of_the_code() -> None:
    written = README.read_text()

    assert behaviour.table() in written
    assert faults.table() in written
    assert sayings.table() in written


def test_midjourney_words_and_progress_cover_what_may_be_said() -> None:
    fields = behaviour.Behaviour.model_fields
    assert set(midjourney_view.WORDS) == set(video_view.WORDS) == set(get_args(fields["words"].annotation))
    assert (
        set(midjourney_view.PROGRESS) == {"stock", *video_view.PROGRESS} == set(get_args(fields["progress"].annotation))
    )
    assert set(video_view.CREATED) == set(get_args(fields["create"].annotation))
    assert set(videos.ID_FORMS) == set(get_args(fields["id_form"].annotation))


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ("1024x1536", (1024, 1536)),
        ("16:9", (1360, 768)),
        ("1K", (1024, 1024)),
        ("2K", (2048, 2048)),
        ("auto", (1024, 1024)),
    ],
)
def test_what_a_picture_size_means(size: str, pixels: tuple[int, int]) -> None:
    assert picture_size(size) == pixels


def test_what_other_sizes_mean() -> None:
    assert picture_size("2K", aspect="1:1") == (2048, 2048)
    assert picture_size("9:16", long_side="2K") == (1536, 2736)
    assert film_size("9x16") == (720, 1280)
    assert film_size("", "16:9") == (1280, 720)
    assert film_size("3840x2160") == (1920, 1080)
    assert midjourney_size("fog --ar 3:2 --v 7") == (1248, 832)
    assert midjourney_size("fog") == (1024, 1024)
