"""The sandbox gateway's Midjourney keeps the contract: every submit, window, film and text, and what each costs.

Contract: gateway/midjourney-and-video.md 2 to 5.  Grids and plain buttons are tested in test_sandbox_gateway.py.
"""

from __future__ import annotations

import base64
import io
import json
from itertools import count
from pathlib import Path
from typing import Any, get_args

import av
import httpx
import pytest
from PIL import Image

from deploy.sandbox import behaviour
from deploy.sandbox.midjourney import buttons, words
from deploy.sandbox.routes import midjourney_looks, midjourney_view
from tests.sandbox import SandboxServer

_numbers = count()


def own(words: str, tag: str = "render=plain") -> str:
    """A prompt that no other test uses."""
    return f"{words} {next(_numbers)} [[sandbox {tag}]]"


def png(color: str = "orange", size: tuple[int, int] = (64, 48)) -> str:
    """A picture as a data URL."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def submit(client: httpx.Client, act: str, **fields: Any) -> httpx.Response:
    return client.post(f"/mj/{act}" if "/" in act else f"/mj/submit/{act}", json=fields)


def look(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The task that a submit began, as a first look shows it."""
    return dict(client.get(f"/mj/task/{answer.json()['result']}/fetch").json())


def listed(client: httpx.Client, task_id: str) -> list[dict[str, Any]]:
    return list(client.post("/mj/task/list-by-condition", json={"ids": [task_id]}).json())


def grid(
    client: httpx.Client, words: str = "a lighthouse", tag: str = "render=plain", more: str = ""
) -> dict[str, Any]:
    return look(client, submit(client, "imagine", prompt=own(words, tag) + more))


def press(client: httpx.Client, task: dict[str, Any], button: str, **fields: Any) -> httpx.Response:
    custom_id = next(one["customId"] for one in task["buttons"] if button in (one["label"], one["emoji"]))
    return submit(client, "action", taskId=task["id"], customId=custom_id, **fields)


def single(client: httpx.Client) -> dict[str, Any]:
    return look(client, press(client, grid(client), "U1"))


