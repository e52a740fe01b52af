"""What `deploy/local` decides without starting anything: ports, waits, who is a leftover, what a child is told."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from pydantic import SecretStr

from deploy.local import environment, leftovers, records, secrets
from deploy.local.ports import TWIN, Want, choose
from deploy.local.process import count_failure, delay_s
from shared.errors import SettingsError
from shared.settings import Settings


def all_free(port: int) -> bool:
    return True


def drawing(first: int) -> Callable[[], int]:
    numbers = count(first)
    return lambda: next(numbers)


def test_the_wait_before_a_restart_doubles_from_a_fifth_of_a_second_to_ten() -> None:
    assert [delay_s(failures) for failures in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert delay_s(10_000) == 10.0


def test_deaths_in_a_row_are_counted_and_half_a_minute_of_life_forgets_them() -> None:
    assert count_failure(0, lived_s=0.1) == 1
    assert count_failure(4, lived_s=29.9) == 5
    assert count_failure(4, lived_s=30.0) == 1


def test_a_wished_port_is_taken_before_that_of_the_last_start() -> None:
    chosen = choose([Want("api", wished=8000)], {"api": 15_000}, all_free, drawing(12_000))

    assert chosen == {"api": 8000}


def test_a_port_that_is_not_free_gives_way_to_that_of_the_last_start_and_then_to_any() -> None:
    wants, remembered = [Want("api", wished=8000)], {"api": 15_000}

    assert choose(wants, remembered, lambda port: port != 8000, drawing(12_000)) == {"api": 15_000}
    assert choose(wants, remembered, lambda port: port not in (8000, 15_000), drawing(12_000)) == {"api": 12_000}


def test_a_port_with_a_twin_needs_both_free() -> None:
    chosen = choose([Want("s3", twin=True)], {}, lambda port: port != 12_000 + TWIN, drawing(12_000))

    assert chosen == {"s3": 12_001}


def test_no_two_names_share_a_port_or_a_twin() -> None:
    wants = [Want("s3", twin=True), Want("redis", wished=22_000), Want("api", wished=12_000)]

    chosen = choose(wants, {"s3": 12_000, "redis": 12_000}, all_free, drawing(12_000))

    assert chosen == {"s3": 12_000, "redis": 12_001, "api": 12_002}


def test_a_machine_without_free_ports_is_said_so_by_name() -> None:
    with pytest.raises(SettingsError, match="no free port for redis"):
        choose([Want("redis")], {}, lambda port: False, drawing(12_000))


def test_a_record_is_readable_by_its_owner_alone_and_leaves_no_draft(tmp_path: Path) -> None:
    records.write(tmp_path / "a.json", {"key": 1})
    records.write(tmp_path / "a.json", {"key": 2})

    assert records.read(tmp_path / "a.json") == {"key": 2}
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_broken_record_reads_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    assert records.read(tmp_path / "a.json") == {}
    assert records.read(tmp_path / "missing.json") == {}


def test_secrets_are_made_once_and_what_is_added_stays(tmp_path: Path) -> None:
    first = secrets.load(tmp_path)
    secrets.keep(tmp_path, admin_key="dk_1")

    assert set(first) == set(secrets.NAMES)
    assert len(set(first.values())) == len(first)
    assert secrets.load(tmp_path) == first | {"admin_key": "dk_1"}


def test_a_process_that_was_written_down_is_found_again() -> None:
    entry = leftovers.describe(os.getpid(), sys.executable)

    assert leftovers.find(entry) == psutil.Process()


@pytest.mark.parametrize(
    "other", [{"started_at": 1.0}, {"program": "no-such-program"}, {"pid": 2**22 + 1}, {"pid": "x"}]
)
def test_another_process_with_its_pid_is_left_alone(other: dict[str, object]) -> None:
    entry = leftovers.describe(os.getpid(), sys.executable)

    assert leftovers.find(entry | other) is None
    assert leftovers.find({}) is None


def test_a_program_is_told_the_settings_that_were_given_and_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DARKROOM_")]:
        monkeypatch.delenv(name)
    given = Settings(
        _env_file=None,
        data_dir=Path("/d"),
        gateway_api_key=SecretStr("sk-1"),
        allowed_private_nets="10.0.0.0/8,fd00::/8",
        tick_s=0.5,
    )

    told = environment.of_program(given, {"DARKROOM_BROKER_URL": "redis://x"})

    assert {name: value for name, value in told.items() if name.startswith("DARKROOM_")} == {
        "DARKROOM_DATA_DIR": "/d",
        "DARKROOM_GATEWAY_API_KEY": "sk-1",
        "DARKROOM_ALLOWED_PRIVATE_NETS": "10.0.0.0/8,fd00::/8",
        "DARKROOM_TICK_S": "0.5",
        "DARKROOM_BROKER_URL": "redis://x",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == given.model_copy(update={"broker_url": "redis://x"})


def test_a_server_is_not_told_our_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_GATEWAY_API_KEY", "sk-1")
    monkeypatch.setenv("PGPORT", "1")

    told = environment.of_server(Path("/d"), EXTRA="1")

    assert "sk-1" not in told.values()
    assert "PGPORT" not in told
    assert told["HOME"] == "/d"
    assert told["EXTRA"] == "1"
