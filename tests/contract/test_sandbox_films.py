"""The sandbox gateway remixes films, tells of them at two routes, and makes them in conversations.

Contract: gateway/midjourney-and-video.md 6.6, 6.8, 7.3, 9.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from itertools import count
from typing import Any, get_args

import av
import httpx
import pytest
from PIL import Image

from deploy.sandbox import behaviour
from deploy.sandbox.faults import FAULTS
from deploy.sandbox.routes import chat_film_view, video_view
from tests.sandbox import SandboxServer

_numbers = count()
LINK = re.compile(r"https?://[^\s)'\"<>]+/files/[^\s)'\"<>]+")


def own(words: str) -> str:
    """A prompt that no other test uses."""
    return f"{words} no. {next(_numbers)},"


def film(client: httpx.Client, tag: str = "", **fields: Any) -> str:
    """The id of a film that was accepted."""
    prompt = f"{own('a boat')} [[sandbox render=plain {tag}]]"
    return str(client.post("/v1/videos", json={"model": "sora-2", "prompt": prompt, **fields}).json()["id"])


def remix(client: httpx.Client, task_id: str, prompt: str) -> httpx.Response:
    return client.post(f"/v1/videos/{task_id}/remix", json={"prompt": prompt})


def chat(client: httpx.Client, prompt: Any, *, stream: bool = False, model: str = "sora-2", **fields: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream, **fields}
    return client.post("/v1/chat/completions", json=body)


def tagged(tag: str) -> str:
    return f"{own('a kettle')} [[sandbox render=plain {tag}]]"


def events(answer: httpx.Response) -> list[Any]:
    """The JSON events of a stream."""
    lines = answer.text.split("\n\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def said(answer: httpx.Response) -> str:
    """What a stream or a whole answer says."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        choices = [choice for event in events(answer) for choice in event.get("choices", [])]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    return str(answer.json()["choices"][0]["message"]["content"] or "")


def facts(content: bytes) -> tuple[int, int, float]:
    with av.open(io.BytesIO(content), "r") as opened:
        stream = opened.streams.video[0]
        assert opened.duration is not None
        return stream.width, stream.height, opened.duration / av.time_base


# A remix.


def test_a_remix_has_the_length_and_size_of_its_film_and_is_paid_for_again(
    server: SandboxServer, client: httpx.Client
) -> None:
    parent = client.post(
        "/v1/videos", json={"model": "sora-2", "prompt": own("a tide"), "seconds": "4", "size": "1280x720"}
    ).json()
    prompt = own("the same at night")

    made = remix(client, parent["id"], prompt).json()

    expected = {"model": "sora-2", "seconds": "4", "size": "1280x720", "remixed_from_video_id": parent["id"]}
    assert {name: made[name] for name in expected} == expected
    (entry,) = server.ledger(prompt)
    assert (entry["kind"], entry["model"], entry["price_usd"], entry["task_id"]) == (
        "video.remix",
        "sora-2",
        "0.4",
        made["id"],
    )
    first, second = (client.get(f"/v1/videos/{one}/content").content for one in (parent["id"], made["id"]))
    assert facts(second) == pytest.approx(facts(first), abs=0.1)
    assert first != second
    told = client.get(f"/v1/videos/{made['id']}").json()
    assert (told["status"], told["remixed_from_video_id"]) == ("completed", parent["id"])


def test_a_remix_of_a_remix_is_one_too(client: httpx.Client) -> None:
    first = remix(client, film(client), own("at night")).json()["id"]

    second = remix(client, first, own("in snow")).json()

    assert second["remixed_from_video_id"] == first


def test_what_cannot_be_remixed_is_refused_in_envelope_b_unpaid(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("at night")
    unfinished = film(client, "latency=600")

    unknown, early, wordless = (
        remix(client, "task_x", prompt),
        remix(client, unfinished, prompt),
        remix(client, film(client), ""),
    )

    assert [(one.status_code, one.json()["code"]) for one in (unknown, early, wordless)] == [
        (400, "task_origin_not_exist"),
        (400, "fail_to_fetch_task"),
        (400, "invalid_request"),
    ]
    assert "not ready yet" in early.json()["message"]
    assert server.ledger(prompt) == []


@pytest.mark.parametrize("create", ["bare", "task_id", "wrapped", "data_string", "created"])
def test_a_remix_is_answered_in_every_form_of_a_create(client: httpx.Client, create: str) -> None:
    answer = remix(client, film(client), tagged(f"create={create}")).json()

    assert "task_" in json.dumps(answer)


@pytest.mark.parametrize("fault", ["429", "403", "503", "500_do_request_failed"])
def test_a_remix_knows_the_faults(server: SandboxServer, client: httpx.Client, fault: str) -> None:
    prompt = tagged(f"fail={fault}")

    answer = remix(client, film(client), prompt)

    assert answer.status_code == FAULTS[fault].status
    assert server.ledger(prompt.partition(" [[")[0]) == []


# Two routes.


def test_the_older_query_tells_the_same_in_its_own_wrapper(client: httpx.Client) -> None:
    task_id = film(client)

    body = client.get(f"/v1/video/generations/{task_id}").json()

    assert (body["code"], body["data"]["task_id"], body["data"]["status"]) == ("success", task_id, "SUCCESS")
    assert client.get(body["data"]["result_url"]).content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("variant", "path", "status"),
    [
        ("live", ["data", "url"], "succeeded"),
        ("sibling", ["url"], "completed"),
        ("fail_reason_url", ["data", "fail_reason"], "SUCCESS"),
    ],
)
def test_the_older_query_has_shapes_of_its_own(
    client: httpx.Client, variant: str, path: list[str], status: str
) -> None:
    task_id = film(client, f"variant={variant}")

    body = client.get(f"/v1/video/generations/{task_id}").json()

    found = body
    for step in path:
        found = found[step]
    assert body.get("data", body)["status"] == status
    assert client.get(found).content[4:8] == b"ftyp"
    assert variant in video_view.OLD_SHAPES


