"""The one client of a gateway.  Alone knows the key; nobody else opens a connection to it.

httpx's API over aiohttp's transport, on one event-loop thread of the process (httpx's own pool gets slower with
every open connection).  It sends, waits and says what is known of a failed exchange; it never retries a call
that could be paid for, and never follows a redirect with the key.

What a failure proves is told by aiohttp's exception, not by httpx's: the transport maps a connection that was
reset *after* the request had gone to `ConnectTimeout`, and money hangs on the difference.
"""

from __future__ import annotations

import asyncio
import re
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
from workers.gateway.gathered import Gathered

log = structlog.get_logger(__name__)

CONNECT_S: Final = 10.0
WRITE_S: Final = 60.0
LARGE_BYTES: Final = 2**20
"""An answer that is larger waits on the disk: fifty pictures of 30 MB may come at once."""
REPLY_LIMIT_BYTES: Final = 256 * 2**20
"""The largest answer that is read: a 4K PNG in base64 is 30 MB, and there may be several."""
DOWNLOAD_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=60)
DOWNLOAD_TRIES: Final = 4
"""So many tries in a row may bring a download no further."""
DOWNLOAD_PARTS: Final = 20
"""So many requests one download takes at most: most builds cut `/content` after 60 s (video 6.6)."""

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


class Large:
    """A large answer, on the disk until somebody has the memory to read it."""

    def __init__(self, status: int, headers: Mapping[str, str], file: BinaryIO) -> None:
        self.status = status
        self._headers = headers
        self._file = file

    def whole(self) -> Response:
        """All of it; once, since the file is gone then."""
        with self._file:
            self._file.seek(0)
            return Response(self.status, self._headers, self._file.read())


Answer = Reply | Large


class Loop:
    """An event loop on a thread of its own; any number of clients may share it."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()


class Gateway:
    """One credential's client.  Start it with the process, stop it after the last call."""

    def __init__(
        self, base_url: str, key: str, figures: Figures, folder: Path | None = None, loop: Loop | None = None
    ) -> None:
        """
        Args:
            folder: where large answers wait, in files without a name; None: where the system keeps such.
            loop: one that it shares with others, and that goes on when it stops; None: one of its own.
        """
        self._base_url = base_url
        self._folder = folder
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "darkroom"}
        self._figures = figures
        self._loop = loop or Loop()
        self._is_loop_ours = loop is None
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
        if self._is_loop_ours:
            self._loop.stop()

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return self._loop.call(work)

    def start(self, request: Request) -> Future[Answer]:
        """Begin a paid call; its answer comes by the future, which raises nothing."""
        return self._call(self._exchange(self._paid, request, CONNECT_S + WRITE_S + 2 * request.timeout_s))

    def look(self, request: Request) -> Future[Reply]:
        """Begin a call that costs nothing; it is over after `request.timeout_s`, come what may."""
        return self._call(self._look(request))

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

    async def _look(self, request: Request) -> Reply:
        answer = await self._exchange(self._looks, request, request.timeout_s)
        return answer.whole() if isinstance(answer, Large) else answer

    async def _exchange(self, client: httpx.AsyncClient, request: Request, limit_s: float) -> Answer:
        began = time.monotonic()
        try:
            reply = await self._reply(client, request, limit_s)
        except Exception as error:  # a surprise, after which all that is known is that it may have been sent
            log.error("gateway.surprise", call=request.name, exc_info=True)
            reply = Ambiguous(type(error).__name__)
        self._figures.add(request.name or request.path, _ended(reply), time.monotonic() - began)
        return reply

    async def _reply(self, client: httpx.AsyncClient, request: Request, limit_s: float) -> Answer:
        try:
            async with asyncio.timeout(limit_s):
                built = await self._build(client, request)
                return await _read(await client.send(built, stream=True), self._folder)
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
            headers={**request.headers, **self._headers},
            json=request.json,
            data=fields,
            files=files or None,
            timeout=httpx.Timeout(request.timeout_s, connect=CONNECT_S, pool=CONNECT_S, write=WRITE_S),
        )
        await built.aread()
        return built

    async def _download(self, path: str, to: Path, limit_bytes: int, timeout_s: float) -> Fetched:
        shown = path.partition("?")[0]  # the query may be a signature
        with to.open("wb") as file:
            body = _Body(file, limit_bytes)
            try:
                async with asyncio.timeout(timeout_s):
                    trouble = await self._download_parts(path, shown, body)
            except TimeoutError:
                trouble = f"not whole after {timeout_s:g} s"
            file.flush()
            if body.has_ended:
                return body.fetched
        raise FetchFailed(f"{shown}: {trouble}")

    async def _download_parts(self, path: str, shown: str, body: _Body) -> str:
        """Ask for more until it is whole, or comes no further; returns what was wrong last."""
        trouble, furthest, fruitless = "nothing came", 0, 0
        for _ in range(DOWNLOAD_PARTS):
            try:
                if await self._download_part(path, shown, body):
                    break
            except (aiohttp.ClientError, ConnectionError, TimeoutError, _Cut) as error:
                trouble = classify.clean(str(error)) or type(error).__name__
            fruitless = 1 if body.size_bytes > furthest else fruitless + 1
            furthest = max(furthest, body.size_bytes)
            if fruitless >= DOWNLOAD_TRIES:
                break
        return trouble

    async def _download_part(self, path: str, shown: str, body: _Body) -> bool:
        """Fetch it, or the rest of it; whether nothing more is to come.

        Straight from aiohttp: httpx would spell a signed address its own way.
        """
        headers = {**self._headers, **body.headers()}
        async with self._kept.get(
            URL(self._base_url + path, encoded=True), headers=headers, timeout=DOWNLOAD_TIMEOUT, allow_redirects=False
        ) as response:
            if body.has_ended and not body.continues(response):
                return True  # it had no length, and there is no more of it
            if response.status in REDIRECTS and "location" in response.headers:
                raise Moved(response.headers["location"])
            return await body.take(shown, response)


