"""From words on a command line to what the API takes; wrong ones are refused before anything is sent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from api.client import Darkroom

ADDRESSES: Final = ("https://", "http://", "data:")
IDS: Final = ("asset_", "artifact_", "job_")


@dataclass(frozen=True)
class Named:
    """One input, as it was typed."""

    role: str
    text: str

    @property
    def file(self) -> Path | None:
        """None: it is no file of this machine, but an address or an id."""
        if self.text.startswith(ADDRESSES):
            return None
        # A downloaded result is called by the id of its job.
        return Path(self.text) if not self.text.startswith(IDS) or Path(self.text).is_file() else None


def inputs(images: Sequence[str], mask: str | None, others: Sequence[str]) -> list[Named]:
    """All inputs, whose files have been looked at.

    Raises:
        typer.BadParameter: no such file, or none that could be an input.
    """
    found = [(Named("images", text), "--image") for text in images]
    found += [(Named("mask", mask), "--mask")] if mask is not None else []
    found += [(Named(*_pair(pair, "--input")), "--input") for pair in others]
    for named, option in found:
        if named.file is not None:
            _look(named.file, option)
    return [named for named, _ in found]


def _look(file: Path, option: str) -> None:
    """The first bytes tell what no name can: a picture that is a text would be refused after its upload."""
    from shared import media

    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint=option)
    with file.open("rb") as content:
        form = media.sniff(content.read(media.HEAD_BYTES))
    if form not in {*media.PICTURES, *media.CONTAINERS, media.PDF}:
        told = f"{file} is {form}, and an input must be a picture, a film, a sound or a PDF"
        raise typer.BadParameter(told, param_hint=option)


def uploaded(client: Darkroom, named: Sequence[Named], idempotency_key: str | None) -> dict[str, list[Any]]:
    """The inputs by role, as the API takes them; files are uploaded."""
    by_role: dict[str, list[Any]] = {}
    for number, each in enumerate(named):
        # With its own key an upload that is repeated is the same asset, so that the whole job is the same.
        key = f"{idempotency_key}-{number}" if idempotency_key else None
        by_role.setdefault(each.role, []).append(_input(client, each, key))
    return by_role


def _input(client: Darkroom, named: Named, idempotency_key: str | None) -> Any:
    if named.file is not None:
        return client.assets.upload(named.file, idempotency_key=idempotency_key).id
    return {"job": named.text} if named.text.startswith("job_") else named.text


def pairs(given: Sequence[str] | None, option: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """`NAME=VALUE` as often as it was given."""
    return {name: read(text) for name, text in (_pair(pair, option) for pair in given or ())}


def _pair(pair: str, option: str) -> tuple[str, str]:
    name, is_given, text = pair.partition("=")
    if not is_given or not name:
        raise typer.BadParameter(f"must be NAME=VALUE, not {pair!r}", param_hint=option)
    return name, text


def value(text: str) -> Any:
    """`8`, `true`, `[1]` as JSON means them; everything else is text."""
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(read, float) and not math.isfinite(read) else read


def moment(text: str | None, option: str) -> str | None:
    """A time as the API takes it; without a zone it is meant in that of who asks."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        told = f"must be a time as 2026-11-20, 2026-11-20T09:14 or 2026-11-20T09:14:03Z, not {text!r}"
        raise typer.BadParameter(told, param_hint=option) from None