def test_shapes_of_the_newer_query_are_not_told_at_the_older_one(client: httpx.Client) -> None:
    task_id = film(client, "variant=videos_list")

    assert client.get(f"/v1/video/generations/{task_id}").json()["code"] == "success"


@pytest.mark.parametrize(
    ("query", "statuses"), [("both", [200, 200]), ("videos", [200, 404]), ("generations", [404, 200])]
)
def test_a_build_may_know_a_film_at_one_of_the_two_queries_alone(
    client: httpx.Client, query: str, statuses: list[int]
) -> None:
    task_id = film(client, f"query={query}")

    answers = [client.get(f"/v1/videos/{task_id}"), client.get(f"/v1/video/generations/{task_id}")]

    assert [answer.status_code for answer in answers] == statuses
    missing = [answer.json()["error"]["message"] for answer in answers if answer.status_code == 404]
    assert all(message.startswith("Invalid URL (GET /v1/video") for message in missing)


@pytest.mark.parametrize("path", ["/v1/videos/task_x", "/v1/video/generations/task_x"])
def test_an_unknown_film_is_unknown_at_both(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (400, "task_not_exist")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/videos/x/remix"), ("GET", "/v1/video/generations/x"), ("POST", "/v1/chat/completions")],
)
def test_the_key_is_asked_for(server: SandboxServer, method: str, path: str) -> None:
    assert httpx.request(method, server.url + path, json={"model": "sora-2"}).status_code == 401


# Links and their end.


def test_a_link_that_has_expired_is_403_and_the_next_query_names_a_fresh_one(client: httpx.Client) -> None:
    task_id = film(client, "variant=video_url stale_links=2")

    urls = [client.get(f"/v1/videos/{task_id}").json()["video_url"] for _ in range(3)]

    assert [httpx.get(url).status_code for url in urls] == [403, 403, 200]
    assert urls[0] == urls[1] != urls[2]


def test_a_film_may_end_early_without_a_word(client: httpx.Client) -> None:
    task_id = film(client, "content=cut_short content_times=1")

    cut, whole = (client.get(f"/v1/videos/{task_id}/content") for _ in range(2))

    assert "content-length" not in cut.headers
    assert cut.content == whole.content[: len(whole.content) // 2]
    assert int(whole.headers["content-length"]) == len(whole.content)


# In a conversation.


def test_every_shape_of_a_film_in_a_conversation_is_offered() -> None:
    assert set(get_args(behaviour.ChatFilmVariant)) == chat_film_view.VARIANTS


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_ends_with_a_film(server: SandboxServer, client: httpx.Client, stream: bool) -> None:
    prompt = own("a paper boat, portrait, 3 seconds")

    answer = chat(client, prompt, stream=stream)

    text = said(answer)
    urls = list(dict.fromkeys(LINK.findall(text)))
    assert "> ID: `task_" in text
    assert "进度 12..31..58..76.." in text
    assert facts(httpx.get(urls[-1]).content) == pytest.approx((720, 1280, 3), abs=0.1)
    (entry,) = server.ledger(prompt)
    assert (entry["kind"], entry["model"], entry["price_usd"]) == ("video.chat", "sora-2", "0.3")


def test_a_stream_comes_in_small_pieces_with_comments_and_an_end(client: httpx.Client) -> None:
    answer = chat(client, tagged(""), stream=True)

    chunks = events(answer)
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert {len(piece) for piece in pieces[1:-2]} == {chat_film_view.PIECE}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"] == chat_film_view.USAGE
    assert answer.text.count(": PING") > 1
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "content-length" not in answer.headers


def test_a_stream_is_spread_over_the_time_that_the_film_takes(client: httpx.Client) -> None:
    body = {
        "model": "veo3",
        "messages": [{"role": "user", "content": tagged("latency=0.5")}],
        "stream": True,
    }

    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = filter(None, answer.iter_lines())
        next(lines)
        began = time.monotonic()
        rest = list(lines)

    assert rest[-1] == "data: [DONE]"
    assert time.monotonic() - began > 0.25


def test_veo_tells_its_own_log(client: httpx.Client) -> None:
    text = said(chat(client, tagged(""), model="veo3-pro"))

    assert re.search(r"任务ID: `veo3-pro:[0-9a-f]+`", text)
    assert "> 模式: 文生视频" in text


@pytest.mark.parametrize("kind", ["image_url", "file_url"])
def test_a_film_begins_with_the_picture_that_came_in(client: httpx.Client, kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 180), "orange").save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    content = [{"type": "text", "text": own("it moves, 1 second")}, {"type": kind, kind: {"url": url}}]

    text = said(chat(client, content, model="veo3-frames"))

    assert "图生视频" in text
    with av.open(io.BytesIO(httpx.get(LINK.findall(text)[-1]).content), "r") as opened:
        frame = next(iter(opened.decode(video=0))).to_image()  # type: ignore[no-untyped-call]
    assert frame.getpixel((640, 100)) == pytest.approx((255, 165, 0), abs=12)


