"""The HTTP client for addresses that others name: inputs, results, webhooks.

Whoever names an address may not make us speak to our own network.  A check of the URL before the call
would not do: a name can answer differently a moment later, and a redirect leads elsewhere.  So the check
stands where connections are made (`Guard`): every answer of the name server is judged, and the socket
goes to an address that was judged, for each hop anew (reliability 4.1).

Text of errors names the scheme, host and path; never the query, which may be a signature.
"""

from __future__ import annotations

import functools
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote, urljoin, urlsplit

import httpcore
import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_random_exponential

from shared.errors import FetchFailed, UnsafeAddress
from shared.settings import Settings

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Origin = tuple[str, int]
"""Host (lower case, without a trailing dot) and port."""
Lookup = Callable[[str], Sequence[str]]
"""Asks for the addresses of a name, for as long as that takes; OSError if there are none."""

PORTS: Final = frozenset({80, 443, 8080, 8443})

#: Every block of the IANA IPv4 special-purpose registry, and multicast.
SPECIAL_IPV4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
PUBLIC_IPV6: Final = IPv6Network("2000::/3")
SPECIAL_IPV6: Final = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))

#: IPv6 blocks that carry an IPv4 address, and how far to the right it stands (bits).
CARRIERS: Final = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)

RESOLVE_S: Final = 5.0
"""Longest wait for the name server in a fetch."""
CHECK_RESOLVE_S: Final = 2.0
"""The same in `check`, for which somebody is waiting."""
CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0
"""Longest wait for the next bytes."""
TRIES: Final = 5
"""How often one fetch begins or goes on, at most."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
ENCODED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Content encodings that httpx undoes; what comes out has another length than was announced."""


def unwrap(address: Ip) -> Ip:
    """The IPv4 address that an IPv6 address stands for (mapped, compatible, NAT64, 6to4), or itself."""
    for block, shift in CARRIERS:
        if address in block:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def is_public(address: Ip) -> bool:
    """Whether this is somebody on the internet.  `is_global` of the standard library is too kind for it."""
    address = unwrap(address)
    if isinstance(address, IPv4Address):
        return not any(address in block for block in SPECIAL_IPV4)
    return address in PUBLIC_IPV6 and not any(address in block for block in SPECIAL_IPV6)


