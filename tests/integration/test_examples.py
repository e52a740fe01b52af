"""Every operation, from its line in examples/ through command line, API, Celery, gateway and S3 to a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 400


@pytest.mark.timeout(LIMIT_S)
def test_every_operation_of_the_examples_comes_to_its_result(tmp_path: Path) -> None:
    command = [
        "demo",
        "--file",
        "examples/operations.jsonl",
        "--data-dir",
        tmp_path / "data",
        "--out",
        tmp_path / "out",
    ]

    done = subprocess.run(
        [sys.executable, "-m", "api.cli", *map(str, command), "--json"],
        cwd=ROOT,
        env={**os.environ, "DARKROOM_GATEWAY_API_KEY": ""},
        capture_output=True,
        timeout=LIMIT_S - 20,
        check=False,
    )

    told = json.loads(done.stdout)
    assert [(job["model"], job["state"], job["note"]) for job in told["jobs"] if job["state"] != "succeeded"] == []
    assert told["ok"]
    assert done.returncode == 0
    files = [tmp_path / "out" / file["name"] for job in told["jobs"] for file in job["files"]]
    assert all(file.stat().st_size > 0 for file in files)
    assert {file.suffix for file in files} >= {".png", ".mp4", ".mp3", ".txt"}
    assert not (tmp_path / "data").exists()
