"""The answers that new-api gives, as plain values: its error envelopes, named as in the contract.  Pure.

Contract: gateway/midjourney-and-video.md 1.3, gateway/images-text-audio-system.md 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

HTML: Final = "text/html; charset=utf-8"
#: Stands for the request id until the answer is written.
SUFFIX: Final = " (request id: \0)"


@dataclass(frozen=True)
class Reply:
    """One answer: a body of JSON, of text, or of bytes."""

    status: int
    body: Any
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: Literal["all", "half"] | None = None
    """Whether the connection is closed in place of the answer, or in its midst."""


class Refused(Exception):
    """The answer is this reply and nothing else happens."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def openai_error(status: int, code: str, message: str, *, type_: str = "new_api_error") -> Reply:
    """Envelope A (E1), which the gateway itself wrote: the message ends with the request id."""
    return Reply(status, {"error": {"message": f"{message}{SUFFIX}", "type": type_, "param": "", "code": code}})


def upstream_error(status: int, code: str | None, message: str, *, type_: str) -> Reply:
    """Envelope A (E1), relayed from an upstream: without the request id."""
    return Reply(status, {"error": {"message": message, "type": type_, "param": None, "code": code}})


def task_error(status: int, code: str, message: str) -> Reply:
    """Envelope B: decided inside the video task code."""
    return Reply(status, {"code": code, "message": message, "data": None})


def midjourney_error(description: str, *, code: int = 4, status: int = 400) -> Reply:
    """Envelope C: `description` is two strings joined with a blank, so it ends with one."""
    return Reply(status, {"description": f"{description} ", "type": "upstream_error", "code": code})


def system_error(status: int, message: str) -> Reply:
    """Envelope E4, of `/api/*`."""
    return Reply(status, {"success": False, "message": message})


def page(status: int, title: str) -> Reply:
    """An HTML page of the edge (E6, G)."""
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n"
    return Reply(status, f"{head}<body>\r\n<center><h1>{title}</h1></center>\r\n</body></html>", HTML)


def signed(reply: Reply, request_id: str) -> Reply:
    """The reply with its request id in the places that wait for it."""
    if not isinstance(reply.body, dict) or not isinstance(reply.body.get("error"), dict):
        return reply
    error = reply.body["error"]
    message = str(error.get("message", "")).replace("\0", request_id)
    return replace(reply, body={**reply.body, "error": {**error, "message": message}})
