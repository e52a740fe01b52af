"""The commands about jobs: what they send, and what they make of the answers."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import asking, ending
from tests.unit.pretend_api import JOB, PNG, PretendApi, artifact, page, run

QUEUED = {**JOB, "state": "queued"}
RIFF = b"RIFF\x24\x00\x00\x00WAVEfmt "


# Asking for something.


def test_submit_sends_every_wish(api: PretendApi, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(PNG)
    api.answers["POST /v1/assets"] = httpx.Response(201, json={"id": "asset_1"})
    api.answers["POST /v1/jobs"] = httpx.Response(201, json=QUEUED)

    code, _, _ = run(
        *("submit", "a boat", "--model", "gpt-image-2", "--image", "asset_0", "--mask", "mask.png"),
        *("--priority", "7", "--ttl", "3600", "--max-attempts", "2", "--on-unknown", "fail"),
        *("--metadata", "sku=A-113", "--metadata", "shop=a=b"),
    )

    assert code == 0
    assert api.bodies[-1] == {
        "model": "gpt-image-2",
        "prompt": "a boat",
        "inputs": {"images": ["asset_0"], "mask": ["asset_1"]},
        "priority": 7,
        "ttl_seconds": 3600,
        "max_attempts": 2,
        "on_unknown": "fail",
        "metadata": {"sku": "A-113", "shop": "a=b"},
    }


def test_inputs_of_any_role_are_files_addresses_or_ids_and_a_prompt_may_be_missing(
    api: PretendApi, tmp_path: Path
) -> None:
    (tmp_path / "talk.wav").write_bytes(RIFF)
    api.answers["POST /v1/assets"] = httpx.Response(201, json={"id": "asset_1"})
    api.answers["POST /v1/jobs"] = httpx.Response(201, json=QUEUED)

    code, _, _ = run(
        *("submit", "--model", "gpt-4o", "--input", "audio=talk.wav", "--input", "files=https://example.com/a.pdf?b=c"),
        *("--input", "audio=artifact_1", "--input", "videos=job_7"),
    )

    assert code == 0
    assert api.bodies[-1] == {
        "model": "gpt-4o",
        "inputs": {
            "audio": ["asset_1", "artifact_1"],
            "files": ["https://example.com/a.pdf?b=c"],
            "videos": [{"job": "job_7"}],
        },
    }


def test_a_file_that_is_called_by_the_id_of_its_job_is_a_file(api: PretendApi, tmp_path: Path) -> None:
    (tmp_path / "job_1.png").write_bytes(PNG)
    api.answers["POST /v1/assets"] = httpx.Response(201, json={"id": "asset_1"})
    api.answers["POST /v1/jobs"] = httpx.Response(201, json=QUEUED)

    run("submit", "a boat", "--model", "sora-2", "--image", "job_1.png", "--image", "job_1")

    assert api.bodies[-1]["inputs"] == {"images": ["asset_1", {"job": "job_1"}]}


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"a shopping list", "text"),
        (b"", "an empty file"),
        (b"<!doctype html><html>", "an HTML page"),
        (b'{"error": {}}', "JSON"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x00\x01\x02\x03", "unknown bytes"),
    ],
)
@pytest.mark.parametrize("words", [("--image", "{}"), ("--mask", "{}"), ("--input", "images={}")], ids=" ".join)
def test_a_file_that_is_no_media_is_refused_before_anything_is_sent(
    api: PretendApi, tmp_path: Path, words: tuple[str, str], content: bytes, form: str
) -> None:
    (tmp_path / "boat.png").write_bytes(content)

    code, said, trouble = run("submit", "a boat", "--model", "sora-2", words[0], words[1].format("boat.png"))

    assert (code, said) == (ending.USAGE, "")
    assert f"boat.png is {form}, and an input must be a picture, a film, a sound or a PDF" in trouble
    assert words[0] in trouble
    assert api.requests == []


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "a boat", "--model", "m", "--on-unknown", "guess"),
        ("submit", "a boat", "--model", "m", "--ttl", "0"),
        ("submit", "a boat", "--model", "m", "--input", "talk.wav"),
        ("submit", "a boat", "--model", "m", "--mask", "no-such-file.png"),
        ("jobs", "--after", "yesterday"),
        ("jobs", "--metadata", "sku"),
        ("resolve", "job_1"),
        ("resolve", "job_1", "--as", "succeeded"),
        ("action", "job_1", "enlarge"),
        ("action", "job_1", "upscale", "--index", "5"),
        ("download",),
        ("events",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_before_anything_is_sent(api: PretendApi, words: tuple[str, ...]) -> None:
    code, said, trouble = run(*words)

    assert (code, said) == (ending.USAGE, "")
    assert trouble
    assert api.requests == []


def test_an_action_goes_on_from_a_result_with_the_wishes_of_a_job(api: PretendApi) -> None:
    api.answers["POST /v1/jobs/job_1/actions"] = httpx.Response(201, json={**QUEUED, "id": "job_2"})

    code, said, _ = run(
        *("action", "job_1", "upscale", "--index", "2", "--param", "mode=fast", "--priority", "9", "--json"),
        *("--idempotency-key", "mine"),
    )

    assert (code, json.loads(said)["id"]) == (0, "job_2")
    assert api.bodies == [{"action": "upscale", "index": 2, "params": {"mode": "fast"}, "priority": 9}]
    assert api.keys == ["mine"]


def test_an_action_may_be_a_button_or_have_a_prompt_a_direction_and_a_mask(api: PretendApi, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(PNG)
    api.answers["POST /v1/assets"] = httpx.Response(201, json={"id": "asset_1"})
    api.answers["POST /v1/jobs/job_1/actions"] = httpx.Response(201, json=QUEUED)

    run("action", "job_1", "--custom-id", "MJ::JOB::upsample::2::7d2f")
    run("action", "job_1", "pan", "--direction", "left")
    run("action", "job_1", "inpaint", "--prompt", "a cat", "--mask", "mask.png")

    assert [body for body in api.bodies if isinstance(body, dict)] == [
        {"custom_id": "MJ::JOB::upsample::2::7d2f"},
        {"action": "pan", "direction": "left"},
        {"action": "inpaint", "prompt": "a cat", "inputs": {"mask": ["asset_1"]}},
    ]


def test_what_an_action_makes_is_waited_for_and_saved(api: PretendApi, tmp_path: Path) -> None:
    api.answers["POST /v1/jobs/job_1/actions"] = httpx.Response(201, json={**QUEUED, "id": "job_2"})
    api.answers["GET /v1/jobs/job_2"] = httpx.Response(200, json={**JOB, "id": "job_2", "artifacts": [artifact()]})
    api.answers["GET /v1/artifacts/artifact_1/content"] = httpx.Response(200, content=b"png")

    code, said, _ = run("action", "job_1", "upscale", "--index", "1", "--out", "results", "--json")

    assert (code, json.loads(said)["files"]) == (0, ["results/job_2.png"])
    assert (tmp_path / "results" / "job_2.png").read_bytes() == b"png"


# Looking.


def test_filters_reach_the_api(api: PretendApi) -> None:
    api.answers["GET /v1/jobs"] = page(JOB)

    code, _, _ = run(
        *("jobs", "--state", "queued", "--state", "held", "--model", "sora-2", "--operation", "video.create"),
        *("--q", "paper boat", "--metadata", "sku=A", "--metadata", "shop=B", "--limit", "7"),
        *("--after", "2026-11-20T09:14:03+01:00", "--before", "2026-11-21T00:00:00Z"),
    )

    assert code == 0
    asked = api.requests[0].url.params
    assert asked.get_list("state") == ["queued", "held"]
    assert {name: asked[name] for name in asked if name != "state"} == {
        "model": "sora-2",
        "operation": "video.create",
        "q": "paper boat",
        "metadata.sku": "A",
        "metadata.shop": "B",
        "limit": "7",
        "created_after": "2026-11-20T08:14:03+00:00",
        "created_before": "2026-11-21T00:00:00+00:00",
    }


def test_a_time_without_a_zone_is_that_of_who_asks() -> None:
    here = asking.moment("2026-11-20T09:14:03", "--after")

    assert here is not None
    assert asking.moment(here, "--after") == here
    assert datetime.fromisoformat(here).astimezone().isoformat().startswith("2026-11-20T09:14:03")


def test_all_reads_every_page(api: PretendApi) -> None:
    api.answers["GET /v1/jobs"] = [page(JOB, next_cursor="next"), page({**JOB, "id": "job_2"})]

    code, said, trouble = run("jobs", "--all", "--state", "failed", "--limit", "1", "--json")

    assert (code, trouble) == (0, "")
    assert [job["id"] for job in json.loads(said)["data"]] == ["job_1", "job_2"]
    assert json.loads(said)["has_more"] is False
    assert [request.url.params.get("cursor") for request in api.requests] == [None, "next"]
    assert [request.url.params["state"] for request in api.requests] == ["failed", "failed"]


def test_one_page_says_that_there_are_more(api: PretendApi) -> None:
    api.answers["GET /v1/jobs"] = page(JOB, next_cursor="next")

    code, said, trouble = run("jobs", "--limit", "1")

    assert code == 0
    assert "job_1" in said
    assert "--all" in trouble


def test_events_are_told_oldest_first_as_a_table_and_as_json(api: PretendApi) -> None:
    found = [
        {"id": "event_2", "type": "job.failed", "attempt": 1, "reason": "the prompt was blocked"},
        {"id": "event_1", "type": "job.created"},
    ]
    api.answers["GET /v1/jobs/job_1/events"] = httpx.Response(200, json={"data": found, "has_more": False})

    code, table, _ = run("events", "job_1")
    _, said, _ = run("events", "job_1", "--json")

    assert code == 0
    assert table.index("job.created") < table.index("job.failed")
    assert "the prompt was blocked" in table
    assert [event["id"] for event in json.loads(said)["data"]] == ["event_1", "event_2"]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"text": "two\nlines", "usage": {}}, "two"),
        ({"buttons": [{"label": "U1", "custom_id": "a"}, {"label": "", "emoji": "🔄", "custom_id": "b"}]}, "U1, 🔄"),
        ({"embeddings": [[0.1] * 1000]}, "has embeddings: see --json"),
    ],
)
def test_a_job_shows_what_it_gave_besides_files(api: PretendApi, result: dict[str, Any], told: str) -> None:
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "result": result})
    api.answers["GET /v1/jobs/job_1/events"] = httpx.Response(200, json={"data": [], "has_more": False})

    code, said, _ = run("job", "job_1")

    assert code == 0
    assert told in said
    assert "0.1" not in said


# Steering.


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("--as", "failed"), {"as": "failed"}),
        (("--as", "retry"), {"as": "retry"}),
        (("--as", "running", "--task-id", "video_abc"), {"as": "running", "task_id": "video_abc"}),
    ],
)
def test_a_held_job_is_resolved(api: PretendApi, words: tuple[str, ...], body: dict[str, str]) -> None:
    api.answers["POST /v1/jobs/job_1/resolve"] = httpx.Response(200, json={**JOB, "state": "queued"})

    code, said, _ = run("resolve", "job_1", *words)

    assert (code, said) == (0, "job_1 is queued\n")
    assert api.bodies == [body]
    assert api.keys[0]


def test_a_job_that_is_not_held_is_not_resolved_and_the_api_says_why(api: PretendApi) -> None:
    problem = {"code": "conflict", "detail": "the job is running; only a held one can be resolved"}
    api.answers["POST /v1/jobs/job_1/resolve"] = httpx.Response(409, json=problem)

    code, said, trouble = run("resolve", "job_1", "--as", "retry", "--json")

    assert (code, said) == (ending.REFUSED, "")
    assert trouble == "conflict: the job is running; only a held one can be resolved\n"


# Taking it home.


def finished(job_id: str, *artifacts: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={**JOB, "id": job_id, "artifacts": artifacts})


def test_all_results_of_all_jobs_are_downloaded(api: PretendApi, tmp_path: Path) -> None:
    api.answers["GET /v1/jobs/job_1"] = finished("job_1", artifact(), artifact(id="artifact_2", index=1))
    api.answers["GET /v1/jobs/job_2"] = finished("job_2", artifact(b"film", id="artifact_3", content_type="video/mp4"))
    for number, content in enumerate((b"png", b"png", b"film"), start=1):
        api.answers[f"GET /v1/artifacts/artifact_{number}/content"] = httpx.Response(200, content=content)

    code, said, _ = run("download", "job_1", "job_2", "job_1", "--out", "results/new", "--json")

    names = ["job_1-0.png", "job_1-1.png", "job_2.mp4"]
    assert code == 0
    assert [one["file"] for one in json.loads(said)["data"]] == [f"results/new/{name}" for name in names]
    assert {one["outcome"] for one in json.loads(said)["data"]} == {"saved"}
    assert sorted(path.name for path in (tmp_path / "results" / "new").iterdir()) == names


def test_what_is_there_whole_is_not_fetched_again_and_what_is_not_whole_is(api: PretendApi, tmp_path: Path) -> None:
    (tmp_path / "job_1-0.png").write_bytes(b"old")
    (tmp_path / "job_1-1.png").write_bytes(b"ol")
    api.answers["GET /v1/jobs/job_1"] = finished("job_1", artifact(), artifact(id="artifact_2", index=1))
    api.answers["GET /v1/artifacts/artifact_2/content"] = httpx.Response(200, content=b"png")

    code, said, _ = run("download", "job_1")

    assert code == 0
    assert said == "job_1-0.png is there already\nsaved job_1-1.png\n"
    assert (tmp_path / "job_1-0.png").read_bytes() == b"old"
    assert (tmp_path / "job_1-1.png").read_bytes() == b"png"
    assert "GET /v1/artifacts/artifact_1/content" not in api.paths()


def test_a_download_that_fails_says_so_and_the_others_go_on(api: PretendApi, tmp_path: Path) -> None:
    api.answers["GET /v1/jobs/job_1"] = finished(
        "job_1", artifact(), artifact(id="artifact_2", index=1), artifact(id="artifact_3", index=2)
    )
    api.answers["GET /v1/artifacts/artifact_1/content"] = httpx.Response(200, content=b"too long")
    api.answers["GET /v1/artifacts/artifact_3/content"] = httpx.Response(200, content=b"png")

    code, said, trouble = run("download", "job_1", "--json")

    assert code == ending.FAILED
    assert [one["outcome"] for one in json.loads(said)["data"]] == ["failed", "failed", "saved"]
    assert "job_1-0.png could not be saved" in trouble
    assert "8 bytes, not 3" in trouble
    assert [path.name for path in tmp_path.iterdir()] == ["job_1-2.png"]


@pytest.mark.parametrize("state", ["failed", "held", "canceled"])
def test_what_came_late_is_downloaded_by_the_number_of_its_attempt(api: PretendApi, tmp_path: Path, state: str) -> None:
    artifacts = [artifact(late=True, attempt=1), artifact(id="artifact_2", late=True, attempt=2)]
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "state": state, "artifacts": artifacts})
    for number in (1, 2):
        api.answers[f"GET /v1/artifacts/artifact_{number}/content"] = httpx.Response(200, content=b"png")

    code, _, _ = run("download", "job_1")

    assert code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job_1-attempt-1-0.png", "job_1-attempt-2-0.png"]


@pytest.mark.parametrize("state", ["running", "failed", "held", "canceled"])
def test_a_job_without_results_is_named_and_counts(api: PretendApi, state: str) -> None:
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "state": state})
    api.answers["GET /v1/jobs/job_2"] = finished("job_2", artifact())
    api.answers["GET /v1/artifacts/artifact_1/content"] = httpx.Response(200, content=b"png")

    code, said, trouble = run("download", "job_1", "job_2")

    assert code == ending.FAILED
    assert said == "saved job_2.png\n"
    assert trouble == f"job_1 is {state}: it has no results\n"


def test_a_job_that_gave_words_alone_is_no_failure(api: PretendApi) -> None:
    api.answers["GET /v1/jobs/job_1"] = finished("job_1")

    code, said, trouble = run("download", "job_1", "--json")

    assert (code, json.loads(said)) == (0, {"data": []})
    assert "darkroom job job_1 --json" in trouble


def test_an_id_that_is_wrong_is_told_before_anything_is_saved(api: PretendApi, tmp_path: Path) -> None:
    api.answers["GET /v1/jobs/job_1"] = finished("job_1", artifact())

    code, _, _ = run("download", "job_1", "job_nope")

    assert code == ending.REFUSED
    assert list(tmp_path.iterdir()) == []
