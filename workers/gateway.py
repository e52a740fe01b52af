"""The one client of the gateway.  Alone knows the key; nobody else opens a connection to it.

httpx's API over aiohttp's transport, on one event-loop thread of the process (httpx's own pool gets slower with
every open connection).  It sends, waits and says what is known of a failed exchange; it never retries a call
that could be paid for, and never follows a redirect with the key.

What a failure proves is told by aiohttp's exception, not by httpx's: the transport maps a connection that was
reset *after* the request had gone to `ConnectTimeout`, and money hangs on the difference.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
import httpx
import structlog
import uvloop
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from shared.errors import DarkroomError, FetchFailed
from shared.figures import Figures
from shared.gateway import classify
from shared.gateway.request import Ambiguous, NotSent, Reply, Request, Response
from shared.outbound import Fetched

log = structlog.get_logger(__name__)

CONNECT_S: Final = 10.0
WRITE_S: Final = 60.0
REPLY_LIMIT_BYTES: Final = 256 * 2**20
"""The largest answer that is read: a 4K PNG in base64 is 30 MB, and there may be several."""
DOWNLOAD_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=60)
DOWNLOAD_TRIES: Final = 4
"""The gateway cuts `/content` after 60 s in most builds (video 6.6): go on from there, or begin again."""

SURELY_NOT_SENT: Final = (
    aiohttp.ClientConnectorError,  # no name, refused, no route, TLS
    aiohttp.ConnectionTimeoutError,  # no connection in time, or none free in the pool
    aiohttp.InvalidURL,
)

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

T = TypeVar("T")


class Moved(DarkroomError):
    """A download that is at another address.  Some deployments redirect to their storage (video 6.6)."""

    code = "moved"

    def __init__(self, location: str) -> None:
        super().__init__("it is at another address")
        self.location = location


class TooLarge(Exception):
    """An answer over the limit; nobody knows what the rest would have said."""


class Gateway:
    """Start it with the process, stop it after the last call."""

    def __init__(self, base_url: str, key: str, figures: Figures) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "darkroom"}
        self._figures = figures
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._thread.start()
        # A paid call gets a fresh connection: a stale one that is reset is the commonest reason not to know.
        self._fresh = self._call(_connect(force_close=True)).result()
        self._kept = self._call(_connect(force_close=False)).result()
        self._paid = self._client(self._fresh)
        self._looks = self._client(self._kept)

    @staticmethod
    def _client(session: aiohttp.ClientSession) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=AiohttpTransport(client=session), trust_env=False, follow_redirects=False, timeout=CONNECT_S
        )

    def stop(self) -> None:
        for session in (self._fresh, self._kept):
            self._call(session.close()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def start(self, request: Request) -> Future[Reply]:
        """Begin a paid call; its reply comes by the future, which raises nothing."""
        return self._call(self._exchange(self._paid, request, CONNECT_S + WRITE_S + 2 * request.timeout_s))

    def look(self, request: Request) -> Future[Reply]:
        """Begin a call that costs nothing; it is over after `request.timeout_s`, come what may."""
        return self._call(self._exchange(self._looks, request, request.timeout_s))

    def is_own(self, url: str) -> bool:
        """Whether an address is at the gateway's own scheme, host and port, so that the key may go there."""
        return _origin(url) == _origin(self._base_url)

    def url_of(self, path: str) -> str:
        return self._base_url + path

    def own_path(self, url: str) -> str:
        """The path and query of an address at the gateway, byte for byte, as requests name it."""
        below = url.split("://", 1)[1]
        target = below[below.index("/") :] if "/" in below else "/"
        return target.removeprefix(urlsplit(self._base_url).path)

    def download(self, path: str, to: Path, limit_bytes: int, timeout_s: float) -> Fetched:
        """Stream what is at a path of the gateway, which needs the key, into a file; on any error the file is gone.

        Raises:
            Moved: it is elsewhere, where the key must not go.
            FetchFailed: no whole body: `status` if there was another answer, `too_large` over `limit_bytes`.
        """
        try:
            return self._call(self._download(path, to, limit_bytes, timeout_s)).result()
        except BaseException:
            to.unlink(missing_ok=True)
            raise

    async def _exchange(self, client: httpx.AsyncClient, request: Request, limit_s: float) -> Reply:
        began = time.monotonic()
        try:
            reply = await self._reply(client, request, limit_s)
        except Exception as error:  # a surprise, after which all that is known is that it may have been sent
            log.error("gateway.surprise", call=request.name, exc_info=True)
            reply = Ambiguous(type(error).__name__)
        self._figures.add(request.name or request.path, _ended(reply), time.monotonic() - began)
        return reply

    async def _reply(self, client: httpx.AsyncClient, request: Request, limit_s: float) -> Reply:
        try:
            async with asyncio.timeout(limit_s):
                built = await self._build(client, request)
                return await _read(await client.send(built, stream=True))
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TooLarge) as error:
            return what_it_proves(error)

    async def _build(self, client: httpx.AsyncClient, request: Request) -> httpx.Request:
        files = [(part.name, (part.filename, part.content, part.content_type)) for part in request.files]
        if request.form is not None and not files:
            # A form without a file is still multipart here: its fields go as parts without a name of a file.
            files = [(name, (None, value, None)) for name, value in request.form.items()]  # type: ignore[misc]
            fields: Mapping[str, str] | None = None
        else:
            fields = request.form
        built = client.build_request(
            request.method,
            self._base_url + request.path,
            headers=self._headers,
            json=request.json,
            data=fields,
            files=files or None,
            timeout=httpx.Timeout(request.timeout_s, connect=CONNECT_S, pool=CONNECT_S, write=WRITE_S),
        )
        await built.aread()
        return built

    async def _download(self, path: str, to: Path, limit_bytes: int, timeout_s: float) -> Fetched:
        shown = path.partition("?")[0]  # the query may be a signature
        trouble = "nothing came"
        with to.open("wb") as file:
            try:
                async with asyncio.timeout(timeout_s):
                    for _ in range(DOWNLOAD_TRIES):
                        try:
                            return await self._download_once(path, shown, file, limit_bytes)
                        except (aiohttp.ClientError, ConnectionError, TimeoutError, _Cut) as error:
                            trouble = classify.clean(str(error)) or type(error).__name__
            except TimeoutError:
                trouble = f"not whole after {timeout_s:g} s"
        raise FetchFailed(f"{shown}: {trouble}")

    async def _download_once(self, path: str, shown: str, file: BinaryIO, limit_bytes: int) -> Fetched:
        """Straight from aiohttp: httpx would spell a signed address its own way."""
        have = file.tell()
        # Without an encoding, lengths and ranges mean the file itself.
        headers = {**self._headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        async with self._kept.get(
            URL(self._base_url + path, encoded=True), headers=headers, timeout=DOWNLOAD_TIMEOUT, allow_redirects=False
        ) as response:
            if response.status in REDIRECTS and "location" in response.headers:
                raise Moved(response.headers["location"])
            goes_on = response.headers.get("content-range", "").startswith(f"bytes {have}-")
            if have and (response.status == 200 or (response.status == 206 and not goes_on)):
                file.seek(0)
                file.truncate()
                if response.status == 206:
                    raise _Cut("another part came than was asked for")
            elif response.status != (206 if have else 200):
                raise FetchFailed(f"{shown} answered {response.status}", response.status)
            ends_at = None if response.content_length is None else file.tell() + response.content_length
            async for chunk in response.content.iter_chunked(2**18):
                if file.tell() + len(chunk) > limit_bytes:
                    raise FetchFailed(f"{shown} is larger than {limit_bytes} bytes", too_large=True)
                file.write(chunk)
            if ends_at is not None and file.tell() != ends_at:
                raise _Cut(f"{file.tell()} of {ends_at} bytes came")
            file.flush()
            return Fetched(file.tell(), response.content_type or None, response.headers.get("etag"))


async def _connect(force_close: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, force_close=force_close, keepalive_timeout=None if force_close else 15, use_dns_cache=True
    )
    return aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False)


