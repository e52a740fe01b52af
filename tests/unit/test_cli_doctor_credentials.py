"""`darkroom doctor` with several credentials: each gateway and each key by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.doctor import checks
from api.cli.doctor.examining import examine
from api.cli.doctor.patient import Patient, patient
from api.client.look import Look
from shared.credentials import Credential
from shared.settings import Settings


def credential(name: str) -> Credential:
    given: dict[str, Any] = {"name": name, "base_url": f"http://{name}.test", "api_key": f"sk-{name}"}
    return Credential.model_validate(given)


@pytest.fixture
def who(tmp_path: Path) -> Patient:
    settings = Settings(_env_file=None, gateways=(credential("alpha"), credential("beta")))  # type: ignore[call-arg]
    return patient(settings, tmp_path / "data", None, None)


def test_each_credential_is_checked_by_its_name_and_with_its_own_key(
    who: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def look(url: str, headers: dict[str, str] | None = None) -> Look:
        if headers:
            asked.append((url, headers["Authorization"]))
        is_right = "alpha" in url
        return Look(200 if is_right else 401, {"data": [{"id": "sora-2"}]} if is_right else {}, 0.0, 0.1)

    monkeypatch.setattr(checks, "look", look)
    of_gateways = [check for check in checks.checks_of(who) if check.part.startswith("gateway")]

    found = {one.part: one for one in examine(who, of_gateways)}

    assert list(found) == [f"gateway{what} {name}" for name in ("alpha", "beta") for what in ("", " key", " clock")]
    assert (found["gateway key alpha"].state, found["gateway key alpha"].detail) == ("ok", "opens 1 models")
    assert (found["gateway key beta"].state, found["gateway key beta"].detail) == ("wrong", "is refused (401)")
    assert found["gateway key beta"].mend == "correct api_key of beta in DARKROOM_GATEWAYS"
    assert set(asked) == {
        ("http://alpha.test/v1/models", "Bearer sk-alpha"),
        ("http://beta.test/v1/models", "Bearer sk-beta"),
    }


def test_no_finding_shows_a_key(who: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(url: str, headers: dict[str, str] | None = None) -> Look:
        return Look(500, {}, None, 0.1)

    monkeypatch.setattr(checks, "look", look)

    found = examine(who, [check for check in checks.checks_of(who) if check.part.startswith("gateway")])

    assert found
    assert "sk-" not in str(found)
    assert httpx.URL(who.gateway.url or "").host == "alpha.test"
