"""`python -m deploy.docker.alive URL` or `… worker`: is this container's process alive?  Exit code 0 or 1.

A worker has no address to ask.  It lives if the database has a heartbeat of this host that is young enough;
a worker that hangs ends by itself (the watchdog), and the restart policy brings it back.
"""

from __future__ import annotations

import socket
import sys

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from deploy.local import probes
from shared import db
from shared.settings import Settings

YOUNG_HEARTBEAT = text("""
    SELECT EXISTS (
        SELECT FROM processes WHERE host = :host AND heartbeat_at > now() - make_interval(secs => :dead_after_s)
    )
""")


def worker_lives(settings: Settings, host: str) -> bool:
    """A worker process of this host has said so lately.  A database that does not answer cannot tell."""
    engine = db.engine(settings.database_url, 1, "darkroom-alive")
    try:
        with db.transactions(engine)() as session:
            asked = {"host": host, "dead_after_s": settings.dead_after_s}
            return bool(session.execute(YOUNG_HEARTBEAT, asked).scalar_one())
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def main(argv: list[str]) -> int:
    what = argv[0] if len(argv) == 1 else ""
    if what == "worker":
        return 0 if worker_lives(Settings.load(), socket.gethostname()) else 1
    if what.startswith("http://"):
        return 0 if probes.http_ok(what) else 1
    sys.stderr.write("usage: python -m deploy.docker.alive URL|worker\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
