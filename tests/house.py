"""A whole Darkroom of one's own: `darkroom up` on a folder and free ports, with the sandbox gateway."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from api.client import Darkroom

ROOT: Final = Path(__file__).parent.parent
START_S: Final = 90
STOP_S: Final = 60
PR_SET_PDEATHSIG: Final = 1


class House:
    """Started when entered, stopped when left; ends with this process, whatever happens to it."""

    def __init__(self, folder: Path, *, workers: int = 1, catalog: str = "", **settings: str) -> None:
        self.folder = folder
        self._workers = workers
        self._environment = {**os.environ, "DARKROOM_GATEWAY_API_KEY": "", **settings}
        if catalog:
            (folder / "catalog.toml").write_text(catalog)
            self._environment["DARKROOM_CATALOG"] = str(folder / "catalog.toml")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        options = ["--data-dir", str(self.folder / "data"), "--port", "0", "--flower-port", "0"]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "up", *options, "--workers", str(self._workers)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + START_S
        while not (self.folder / "data" / "runtime.json").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Darkroom did not start:\n{self.told}")
            time.sleep(0.05)

    def stop(self) -> int:
        """Drain and stop it all; the exit code of `up`."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    @property
    def told(self) -> str:
        """What `up` said."""
        return (self.folder / "up.log").read_text()

    @property
    def runtime(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "data" / "runtime.json").read_text()))

    def client(self, patience_s: float = 90) -> Darkroom:
        return Darkroom(self.runtime["api_url"], self.runtime["admin_key"], patience_s=patience_s)

    def sandbox(self, method: str, what: str, **options: Any) -> Any:
        """The sandbox gateway's control routes: `ledger`, `requests`, `script`, `settings`."""
        key = json.loads((self.folder / "data" / "secrets.json").read_text())["sandbox_key"]
        address = f"{self.runtime['gateway_url']}/_sandbox/{what}"
        answer = httpx.request(method, address, headers={"Authorization": f"Bearer {key}"}, timeout=30, **options)
        answer.raise_for_status()
        return answer.json()

    def kill(self, name: str) -> int:
        """`kill -9` of one process by its pid."""
        pid = int(self.runtime["processes"][name])
        os.kill(pid, signal.SIGKILL)
        return pid


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
