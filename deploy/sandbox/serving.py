"""A result's bytes, whole or spoiled: what hosted addresses, `/content` and `/mj/image` serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from deploy.sandbox import responses
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Reply, page
from deploy.sandbox.responses import Stream
from deploy.sandbox.shelf import Result

CACHED: Final = {"Cache-Control": "public, max-age=86400"}
CHUNK: Final = 2**16
MIB: Final = 2**20
#: More than any client should take.
TOO_LARGE_MB: Final = 8 * 1024

_SMALL: Final = {"seed": "wrong", "title": "not what you wanted", "note": "sandbox", "width": 256, "height": 144}
#: What is served in place of a picture, and of a film.
OTHER_KIND: Final[Mapping[bool, dict[str, Any]]] = {
    True: {**_SMALL, "draws": "picture", "format": "png"},
    False: {**_SMALL, "draws": "film", "format": "mp4", "seconds": 1},
}


class WholeFile(FileResponse):
    """Knows no ranges, as the picture proxy of Midjourney (videos 4.4)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del self.headers["accept-ranges"]
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


async def serve(house: Parts, result: Result, kind: type[FileResponse] = FileResponse) -> Response:
    """The result as its behaviour serves it; well, and as `kind` serves files, unless told otherwise."""
    told = result.behaviour
    path = await house.shelf.file(result)
    is_spoiled = told.content is not None and house.shelf.fetches(result) < (told.content_times or 2**31)
    if told.content is not None and is_spoiled:
        return await SPOILED[told.content](house, result, path)
    if told.pad_mb:
        return _padded(result, path, told.pad_mb)
    return kind(path, media_type=result.media_type, headers=CACHED)


async def _html(house: Parts, result: Result, path: Path) -> Response:
    return responses.write(page(200, "Link expired"), "")


async def _json(house: Parts, result: Result, path: Path) -> Response:
    return responses.write(Reply(200, {"error": {"code": "AccessDenied", "message": "Request has expired"}}), "")


async def _truncated(house: Parts, result: Result, path: Path) -> Response:
    content = _bytes(path)
    return Stream(_once(content[: len(content) // 2]), result.media_type, len(content))


async def _wrong_kind(house: Parts, result: Result, path: Path) -> Response:
    """A film for a picture and a picture for a film, under the type that was expected."""
    other = await house.shelf.drawn(OTHER_KIND[result.format == "mp4"])
    return FileResponse(other, media_type=result.media_type, headers=CACHED)


async def _corrupt(house: Parts, result: Result, path: Path) -> Response:
    """The right first bytes and length, then noise."""
    content = _bytes(path)
    return Response(content[:64] + b"\xa5" * (len(content) - 64), media_type=result.media_type)


async def _too_large(house: Parts, result: Result, path: Path) -> Response:
    return _padded(result, path, TOO_LARGE_MB)


async def _empty(house: Parts, result: Result, path: Path) -> Response:
    return Response(b"", media_type=result.media_type)


async def _slow(house: Parts, result: Result, path: Path) -> Response:
    content = _bytes(path)
    return Stream(_dripped(content, result.behaviour.content_s), result.media_type, len(content))


async def _cut_short(house: Parts, result: Result, path: Path) -> Response:
    """Half of it without a length, and properly ended: how a gateway that gave up may look (video 6.6)."""
    content = _bytes(path)
    return Stream(_once(content[: len(content) // 2]), result.media_type, None)


async def _no_length(house: Parts, result: Result, path: Path) -> Response:
    return Stream(_once(_bytes(path)), result.media_type, None)


def _status(status: int, text: str) -> Callable[[Parts, Result, Path], Awaitable[Response]]:
    async def refuse(house: Parts, result: Result, path: Path) -> Response:
        return Response(text, status, media_type="text/plain")

    return refuse


SPOILED: Final[Mapping[str, Callable[[Parts, Result, Path], Awaitable[Response]]]] = {
    "html": _html,
    "json": _json,
    "truncated": _truncated,
    "wrong_kind": _wrong_kind,
    "corrupt": _corrupt,
    "too_large": _too_large,
    "empty": _empty,
    "403": _status(403, "Request has expired"),
    "404": _status(404, "404 page not found"),
    "502": _status(502, "Bad Gateway"),
    "slow": _slow,
    "no_length": _no_length,
    "cut_short": _cut_short,
}


def _padded(result: Result, path: Path, pad_mb: int) -> Response:
    """The file and so many MiB more; it stays valid: a `free` box for a film, bytes after the end for a picture."""
    content = _bytes(path)
    pad = pad_mb * MIB
    # A box with a 64-bit size: 1, its name, and then the true size.
    box = (1).to_bytes(4, "big") + b"free" + pad.to_bytes(8, "big") if result.format == "mp4" else bytes(16)
    return Stream(_with_zeros(content + box, pad - len(box)), result.media_type, len(content) + pad)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _with_zeros(content: bytes, zeros: int) -> AsyncIterator[bytes]:
    yield content
    block = bytes(4 * CHUNK)
    while zeros > 0:
        yield block[:zeros]
        zeros -= len(block)


async def _dripped(content: bytes, seconds: float) -> AsyncIterator[bytes]:
    steps = 20
    size = max(len(content) // steps, 1)
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(seconds / steps)
