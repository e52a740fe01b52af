"""Settings: where they come from, and what is said when they do not fit."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import Settings


def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **variables: str) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(f"DARKROOM_{name}", value)
    return Settings.load()


def test_without_any_variable_everything_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(monkeypatch, tmp_path)

    assert settings.gateway_api_key is None
    assert settings.spool_dir == Path(".darkroom/spool")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_explained(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("name", [name for name, field in Settings.model_fields.items() if field.annotation is float])
def test_every_duration_says_its_unit(name: str) -> None:
    assert name.endswith(("_s", "_seconds"))


def test_a_variable_wins_over_the_file_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DARKROOM_S3_BUCKET=from-file\nDARKROOM_S3_REGION=eu-1\nOTHER=1\n")

    settings = load(monkeypatch, tmp_path, S3_BUCKET="from-environment")

    assert (settings.s3_bucket, settings.s3_region) == ("from-environment", "eu-1")


def test_addresses_lose_their_last_slash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(monkeypatch, tmp_path, GATEWAY_BASE_URL="https://gate.example/", PUBLIC_URL="https://we.example//")

    assert (settings.gateway_base_url, settings.public_url) == ("https://gate.example", "https://we.example")


def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load(monkeypatch, tmp_path, GATEWAY_API_KEY="").gateway_api_key is None


def test_the_user_of_the_gateway_may_be_left_empty_and_goes_with_the_access_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = load(monkeypatch, tmp_path, GATEWAY_ACCESS_TOKEN="", GATEWAY_USER_ID="")
    given = load(monkeypatch, tmp_path, GATEWAY_ACCESS_TOKEN="secret", GATEWAY_USER_ID="1842")

    assert (empty.gateway_access_token, empty.gateway_user_id) == (None, None)
    assert given.gateway_access_token is not None
    assert given.gateway_user_id == 1842


def test_networks_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(monkeypatch, tmp_path, ALLOWED_PRIVATE_NETS="10.0.0.0/8, fd00::/8,")

    assert settings.allowed_private_nets == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WORKER_THREADS": "many"}, "DARKROOM_WORKER_THREADS"),
        ({"WORKER_THREADS": "0"}, "DARKROOM_WORKER_THREADS"),
        ({"TICK_S": "0"}, "DARKROOM_TICK_S"),
        ({"PRESIGN_S": "59"}, "DARKROOM_PRESIGN_S"),
        ({"ALLOWED_PRIVATE_NETS": "10.0.0.1/8"}, "DARKROOM_ALLOWED_PRIVATE_NETS"),
        ({"LOG_LEVEL": "loud"}, "DARKROOM_LOG_LEVEL"),
        ({"ARTIFACT_DELIVERY": "mail"}, "DARKROOM_ARTIFACT_DELIVERY"),
        ({"HEARTBEAT_S": "20"}, "DARKROOM_DEAD_AFTER_S"),
        ({"HEARTBEAT_S": "20"}, "DARKROOM_HEARTBEAT_S"),
        ({"POLL_BATCH": "5001"}, "DARKROOM_POLL_BATCH"),
        ({"GATEWAY_USER_ID": "farm", "GATEWAY_ACCESS_TOKEN": "t"}, "DARKROOM_GATEWAY_USER_ID"),
        ({"GATEWAY_ACCESS_TOKEN": "t"}, "DARKROOM_GATEWAY_USER_ID"),
        ({"GATEWAY_USER_ID": "1842"}, "DARKROOM_GATEWAY_ACCESS_TOKEN"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        load(monkeypatch, tmp_path, **variables)


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_PRESIGN_S.*; DARKROOM_TICK_S") as caught:
        load(monkeypatch, tmp_path, TICK_S="0", PRESIGN_S="1")

    assert str(caught.value).count("DARKROOM_") == 2


def test_what_is_told_never_holds_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, tmp_path, GATEWAY_API_KEY="sk-very-secret", WORKER_THREADS="sk-other-secret")

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["gateway_api_key", "gateway_access_token", "s3_secret_access_key"])
def test_secrets_do_not_show(name: str) -> None:
    given: dict[str, Any] = {name: "sk-very-secret", "gateway_user_id": 1842 if "access_token" in name else None}
    settings = Settings(_env_file=None, **given)

    assert "very-secret" not in repr(settings)


def test_settings_do_not_change() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]

    with pytest.raises(ValidationError):
        settings.tick_s = 2.0  # type: ignore[misc]
