"""How the sandbox is asked for one literal reply, and how exactly it must say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.contract.shapes import Loose, is_stream

Way = Callable[[httpx.Client, str], httpx.Response]
"""A call with a client of the sandbox, from the words of its tag: `variant=url`."""


@dataclass(frozen=True)
class Ask:
    """One row: the call that makes the sandbox say what the file says."""

    way: Way
    words: str = ""
    """What stands in the tag, or in the rule of a route that has no prompt."""
    status: int = 0
    """0: the one in the file's name, else 200."""
    media_type: str = ""
    """Empty: the one that the file shows."""
    holds: bytes = b""
    """A spelling that is lost on a parser: both must have it."""
    loose: tuple[Loose, ...] = ()


@dataclass(frozen=True)
class Family:
    """One folder of literal replies."""

    asks: Mapping[str, Ask]
    """By the name of the file."""
    loose: tuple[Loose, ...] = ()
    """What is not compared in any of them."""
    unspoken: Mapping[str, str] | None = None
    """Files that the sandbox cannot say, with the reason."""


MEDIA_TYPES: Final[Mapping[str, str]] = {".json": "application/json", ".html": "text/html", ".txt": "text/plain"}
"""By the file's ending; a `.txt` may be a stream, too."""


def status_of(name: str, ask: Ask) -> int:
    """The status that goes with a file: `1.3-A-429-code-number.json` has 429."""
    found = re.search(r"-(20[02]|30\d|4\d\d|5[02]\d)[-.]", name)
    return ask.status or (int(found[1]) if found else 200)


def media_type_of(name: str, ask: Ask, written: bytes) -> str:
    """The content type that goes with a file."""
    if ask.media_type:
        return ask.media_type
    return "text/event-stream" if is_stream(written.decode()) else MEDIA_TYPES[name[name.rindex(".") :]]


def tagged(prompt: str, words: str) -> str:
    """A prompt that says how the call is to behave; without drawing, since the picture is not looked at."""
    return f"{prompt} [[sandbox {words} render=plain]]"


def json_call(path: str, **fields: Any) -> Way:
    """A call whose body is JSON; `{prompt}` in a field becomes the tagged prompt."""

    def call(client: httpx.Client, words: str) -> httpx.Response:
        return client.post(path, json=_filled(fields, tagged("a tin robot", words)))

    return call


def ruled(route: str, way: Way) -> Way:
    """The same by a rule for the route, where there is no prompt to put a tag into."""

    def call(client: httpx.Client, words: str) -> httpx.Response:
        said: dict[str, Any] = dict(word.partition("=")[::2] for word in words.split())
        rules = [{"match": {"route": route}, "do": said}] if said else []
        client.post("/_sandbox/script", json=rules).raise_for_status()
        try:
            return way(client, "")
        finally:
            client.delete("/_sandbox/script").raise_for_status()

    return call


def fetched(path: str, **options: Any) -> Way:
    return lambda client, words: client.get(path, **options)


def _filled(value: Any, prompt: str) -> Any:
    if isinstance(value, str):
        return value.replace("{prompt}", prompt)
    if isinstance(value, dict):
        return {name: _filled(one, prompt) for name, one in value.items()}
    return [_filled(one, prompt) for one in value] if isinstance(value, list) else value
