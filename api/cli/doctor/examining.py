"""All checks at once, none longer than a few seconds, whatever hangs.

A check whose subject needs another part waits for what is found of that one, and is not made if that is not well: a
database that hangs must not be told as a wrong key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Literal, TypeVar

from api.cli.doctor.patient import Patient

T = TypeVar("T")

EACH_S: Final = 5.0
"""One check, at most."""
ALL_S: Final = 8.0
"""All of them, those included that wait for others."""


@dataclass(frozen=True)
class Finding:
    """What was seen of one part."""

    part: str
    state: Literal["ok", "wrong", "not checked"]
    detail: str
    mend: str = ""
    """What to do about it."""

    @property
    def ok(self) -> bool:
        return self.state == "ok"

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


class Wrong(Exception):
    """A part is not well."""

    def __init__(self, detail: str, mend: str | None = None) -> None:
        """
        Args:
            mend: what to do about it; None: what the check says in general.
        """
        super().__init__(detail)
        self.detail, self.mend = detail, mend


@dataclass(frozen=True)
class Check:
    """How one part is looked at."""

    part: str
    look: Callable[[Patient], str | None]
    """What is seen of a part that is well; None if there is nothing to say of it.  Raises `Wrong`."""
    mend: str = ""
    """What to do if it is not, as a rule."""
    needs: str | None = None
    """The part through which this one is seen; its check stands before this one."""


def examine(who: Patient, checks: Sequence[Check]) -> list[Finding]:
    """What all checks find, in their order, in `ALL_S` seconds at most."""
    ends_at = time.monotonic() + ALL_S
    found: dict[str, Future[Finding | None]] = {}
    for check in checks:
        found[check.part] = _aside(partial(_find, check, who, found.get(check.needs or ""), ends_at))
    return [finding for each in found.values() if (finding := each.result()) is not None]


def _find(check: Check, who: Patient, before: Future[Finding | None] | None, ends_at: float) -> Finding | None:
    needed = before.result() if before is not None else None
    if needed is not None and not needed.ok:
        return Finding(check.part, "not checked", f"not checked, because {needed.part} is not well")
    bound_s = max(0.0, min(EACH_S, ends_at - time.monotonic()))
    try:
        detail = _aside(partial(check.look, who)).result(bound_s)
    except Wrong as wrong:
        return Finding(check.part, "wrong", wrong.detail, check.mend if wrong.mend is None else wrong.mend)
    except TimeoutError:
        return _silent(check, bound_s)
    return Finding(check.part, "ok", detail) if detail is not None else None


def _silent(check: Check, bound_s: float) -> Finding:
    """Nothing came in time: of a part that is seen through another one, that says nothing against itself."""
    if check.needs is None:
        return Finding(check.part, "wrong", f"does not answer within {bound_s:.0f} s", check.mend)
    return Finding(check.part, "wrong", f"cannot be checked: {check.needs} does not answer within {bound_s:.0f} s")


def _aside(work: Callable[[], T]) -> Future[T]:
    """In a thread of its own, which nobody waits for at the end: what hangs in a driver cannot be stopped."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return done
