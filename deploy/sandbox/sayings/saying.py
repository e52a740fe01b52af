"""How a rarer build says what the sandbox was about to answer: functions of the usual reply.  Pure.

What was made stays to be had: a saying takes addresses and bytes out of the usual reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from deploy.sandbox.replies import Reply

ADDRESS: Final[re.Pattern[str]] = re.compile(r"https?://[^\s\"'<>)\\]+")
DATA_URL: Final[re.Pattern[str]] = re.compile(r"data:[\w/]+;base64,[A-Za-z0-9+/=]+")
DONE: Final = "[DONE]"


@dataclass(frozen=True)
class Usual:
    """What would have been answered."""

    reply: Reply

    @property
    def body(self) -> Any:
        return self.reply.body

    @property
    def events(self) -> list[Any]:
        """The documents of a stream."""
        found = [line.removeprefix("data: ") for line in str(self.body).splitlines() if line.startswith("data: ")]
        return [json.loads(one) for one in found if one != DONE]

    @property
    def is_stream(self) -> bool:
        return isinstance(self.body, str)

    @property
    def urls(self) -> list[str]:
        """All addresses in it; of a whole body only, since streams break them."""
        return list(dict.fromkeys(ADDRESS.findall(_text(self.body))))

    @property
    def url(self) -> str:
        return self.urls[0]


Saying = Callable[[Usual], Reply]
Sayings = Mapping[str, Saying]
"""By name, of one family."""


def body(make: Callable[[Usual], Any]) -> Saying:
    """The same status and type with another document."""
    return lambda usual: replace(usual.reply, body=make(usual))


def instead(value: Any) -> Saying:
    """This document, whatever was made."""
    return lambda usual: Reply(200, value)


def changed(**fields: Any) -> Saying:
    """The usual object with other or more fields at its top."""
    return body(lambda usual: {**usual.body, **fields})


def kept(*names: str) -> Saying:
    """The usual object with these of its fields only."""
    return body(lambda usual: {name: usual.body[name] for name in names})


def left_out(*names: str) -> Saying:
    """The usual object without these of its fields."""
    return body(lambda usual: {name: value for name, value in usual.body.items() if name not in names})


def stream(make: Callable[[Usual], Iterable[Any]], *, is_done: bool = True, is_named: bool = False) -> Saying:
    """A stream of these documents."""
    return lambda usual: replace(usual.reply, body=written(make(usual), is_done=is_done, is_named=is_named))


def written(events: Iterable[Any], *, is_done: bool = True, is_named: bool = False) -> str:
    """Documents as events, with their names and `[DONE]` where the format has them."""
    blocks = [_block(one, is_named) for one in events]
    return "".join(f"{block}\n\n" for block in [*blocks, *([f"data: {DONE}"] if is_done else [])])


def then(*sayings: Saying) -> Saying:
    """One after the other."""

    def say(usual: Usual) -> Reply:
        for saying in sayings:
            usual = Usual(saying(usual))
        return usual.reply

    return say


def halved(usual: Usual) -> Reply:
    """The first half of it, sent as if it were all."""
    text = _text(usual.body)
    return replace(usual.reply, body=text[: len(text) // 2])


def crlf(usual: Usual) -> Reply:
    """The same lines with the other ending."""
    return replace(usual.reply, body=str(usual.body).replace("\n", "\r\n"))


def _block(event: Mapping[str, Any], is_named: bool) -> str:
    name = f"event: {event['type']}\n" if is_named else ""
    return f"{name}data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
