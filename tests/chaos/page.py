"""The tables of docs/reliability.md.

`python -m tests.chaos.page` writes the drills, `python -m tests.chaos --keep` what they gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos import judge
from tests.chaos.drills import DRILLS
from tests.chaos.judge import Verdict

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"


def drills() -> str:
    """Every drill, as a table."""
    rows = (
        (f"`{drill.name}`", drill.told, str(drill.jobs), f"{drill.seconds:g} s", str(drill.workers))
        for drill in DRILLS.values()
    )
    return _table(("drill", "what is done", "jobs", "submitted over", "workers"), rows)


def verdicts(found: Iterable[Verdict]) -> str:
    """What the drills gave, as a table."""
    names = judge.columns()
    rows = ([str(getattr(one, name)) for name in names] for one in found)
    return _table([name.replace("_", " ") for name in names], rows)


def between(part: str, page: str) -> str:
    """What stands in a part of the page."""
    found = _part(part).search(page)
    assert found is not None, f"the page has no part {part}"
    return found["inside"].strip()


def write(part: str, text: str) -> None:
    """Put it there, in place of what stood there."""
    page = PAGE.read_text(encoding="utf-8")
    between(part, page)
    PAGE.write_text(_part(part).sub(lambda found: f"{found['head']}{text}\n{found['end']}", page), encoding="utf-8")


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<head><!-- {name}: [^\n]*-->\n)(?P<inside>.*?)(?P<end><!-- end -->)", re.DOTALL)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    write("drills", drills())
