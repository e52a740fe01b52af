"""Sets the clock of a process wrong: `DARKROOM_CLOCK_OFF=worker-2=300` puts the process of that name 300 s ahead.

Python runs a module of this name before anything else of a process, from `PYTHONPATH`.
"""

import os
import sys
from datetime import datetime, timedelta, timezone

name, _, seconds = os.environ.get("DARKROOM_CLOCK_OFF", "").partition("=")
if name and name in sys.orig_argv:
    import time_machine

    time_machine.travel(datetime.now(timezone.utc) + timedelta(seconds=float(seconds)), tick=True).start()  # noqa: UP017
