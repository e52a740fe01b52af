"""The command line against a whole Darkroom: what a person types to get pictures and to get them home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house import ROOT, House

Darkroom = Callable[..., Any]
QUICKLY = "[models.midjourney]\nfirst_look_s = 0.2\nlook_every_s = 0.2\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), catalog=QUICKLY) as made:
        made.sandbox("POST", "settings", json={"speed": 0})
        yield made


@pytest.fixture
def darkroom(house: House, tmp_path: Path) -> Darkroom:
    """`darkroom … --json` in an empty folder: what it prints, and it must end with this exit code."""

    def run(*words: str, code: int = 0) -> Any:
        environment = {**os.environ, "DARKROOM_DATA_DIR": str(house.folder / "data"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *words, "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_person_gets_pictures_home_decides_about_a_held_job_and_sees_that_all_is_well(
    darkroom: Darkroom, tmp_path: Path
) -> None:
    grid = darkroom("submit", "a boat", "--model", "midjourney", "--metadata", "sku=A-113", "--out", "grids")
    second = darkroom("action", grid["id"], "upscale", "--index", "2", "--metadata", "sku=A-113", "--wait")
    picture = tmp_path / grid["files"][0]
    changed = darkroom("submit", "at night", "--model", "nano-banana", "--image", str(picture), "--wait")
    lost = "a boat [[sandbox cut=after_charge]]"
    held = darkroom("submit", lost, "--model", "nano-banana", "--wait", code=1)

    found = darkroom("jobs", "--metadata", "sku=A-113", "--operation", "midjourney.action", "--q", "boat", "--all")
    events = darkroom("events", second["id"])["data"]
    saved = darkroom("download", grid["id"], second["id"], changed["id"], "--out", "grids")["data"]
    resolved = darkroom("resolve", held["id"], "--as", "failed")
    checks = darkroom("doctor")["checks"]

    assert (second["parent_id"], changed["operation"]) == (grid["id"], "image.edit")
    assert [job["id"] for job in found["data"]] == [second["id"]]
    assert (events[0]["type"], events[-1]["type"]) == ("job.created", "job.succeeded")
    assert [one["outcome"] for one in saved] == ["there", "saved", "saved"]
    assert all((tmp_path / one["file"]).stat().st_size > 0 for one in saved)
    assert (held["state"], resolved["state"]) == ("held", "failed")
    assert resolved["error"]["code"] == "resolved_failed"
    details = {check["part"]: check["detail"] for check in checks}
    assert details["gateway"].startswith("the sandbox gateway http://127.0.0.1:")
    assert details["key"] == "opens the API"
