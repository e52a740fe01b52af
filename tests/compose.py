"""`docker-compose.yml` as `docker compose` reads it, and its processes of ours run without Docker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.identity import OURSELVES
from deploy.local.ports import Want, choose
from deploy.local.process import settle

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "docker-compose.yml"
EXAMPLE: Final = ROOT / "deploy" / "docker" / "settings.env.example"
OUR_IMAGE: Final = "darkroom"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^${}]*))?\}")
_LINE: Final = re.compile(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


class Unset(Exception):
    """A variable that must be set is not: `docker compose` would not start."""


def services() -> dict[str, dict[str, Any]]:
    """All services, with their anchors and merges resolved."""
    return dict(yaml.safe_load(FILE.read_text())["services"])


def ours() -> dict[str, dict[str, Any]]:
    """The services that run our own image."""
    return {name: service for name, service in services().items() if service["image"] == OUR_IMAGE}


def variables() -> set[str]:
    """The names that the file takes from the env file."""
    without_value = {
        name for service in ours().values() for name, value in service["environment"].items() if value is None
    }
    return without_value | set(re.findall(r"\$\{(\w+)", FILE.read_text()))


def example() -> dict[str, str | None]:
    """The variables of the example file: what is commented out has the default that stands there, the rest None."""
    return {name: value if off else None for off, name, value in _LINE.findall(EXAMPLE.read_text())}


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """`${A}`, `${A:-default}` and `${A:?message}`, also one in another.

    Raises:
        Unset: one that must be set is not, or is empty.
    """

    def value(found: re.Match[str]) -> str:
        name, sign, word = found.groups()
        if env.get(name):
            return env[name]
        if sign == "?":
            raise Unset(f"{name}: {word}")
        return word or ""

    while (replaced := _VARIABLE.sub(value, text)) != text:
        text = replaced
    return text


def environment(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """What its container finds in its environment, besides what the image says."""
    told: dict[str, str] = {}
    for name, value in service.get("environment", {}).items():
        if value is not None:
            told[name] = interpolate(str(value), env)
        elif name in env:
            told[name] = env[name]
    return told


@dataclass
class Container:
    """One service of ours as a process of this machine, on a free port of loopback."""

    name: str
    env: dict[str, str]
    log_path: Path
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Words of commands that are different outside a container."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def service(self) -> dict[str, Any]:
        return ours()[self.name]

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._here(self.service["command"]),
                cwd=self.log_path.parent,  # not in the repository: a developer's `.env` must not reach it
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._settle,
            )

    def is_healthy(self) -> bool:
        """Its own health check says so."""
        kind, *command = self.service["healthcheck"]["test"]
        assert kind == "CMD", command
        done = subprocess.run(self._here(command), cwd=self.log_path.parent, env=self._env(), timeout=30)
        return done.returncode == 0

    def wait(self, timeout_s: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float) -> int:
        """As `docker stop`; the exit code, negative for a signal."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    @property
    def told(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _here(self, command: list[str]) -> list[str]:
        return [self._word(word) for word in command]

    def _word(self, word: str) -> str:
        for there, here in self.replaced.items():
            word = word.replace(there, here)
        return sys.executable if word == "python" else word

    def _env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "CELERY_"))}
        return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **self.env}

    @staticmethod
    def _settle() -> None:
        settle(OURSELVES, os.getppid())


def free_port(name: str) -> str:
    return str(choose([Want(name)], {})[name])