class _Body:
    """What has come of one download, over all its parts."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._total_bytes: int | None = None
        self._content_type: str | None = None
        self._etag: str | None = None
        self.has_ended = False
        """It came to an end that was no break; without a length that may be one all the same (video 6.6)."""

    @property
    def size_bytes(self) -> int:
        return self._file.tell()

    @property
    def fetched(self) -> Fetched:
        return Fetched(self.size_bytes, self._content_type, self._etag)

    def headers(self) -> dict[str, str]:
        """Without an encoding, lengths and ranges mean the file itself."""
        headers = {"Accept-Encoding": "identity"}
        if self.size_bytes:
            headers["Range"] = f"bytes={self.size_bytes}-"
        if self.size_bytes and self._etag and not self._etag.startswith("W/"):
            headers["If-Range"] = self._etag
        return headers

    def continues(self, response: aiohttp.ClientResponse) -> bool:
        """Whether this is the rest of what is there."""
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        if response.status != 206 or said is None or int(said[1]) != self.size_bytes:
            return False
        return self._total_bytes is None or said[2] in (str(self._total_bytes), "*")

    async def take(self, shown: str, response: aiohttp.ClientResponse) -> bool:
        """Write the answer, or the rest of it; whether it is surely whole.

        Raises:
            FetchFailed: it is no body, or too large.
            _Cut: it broke off, or is of another body.
        """
        if response.status in (206, 416) and not self.continues(response):
            self._restart()
            raise _Cut("another part came than was asked for")
        if response.status not in (200, 206):
            raise FetchFailed(f"{shown} answered {response.status}", response.status)
        if response.status == 200:
            self._restart()
            self._total_bytes = response.content_length
            self._content_type = response.content_type or None
            self._etag = response.headers.get("etag")
        elif self._total_bytes is None:
            total = response.headers["content-range"].rpartition("/")[2]
            self._total_bytes = int(total) if total.isdecimal() else None
        self.has_ended = False
        async for chunk in response.content.iter_chunked(2**18):
            if self.size_bytes + len(chunk) > self._limit_bytes:
                raise FetchFailed(f"{shown} is larger than {self._limit_bytes} bytes", too_large=True)
            self._file.write(chunk)
        if self._total_bytes is not None and self.size_bytes != self._total_bytes:
            raise _Cut(f"{self.size_bytes} of {self._total_bytes} bytes came")
        self.has_ended = True
        return self._total_bytes is not None or self.size_bytes == 0

    def _restart(self) -> None:
        self._total_bytes = None
        if self.size_bytes:
            self._file.seek(0)
            self._file.truncate()


async def _connect(force_close: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, force_close=force_close, keepalive_timeout=None if force_close else 15, use_dns_cache=True
    )
    return aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False)


class _Cut(Exception):
    """A body that ended before its announced length."""


async def _read(response: httpx.Response, folder: Path | None) -> Response | Large:
    """The whole answer; what is longer than any contract allows is not read to the end."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    gathered = Gathered(LARGE_BYTES, folder)
    try:
        async for chunk in response.aiter_bytes():
            gathered.write(chunk)
            if gathered.size_bytes > REPLY_LIMIT_BYTES:
                raise TooLarge(f"the answer is larger than {REPLY_LIMIT_BYTES} bytes")
    except BaseException:
        gathered.file.close()
        raise
    finally:
        await response.aclose()
    answer = Large(response.status_code, headers, gathered.file)
    return answer if gathered.size_bytes > LARGE_BYTES else answer.whole()


def what_it_proves(error: BaseException) -> NotSent | Ambiguous:
    """Whether a failed exchange surely never reached the gateway."""
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ is not None else error
    reason = f"{type(cause).__name__}: {classify.clean(str(cause))}".removesuffix(": ")
    if isinstance(cause, SURELY_NOT_SENT) or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return NotSent(reason)
    return Ambiguous(reason)


def _ended(reply: Answer) -> str:
    """How figures call it."""
    if isinstance(reply, NotSent):
        return "unavailable"
    if isinstance(reply, Ambiguous):
        return "unknown_outcome"
    if reply.status < 300 or isinstance(reply, Large):
        return "ok"  # an error inside is the adapter's to find; reading 30 MB twice for a figure is too dear
    refusal = classify.refusal(reply)
    return "ok" if refusal is None else refusal.error.error_class.value


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port
