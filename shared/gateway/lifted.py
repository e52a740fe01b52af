"""Answers with pictures in base64, read without copying them.  Pure.

A picture of 22 MB is 30 MB of base64, and to parse that as JSON takes two more copies of it.  So the long runs of
base64 are lifted out of a body first, with a mark in the place of each; what is left is parsed as always, and a run
is decoded, straight from the body, where somebody asks for it.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.gateway import reading
from shared.gateway.outcome import Source
from shared.gateway.request import Response

LEAST_RUN_BYTES: Final = 2**16
"""A shorter run stays where it is."""

RUN: Final = re.compile(rb"(?<![\w+/=\\-])[\w+/=\\-]{%d,}" % LEAST_RUN_BYTES, re.ASCII)
"""Base64 of either alphabet, as JSON writes it: with its escapes, as `\\/` and `\\n`."""

MARK: Final = "LIFTED"
DIGITS: Final = 4
"""Of a mark's number: a body of 256 MB has room for 4,096 runs."""


@dataclass(frozen=True)
class Lifted:
    """An answer without its long runs of base64, and how to get at them."""

    response: Response
    """The same answer with a mark in the place of each run."""
    _runs: Sequence[memoryview] = field(default=(), repr=False)
    _mark: re.Pattern[str] | None = None

    def source(self, value: object) -> Source | None:
        """What `reading.source` says, of a text of the lifted answer."""
        if isinstance(value, str) and self._holds_run(value):
            content = self.decoded(value) if value.lstrip()[:5].lower() == "data:" else None
            return Source(content=content) if content else None
        return reading.source(value)

    def decoded(self, text: str) -> bytes | None:
        """What `reading.decoded` says, of a text of the lifted answer."""
        if self._mark is None or not self._holds_run(text):
            return reading.decoded(text)
        head, comma, tail = text.partition(",")
        payload = tail if comma and head.lstrip()[:5].lower() == "data:" else text
        between = self._mark.split(payload.strip())  # texts, with the number of a run between any two
        if len(between) == 3 and not between[0] and not between[2]:
            return _decoded(self._runs[int(between[1])])
        pieces = (_text(self._runs[int(piece)]) if place % 2 else piece for place, piece in enumerate(between))
        return reading.decoded("".join(pieces))

    def is_long(self, text: str, least: int) -> bool:
        """Whether a text of the lifted answer has at least so many characters, what was lifted included."""
        return len(text) >= least or self._holds_run(text)

    def without_runs(self, text: str) -> str:
        """The text with nothing in the place of each run."""
        return text if self._mark is None else self._mark.sub("", text)

    def restored(self, text: str) -> str:
        """The text as it came, with each run back in its place."""
        return text if self._mark is None else self._mark.sub(lambda found: _text(self._runs[int(found[1])]), text)

    def _holds_run(self, text: str) -> bool:
        return self._mark is not None and self._mark.search(text) is not None


def lift(response: Response) -> Lifted:
    """The answer with its long runs of base64 set aside; the runs are views of its body, not copies."""
    body = response.body
    spans = [_span(found) for found in RUN.finditer(body)] if len(body) >= LEAST_RUN_BYTES else []
    if not spans:
        return Lifted(response)
    mark = MARK
    while mark.encode() in body:
        mark += "X"
    pieces, at = [], 0
    for number, (start, end) in enumerate(spans):
        pieces += [body[at:start], f"{mark}{number:0{DIGITS}}".encode()]
        at = end
    view = memoryview(body)
    return Lifted(
        replace(response, body=b"".join([*pieces, body[at:]])),
        [view[start:end] for start, end in spans],
        re.compile(rf"{mark}(\d{{{DIGITS}}})"),
    )


def _span(found: re.Match[bytes]) -> tuple[int, int]:
    """From where to where; the backslash of a quotation mark that follows is none of it."""
    tail = found.string[found.end() - 64 : found.end()]
    is_cut = (len(tail) - len(tail.rstrip(b"\\"))) % 2
    return found.start(), found.end() - is_cut


def _decoded(run: memoryview) -> bytes | None:
    try:
        return binascii.a2b_base64(run, strict_mode=True) or None
    except binascii.Error:  # escaped, URL-safe, in lines or without padding
        return reading.decoded(_text(run))


def _text(run: memoryview) -> str:
    text = str(run, "ascii")
    return str(json.loads(f'"{text}"')) if "\\" in text else text
