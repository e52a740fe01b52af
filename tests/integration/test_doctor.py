"""`darkroom doctor` among parts that answer and parts that hang."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.doctor.checks import checks_of
from api.cli.doctor.examining import Finding, examine
from api.cli.doctor.patient import Patient, patient
from shared.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass
class Doctor:
    """What was found, and how long it took."""

    findings: dict[str, Finding]
    took_s: float

    def __getitem__(self, part: str) -> Finding:
        return self.findings[part]


@pytest.fixture
def silent() -> Iterator[str]:
    """Host and port of somebody who takes every call and answers none."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def silent_everywhere(silent: str) -> dict[str, Any]:
    return {
        "database_url": f"postgresql://me:secret@{silent}/db",
        "broker_url": f"redis://:secret@{silent}/0",
        "s3_endpoint_url": f"http://{silent}",
        "s3_access_key_id": "key",
        "s3_secret_access_key": "secret",
        "gateway_base_url": f"http://{silent}",
        "gateway_api_key": "sk-secret",
    }


def doctor(who: Patient) -> Doctor:
    began = time.monotonic()
    found = examine(who, checks_of(who))
    return Doctor({finding.part: finding for finding in found}, time.monotonic() - began)


def test_whatever_hangs_it_answers_within_ten_seconds_and_blames_who_hangs(silent: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, **silent_everywhere(silent))

    found = doctor(patient(settings, tmp_path, f"http://{silent}", "dk_key"))

    assert found.took_s < 9
    assert {part for part, one in found.findings.items() if one.state == "wrong"} == {
        "database",
        "broker",
        "s3",
        "gateway",
        "api",
    }
    assert {part for part, one in found.findings.items() if one.state == "not checked"} == {
        "schema",
        "s3 clock",
        "gateway key",
        "gateway clock",
        "key",
    }
    assert "secret" not in str(found.findings)


def test_what_answers_is_well_beside_a_database_that_hangs(
    silent: str, settings: Settings, tmp_path: Path, store: object
) -> None:
    hung = settings.model_copy(update={"database_url": f"postgresql://me:secret@{silent}/db"})

    found = doctor(patient(hung, tmp_path, None, None))

    assert found["database"].state == "wrong"
    assert found["schema"].detail == "not checked, because database is not well"
    assert {
        part: found[part].state for part in ("broker", "s3", "s3 clock", "gateway", "gateway key")
    } == dict.fromkeys(("broker", "s3", "s3 clock", "gateway", "gateway key"), "ok")


def test_a_database_that_is_up_is_well_and_so_is_its_schema(settings: Settings, tmp_path: Path) -> None:
    found = doctor(patient(settings, tmp_path, None, None))

    assert found["database"].detail.startswith("PostgreSQL ")
    assert found["schema"].state == "ok"


def test_the_command_ends_although_its_looks_hang(silent: str, tmp_path: Path) -> None:
    given = {f"DARKROOM_{name.upper()}": value for name, value in silent_everywhere(silent).items()}
    given |= {"DARKROOM_API_URL": f"http://{silent}", "DARKROOM_API_KEY": "dk_key", "DARKROOM_DATA_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["ok"] is False
