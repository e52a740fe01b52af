"""The drill of the wrong clock does what it says: one process is ahead, and the others are not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.drills import CLOCK

LOOK = "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())"


@pytest.mark.parametrize(("name", "ahead_s"), [("worker-2", 300), ("worker-1", 0)])
def test_the_clock_of_one_process_is_ahead(name: str, ahead_s: float) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, "--name", name],
        env={**os.environ, **CLOCK},
        capture_output=True,
        check=True,
        text=True,
    )

    times = [float(one) for one in ran.stdout.split()]
    assert times == [pytest.approx(time.time() + ahead_s, abs=60)] * 2