def picture(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def paid(server: SandboxServer, task_id: str) -> list[tuple[str, str, str]]:
    """Kind, model and price of what this task cost."""
    return [(one["kind"], one["model"], one["price_usd"]) for one in server.ledger() if one["task_id"] == task_id]


# Submits.


@pytest.mark.parametrize("mode", ["", "/mj-fast", "/mj-relax", "/mj-turbo", "/fast"])
@pytest.mark.parametrize(
    ("act", "fields", "kind", "model", "usd"),
    [
        ("submit/blend", {"base64Array": [png(), png("teal")]}, "blend", "mj_blend", "0.1"),
        ("submit/describe", {"base64": png()}, "describe", "mj_describe", "0.05"),
        ("submit/shorten", {"prompt": "a very long lighthouse"}, "shorten", "mj_shorten", "0.1"),
        (
            "insight-face/swap",
            {"sourceBase64": png(), "targetBase64": png("teal")},
            "swap_face",
            "swap_face",
            "0.05",
        ),
        ("submit/video", {"image": png(), "prompt": "x [[sandbox render=plain]]"}, "video", "mj_video", "0.8"),
    ],
)
def test_every_submit_answers_alike_and_has_its_price(
    server: SandboxServer, client: httpx.Client, mode: str, act: str, fields: Any, kind: str, model: str, usd: str
) -> None:
    answer = client.post(f"{mode}/mj/{act}", json=fields)

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json()["code"] == 1
    assert paid(server, answer.json()["result"]) == [(f"midjourney.{kind}", model, usd)]


@pytest.mark.parametrize(
    ("act", "fields", "status", "code", "told"),
    [
        ("blend", {"base64Array": [png()]}, 200, 4, "base64List参数错误"),
        ("blend", {"base64Array": [png()] * 6}, 200, 4, "base64List参数错误"),
        ("blend", {"base64Array": [png(), png("teal")], "dimensions": "square"}, 200, 4, "dimensions参数错误"),
        ("describe", {}, 200, 4, "base64不能为空"),
        ("describe", {"base64": "data:image/png;base64,AAAA"}, 200, 4, "base64格式错误"),
        ("shorten", {"prompt": " "}, 200, 4, "prompt不能为空"),
        ("video", {"prompt": "x"}, 200, 4, "参数错误"),
        ("video", {"image": png(), "batchSize": 3}, 200, 4, "参数错误"),
        ("video", {"action": "extend", "index": 0}, 400, 4, "task_id_is_required "),
        ("video", {"action": "extend", "taskId": "1", "index": 0}, 400, 4, "task_not_found "),
        ("insight-face/swap", {"sourceBase64": png()}, 400, 4, "sour_base64_and_target_base64_is_required "),
        ("change", {"action": "UPSCALE", "index": 1}, 400, 4, "task_id_is_required "),
        ("change", {"taskId": "1", "index": 1}, 400, 4, "action_is_required "),
        ("change", {"taskId": "1", "action": "REROLL"}, 400, 4, "index_is_required "),
        ("change", {"taskId": "1", "action": "REROLL", "index": 0}, 400, 4, "index_is_required "),
        ("change", {"taskId": "1", "action": "UPSCALE", "index": "2"}, 400, 4, "bind_request_body_failed "),
        ("change", {"taskId": "1", "action": "UPSCALE", "index": 2}, 400, 4, "task_not_found "),
        ("modal", {"prompt": "x"}, 400, 4, "task_id_is_required "),
        ("modal", {"taskId": "1", "prompt": "x"}, 400, 4, "task_not_found "),
    ],
)
def test_a_wrong_submit_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client, act: str, fields: Any, status: int, code: int, told: str
) -> None:
    before = len(server.ledger())

    answer = submit(client, act, **fields)

    assert (answer.status_code, answer.json()["code"], answer.json()["description"]) == (status, code, told)
    assert len(server.ledger()) == before


@pytest.mark.parametrize(
    "act", ["blend", "describe", "shorten", "swap_face", "video", "change", "simple_change", "modal"]
)
def test_rules_reach_every_submit(ruled: SandboxServer, client: httpx.Client, act: str) -> None:
    """Those without a prompt have no tags, so a rule is how they are told to misbehave."""
    ruled.script([{"match": {"route": f"mj.{act}"}, "do": {"code": 23}}])
    parent = grid(client)
    window = press(client, look(client, press(client, parent, "U1")), "Vary (Region)").json()["result"]
    change = {"taskId": parent["id"], "action": "VARIATION", "index": 1}
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "blend": ("blend", {"base64Array": [png(), png("teal")]}),
        "describe": ("describe", {"base64": png()}),
        "shorten": ("shorten", {"prompt": "x"}),
        "swap_face": ("insight-face/swap", {"sourceBase64": png(), "targetBase64": png("teal")}),
        "video": ("video", {"image": png()}),
        "change": ("change", change),
        "simple_change": ("simple-change", change),
        "modal": ("modal", {"taskId": window, "maskBase64": png("white")}),
    }
    path, fields = bodies[act]
    before = len(ruled.ledger())

    answer = submit(client, path, **fields)

    assert answer.json()["code"] == 23
    assert len(ruled.ledger()) == before


def test_a_blend_has_the_shape_asked_for_and_the_buttons_of_a_grid(client: httpx.Client) -> None:
    task = look(client, submit(client, "blend", base64Array=[png(), png("teal")], dimensions="LANDSCAPE"))

    assert (task["action"], task["buttons"][0]["label"]) == ("BLEND", "U1")
    assert picture(httpx.get(task["imageUrl"]).content).size == (1248, 832)


def test_a_face_is_swapped_into_one_picture_without_buttons(client: httpx.Client) -> None:
    task = look(client, submit(client, "insight-face/swap", sourceBase64=png(), targetBase64=png("teal")))

    assert (task["action"], task["status"], task["buttons"]) == ("SWAP_FACE", "SUCCESS", [])
    assert picture(httpx.get(task["imageUrl"]).content).size == (1024, 1024)


