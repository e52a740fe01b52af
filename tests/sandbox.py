"""The sandbox gateway as a process of a test's own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx

ROOT: Final = Path(__file__).parent.parent
PR_SET_PDEATHSIG: Final = 1
START_S: Final = 30


class SandboxServer:
    """Starts when made, on a free port; ends with `stop()`, with its `with` block, or with this process.

    "This process" is the thread that starts it: Linux ends the server when that thread ends.
    The same data folder after `kill()` and `start()` is the same sandbox after a crash.
    """

    def __init__(self, data_dir: Path, *, key: str = "sk-sandbox", speed: float = 1, port: int = 0) -> None:
        self.data_dir, self.key, self._speed, self._port = data_dir, key, speed, port
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.start()

    @property
    def pid(self) -> int:
        """The server's process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        address = self.data_dir / "address"
        address.unlink(missing_ok=True)
        options = ["--port", str(self._port), "--data-dir", str(self.data_dir), "--speed", str(self._speed)]
        with (self.data_dir / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.sandbox", *options],
                cwd=ROOT,
                env={**os.environ, "DARKROOM_SANDBOX_KEY": self.key},
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        self.url = self._wait(address)

    def client(self, **options: Any) -> httpx.Client:
        """A client with the address and the key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **options)

    def ledger(self, prompt: str = "", since_seq: int = 0) -> list[dict[str, Any]]:
        """Paid generations: seq, at, kind, model, prompt, price_usd, task_id, request_id, key, refunded_at."""
        answer = self._control("GET", "ledger", params={"prompt": prompt, "since_seq": since_seq})
        return cast(list[dict[str, Any]], answer["data"])

    def requests(self, prompt: str = "") -> dict[str, Any]:
        """Calls by route, calls and tasks at once by model, arrivals of paid calls."""
        return cast(dict[str, Any], self._control("GET", "requests", params={"prompt": prompt}))

    def script(self, rules: list[dict[str, Any]]) -> None:
        """Add rules: `{"match": {"route", "model", "prompt_contains"}, "times": n, "do": {behaviour: value}}`."""
        self._control("POST", "script", json=rules)

    def forget(self) -> None:
        """Clear the ledger, the counts and the script; tasks and results stay."""
        self._control("DELETE", "script")
        self._control("DELETE", "ledger")

    def set(self, **dials: Any) -> None:
        """Turn `speed` or `balance_usd` until the next restart."""
        self._control("POST", "settings", json=dials)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`: what is in memory only is gone."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def _control(self, method: str, path: str, **options: Any) -> Any:
        with self.client() as client:
            return client.request(method, f"/_sandbox/{path}", **options).raise_for_status().json()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait(self, address: Path) -> str:
        """The server's address, once it answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the sandbox ended at its start:\n{(self.data_dir / 'log').read_text()}")
            if address.exists() and _answers(url := address.read_text()):
                return url
            time.sleep(0.02)
        raise TimeoutError(f"the sandbox did not answer within {START_S} s")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _die_with_parent() -> None:
    """Linux: end with the test process, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
