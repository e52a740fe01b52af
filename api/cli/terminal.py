"""What the command line prints: tables and JSON on stdout, troubles in a line or two on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLE_OF_STATE: Final[Mapping[str, str]] = {
    "waiting": "dim",
    "queued": "dim",
    "dispatched": "cyan",
    "submitting": "cyan",
    "running": "cyan",
    "storing": "blue",
    "held": "yellow",
    "succeeded": "green",
    "failed": "red",
    "canceled": "magenta",
}


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], title: str | None = None) -> Table:
    """Cells are text as it is, never markup: prompts and names come from users."""
    made = Table(
        title=title,
        title_justify="left",
        show_header=any(columns),
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        right = column in ("seconds", "size", "%", "limit")
        made.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in row))
    return made


def show(what: Table | Text | str) -> None:
    """On stdout; a pipe gets lines that are not cut to the width of a terminal."""
    out = console()
    if not out.is_terminal:
        out = Console(highlight=False, width=240)
    out.print(Text(what) if isinstance(what, str) else what)


def state(name: str) -> Text:
    return Text(name, style=STYLE_OF_STATE.get(name.strip(), ""))


def visible(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def shortened(text: str, most: int) -> str:
    """On one line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def dimensions(width: int | None, height: int | None, duration_s: float | None = None) -> str:
    measures = [f"{width}×{height}"] if width and height else []
    if duration_s:
        measures.append(f"{duration_s:g} s")
    return ", ".join(measures)


def clock(moment: datetime | None) -> str:
    """In the zone of who looks."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""
