"""`runtime.json`: where a running `darkroom up` can be reached, for whoever starts on the same folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Running:
    """A `darkroom up` that was ready."""

    api_url: str
    admin_key: str
    gateway_url: str
    is_sandbox: bool
    raw: Mapping[str, Any]

    @classmethod
    def find(cls, data_dir: Path) -> Self | None:
        """The one on this folder; None if none is ready there."""
        try:
            raw = json.loads(path(data_dir).read_text(encoding="utf-8"))
            return cls(raw["api_url"], raw["admin_key"], raw["gateway_url"], bool(raw.get("sandbox")), raw)
        except (OSError, ValueError, TypeError, KeyError):
            return None


def path(data_dir: Path) -> Path:
    return data_dir / "runtime.json"


def stamp(data_dir: Path) -> tuple[int, int] | None:
    """Tells one writing of the file from another: a killed start leaves its own behind.  None: there is no file."""
    try:
        found = path(data_dir).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
