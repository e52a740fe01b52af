"""`python -m tests.unit.draw_lifecycle` writes docs/lifecycle.md anew: a picture of `MOVES`, and its words."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import Final

from shared.lifecycle import FINAL, MOVES, Cause, State

PLACE: Final = Path(__file__).parents[2] / "docs" / "lifecycle.md"

TEMPLATE: Final = """\
# The life of a job

Drawn from `shared/lifecycle.py` by `python -m tests.unit.draw_lifecycle`; a test compares the two.
From every state but the last three a job can also be canceled (`canceled`) or pass its deadline (`expired`, to failed).

```mermaid
stateDiagram-v2
{lines}
```

## States

| state | what is true of a job in it |
|---|---|
{states}

## Causes

| cause | why a job changes its state | from → to |
|---|---|---|
{causes}
"""

FROM_ANYWHERE: Final = frozenset({Cause.CANCELED, Cause.EXPIRED})


def meanings(kind: type[StrEnum]) -> dict[str, str]:
    """What stands behind each member, by its value."""
    return dict(re.findall(r'^ +[A-Z_]+ = "(\w+)"  #: (.+)$', inspect.getsource(kind), re.MULTILINE))


def drawn() -> str:
    """What docs/lifecycle.md must say."""
    return TEMPLATE.format(
        lines="\n".join(f"    {line}" for line in _lines()),
        states="\n".join(f"| `{state}` | {meaning} |" for state, meaning in meanings(State).items()),
        causes="\n".join(f"| `{cause}` | {meaning} | {_ways(cause)} |" for cause, meaning in meanings(Cause).items()),
    )


def _lines() -> list[str]:
    causes_by_way: dict[tuple[State, State], list[Cause]] = defaultdict(list)
    for (before, cause), after in MOVES.items():
        if cause not in FROM_ANYWHERE:
            causes_by_way[before, after].append(cause)
    begin = [f"[*] --> {state}" for state in (State.WAITING, State.QUEUED)]
    moves = [f"{before} --> {after}: {', '.join(causes)}" for (before, after), causes in causes_by_way.items()]
    end = [f"{state} --> [*]" for state in State if state in FINAL]
    return [*begin, *moves, *end]


def _ways(cause: Cause) -> str:
    befores = defaultdict(list)
    for (before, why), after in MOVES.items():
        if why is cause:
            befores[after].append(before)
    return "; ".join(f"{', '.join(some)} → {after}" for after, some in befores.items())


if __name__ == "__main__":
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(drawn(), encoding="utf-8")
    print(PLACE)