def test_a_face_swapped_with_itself_is_accepted_fails_and_is_refunded(
    server: SandboxServer, client: httpx.Client
) -> None:
    answer = submit(client, "insight-face/swap", sourceBase64=png("red"), targetBase64=png("red"))

    assert look(client, answer)["status"] == "FAILURE"
    refunds = [one["refunded_at"] for one in server.ledger() if one["task_id"] == answer.json()["result"]]
    assert all(refunds)
    assert len(refunds) == 1


@pytest.mark.parametrize(("code", "count"), [("1", 1), ("21", 0), ("22", 0)])
def test_a_swap_is_paid_only_with_code_1(ruled: SandboxServer, client: httpx.Client, code: str, count: int) -> None:
    ruled.script([{"match": {"route": "mj.swap_face"}, "do": {"code": code}}])

    answer = submit(client, "insight-face/swap", sourceBase64=png("blue"), targetBase64=png("teal"))

    assert answer.json()["code"] == int(code)
    assert len(paid(ruled, answer.json()["result"])) == count


# Words.


def test_a_picture_is_described_in_four_prompts(client: httpx.Client) -> None:
    task = look(client, submit(client, "describe", base64=png("navy")))

    text = task["properties"]["finalPrompt"]
    assert task["promptEn"] == text
    assert [text.count(keycap) for keycap in buttons.KEYCAPS[:4]] == [1, 1, 1, 1]
    assert "](https://" in text
    assert task["buttons"][0]["customId"] == "MJ::Job::PicReader::1"
    assert picture(httpx.get(task["imageUrl"]).content).size == (1024, 1024)


def test_a_prompt_is_weighed_and_shortened(client: httpx.Client) -> None:
    task = look(client, submit(client, "shorten", prompt=own("a very tall lighthouse in the fog")))

    text = task["properties"]["finalPrompt"]
    assert text.startswith("## Important tokens\n~~a~~ **very** **tall** **lighthouse**")
    assert "## Shortened prompts\n1️⃣ very tall lighthouse" in text
    assert (task["imageUrl"], task["action"]) == ("", "SHORTEN")
    assert client.get(f"/mj/image/{task['id']}").status_code == 400


@pytest.mark.parametrize(
    ("place", "field"), [("final_prompt", "properties"), ("prompt", "prompt"), ("prompt_en", "promptEn")]
)
def test_words_may_be_in_other_places(client: httpx.Client, place: str, field: str) -> None:
    task = look(client, submit(client, "shorten", prompt=own("a lighthouse", f"text_place={place}")))

    places = {name: str(value) for name, value in task.items()}
    assert "Shortened prompts" in places[field]
    assert ("Shortened prompts" in places["properties"]) is (field == "properties")


def test_words_may_be_late(client: httpx.Client) -> None:
    answer = submit(client, "shorten", prompt=own("a lighthouse", "late_image=1"))

    first, second = look(client, answer), look(client, answer)

    assert (first["status"], first["properties"]["finalPrompt"]) == ("SUCCESS", "")
    assert second["properties"]["finalPrompt"]


@pytest.mark.parametrize("act", ["describe", "shorten"])
def test_buttons_below_words_are_unknown_to_stock(client: httpx.Client, act: str) -> None:
    task = look(client, submit(client, act, base64=png(), prompt="a lighthouse"))

    refused = press(client, task, "1️⃣")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "")
    assert refused.json()["error"]["message"].startswith("unknown_action:MJ::Job::")


# Changes.


