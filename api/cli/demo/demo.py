"""`darkroom demo`: start everything, make a dozen pictures and films, lay them out, stop everything."""

from __future__ import annotations

import shutil
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console

from api.cli import progress, terminal
from api.cli.demo import contact_sheet, jobs_file, shoot
from api.cli.demo.contact_sheet import Frame, Sheet
from api.cli.demo.shoot import Board
from api.cli.demo.system import System, SystemFailed
from api.cli.runtime import Running

DEADLINE_S: Final = 600.0
MARK: Final = "made-by-darkroom-demo"
"""A file in the data folder: without it the folder is somebody's, and is not removed."""


@dataclass(frozen=True)
class Wish:
    """What the demo was asked for."""

    data_dir: Path
    out_dir: Path
    file: Path
    keep: bool
    workers: int = 1


@dataclass(frozen=True)
class Result:
    """What came of it."""

    frames: Sequence[Frame]
    is_success: bool
    stopped_by: str | None
    """Why it went no further, if not all came to its end."""
    seconds: float
    sheet: Path
    data_dir: Path | None
    """Where the data is, if it was kept."""

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.is_success,
            "stopped_by": self.stopped_by,
            "seconds": round(self.seconds, 1),
            "sheet": str(self.sheet),
            "data_dir": str(self.data_dir) if self.data_dir is not None else None,
            "jobs": [asdict(frame) for frame in self.frames],
        }


def run(wish: Wish, console: Console) -> Result:
    """All of it; `console` gets the progress.

    Raises:
        BadFile: the file of jobs is not one.
        SystemFailed: Darkroom does not start.
        KeyboardInterrupt: on SIGINT and SIGTERM, once all is stopped.
    """
    begun_at = time.monotonic()
    wanted = jobs_file.read(wish.file.read_text(encoding="utf-8", errors="replace"), str(wish.file))
    wish.out_dir.mkdir(parents=True, exist_ok=True)
    keep = wish.keep or not _claim(wish.data_dir)
    display = progress.on(console)
    try:
        with _signals(), System(wish.data_dir, wish.workers, display.note) as system:
            running = system.start()
            keep = keep or not running.is_sandbox
            if not running.is_sandbox:
                (wish.data_dir / MARK).unlink(missing_ok=True)  # what is paid for is not thrown away, now or later
            display.note(_announcement(running, len(wanted)))
            board = Board(wanted, uuid.uuid4().hex[:12], wish.file, wish.out_dir, running.is_sandbox)
            with display:
                stopped_by = shoot.shoot(board, system, running, display, begun_at + DEADLINE_S)
            sheet = _lay_out(board, running)
            keep = keep or not board.all_succeeded  # its logs tell why
            display.note("stopping")
    except SystemFailed:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(wish.data_dir, ignore_errors=True)
    seconds = time.monotonic() - begun_at
    return Result(board.frames(), board.all_succeeded, stopped_by, seconds, sheet, wish.data_dir if keep else None)


def _claim(data_dir: Path) -> bool:
    """Make the folder of the system; whether it is ours, to be removed at the end."""
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        (data_dir / MARK).touch()
    return (data_dir / MARK).exists()


def _announcement(running: Running, count: int) -> str:
    if running.is_sandbox:
        return f"{count} jobs for the sandbox gateway (no DARKROOM_GATEWAY_API_KEY is set): nothing is paid"
    return f"{count} jobs for {running.gateway_url}, with your key: they are paid for"


def _lay_out(board: Board, running: Running) -> Path:
    made_by = "sandbox gateway, nothing was paid" if running.is_sandbox else running.gateway_url
    path = board.out_dir / "index.html"
    sheet = Sheet(board.title, made_by, datetime.now().astimezone(), board.frames())
    path.write_text(contact_sheet.render(sheet), encoding="utf-8")
    return path


def closing_lines(result: Result) -> list[str]:
    """What to say when all is over."""
    succeeded = sum(frame.state == "succeeded" for frame in result.frames)
    lines = [f"{succeeded} of {len(result.frames)} jobs succeeded in {result.seconds:.0f} s; look at {result.sheet}"]
    lines += [
        f"{frame.number:02d} {frame.model} is {frame.state}: {frame.note or 'it was not finished in time'}"
        for frame in result.frames
        if frame.state != "succeeded"
    ]
    lines += [result.stopped_by] if result.stopped_by else []
    if result.data_dir is not None:
        lines.append(f"its data and logs are kept: darkroom up --data-dir {result.data_dir}")
    if any(frame.state == "held" for frame in result.frames):
        told = "darkroom job ID tells why, darkroom retry ID pays for it again, darkroom resolve ID says what you found"
        lines.append(f"a held job waits for you: {told}")
    return lines


def table(result: Result) -> Any:
    return terminal.table(shoot.COLUMNS, shoot.rows(result.frames))


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        with suppress(TypeError):  # a handler that was not Python's
            signal.signal(signal.SIGTERM, before)
