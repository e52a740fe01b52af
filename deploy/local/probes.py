"""Is it ready?  One short look each, with the standard library; never raises for what is not up yet."""

from __future__ import annotations

import http.client
import socket
import struct
from contextlib import suppress
from urllib.parse import urlsplit

TIMEOUT_S = 2.0


def http_ok(url: str) -> bool:
    """It answers 200.  No proxy is asked, whatever the environment says."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def postgres_accepts(port: int, user: str) -> bool:
    """It asks for a password.  While it starts or recovers it answers an error instead (as `pg_isready` looks)."""
    parameters = f"user\0{user}\0database\0{user}\0\0".encode()
    startup = struct.pack("!ii", len(parameters) + 8, 3 << 16) + parameters
    return _ask(port, startup)[:1] == b"R"


def redis_answers(port: int, password: str) -> bool:
    """It knows the password and has loaded its data."""
    return b"+PONG" in _ask(port, f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())


def _ask(port: int, request: bytes) -> bytes:
    """Send this and read what comes first.  These answers are short and come in one piece."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        return connection.recv(4096)
    return b""
