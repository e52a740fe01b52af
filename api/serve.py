"""`python -m api.serve --port P`: one API process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.main import create_app
from shared import logs
from shared.errors import SettingsError
from shared.settings import Settings

DRAIN_S: Final = 20
"""How long requests under way may take after SIGTERM; those that wait for a job are answered at once."""
CONNECTIONS_MOST: Final = 2000


class Server(uvicorn.Server):
    """Lets those go who wait for a job, as soon as it is told to stop."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        waiting = getattr(app.state, "waiting", None) if isinstance(app, FastAPI) else None
        if waiting is not None:
            waiting.stop_soon()
        super().handle_exit(sig, frame)


def configured(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # ours has the request id, and no query
        server_header=False,
        proxy_headers=True,
        limit_concurrency=CONNECTIONS_MOST,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=DRAIN_S,
        h11_max_incomplete_event_size=64 * 2**10,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m api.serve", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args(argv)
    try:
        settings = Settings.load()
        logs.set_up(settings.log_level, settings.log_format, process="api")
        app = create_app(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Server(configured(app, arguments.host, arguments.port)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
