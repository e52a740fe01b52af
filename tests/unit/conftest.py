"""The command line meets an API that is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client.transport import Transport
from tests.unit.pretend_api import PretendApi


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PretendApi:
    """An API at `http://darkroom.test`, in an empty folder with an empty environment."""
    made = PretendApi()

    def transport(base_url: str, api_key: str, patience_s: float, _: Any) -> Transport:
        return Transport(base_url, api_key, 0, httpx.MockTransport(made))

    monkeypatch.setattr("api.client.darkroom.Transport", transport)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DARKROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DARKROOM_API_URL", "http://darkroom.test")
    monkeypatch.setenv("DARKROOM_API_KEY", "dk_key")
    return made
