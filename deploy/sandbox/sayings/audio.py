"""Rarer answers of `/v1/audio/*`.  Contract: gateway/images-text-audio-system.md 5.10 to 5.12.  Pure."""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, instead, left_out, stream

FAILED: Final = {
    "type": "error",
    "error": {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "code": None,
        "param": None,
    },
}


def _sounds(usual: Usual) -> list[Any]:
    return [event for event in usual.events if event["type"] == "speech.audio.delta"]


def _written(text: str) -> Saying:
    return lambda usual: Reply(200, text, "text/plain")


SAYINGS: Final[Sayings] = {
    "broke_off": stream(_sounds),
    "error": stream(lambda usual: [*_sounds(usual), FAILED], is_done=False),
    "no_base64": stream(
        lambda usual: [{**usual.events[0], "audio": "not base64!"}, {"type": "speech.audio.done"}], is_done=False
    ),
    "no_usage": left_out("usage"),
    "no_text": instead({"task_id": "task_91", "status": "queued"}),
    "a_brace": _written("{laughs} High tide is at six twelve.\n"),
    "silence": _written("\n"),
}
