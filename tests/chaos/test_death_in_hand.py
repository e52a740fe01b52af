"""I2, I6: no death loses an answer that is on the disk: whoever lives on this host finds it, and pays nothing again.

The deaths are those of `test_death_at_every_line.py`, at each line from the first write to the spool on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from shared.lifecycle import State
from shared.policy import OnUnknown
from tests import rows
from tests.chaos.test_death_at_every_line import Line, Mortal, charges, finish, live_through, not_kept, out_of_order
from tests.sandbox import SandboxServer
from workers import manifest, spool, submit
from workers.ports import Ports

FILES: Final = {str(module.__file__) for module in (manifest, spool, submit)}
DISK: Final = {str(module.__file__) for module in (manifest, spool)}
WAYS: Final = {
    "a picture by link": ("image.generate", "variant=url"),
    "a picture in hand": ("image.generate", "variant=b64_json"),
    "a film": ("video.create", "render=plain"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
def test_whoever_dies_with_an_answer_on_the_disk_loses_nothing_but_time(
    ports: Ports, sandbox: SandboxServer, way: str
) -> None:
    operation, tag = WAYS[way]
    told_of: list[str] = []
    deaths_between: list[Line] = []

    def one(dies_at: Line | None) -> Mortal:
        prompt = rows.prompt(tag, "latency=0")
        # Whoever takes the outcome for unknown pays again.
        job = rows.make(ports, operation=operation, prompt=prompt, on_unknown=OnUnknown.RETRY)
        process = Mortal(ports, FILES, dies_at)
        live_through(process, job, ports)
        is_on_disk = ports.spool.manifest(job.id, 1) is not None
        if process.is_dead and is_on_disk and rows.read(ports, job).state is State.SUBMITTING:
            deaths_between.append(dies_at or ("", 0))
        row = finish(ports, job)
        paid = charges(sandbox, prompt)
        at = "nowhere" if dies_at is None else f"{Path(dies_at[0]).name}:{dies_at[1]}"
        if row.state is not State.SUCCEEDED:
            told_of.append(f"death at {at}: {row.state} ({row.state_reason})")
        if is_on_disk and paid != 1:
            told_of.append(f"death at {at}: paid {paid} times although the answer was on the disk")
        told_of.extend(f"death at {at}: {told}" for told in (*not_kept(ports, job), *out_of_order(ports, job)))
        return process

    lines = list(one(None).lines)
    first = next(place for place, (file, _) in enumerate(lines) if file in DISK)
    for line in lines[first:]:
        one(line)

    assert len(deaths_between) > 10, "no death came between the disk and the database"
    assert told_of == []
    assert list(ports.spool._manifests.iterdir()) == []
