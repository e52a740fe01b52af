"""What `darkroom up` does, in which order, with stand-ins for our programs and for all servers."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from deploy.local import programs, records, up
from deploy.local.process import Spec
from shared.settings import Settings

GATEWAY = {"gateway_base_url": "http://gateway.test", "gateway_api_key": "sk-1"}
PREPARE = """
import json, os
names = ("DATABASE_URL", "DATA_DIR", "GATEWAY_BASE_URL", "GATEWAY_API_KEY")
print("noise")
print(json.dumps({"admin_key": os.environ.get("DARKROOM_ADMIN_KEY", "dk_first"),
                  "seen": [os.environ["DARKROOM_" + name] for name in names]}))
"""
RUNS = "import time; print('ready', flush=True); time.sleep(60)"

Build = Callable[..., Spec]


def stand_in(build: Build, code: str) -> Build:
    """The same spec with another program, which is ready when it says so."""

    def built(*arguments: Any) -> Spec:
        argv = (sys.executable, "-c", code)
        return replace(build(*arguments), argv=argv, is_ready=lambda: True, ready_word="ready", grace_s=5.0)

    return built


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]) -> Callable[..., int]:
    """`up.run` with stand-ins; `at_ready` is called once it is up and must see to its end."""
    for name in ("sandbox", "api", "worker", "flower"):
        monkeypatch.setattr(programs, name, stand_in(getattr(programs, name), RUNS))
    monkeypatch.setattr(programs, "prepare", stand_in(programs.prepare, PREPARE))

    def run(at_ready: Callable[[dict[str, Any]], None] = lambda _: stop(), **more: Any) -> int:
        def say(line: str) -> None:
            said.append(line)
            if line.startswith("Darkroom is ready"):
                at_ready(records.read(tmp_path / "runtime.json"))

        given = {"database_url": "postgresql://db", "broker_url": "redis://b", "s3_endpoint_url": "http://s3"} | more
        settings = Settings(_env_file=None, drain_seconds=1, **given)
        return up.run(settings, tmp_path, port=0, flower_port=0, workers=2, say=say)

    return run


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_all_parts_start_in_order_and_are_named_in_the_runtime_file(
    lives: Callable[..., int], said: list[str], tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def look(runtime: dict[str, Any]) -> None:
        assert stat.S_IMODE((tmp_path / "runtime.json").stat().st_mode) == 0o600
        assert all(psutil.pid_exists(pid) for pid in runtime["processes"].values())
        seen.append(runtime)
        stop()

    code = lives(look, **GATEWAY)

    assert code == 0
    (runtime,) = seen
    assert list(runtime["processes"]) == ["api", "worker-1", "worker-2", "flower"]
    assert runtime["console_url"] == f"{runtime['api_url']}/console"
    assert runtime["gateway_url"] == "http://gateway.test"
    assert runtime["database_url"] == "postgresql://db"
    assert runtime["admin_key"] == "dk_first"
    assert runtime["sandbox"] is False
    assert not any("sandbox" in line for line in said)
    assert not (tmp_path / "runtime.json").exists()
    assert not any(psutil.pid_exists(pid) for pid in runtime["processes"].values())


def test_without_a_key_the_sandbox_gateway_is_started_and_every_start_line_says_so(
    lives: Callable[..., int], said: list[str]
) -> None:
    seen: list[dict[str, Any]] = []

    def look(runtime: dict[str, Any]) -> None:
        seen.append(runtime)
        stop()

    lives(look)

    assert next(iter(seen[0]["processes"])) == "sandbox"
    assert seen[0]["gateway_url"].startswith("http://127.0.0.1:")
    assert seen[0]["sandbox"] is True
    started = [line for line in said if "ready in" in line]
    assert len(started) == 5
    assert all(line.endswith("[sandbox]") for line in started)
    assert any("nothing is paid" in line for line in said)


def test_the_next_start_has_the_same_addresses_and_the_same_admin_key(lives: Callable[..., int]) -> None:
    seen: list[dict[str, Any]] = []

    def look(runtime: dict[str, Any]) -> None:
        seen.append({name: value for name, value in runtime.items() if name != "processes"})
        stop()

    lives(look)
    lives(look)

    assert seen[0] == seen[1]


def test_a_part_that_does_not_start_is_shown_with_its_last_lines_and_nothing_is_left(
    lives: Callable[..., int], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "print('the table is missing', flush=True); raise SystemExit(4)"
    monkeypatch.setattr(programs, "api", stand_in(programs.api, code))
    before = set(psutil.Process().children())

    assert lives() == up.FAILED != 0

    assert said[-1].startswith("api ended with exit code 4; the end of ")
    assert said[-1].endswith("\nthe table is missing")
    assert set(psutil.Process().children()) <= before
    assert not (tmp_path / "runtime.json").exists()


def test_a_prepare_without_an_admin_key_is_a_failed_start(
    lives: Callable[..., int], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "prepare", stand_in(programs.prepare, "print('nothing')"))

    assert lives() == up.FAILED

    assert said[-1] == "prepare ended without naming an admin key; see its log"


def test_a_killed_worker_is_started_again_and_the_runtime_file_names_the_new_one(
    lives: Callable[..., int], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = f"""
import json, os, signal, time
print("ready", flush=True)
pids = []
while len(set(pids)) < 2:
    time.sleep(0.02)
    try:
        with open({str(tmp_path / "runtime.json")!r}) as file:
            pids.append(json.load(file)["processes"]["worker-1"])
    except (FileNotFoundError, KeyError):
        pass
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    monkeypatch.setattr(programs, "flower", stand_in(programs.flower, watcher))

    code = lives(lambda runtime: os.kill(runtime["processes"]["worker-1"], signal.SIGKILL), **GATEWAY)

    assert code == 0
    assert "worker-1 died (signal 9), started again in 0.2 s" in said
