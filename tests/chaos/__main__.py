"""`make chaos`, or `python -m tests.chaos [DRILL …]`: the drills at full length, and their verdicts as a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos import judge, page
from tests.chaos.drills import CATALOG, DRILLS, SETTINGS, run
from tests.house import House

WIDTH: Final = 120
"""Of the table in a file or a pipe, characters."""


def main() -> int:
    """Exit code 1 if anything was lost, paid twice, unkept, unfinished, over a limit or out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(DRILLS)} (default: all)")
    parser.add_argument("--jobs", type=int, help="jobs of each drill (default: its own number)")
    parser.add_argument("--seconds", type=float, help="over which they are submitted (default: the drill's own)")
    parser.add_argument("--keep", action="store_true", help="write the table into docs/reliability.md")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = Table(*(column.replace("_", "\n") for column in judge.columns()))
    verdicts = []
    for name in asked.names or DRILLS:
        drill = DRILLS[name]
        console.print(f"{name}: {drill.told}")
        with (
            tempfile.TemporaryDirectory(prefix="darkroom-chaos-") as folder,
            House(Path(folder), workers=drill.workers, catalog=CATALOG, **SETTINGS, **drill.environment) as house,
        ):
            verdict = run(house, drill, asked.jobs or drill.jobs, asked.seconds or drill.seconds)
        verdicts.append(verdict)
        table.add_row(*(str(getattr(verdict, column)) for column in judge.columns()))
    console.print(table)
    if asked.keep:
        page.write("verdicts", page.verdicts(verdicts))
    return int(any(verdict.faults for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
