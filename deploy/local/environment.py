"""The environments of our processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from shared import credentials
from shared.credentials import Credential
from shared.settings import Settings

SERVER_NAMES = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "TZDIR")
"""What an embedded server may know of ours.  Not our keys, and no `PGPORT` or `WEED_…` of somebody's shell."""


def of_server(home: Path, **more: str) -> dict[str, str]:
    """A server's environment; what it looks for at home it shall look for in its own folder."""
    kept = {name: os.environ[name] for name in SERVER_NAMES if name in os.environ}
    return kept | {"HOME": str(home), "LC_ALL": "C", "TZ": "UTC"} | more


def of_program(settings: Settings, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of API, workers and the like: ours, the settings that differ from the defaults, and `more`."""
    set_names = sorted(settings.model_fields_set)
    told = {f"DARKROOM_{name.upper()}": _text(getattr(settings, name)) for name in set_names}
    return {**os.environ, **told, "PYTHONUNBUFFERED": "1", **more}


def _text(value: object) -> str:
    """A setting as `Settings` reads it from the environment."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple) and all(isinstance(each, Credential) for each in value):
        return credentials.as_json(value) if value else ""
    if isinstance(value, tuple):
        return ",".join(str(each) for each in value)
    return str(value)