@pytest.mark.parametrize("path", ["change", "simple-change"])
@pytest.mark.parametrize(
    ("name", "index", "model", "usd"),
    [
        ("UPSCALE", 3, "mj_upscale", "0.05"),
        ("VARIATION", 2, "mj_variation", "0.1"),
        ("REROLL", 1, "mj_reroll", "0.1"),
    ],
)
def test_a_grid_is_changed_by_number(
    server: SandboxServer, client: httpx.Client, path: str, name: str, index: int, model: str, usd: str
) -> None:
    parent = grid(client)

    answer = submit(client, path, content="x U1", taskId=parent["id"], action=name, index=index)

    assert look(client, answer)["action"] == name
    kind = f"midjourney.{path.replace('-', '_')}"
    assert paid(server, answer.json()["result"]) == [(kind, model, usd)]


def test_an_upscale_by_number_is_the_one_by_button(client: httpx.Client) -> None:
    parent = grid(client, tag="")

    pressed = look(client, press(client, parent, "U3"))
    changed = look(client, submit(client, "change", taskId=parent["id"], action="UPSCALE", index=3))

    contents = [httpx.get(task["imageUrl"]).content for task in (pressed, changed)]
    assert contents[0] == contents[1]


def test_a_simple_change_in_words_alone_has_no_channel(client: httpx.Client) -> None:
    answer = submit(client, "simple-change", content=f"{grid(client)['id']} U2")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_found")


def test_what_is_no_grid_is_not_changed_by_number(client: httpx.Client) -> None:
    answer = submit(client, "change", taskId=single(client)["id"], action="VARIATION", index=1)

    assert answer.json()["description"] == "关联任务不允许执行变化"


def test_tags_for_buttons_are_for_changes_too(client: httpx.Client) -> None:
    parent = grid(client, more=" [[sandbox.action code=23]]")

    answer = submit(client, "change", taskId=parent["id"], action="UPSCALE", index=1)

    assert answer.json()["code"] == 23


# Windows.


@pytest.mark.parametrize(
    ("button", "fields", "action"),
    [
        ("Vary (Region)", {"prompt": "a red boat", "maskBase64": png("white")}, "INPAINT"),
        ("Vary (Region)", {"maskBase64": png("white")}, "INPAINT"),
        ("Custom Zoom", {"prompt": "a bay --zoom 1.8"}, "CUSTOM_ZOOM"),
    ],
)
def test_a_window_is_free_and_what_fills_it_in_is_paid(
    server: SandboxServer, client: httpx.Client, button: str, fields: Any, action: str
) -> None:
    parent = single(client)
    opened = press(client, parent, button).json()
    waiting = client.get(f"/mj/task/{opened['result']}/fetch").json()

    filled = submit(client, "modal", taskId=opened["result"], **fields)

    assert (opened["code"], opened["description"]) == (21, "Waiting for window confirm")
    assert set(opened["properties"]) == {"finalPrompt", "remix"}
    assert (waiting["status"], waiting["buttons"]) == ("MODAL", None)
    assert (filled.json()["code"], filled.json()["result"]) == (1, opened["result"])
    done = look(client, filled)
    assert (done["status"], done["action"], done["buttons"][0]["label"]) == ("SUCCESS", action, "U1")
    assert httpx.get(done["imageUrl"]).content
    assert paid(server, opened["result"]) == [("midjourney.modal", "mj_modal", "0.1")]


@pytest.mark.parametrize(
    ("button", "fields", "told"),
    [
        ("Vary (Region)", {"prompt": "a red boat"}, "maskBase64不能为空"),
        ("Vary (Region)", {"prompt": "a red boat", "maskBase64": "AAAA"}, "base64格式错误"),
        ("Custom Zoom", {"prompt": "a bay"}, "prompt参数错误: --zoom"),
        ("Custom Zoom", {"prompt": "a bay --zoom 2.5"}, "prompt参数错误: --zoom"),
    ],
)
def test_a_window_that_is_not_filled_in_as_it_should_stays_open_unpaid(
    server: SandboxServer, client: httpx.Client, button: str, fields: Any, told: str
) -> None:
    opened = press(client, single(client), button)

    answer = submit(client, "modal", taskId=opened.json()["result"], **fields)

    assert (answer.json()["code"], answer.json()["description"]) == (4, told)
    assert look(client, opened)["status"] == "MODAL"
    assert paid(server, opened.json()["result"]) == []


