"""A stage: processes that start together on ports of their own, and on others if those were lost meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deploy.local.ports import Book, Want
from deploy.local.process import Spec
from deploy.local.supervisor import StartFailed, Supervisor

ATTEMPTS = 3


def start(
    supervisor: Supervisor,
    book: Book,
    wants: Sequence[Want],
    build: Callable[[Mapping[str, int]], Sequence[Spec]],
) -> dict[str, int]:
    """Take ports, build the specs for them, start those; answers the ports.

    Raises:
        StartFailed: they do not start, and not for want of a port.
        Stopped: a signal came.
    """
    for _ in range(ATTEMPTS - 1):
        ports = book.take(wants)
        try:
            supervisor.start(build(ports))
        except StartFailed:
            lost = book.lost(wants)
            if not lost:
                raise
            supervisor.say(f"port {', '.join(map(str, lost))} was taken meanwhile, starting again with others")
        else:
            return ports
    ports = book.take(wants)
    supervisor.start(build(ports))
    return ports
