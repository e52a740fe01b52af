"""A way to a server that can be blocked: then it takes what is sent and answers nothing, as a stopped process does."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 65536


class Relay:
    """Listens on a free port of loopback, and hands on to one address, both ways, unless it is frozen."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thawed = threading.Event()
        self._thawed.set()
        self._ended = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self.thaw()
        self._thread.join(10)
        for one in (self._listener, *self._pairs):
            one.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended:
                for key, _ in selector.select(0.05):
                    self._thawed.wait()
                    if key.fileobj is self._listener:
                        self._take(selector)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                        self._hand_on(key.fileobj, selector)

    def _take(self, selector: selectors.BaseSelector) -> None:
        caller, _ = self._listener.accept()
        server = socket.create_connection(self._to)
        self._pairs |= {caller: server, server: caller}
        for one in (caller, server):
            selector.register(one, selectors.EVENT_READ)

    def _hand_on(self, one: socket.socket, selector: selectors.BaseSelector) -> None:
        other = self._pairs[one]
        try:
            chunk = one.recv(CHUNK)
            other.sendall(chunk)
        except OSError:
            chunk = b""
        if not chunk:
            for each in (one, other):
                selector.unregister(each)
                del self._pairs[each]
                each.close()
