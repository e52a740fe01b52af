"""The contact sheet: one HTML page with all that a demo has made.  Pure.

It needs nothing but the files beside it; every text on it is escaped, since prompts are other people's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import jinja2

from api.cli import terminal


@dataclass(frozen=True)
class File:
    """One result in the folder of the sheet."""

    name: str
    kind: str
    """`image`, `video` or another kind of artifact."""
    size_bytes: int
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    poster: str | None = None
    """File name of a video's first look."""

    @property
    def dimensions(self) -> str:
        return terminal.dimensions(self.width, self.height, self.duration_s)

    @property
    def size(self) -> str:
        return terminal.size(self.size_bytes)


@dataclass(frozen=True)
class Frame:
    """One job on the sheet."""

    number: int
    model: str
    state: str
    prompt: str
    note: str
    """What it is besides its prompt, as `upscale 2 of grid`, and why it is where it is."""
    job_id: str
    seconds: float | None
    cost_usd: Decimal | None
    files: Sequence[File]
    said: str = ""
    """What came in words or as data, in short."""


@dataclass(frozen=True)
class Sheet:
    title: str
    gateway: str
    """Who made it, in words."""
    made_at: datetime
    frames: Sequence[Frame]

    @property
    def cost_usd(self) -> Decimal:
        return sum((frame.cost_usd or Decimal(0) for frame in self.frames), Decimal(0))

    @property
    def succeeded(self) -> int:
        return sum(frame.state == "succeeded" for frame in self.frames)


def render(sheet: Sheet) -> str:
    return _template().render(sheet=sheet)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("contact_sheet.html")
