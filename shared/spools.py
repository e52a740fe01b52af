"""The spools of the hosts: what they hold, and what waits for one that nobody sees any more.

A result in hand is on the disk of one host, and only the processes of that host can read it.  If the host is gone, its
results wait: told to people after some minutes, taken up by others after an hour where there are links, too, and given
up after a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CursorResult, Executable, Float, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from shared.lifecycle import State
from shared.tables import HostSpool, Job

SILENT_S: Final = 300.0
"""A spool that was not seen for so long is told of at its jobs."""
LONE_S: Final = 3600.0
"""After so long others look whether its results are elsewhere, too."""
LOOK_AGAIN_S: Final = 3600.0
"""So often they do."""
LOST_S: Final = 7 * 86_400.0
"""After so long a result that is nowhere else is given up."""
FORGOTTEN_S: Final = 30 * 86_400.0
"""After so long its row goes, if nothing waits for it."""


@dataclass(frozen=True)
class Silence:
    """What is known of a spool that does not answer."""

    told: str
    """For people: whose it is, and since when."""
    silent_s: float
    """Infinite if it was never seen."""


def _run(session: Session, statement: Executable, values: dict[str, Any] | None = None) -> CursorResult[Any]:
    return session.connection().execute(statement, values)


def _ago(seconds: float) -> Any:
    """A time, by the database's clock."""
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def seen(within_s: float) -> Any:
    """Names of the spools that were seen so lately."""
    return select(col(HostSpool.name)).where(col(HostSpool.seen_at) > _ago(within_s))


def see(session: Session, name: str, host: str, files: int, size_bytes: int, free_bytes: int) -> None:
    """Say that a spool is there, and what it holds.  Who comes back after a silence has its results stored at once."""
    was_seen = _run(session, seen(SILENT_S).where(col(HostSpool.name) == name)).one_or_none() is not None
    values = {"host": host, "seen_at": func.now(), "files": files, "size_bytes": size_bytes, "free_bytes": free_bytes}
    _run(
        session,
        insert(HostSpool).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values),
    )
    if not was_seen:
        _run(session, _COME_DUE, {"name": name})


_COME_DUE: Final = text("""
    UPDATE jobs SET due_at = now() WHERE state = 'storing' AND claimed_by IS NULL AND spool_host = :name
""")


def silence(session: Session, name: str) -> Silence:
    """Since when a spool has not been seen."""
    ago = func.extract("epoch", func.now() - HostSpool.seen_at).cast(Float)
    row = _run(session, select(col(HostSpool.host), ago.label("ago")).where(col(HostSpool.name) == name)).one_or_none()
    if row is None:
        return Silence(f"its result is in the spool {name}, which nobody has ever seen", float("inf"))
    hours = row.ago // 3600
    return Silence(f"its result is in the spool of the host {row.host}, not seen for {hours:.0f} h", row.ago)


_TELL: Final = text("""
    WITH lone AS (
        SELECT jobs.id, 'its result is in the spool of '
            || COALESCE('the host ' || spools.host || ', not seen since '
                || to_char(spools.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC',
                jobs.spool_host || ', which nobody has ever seen')
            || ': start a worker there' AS told
        FROM jobs LEFT JOIN spools ON spools.name = jobs.spool_host
        WHERE jobs.state = 'storing' AND jobs.claimed_by IS NULL AND jobs.spool_host IS NOT NULL
            AND jobs.moved_at < now() - make_interval(secs => :silent_s)
            AND (spools.seen_at IS NULL OR spools.seen_at < now() - make_interval(secs => :silent_s))
            AND (jobs.state_reason IS NULL OR jobs.state_reason NOT LIKE 'its result is in the spool of %')
        LIMIT 500
        FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE jobs SET state_reason = lone.told FROM lone WHERE jobs.id = lone.id
""")


def tell(session: Session) -> int:
    """Say at the jobs whose result is in a silent spool what they wait for; at how many."""
    return _run(session, _TELL, {"silent_s": SILENT_S}).rowcount


def forget(session: Session) -> None:
    """Drop the rows of spools that nobody has seen for very long, and that nothing waits for."""
    waited_for = select(col(Job.spool_host)).where(col(Job.state) == State.STORING, col(Job.spool_host).is_not(None))
    _run(
        session,
        delete(HostSpool).where(col(HostSpool.seen_at) < _ago(FORGOTTEN_S), col(HostSpool.name).not_in(waited_for)),
    )