def read_literal(host: str) -> Ip | None:
    """An address in any spelling that a resolver would take: also `127.1`, `0x7f000001`, `017700000001`."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


@dataclass(frozen=True)
class Address:
    """One URL, taken apart.  `str()` of it is without the query and safe to show."""

    scheme: str
    host: str
    """ASCII, lower case, without a trailing dot or brackets; an address in its usual spelling."""
    port: int
    target: bytes = field(repr=False)
    """Path and query as they go over the wire: byte for byte as they were given."""

    def __str__(self) -> str:
        path = self.target.partition(b"?")[0].decode("ascii")
        return f"{self.scheme}://{self._netloc}{path if len(path) <= 100 else path[:100] + '…'}"

    @property
    def root(self) -> httpx.URL:
        """Without the target: httpx would re-encode that, and logs the URLs that it knows."""
        return httpx.URL(f"{self.scheme}://{self._netloc}/")

    @property
    def _netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def follow(self, location: str) -> Address:
        """Where a redirect leads.

        Raises:
            UnsafeAddress: to what we do not call.
        """
        if re.match(r"[a-z][a-z0-9+.-]*:", location, re.IGNORECASE):
            return read_url(location)  # not joined: that would tidy it up, and it may be signed
        base = f"{self.scheme}://{self._netloc}{self.target.decode('ascii')}"
        try:
            return read_url(urljoin(base, location))
        except ValueError as error:
            raise UnsafeAddress(f"{self} redirects to what is no address") from error


DEFAULT_PORTS: Final = {"http": 80, "https": 443}
URL: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::([0-9]{0,5}))?", re.IGNORECASE)
NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def read_url(url: str) -> Address:
    """Take a URL apart, once: what is checked is what is called.

    Raises:
        UnsafeAddress: another scheme, credentials, or not a URL that all would read the same way.
    """
    url = url.strip(" \t\r\n")
    parts = URL.fullmatch(url)
    if parts is None:
        raise UnsafeAddress("an address must begin with http:// or https:// and name a host")
    if CONTROL.search(url):
        raise UnsafeAddress("an address must not contain control characters")
    scheme, authority, target = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise UnsafeAddress("an address must not contain a user name or password")
    place = AUTHORITY.fullmatch(authority)
    if place is None:
        raise UnsafeAddress("an address must name a host, and a port only as a number")
    port = int(place[3] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise UnsafeAddress(f"there is no port {port}")
    return Address(scheme, _read_host(place[1] or place[2]), port, _read_target(target))


def _read_host(text: str) -> str:
    # An odd spelling becomes the usual one before httpx has an opinion on it.
    literal = read_literal(text.removesuffix("."))
    if literal is not None:
        return str(literal)
    try:
        url = httpx.URL(scheme="http", host=text)
        _ = url.host  # what begins with xn-- is decoded here, and must be able to
    except (httpx.InvalidURL, UnicodeError):
        raise UnsafeAddress("the host of an address must be a valid name") from None
    host = url.raw_host.decode("ascii").removesuffix(".")
    # Dots of other scripts have become dots, so it may be an address after all.
    literal = read_literal(host)
    if literal is not None:
        return str(literal)
    if not NAME.fullmatch(host):
        raise UnsafeAddress("the host of an address must be a valid name")
    return host


def _read_target(text: str) -> bytes:
    if not text.startswith("/"):
        text = f"/{text}"
    # Only what cannot stand in a request line is encoded; all else may be part of a signature.
    return quote(text, safe="".join(map(chr, range(0x21, 0x7F)))).encode("ascii")


def ask_system(host: str) -> Sequence[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


#: A name server that is silent holds threads of ours for longer than anybody waits for them.
RESOLVING: Final = threading.BoundedSemaphore(256)


def resolve(host: str, limit_s: float, lookup: Lookup) -> tuple[Ip, ...]:
    """All addresses of a host.

    Raises:
        OSError: it has none, or nobody said so in time.
    """
    literal = read_literal(host)
    if literal is not None:
        return (literal,)
    if not RESOLVING.acquire(timeout=max(limit_s, 0)):
        raise TimeoutError("too many names are being looked up")
    answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def look() -> None:
        try:
            answers.put(lookup(host))
        except Exception as error:
            answers.put(error)  # for the thread that waits
        finally:
            RESOLVING.release()

    # `getaddrinfo` knows no time-out; a daemon thread does not hold up the end of the process either.
    threading.Thread(target=look, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(limit_s, 0))
    except Empty:
        raise TimeoutError("the name server did not answer") from None
    if isinstance(answer, UnicodeError):
        raise OSError("not a host name") from answer
    if isinstance(answer, Exception):
        raise answer
    if not answer:
        raise OSError("no such host")
    return tuple(ip_address(text.partition("%")[0]) for text in dict.fromkeys(answer))


class Stream(httpcore.NetworkStream):
    """A connection that ends at the deadline, however busy: a trickle resets every other time-out."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self.inner = inner
        self.deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _until(self.deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _until(self.deadline, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _until(self.deadline, timeout, httpcore.ConnectTimeout)
        return Stream(self.inner.start_tls(ssl_context, server_hostname, left), self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


def _until(deadline: float, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("the deadline is over")
    return left if timeout is None else min(left, timeout)


class Guard(httpcore.NetworkBackend):
    """Makes the connections of one fetch, to judged addresses alone, until its deadline."""

    def __init__(self, outbound: Outbound, deadline: float) -> None:
        self.outbound = outbound
        self.deadline = deadline
        self.inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            limit_s = _until(self.deadline, RESOLVE_S, httpcore.ConnectTimeout)
            addresses = resolve(host, limit_s, self.outbound.lookup)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError("no such host") from error
        self.outbound.judge(host, port, addresses)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # it has another one
        return self._connect(addresses[-1], port, share, local_address, socket_options)

    def _connect(
        self,
        address: Ip,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        left = _until(self.deadline, timeout, httpcore.ConnectTimeout)
        stream = self.inner.connect_tcp(str(address), port, left, local_address, socket_options)
        return Stream(stream, self.deadline)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise UnsafeAddress("a socket of this machine is not an address")


class Transport(httpx.HTTPTransport):
    """httpx over a network of our own; there is no public way to hand one in."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(ssl_context=certificates(), network_backend=backend)


@functools.cache
def certificates() -> ssl.SSLContext:
    """Takes some 30 ms to build.  `SSL_CERT_FILE` and `SSL_CERT_DIR` are heard: an operator's own authority."""
    return httpx.create_ssl_context()


@dataclass(frozen=True)
class Fetched:
    """What was fetched, and what the server called it; nothing it says is believed."""

    size_bytes: int
    content_type: str | None
    """Lower case, without parameters."""
    etag: str | None


@dataclass(frozen=True)
class Outbound:
    """Who may be called, and how it is done.  Holds no connection; safe to share between threads.

    Each fetch makes its own connections: those of one user never serve another, and no cookie survives.
    """

    networks: tuple[Network, ...] = ()
    """Private networks that may be called all the same, on any port."""
    origins: Collection[Origin] = frozenset()
    """Hosts with their ports that may be called wherever they lead: our gateway and our S3."""
    lookup: Lookup = ask_system

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        gateways = [one.base_url for one in settings.credentials]
        urls = (*gateways, settings.s3_endpoint_url, settings.s3_public_endpoint_url)
        return cls(settings.allowed_private_nets, frozenset(_origin(url) for url in urls if url))

    def check(self, url: str) -> None:
        """Whether an address may be named, as far as can be told now; a name that leads nowhere fails later.

        Raises:
            UnsafeAddress: it would not be called.
        """
        address = read_url(url)
        if address.host == "localhost" or address.host.endswith(".localhost"):
            self.judge(address.host, address.port, [IPv4Address("127.0.0.1")])
        try:
            addresses = resolve(address.host, CHECK_RESOLVE_S, self.lookup)
        except OSError:
            addresses = ()
        self.judge(address.host, address.port, addresses)

    def judge(self, host: str, port: int, addresses: Sequence[Ip]) -> None:
        """Whether a host may be called at these addresses, each of them; where it leads is not told.

        Raises:
            UnsafeAddress: it may not.
        """
        if (host.lower().removesuffix("."), port) in self.origins:
            return
        strangers = [address for address in addresses if not self._is_allowed(address)]
        if not all(is_public(address) for address in strangers):
            raise UnsafeAddress(f"{host} leads to a private or reserved address")
        if port not in PORTS and (strangers or not addresses):
            raise UnsafeAddress(f"port {port} of {host} is not one of {', '.join(map(str, sorted(PORTS)))}")

    def _is_allowed(self, address: Ip) -> bool:
        return any(address in network or unwrap(address) in network for network in self.networks)

    def fetch(
        self,
        url: str,
        to: Path,
        limit_bytes: int,
        timeout_s: float,
        redirects: int = 5,
        resume: bool = True,
    ) -> Fetched:
        """Stream what is there into a file, in constant memory; on any error the file is gone.

        A connection that breaks is tried again, a few times within `timeout_s`, from where it broke if the
        server allows and `resume` does.  An answer is an answer: its status is for the caller to judge.

        Raises:
            UnsafeAddress: the address, or one that it redirects to, may not be called.
            FetchFailed: no whole body: `status` if there was another answer, `too_large` over `limit_bytes`.
        """
        address = read_url(url)
        deadline = time.monotonic() + timeout_s
        tries = Retrying(
            retry=retry_if_exception_type(httpx.TransportError),
            stop=stop_after_attempt(TRIES) | stop_before_delay(timeout_s),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        try:
            with to.open("wb") as file:
                body = Body(file, limit_bytes, resume)
                tries(self._try, address, body, deadline, redirects)
        except httpx.HTTPError as error:
            to.unlink(missing_ok=True)
            raise FetchFailed(f"{address}: {_reason(error)} after {body.progress}") from error
        except BaseException:
            to.unlink(missing_ok=True)
            raise
        return Fetched(body.size_bytes, body.content_type, body.etag)

    def _try(self, address: Address, body: Body, deadline: float, redirects: int) -> None:
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        with httpx.Client(transport=Transport(Guard(self, deadline)), trust_env=False, timeout=timeout) as client:
            for _ in range(redirects + 1):
                with client.stream(
                    "GET", address.root, headers=body.headers(), extensions={"target": address.target}
                ) as response:
                    if response.status_code not in REDIRECTS:
                        return body.take(address, response)
                    address = address.follow(response.headers.get("location", ""))
        raise FetchFailed(f"{address}: more than {redirects} redirects")


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    return (parts.hostname or "").removesuffix("."), parts.port or DEFAULT_PORTS.get(parts.scheme, 443)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.TimeoutException):
        return "out of time"
    return "the connection broke"


@dataclass
class Body:
    """What has arrived of one body, over all tries."""

    file: BinaryIO
    limit_bytes: int
    may_resume: bool
    size_bytes: int = 0
    total_bytes: int | None = None
    """What was announced; None if nothing was, or if it is not the length of what we write."""
    validator: str | None = None
    """Strong ETag: says that a rest belongs to the same body."""
    content_type: str | None = None
    etag: str | None = None

    @property
    def progress(self) -> str:
        of = "" if self.total_bytes is None else f" of {self.total_bytes}"
        return f"{self.size_bytes}{of} bytes"

    def headers(self) -> dict[str, str]:
        """Without an encoding, lengths and ranges mean the file itself."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "darkroom"}
        # Without a length or an ETag nothing would tell whether the rest belongs to what we have.
        if self.may_resume and self.size_bytes and (self.total_bytes is not None or self.validator):
            headers["Range"] = f"bytes={self.size_bytes}-"
            if self.validator:
                headers["If-Range"] = self.validator
        return headers

    def take(self, address: Address, response: httpx.Response) -> None:
        """Write the answer, or the rest of it.

        Raises:
            FetchFailed: it is no body, or too large.
            httpx.TransportError: it broke off.
        """
        if response.status_code in (206, 416) and not self._continues(response):
            self._restart()
            self.may_resume = False
            raise httpx.RemoteProtocolError("the rest is not of the same body")
        if response.status_code not in (200, 206):
            raise FetchFailed(f"{address} answered {response.status_code}", status=response.status_code)
        if response.status_code == 200:
            self._restart()
            self._read_head(response)
        if self.total_bytes is not None and self.total_bytes > self.limit_bytes:
            raise self._too_large(address)
        for chunk in response.iter_bytes():
            self.file.write(chunk)
            self.size_bytes += len(chunk)
            if self.size_bytes > self.limit_bytes:
                raise self._too_large(address)
        if self.total_bytes is not None and self.size_bytes != self.total_bytes:
            raise httpx.RemoteProtocolError("the body is shorter or longer than announced")

    def _continues(self, response: httpx.Response) -> bool:
        answer = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        if response.status_code != 206 or "range" not in response.request.headers or answer is None:
            return False
        starts_here = int(answer[1]) == self.size_bytes
        same_length = self.total_bytes is None or answer[2] in (str(self.total_bytes), "*")
        return starts_here and same_length

    def _restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size_bytes = 0
        self.total_bytes = None
        self.validator = None

    def _read_head(self, response: httpx.Response) -> None:
        headers = response.headers
        self.content_type = headers.get("content-type", "").partition(";")[0].strip().lower() or None
        self.etag = headers.get("etag")
        if headers.get("content-encoding", "").lower() in ENCODED:
            self.may_resume = False
            return
        length = headers.get("content-length", "")
        self.total_bytes = int(length) if length.isdecimal() else None
        self.validator = self.etag if self.etag and not self.etag.startswith("W/") else None

    def _too_large(self, address: Address) -> FetchFailed:
        return FetchFailed(f"{address} is larger than {self.limit_bytes} bytes", too_large=True)
