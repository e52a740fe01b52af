"""The command line: what it takes, what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import asking, ending, terminal
from api.cli.demo import contact_sheet, demo, jobs_file, shoot
from api.cli.demo.contact_sheet import File, Frame, Sheet
from api.cli.demo.shoot import Board
from api.client import Darkroom
from tests.unit.pretend_api import JOB, PNG, run
from tests.unit.pretend_api import PretendApi as Api

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("up", "demo", "submit", "jobs", "job", "events", "watch", "download", "action", "cancel", "retry", "resolve"),
    *("models", "balance", "lanes", "usage", "keys", "doctor", "migrate"),
)


def test_help_names_every_command_and_every_exit_code() -> None:
    code, said, _ = run("--help")

    assert code == 0
    assert all(re.search(rf"^\W*{command}\b", said, re.MULTILINE) for command in COMMANDS)
    codes = (ending.FAILED, ending.USAGE, ending.REFUSED, ending.UNREACHABLE, ending.INTERRUPTED)
    assert all(re.search(rf"\b{number}\s+\w", said) for number in (0, *codes))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    code, said, _ = run(command, "--help")

    assert code == 0
    assert "--help" in said


@pytest.mark.parametrize("words", [(), ("keys",)], ids=["darkroom", "darkroom keys"])
def test_a_group_that_is_named_alone_shows_its_help_and_that_is_no_mistake(words: tuple[str, ...]) -> None:
    code, said, trouble = run(*words)

    assert (code, trouble) == (0, "")
    assert said == run(*words, "--help")[1]


def test_the_version_is_the_installed_one() -> None:
    assert run("--version") == (0, f"darkroom {metadata.version('darkroom')}\n", "")


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "{'httpx', 'sqlalchemy', 'boto3', 'celery', 'fastapi', 'pydantic_settings', 'jinja2'}"
    program = f"import sys, api.cli.commands; print(*sorted({heavy} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == ""


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("submit", "a boat"),
        ("submit", "a boat", "--model", "nano-banana", "--priority", "11"),
        ("submit", "a boat", "--model", "nano-banana", "--param", "seconds"),
        ("submit", "a boat", "--model", "nano-banana", "--image", "no-such-file.png"),
        ("jobs", "--limit", "0"),
        ("up", "--port", "70000"),
        ("demo", "--file", "no-such-file.jsonl"),
        ("jobs", "--api-url", "darkroom.test"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_with_a_word_on_stderr(api: Api, words: tuple[str, ...]) -> None:
    code, said, trouble = run(*words)

    assert code == ending.USAGE
    assert said == ""
    assert trouble


def test_a_folder_that_cannot_be_written_is_said_in_a_line(api: Api, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    api.answers["POST /v1/jobs"] = httpx.Response(201, json=JOB)
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json=JOB)

    code, _, trouble = run("submit", "a boat", "--model", "nano-banana", "--out", "file/results")

    assert code == ending.FAILED
    assert trouble.endswith("file/results: Not a directory\n")


def test_a_setting_that_is_wrong_is_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_TICK_S", "often")

    code, said, trouble = run("doctor", "--json")

    assert (code, said) == (ending.USAGE, "")
    assert "DARKROOM_TICK_S" in trouble


def test_what_the_api_refuses_is_exit_code_3_in_its_own_words(api: Api) -> None:
    problem = {"code": "invalid_request", "detail": "seconds must be 4, 8 or 12, not 9", "request_id": "r1"}
    api.answers["POST /v1/jobs"] = httpx.Response(400, json=problem)

    code, said, trouble = run("submit", "a boat", "--model", "sora-2", "--param", "seconds=9", "--json")

    assert (code, said) == (ending.REFUSED, "")
    assert trouble == "invalid_request: seconds must be 4, 8 or 12, not 9 (request r1)\n"


def test_a_key_that_is_refused_comes_with_what_to_do(api: Api) -> None:
    api.answers["GET /v1/models"] = httpx.Response(401, json={"code": "unauthorized", "detail": "no such key"})

    code, _, trouble = run("models")

    assert code == ending.REFUSED
    assert "DARKROOM_API_KEY" in trouble


def test_an_api_that_cannot_be_reached_is_exit_code_4(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Api, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(Api, "__call__", refuse)

    code, said, trouble = run("jobs", "--json")

    assert (code, said) == (ending.UNREACHABLE, "")
    assert "darkroom up" in trouble


def test_without_a_running_system_or_an_address_it_says_how_to_get_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DARKROOM_API_URL")

    code, _, trouble = run("jobs")

    assert code == ending.UNREACHABLE
    assert "darkroom up" in trouble


def test_a_running_up_is_found_by_its_folder(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DARKROOM_API_URL")
    monkeypatch.delenv("DARKROOM_API_KEY")
    runtime = {"api_url": "http://127.0.0.1:1", "admin_key": "dk_admin", "gateway_url": "http://127.0.0.1:2"}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "runtime.json").write_text(json.dumps(runtime))
    api.answers["GET /v1/models"] = httpx.Response(200, json={"data": []})

    code, said, _ = run("models", "--data-dir", "elsewhere", "--json")

    assert (code, json.loads(said)) == (0, {"data": []})


def test_the_key_of_a_running_up_is_not_sent_to_another_address(api: Api, tmp_path: Path) -> None:
    runtime = {"api_url": "http://127.0.0.1:1", "admin_key": "dk_admin", "gateway_url": "http://127.0.0.1:2"}
    (tmp_path / ".darkroom").mkdir()
    (tmp_path / ".darkroom" / "runtime.json").write_text(json.dumps(runtime))

    code, _, trouble = run("models", "--api-url", "http://elsewhere.test", "--api-key", "")

    assert code == ending.USAGE
    assert "DARKROOM_API_KEY" in trouble
    assert api.bodies == []


def test_submit_sends_what_was_asked_for(api: Api, tmp_path: Path) -> None:
    (tmp_path / "boat.png").write_bytes(PNG)
    api.answers["POST /v1/assets"] = httpx.Response(201, json={"id": "asset_1"})
    api.answers["POST /v1/jobs"] = httpx.Response(201, json={**JOB, "state": "queued"})

    code, said, _ = run(
        *("submit", "a boat", "--model", "sora-2", "--operation", "video.create", "--priority", "7", "--json"),
        *("--image", "boat.png", "--image", "https://example.com/a.png", "--image", "job_0"),
        *("--param", "seconds=8", "--param", "size=1280x720", "--param", "watermark=false", "--param", "style=a=b"),
        *("--metadata", "sku=007", "--idempotency-key", "mine"),
    )

    assert (code, json.loads(said)["id"]) == (0, "job_1")
    assert api.bodies[-1] == {
        "model": "sora-2",
        "prompt": "a boat",
        "operation": "video.create",
        "params": {"seconds": 8, "size": "1280x720", "watermark": False, "style": "a=b"},
        "metadata": {"sku": "007"},
        "priority": 7,
        "inputs": {"images": ["asset_1", "https://example.com/a.png", {"job": "job_0"}]},
    }
    assert api.keys == ["mine-0", "mine"]


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("held", 1), ("canceled", 1)])
def test_submit_and_wait_ends_as_the_job_does(api: Api, state: str, code: int) -> None:
    api.answers["POST /v1/jobs"] = httpx.Response(201, json={**JOB, "state": "queued"})
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "state": state})

    ended, said, progress = run("submit", "a boat", "--model", "nano-banana", "--wait", "--json")

    assert ended == code
    assert json.loads(said)["state"] == state
    assert state in progress


def test_submit_with_out_downloads_the_results(api: Api, tmp_path: Path) -> None:
    artifact = {"id": "artifact_1", "index": 0, "kind": "image", "content_type": "image/png", "bytes": 3}
    api.answers["POST /v1/jobs"] = httpx.Response(201, json={**JOB, "state": "queued"})
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "artifacts": [artifact]})
    api.answers["GET /v1/artifacts/artifact_1/content"] = httpx.Response(200, content=b"png")

    code, said, _ = run("submit", "a boat", "--model", "nano-banana", "--out", "results", "--json")

    assert code == 0
    assert json.loads(said)["files"] == ["results/job_1.png"]
    assert (tmp_path / "results" / "job_1.png").read_bytes() == b"png"


def test_job_shows_every_event(api: Api) -> None:
    events = [{"id": "event_2", "type": "job.succeeded", "attempt": 1}, {"id": "event_1", "type": "job.created"}]
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json=JOB)
    api.answers["GET /v1/jobs/job_1/events"] = httpx.Response(200, json={"data": events, "has_more": False})

    code, said, _ = run("job", "job_1")

    assert code == 0
    assert said.index("job.created") < said.index("job.succeeded")


def test_watch_with_json_prints_a_line_for_each_change_and_nothing_else(api: Api) -> None:
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "state": "failed"})

    code, said, _ = run("watch", "job_1", "job_1", "--json")

    assert code == ending.FAILED
    assert [json.loads(line)["state"] for line in said.splitlines()] == ["failed"]


def test_a_prompt_cannot_steer_the_terminal(api: Api) -> None:
    evil = "boat \x1b[2J\x1b]0;owned\x07 [red]markup[/red]"
    page = {"data": [{**JOB, "prompt": evil}], "has_more": False, "next_cursor": None}
    api.answers["GET /v1/jobs"] = httpx.Response(200, json=page)

    code, said, _ = run("jobs")

    assert code == 0
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "[red]markup[/red]" in said


def test_a_new_key_is_all_that_stands_on_stdout(api: Api) -> None:
    key = {"id": "key_1", "name": "shop", "scopes": ["read", "write"], "key": "dk_secret"}
    api.answers["POST /v1/api-keys"] = httpx.Response(201, json=key)

    code, said, _ = run("keys", "create", "shop")

    assert (code, said.strip()) == (0, "dk_secret")
    assert api.bodies == [{"name": "shop", "scopes": ["read", "write"]}]


def test_a_key_whose_answer_was_lost_is_to_be_revoked(api: Api) -> None:
    key = {"id": "key_1", "name": "shop", "scopes": ["read"], "key": None}
    api.answers["POST /v1/api-keys"] = httpx.Response(201, json=key)

    code, _, trouble = run("keys", "create", "shop", "--json")

    assert code == ending.FAILED
    assert "darkroom keys revoke key_1" in trouble


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("true", True),
        ("1280x720", "1280x720"),
        ("", ""),
        ('"8"', "8"),
        ("[1]", [1]),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("-Infinity", "-Infinity"),
    ],
)
def test_a_parameter_is_json_where_it_can_be_and_text_otherwise(text: str, value: Any) -> None:
    assert asking.value(text) == value


# The file of the demo.


def test_the_first_jobs_are_those_that_the_readme_promises() -> None:
    path = ROOT / "examples" / "first-job.jsonl"
    wanted = jobs_file.read(path.read_text(), path.name)

    formats = {each.body.get("params", {}).get("response_format") for each in wanted}
    models = " ".join(str(each.body.get("model")) for each in wanted)
    assert len(wanted) >= 12
    assert {"url", "b64_json"} <= formats
    assert all(model in models for model in ("nano-banana", "gpt-", "seedream", "midjourney", "sora", "veo"))
    assert any(each.body.get("action") == "upscale" for each in wanted)
    assert any(each.needs and each.of is None for each in wanted)
    uploads = [upload for each in wanted for upload in each.uploads]
    assert uploads
    assert all((path.parent / upload).is_file() for upload in uploads)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"prompt": "a boat"}', 'needs a "model"'),
        ('{"of": "grid"}', 'needs an "action"'),
        ('{"of": "grid", "action": "upscale"}', "no earlier line has the ref 'grid'"),
        ('{"model": "m", "inputs": {"images": [{"job": "later"}]}}', "no earlier line has the ref 'later'"),
        ('{"model": "m", "ref": "first"}', "used twice"),
        ('{"model": "m", "ref": 3}', "ref must be a text"),
        ('{"model": "m", "inputs": ["boat.png"]}', "inputs must be an object"),
    ],
)
def test_a_line_that_is_wrong_is_named(line: str, told: str) -> None:
    text = f'# a story\n{{"model": "m", "ref": "first"}}\n\n{line}\n'

    with pytest.raises(jobs_file.BadFile, match=re.escape(told)) as caught:
        jobs_file.read(text, "story.jsonl")

    assert str(caught.value).startswith("story.jsonl, line 4:")


def test_a_file_without_a_job_is_none() -> None:
    with pytest.raises(jobs_file.BadFile, match="no job"):
        jobs_file.read("\n# nothing\n", "empty.jsonl")


def test_references_become_ids() -> None:
    body = {"model": "m", "inputs": {"images": [{"upload": "a.png"}, {"job": "grid", "index": 2}, "https://x.test/y"]}}

    resolved = jobs_file.resolved(body, {"a.png": "asset_1"}, {"grid": "job_1"}, {})

    assert resolved["inputs"]["images"] == ["asset_1", {"job": "job_1", "index": 2}, "https://x.test/y"]


def test_a_parameter_may_be_the_upstream_task_of_an_earlier_line_that_has_ended() -> None:
    grid = '{"ref": "grid", "model": "midjourney", "prompt": "a boat"}'
    seed = '{"model": "midjourney", "operation": "midjourney.seed", "params": {"task_id": {"task": "grid"}}}'
    wanted = jobs_file.read(f"{grid}\n{seed}", "story.jsonl")[1]

    assert wanted.needs == wanted.needs_ended == {"grid"}
    assert jobs_file.resolved(wanted.body, {}, {}, {"grid": "17"})["params"] == {"task_id": "17"}


# The round of the demo, against an API that is not there at first.


def board(tmp_path: Path, *lines: dict[str, Any]) -> Board:
    text = "\n".join(json.dumps(line) for line in lines)
    return Board(jobs_file.read(text, "story.jsonl"), "run", tmp_path / "story.jsonl", tmp_path, is_sandbox=True)


def test_what_needs_a_job_that_failed_is_not_submitted(api: Api, tmp_path: Path) -> None:
    failed = {**JOB, "state": "failed"}
    api.answers["POST /v1/jobs"] = httpx.Response(201, json=failed)
    story = board(tmp_path, {"ref": "grid", "model": "midjourney"}, {"of": "grid", "action": "upscale", "index": 1})

    with Darkroom("http://darkroom.test", "dk_key", patience_s=0) as client:
        for _ in range(2):
            shoot.advance(story, client)

    assert [bar.state for bar in story.bars()] == ["failed", "skipped"]
    assert story.all_done
    assert not story.all_succeeded
    assert [frame.note for frame in story.frames()] == ["", "upscale 1 of grid; grid did not succeed"]
    assert api.bodies == [{"model": "midjourney", "on_unknown": "retry"}]


def test_an_outage_only_delays_and_doubles_nothing(api: Api, tmp_path: Path) -> None:
    artifact = {"id": "artifact_1", "index": 0, "kind": "image", "content_type": "image/png", "bytes": 3}
    story = board(tmp_path, {"model": "nano-banana", "prompt": "a boat"})

    with Darkroom("http://darkroom.test", "dk_key", patience_s=0) as client:
        api.answers["POST /v1/jobs"] = httpx.Response(503, json={"code": "unavailable"})
        assert shoot.advance(story, client) is not None
        api.answers["POST /v1/jobs"] = httpx.Response(201, json={**JOB, "artifacts": [artifact]})
        assert shoot.advance(story, client) is not None  # the download does not work yet
        api.answers["GET /v1/artifacts/artifact_1/content"] = httpx.Response(200, content=b"png")
        assert shoot.advance(story, client) is None

    assert story.all_succeeded
    assert (tmp_path / "01-nano-banana.png").read_bytes() == b"png"
    assert len({key for key in api.keys if key is not None}) == 1


def test_a_folder_that_was_there_before_is_not_the_demos_to_remove(tmp_path: Path) -> None:
    assert not demo._claim(tmp_path)
    assert demo._claim(tmp_path / "fresh")
    assert demo._claim(tmp_path / "fresh")


# The contact sheet.


def sheet(**more: Any) -> str:
    frame = {
        "number": 1,
        "model": "sora-2",
        "state": "succeeded",
        "prompt": "a boat",
        "note": "",
        "job_id": "job_1",
        "seconds": 12.34,
        "cost_usd": Decimal("0.80"),
        "files": [File("01-sora-2.mp4", "video", 1_834_455, 1280, 720, 8.0, "01-sora-2.poster.jpg")],
        **more,
    }
    return contact_sheet.render(
        Sheet("The voyage", "sandbox gateway", datetime(2026, 11, 20, tzinfo=UTC), [Frame(**frame)])
    )


def test_the_sheet_shows_what_was_made() -> None:
    page = sheet()

    assert 'src="01-sora-2.mp4" poster="01-sora-2.poster.jpg"' in page
    for told in ("a boat", "sora-2", "1280×720, 8 s", "1.8 MB", "12.3 s", "$0.80", "job_1"):
        assert told in page


def test_the_sheet_needs_nothing_from_elsewhere() -> None:
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", sheet())


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


@pytest.mark.parametrize("field", ["prompt", "note", "model", "state", "job_id"])
def test_no_text_can_become_markup(field: str) -> None:
    page = sheet(**{field: EVIL})

    assert "<script" not in page
    assert "<img" not in page
    assert "49" not in page


@pytest.mark.parametrize("kind", ["image", "video", "audio", "text"])
def test_no_file_name_can_become_markup(kind: str) -> None:
    page = sheet(files=[File('" onerror="alert(1)', kind, 1, poster="<script>")])

    assert not re.search(r'[a-z]="" onerror="', page)
    assert "<script" not in page


def test_a_job_without_a_result_has_its_place() -> None:
    page = sheet(state="failed", files=[], seconds=None, cost_usd=None, note="the prompt was blocked")

    assert "nothing developed" in page
    assert "the prompt was blocked" in page


@pytest.mark.parametrize(
    ("size_bytes", "told"), [(None, ""), (0, "0 B"), (999, "999 B"), (134_477, "134 kB"), (1_834_455, "1.8 MB")]
)
def test_sizes_are_told_in_few_digits(size_bytes: int | None, told: str) -> None:
    assert terminal.size(size_bytes) == told