def test_a_window_is_filled_in_once(client: httpx.Client) -> None:
    opened = press(client, single(client), "Custom Zoom").json()["result"]
    first = submit(client, "modal", taskId=opened, prompt="a bay --zoom 2")

    second = submit(client, "modal", taskId=opened, prompt="a bay --zoom 2")

    assert first.json()["code"] == 1
    assert (second.json()["code"], second.json()["description"]) == (4, "关联任务状态错误")


def test_a_window_may_go_on_as_another_task(client: httpx.Client) -> None:
    opened = press(client, single(client), "Custom Zoom")

    filled = submit(client, "modal", taskId=opened.json()["result"], prompt=own("a bay --zoom 2", "modal_id=new"))

    assert filled.json()["result"] != opened.json()["result"]
    assert look(client, filled)["status"] == "SUCCESS"
    assert look(client, opened)["status"] == "MODAL"


def test_a_window_of_the_same_id_looks_open_until_all_is_over(client: httpx.Client) -> None:
    opened = press(client, single(client), "Custom Zoom").json()["result"]
    filled = submit(client, "modal", taskId=opened, prompt=own("a bay --zoom 2", "stuck=true"))

    fetched, rows = look(client, filled), listed(client, opened)

    assert (fetched["status"], fetched["progress"], fetched["imageUrl"]) == ("MODAL", "0%", "")
    assert [(row["status"], row["progress"]) for row in rows] == [("MODAL", "0%"), ("IN_PROGRESS", "42%")]


@pytest.mark.parametrize("by", ["the account", "the caller"])
@pytest.mark.parametrize("button", ["V2", "🔄"])
def test_in_remix_mode_a_window_is_paid_and_only_its_description_says_so(
    server: SandboxServer, client: httpx.Client, button: str, by: str
) -> None:
    parent = grid(client, more=" [[sandbox.action remix=true]]" if by == "the account" else "")

    opened = press(client, parent, button, **({"enableRemix": True} if by == "the caller" else {})).json()

    assert (opened["code"], opened["description"]) == (1, "窗口等待")
    assert client.get(f"/mj/task/{opened['result']}/fetch").json()["status"] == "MODAL"
    filled = submit(client, "modal", taskId=opened["result"], prompt=own("at night"))
    assert look(client, filled)["prompt"].startswith("at night")
    models = [model for _, model, _ in paid(server, opened["result"])]
    assert models == ["mj_variation" if button == "V2" else "mj_reroll", "mj_modal"]


def test_a_window_survives_a_kill(tmp_path: Path) -> None:
    with SandboxServer(tmp_path, speed=0) as server:
        with server.client() as client:
            opened = press(client, single(client), "Custom Zoom").json()["result"]
        server.kill()
        server.start()
        with server.client() as client:
            filled = submit(client, "modal", taskId=opened, prompt=own("a bay --zoom 2"))
        server.kill()
        server.start()
        with server.client() as client:
            assert look(client, filled)["status"] == "SUCCESS"


# Seeds.


def test_a_seed_is_told_again_and_again_and_differs(client: httpx.Client) -> None:
    first, second = grid(client)["id"], grid(client)["id"]

    answers = [client.get(f"/mj/task/{one}/image-seed").json() for one in (first, first, second)]

    assert [answer["code"] for answer in answers] == [1, 1, 1]
    assert isinstance(answers[0]["result"], str)
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize(("said", "code", "kind"), [("number", 1, int), ("null", 1, type(None)), ("9", 9, type(None))])
def test_a_seed_may_be_told_otherwise_or_not_at_all(client: httpx.Client, said: str, code: int, kind: type) -> None:
    task_id = grid(client, tag=f"render=plain seed={said}")["id"]

    answer = client.get(f"/mj-fast/mj/task/{task_id}/image-seed").json()

    assert answer["code"] == code
    assert isinstance(answer["result"], kind)