class _Cut(Exception):
    """A body that ended before its announced length."""


async def _read(response: httpx.Response) -> Response:
    """The whole answer; what is longer than any contract allows is not read to the end."""
    parts, size = [], 0
    try:
        async for chunk in response.aiter_bytes():
            parts.append(chunk)
            size += len(chunk)
            if size > REPLY_LIMIT_BYTES:
                raise TooLarge(f"the answer is larger than {REPLY_LIMIT_BYTES} bytes")
    finally:
        await response.aclose()
    return Response(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, b"".join(parts)
    )


def what_it_proves(error: BaseException) -> NotSent | Ambiguous:
    """Whether a failed exchange surely never reached the gateway."""
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ is not None else error
    reason = f"{type(cause).__name__}: {classify.clean(str(cause))}".removesuffix(": ")
    if isinstance(cause, SURELY_NOT_SENT) or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return NotSent(reason)
    return Ambiguous(reason)


def _ended(reply: Reply) -> str:
    """How figures call it."""
    if isinstance(reply, NotSent):
        return "unavailable"
    if isinstance(reply, Ambiguous):
        return "unknown_outcome"
    if reply.status < 300:
        return "ok"  # an error inside is the adapter's to find; reading 30 MB twice for a figure is too dear
    refusal = classify.refusal(reply)
    return "ok" if refusal is None else refusal.error.error_class.value


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port