def test_several_films_cost_their_number(server: SandboxServer, client: httpx.Client) -> None:
    prompt = tagged("variant=link")

    urls = LINK.findall(said(chat(client, prompt, n=3, model="veo3")))

    assert len(set(urls)) == 3
    assert [entry["price_usd"] for entry in server.ledger(prompt.partition(" [[")[0])] == ["3.60"]


@pytest.mark.parametrize("variant", ["log", "english", "link", "bare_url", "video_tag", "html_link", "no_extension"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_link_stands_in_many_places(client: httpx.Client, variant: str, stream: bool) -> None:
    text = said(chat(client, tagged(f"variant={variant}"), stream=stream))

    url = LINK.findall(text)[-1].replace("&amp;", "&")
    assert httpx.get(url).content[4:8] == b"ftyp"


def test_a_film_may_stand_in_the_text_itself(client: httpx.Client) -> None:
    text = said(chat(client, tagged("variant=data_uri"), stream=True))

    assert base64.b64decode(text.partition("base64,")[2].partition('"')[0])[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("no_link", "76.."),
        ("failed", "任务超时"),
        ("failed_moderation", "content policies"),
        ("failed_load", "heavy load"),
        ("refusal", "Please describe"),
        ("content_filter", ""),
        ("empty", ""),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_without_a_film_is_paid_for_all_the_same(
    server: SandboxServer, client: httpx.Client, variant: str, words: str, stream: bool
) -> None:
    prompt = tagged(f"variant={variant}")

    answer = chat(client, prompt, stream=stream)

    text = said(answer)
    assert (answer.status_code, bool(LINK.search(text))) == (200, False)
    assert words in text
    assert len(server.ledger(prompt.partition(" [[")[0])) == 1


def test_streams_end_in_many_ways(client: httpx.Client) -> None:
    texts = {
        variant: chat(client, tagged(f"variant={variant}"), stream=True).text
        for variant in ("no_done", "unfinished", "broken", "broken_done", "error_event")
    }

    assert {name: text.endswith("[DONE]\n\n") for name, text in texts.items()} == {
        "no_done": False,
        "unfinished": False,
        "broken": False,
        "broken_done": True,
        "error_event": True,
    }
    assert {name: '"finish_reason":"stop"' in text for name, text in texts.items()} == {
        "no_done": True,
        "unfinished": False,
        "broken": False,
        "broken_done": False,
        "error_event": False,
    }
    assert '{"error":{' in texts["error_event"]


@pytest.mark.parametrize("stream", [False, True])
def test_errors_and_pages_come_with_200(client: httpx.Client, stream: bool) -> None:
    error = chat(client, tagged("variant=error200"), stream=stream).json()
    page = chat(client, tagged("variant=html200"), stream=stream)

    assert error["error"]["code"] == "do_request_failed"
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("tag", "paid"), [("cut=before_charge", 0), ("cut=after_charge", 1), ("cut=mid_body", 1)])
def test_a_stream_that_is_cut_has_cost_what_the_ledger_says(
    server: SandboxServer, client: httpx.Client, tag: str, paid: int
) -> None:
    prompt = tagged(tag)

    with pytest.raises(httpx.TransportError):
        chat(client, prompt, stream=True).read()

    assert len(server.ledger(prompt.partition(" [[")[0])) == paid


@pytest.mark.parametrize("fault", ["400", "401", "403", "429", "503", "524"])
def test_a_conversation_knows_the_faults_before_and_after_the_charge(
    server: SandboxServer, client: httpx.Client, fault: str
) -> None:
    before, after = tagged(f"fail={fault}"), tagged(f"fail_after={fault}")

    answers = [chat(client, prompt, stream=True) for prompt in (before, after)]

    assert {answer.status_code for answer in answers} == {FAULTS[fault].status}
    assert [len(server.ledger(prompt.partition(" [[")[0])) for prompt in (before, after)] == [0, 1]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"messages": []}, 500), ({"messages": [{"role": "user", "content": ""}]}, 400), ({"n": "two"}, 500)],
)
def test_wrong_conversations_are_refused(client: httpx.Client, fields: dict[str, Any], status: int) -> None:
    assert chat(client, own("x"), **fields).status_code == status