def test_a_task_that_is_not_finished_has_no_seed(server: SandboxServer, client: httpx.Client) -> None:
    before = len(server.ledger())
    running = submit(client, "imagine", prompt=own("a lighthouse", "stuck=true")).json()["result"]

    assert client.get(f"/mj/task/{running}/image-seed").json()["code"] == 4
    assert client.get("/mj/task/1/image-seed").json()["description"] == "task_no_found "
    assert len(server.ledger()) == before + 1


# Films.


def test_four_films_move_from_a_first_frame(client: httpx.Client) -> None:
    task = look(client, submit(client, "video", image=png(), prompt=own("it moves")))

    urls = [film["url"] for film in task["videoUrls"]]
    assert (task["action"], task["buttons"], task["videoUrl"]) == ("VIDEO", [], urls[0])
    assert len(set(urls)) == 4
    film = httpx.get(urls[3])
    assert film.headers["content-type"] == "video/mp4"
    assert film.content[4:8] == b"ftyp"
    assert picture(httpx.get(task["imageUrl"]).content)


def test_a_film_has_its_length_and_its_resolution_and_goes_on(client: httpx.Client) -> None:
    first = look(client, submit(client, "video", image=png(), prompt=own("it moves", ""), batchSize=1))
    longer = look(client, submit(client, "video", action="extend", taskId=first["id"], task_id=first["id"], index=0))

    found = []
    for task in (first, longer):
        (url,) = [film["url"] for film in task["videoUrls"]]
        with av.open(io.BytesIO(httpx.get(url).content)) as film:
            stream = film.streams.video[0]
            found.append((stream.width, stream.height, round(float(film.duration or 0) / av.time_base)))
    assert found == [(832, 464, 5), (832, 464, 9)]
    assert longer["action"] == "VIDEO_EXTEND"


@pytest.mark.parametrize("index", [None, 1, "0"])
def test_a_film_that_is_not_there_does_not_go_on(client: httpx.Client, index: Any) -> None:
    first = look(client, submit(client, "video", image=png(), prompt=own("it moves"), batchSize=1))

    answer = submit(client, "video", action="extend", taskId=first["id"], index=index)

    assert answer.json()["code"] == 4


@pytest.mark.parametrize("place", get_args(behaviour.Behaviour.model_fields["films"].annotation))
def test_films_may_be_in_other_places(client: httpx.Client, place: str) -> None:
    task = look(client, submit(client, "video", image=png(), prompt=own("it moves", f"render=plain films={place}")))

    holders: dict[str, Any] = {
        "objects": lambda: task["videoUrls"][0]["url"],
        "thumbnails": lambda: task["videoUrls"][0]["url"],
        "strings": lambda: task["videoUrls"][0],
        "text": lambda: json.loads(task["video_urls"])[0],
        "snake": lambda: task["video_urls"][0],
        "single": lambda: task["videoUrl"],
        "properties": lambda: task["properties"]["videoUrls"][0]["url"],
        "picture": lambda: task["imageUrl"],
        "proxy": lambda: task["imageUrl"],
    }
    assert httpx.get(holders[place]()).headers["content-type"] == "video/mp4"


def test_films_may_be_late_and_then_there_is_a_cover_at_most(client: httpx.Client) -> None:
    answer = submit(client, "video", image=png(), prompt=own("it moves", "render=plain late_image=1"))

    first, second = look(client, answer), look(client, answer)

    assert (first["status"], first["videoUrls"]) == ("SUCCESS", None)
    assert len(second["videoUrls"]) == 4


# What may be said.


def test_every_behaviour_of_midjourney_is_offered() -> None:
    fields = behaviour.Behaviour.model_fields

    assert set(midjourney_view.FILM_FORMS) == set(get_args(fields["films"].annotation))
    assert set(words.PLACES) == set(get_args(fields["text_place"].annotation))
    assert set(midjourney_looks.SEEDS) == set(get_args(fields["seed"].annotation))
    assert set(buttons.FORMS) == set(get_args(fields["buttons"].annotation))
