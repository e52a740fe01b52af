"""`python -m workers.serve`: one worker process with the settings that were measured to be best."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings

from celery.exceptions import SecurityWarning

from shared.hints import Task


def main() -> None:
    """Run until SIGTERM, then finish what was paid for."""
    parser = argparse.ArgumentParser(prog="python -m workers.serve", description=__doc__)
    parser.add_argument("--name", default="worker", help="what this process is called, in Flower and in logs")
    parser.add_argument(
        "--queues", default=",".join(task.value for task in Task), help="the hints it works on (default: all)"
    )
    asked = parser.parse_args()

    from workers.app import app, settings  # after the arguments, so that --help needs no settings

    if not settings.has_key:
        sys.exit("a worker needs DARKROOM_GATEWAY_API_KEY or DARKROOM_GATEWAYS: `darkroom up` brings a sandbox gateway")
    warnings.simplefilter("ignore", SecurityWarning)  # root may: we take JSON alone, and run nothing that is in it
    code: int | str | None = 70
    try:
        app.worker_main(
            [
                "--quiet",  # else it begins its log with a drawing
                "worker",
                "--pool=threads",
                f"--concurrency={settings.worker_threads}",
                "--disable-prefetch",
                "--without-gossip",
                "--without-mingle",
                f"--queues={asked.queues}",
                f"--hostname={asked.name}@%h",
                f"--loglevel={settings.log_level.upper()}",
            ]
        )
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        # All is written down by now.  The interpreter's own end would wait for every thread that some library left.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
