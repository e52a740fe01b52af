"""`python -m tests.unit.draw_looks` writes the table of docs/decisions/0014 anew: looks and delays, simulated.

Films of several kinds, each looked at as the plan says that was learned from those before it; seeded, without a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from shared import durations, foresight, policy
from shared.catalog.entry import Entry
from shared.durations import Durations

PLACE: Final = Path(__file__).parents[2] / "docs" / "decisions" / "0014-learned-looks.md"
BEGIN: Final = "<!-- table: written by `python -m tests.unit.draw_looks` -->"
END: Final = "<!-- end -->"

REFRESH_S: Final = 15.0
"""So often the gateway looks at its own upstream, in a rhythm that nobody outside knows."""
ROUND_S: Final = 0.5
"""Most that a look comes later than it was due."""
PLANNED_EVERY: Final = 25
"""A plan is made anew after so many tasks."""

Draw = Callable[[Random, int], float]
"""How long the n-th task takes, seconds."""


def around(median_s: float, spread: float) -> Draw:
    """Lognormal; `spread` is the standard deviation of the logarithm."""
    return lambda random, _number: random.lognormvariate(math.log(median_s), spread)


def either(share: float, one: Draw, other: Draw) -> Draw:
    return lambda random, number: (one if random.random() < share else other)(random, number)


def shifting(at: int, before: Draw, after: Draw) -> Draw:
    return lambda random, number: (before if number < at else after)(random, number)


KINDS: Final[Mapping[str, Draw]] = {
    "3 min, spread 0.10": around(180, 0.10),
    "3 min, spread 0.15": around(180, 0.15),
    "3 min, spread 0.20": around(180, 0.20),
    "3 min, spread 0.25": around(180, 0.25),
    "3 min, spread 0.30": around(180, 0.30),
    "3 min, spread 0.40": around(180, 0.40),
    "half 1 min, half 3 min, spread 0.10": either(0.5, around(60, 0.10), around(180, 0.10)),
    "a third 1 min, the others 3.3 min, spread 0.15": either(0.3, around(60, 0.15), around(200, 0.15)),
}


@dataclass(frozen=True)
class Seen:
    """How one task was seen."""

    looks: int
    delay_s: float
    """From when the gateway knew to when we did."""


def film(**times: float) -> Entry:
    values = {"typical_s": 180.0, "first_look_s": 10.0, "look_every_s": 10.0, **times}
    return Entry(operation="video.create", lane="sora", **values)


def simulate(draw: Draw, tasks: int, *, tells: bool, seed: int = 14, entry: Entry | None = None) -> list[Seen]:
    """Tasks one after the other, each looked at by what was learned from those before it.

    Args:
        tells: the gateway names the time at which a task was finished.
    """
    random, entry = Random(seed), entry or film()
    known, plan, seen = Durations(), None, []
    for number in range(tasks):
        took_s = draw(random, number)
        knew_s = took_s + REFRESH_S * random.random()
        pending_s, looks = None, 1
        age_s = (plan.first_look_s(random.random) if plan else entry.first_look_s) + ROUND_S * random.random()
        while age_s < knew_s:
            wait_s = (
                plan.wait_s(age_s, random.random) if plan else policy.next_look_s(entry.look_every_s, 0, random.random)
            )
            pending_s, age_s, looks = age_s, age_s + wait_s + ROUND_S * random.random(), looks + 1
        seen.append(Seen(looks, age_s - knew_s))
        known = known.add(durations.between(pending_s, age_s, took_s if tells else None)).forget()
        if number % PLANNED_EVERY == PLANNED_EVERY - 1:
            plan = foresight.plan(known, entry)
    return seen


def looks(seen: Sequence[Seen]) -> float:
    """On average."""
    return sum(one.looks for one in seen) / len(seen)


def delay_s(seen: Sequence[Seen], share: float) -> float:
    """So late that part of the tasks was seen at most."""
    return sorted(one.delay_s for one in seen)[int(len(seen) * share)]


def table() -> str:
    lines = [
        "| tasks | looks, times told | p50 | p95 | looks, no times | p50 | p95 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, draw in KINDS.items():
        cells = [name]
        for tells in (True, False):
            seen = simulate(draw, 3000, tells=tells)[500:]
            cells += [f"{looks(seen):.1f}", f"{delay_s(seen, 0.5):.0f} s", f"{delay_s(seen, 0.95):.1f} s"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    before, _, rest = PLACE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PLACE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
