"""Replies on the wire, whole or cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final, cast

from fastapi import Response
from starlette.types import Receive, Scope, Send

from deploy.sandbox.replies import Reply, signed

#: Go's encoder writes these so; addresses must be JSON-decoded, not cut out (images 1.4).
GO_ESCAPES: Final = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"}


def write(reply: Reply, request_id: str) -> Response:
    """The response that sends this reply."""
    reply = signed(reply, request_id)
    content = body(reply.body)
    headers = dict(reply.headers)
    if reply.cut == "all":
        return Cut()
    if reply.cut == "half":
        return Half(content, reply.status, headers, reply.media_type)
    return Response(content, reply.status, headers, reply.media_type)


def body(value: Any) -> bytes:
    """Bytes and text as they are, everything else as Go's JSON."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for plain, escaped in GO_ESCAPES.items():
        text = text.replace(plain, escaped)
    return text.encode()


def cut(reply: Reply) -> Reply:
    return replace(reply, cut="all")


def halved(reply: Reply) -> Reply:
    """The first half, which is sent as if it were all."""
    content = body(reply.body)
    return replace(reply, body=content[: len(content) // 2])


class Cut(Response):
    """No answer: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _transport(scope).abort()
        await _gone(receive)


class Half(Response):
    """Announces everything and sends half of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()
        await _gone(receive)


class Stream(Response):
    """Sends what comes, with or without saying how much that will be; may end too early on purpose."""

    def __init__(self, chunks: AsyncIterator[bytes], media_type: str, length: int | None) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        if length is not None:
            self.headers["content-length"] = str(length)
        self._chunks = chunks
        self._left = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if self._left is not None:
                self._left -= len(chunk)
        if self._left in (None, 0):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        _transport(scope).close()
        await _gone(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    return cast(asyncio.Transport, scope["sandbox"].transport)


async def _gone(receive: Receive) -> None:
    """Wait until the server has noticed; else it would send a 500 in place of the silence."""
    while (await receive())["type"] != "http.disconnect":
        continue
