"""Worker processes whose work can stop at any commit, paid call, question or upload, and go on when it is told to.

Each act has a thread and a database connection of its own, so that what is stopped before a commit holds its locks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from shared import ids
from shared.db import Transaction
from shared.gateway.request import Reply
from shared.storage import Stored
from tests.chaos.upstream import Charge, Client, Upstream
from tests.factories import RecordedHints
from workers.experience import Experience
from workers.gateway.clients import Gateways
from workers.near import Near
from workers.ports import InHand, Ports

WAIT_S: Final = 20.0
"""So long a busy machine may take for a step."""
LOCKED_S: Final = 0.02
"""After this long without news we look whether an act waits for a lock."""


class Killed(BaseException):
    """The end of a process: nothing may handle it."""


class Halt(StrEnum):
    """Where an act stops at a commit."""

    BEFORE = "before"  #: its locks are held
    AFTER = "after"  #: and it goes on much later
    UNTOLD = "untold"  #: it is done, and the act hears of a broken connection


class At(StrEnum):
    """Where an act is."""

    CALL = "call"
    QUESTION = "question"
    UPLOAD = "upload"
    COMMIT = "commit"
    END = "end"
    LOCK = "lock"


@dataclass(frozen=True)
class Stop:
    """The act stops at its so manieth commit from now on."""

    commit: int
    halt: Halt


class Clock:
    """The monotonic clock; who stopped at a commit has slept for a minute."""

    @staticmethod
    def monotonic() -> float:
        act = Act.here()
        return time.monotonic() + (act.slept_s if act is not None else 0.0)


class Act:
    """Something that a process, or a person, does."""

    _here: Final = threading.local()

    def __init__(
        self, worker: Worker, work: Callable[[Ports], object], stop: Stop | None = None, *, is_slow: bool = False
    ) -> None:
        """
        Args:
            is_slow: questions and uploads wait, too.
        """
        self.worker = worker
        self.is_slow = is_slow
        self.at: At | None = None
        """Where it is now; None: it goes on."""
        self.was_at: At | None = None
        """Where it last went on from."""
        self.charge: Charge | None = None
        self.slept_s = 0.0
        self.trouble: BaseException | None = None
        self._stop = stop
        self._commits = 0
        self._waiting: list[tuple[Future[Any], Any]] = []
        self._news: queue.SimpleQueue[tuple[At, Future[Any] | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    @classmethod
    def here(cls) -> Act | None:
        """That of this thread."""
        return getattr(cls._here, "act", None)

    @property
    def holds_locks(self) -> bool:
        """Whether it has written something, and not committed it."""
        return self.at is At.COMMIT and self._stop is not None and self._stop.halt is Halt.BEFORE

    def begin(self) -> Act:
        self._thread.start()
        return self

    def go_on(self, answer: Any = None, stop: Stop | None = None) -> Act:
        """Let it go on from where it is: with the answer to its call, or that of its upload."""
        self._stop, self._commits, self.at = stop, 0, None
        waiting, self._waiting = self._waiting, []
        for future, default in waiting:
            found = default if answer is None else answer
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found() if callable(found) else found)
        return self

    def settle(self, is_locked: Callable[[], bool] | None = None) -> At:
        """Wait until it stops or ends, or waits for a lock if that is looked at."""
        deadline = time.monotonic() + WAIT_S
        while self.at is None:
            try:
                where, waiting = self._news.get(timeout=LOCKED_S)
                if waiting is None or not waiting.done():  # else it was answered together with another one
                    self.at = where
            except queue.Empty:
                if is_locked is not None and is_locked():
                    return At.LOCK
                if time.monotonic() > deadline:
                    raise AssertionError("an act neither ends nor stops") from None
        if self.at is At.END:
            self._thread.join()
        return self.at

    def _run(self, work: Callable[[Ports], object]) -> None:
        Act._here.act = self
        try:
            work(self.worker.ports)
        except Killed:
            pass
        except BaseException as error:
            self.trouble = error
        self._news.put((At.END, None))

    def wait_at(self, where: At, default: Any = None) -> Any:
        """Stop here; returns what it goes on with."""
        return self.will_wait_at(where, default).result()

    def will_wait_at(self, where: At, default: Any = None, future: Future[Any] | None = None) -> Future[Any]:
        future = Future() if future is None else future
        self._waiting.append((future, default))
        self._news.put((where, future))
        return future

    def commits(self) -> Halt | None:
        """Count a commit that comes now; how it stops there."""
        self._commits += 1
        stop = self._stop
        return stop.halt if stop is not None and stop.commit == self._commits else None


class Cellar:
    """S3 in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_file(self, key: str, path: Path, content_type: str, metadata: Any = None) -> Stored:
        content = path.read_bytes()
        act = Act.here()
        if act is not None and act.is_slow and not key.endswith(".jpg"):
            act.wait_at(At.UPLOAD)
        self.objects[key] = content
        return Stored(len(content), content_type, "etag", {})

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


class Worker:
    """A worker process, or with no clients a caller of the API."""

    def __init__(self, ports: Ports, transaction: Transaction, upstream: Upstream, cellar: Cellar) -> None:
        self.is_dead = False
        self.process_id = ids.new("process")
        self._transaction = transaction
        self._cellar = cellar
        names = [one.name for one in ports.settings.credentials]
        clients = {name: Client(upstream, self.process_id, name, self._begun, self._asked) for name in names}
        self.ports = replace(
            ports,
            process_id=self.process_id,
            transaction=self.transaction,
            gateways=Gateways(cast(Any, clients)),
            store=cast(Any, Reached(cellar, self)),
            hints=RecordedHints(),
            near=Near(0),
            in_hand=InHand(),
            experience=Experience(),
        )

    @property
    def hinted(self) -> list[str]:
        """The jobs that it has told others of."""
        return cast(RecordedHints, self.ports.hints).submits

    def check(self) -> None:
        if self.is_dead:
            raise Killed

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self.check()
        act = Act.here()
        with self._transaction() as session:
            yield session
            self.check()
            halt = act.commits() if act is not None else None
            if act is not None and halt is Halt.BEFORE:
                act.wait_at(At.COMMIT)
                self.check()
        if act is not None and halt in (Halt.AFTER, Halt.UNTOLD):
            act.wait_at(At.COMMIT)
            act.slept_s += 60
            self.check()
            if halt is Halt.UNTOLD:
                raise OperationalError("commit", None, Exception("the connection broke"))

    def _begun(self, charge: Callable[[bool], Charge], answer: Future[Reply]) -> None:
        self.check()
        act = Act.here()
        if act is None:
            raise AssertionError("a paid call of nobody")
        act.charge = charge(act.slept_s > 0)
        act.will_wait_at(At.CALL, Killed(), answer)

    def _asked(self, seen: Callable[[], Reply], answer: Future[Reply]) -> None:
        self.check()
        act = Act.here()
        if act is not None and act.is_slow:
            act.will_wait_at(At.QUESTION, seen(), answer)  # what was true when it was asked
        else:
            answer.set_result(seen())


class Reached:
    """Something outside, which a dead process does not reach."""

    def __init__(self, what: object, by: Worker) -> None:
        self._what, self._by = what, by

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._what, name)

        def called(*arguments: Any, **named: Any) -> Any:
            self._by.check()
            answer = found(*arguments, **named)
            self._by.check()
            return answer

        return called
