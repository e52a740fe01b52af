"""I1 to I7 under trouble: short drills on one Darkroom.  `make chaos` runs all of them, at full length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.drills import CATALOG, DRILLS, SETTINGS, run
from tests.house import House

JOBS = 16
OVER_S = 5.0
SHORT = ("redis", "postgres", "s3", "gateway", "ghosts", "rolling")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), workers=2, catalog=CATALOG, **SETTINGS) as made:
        yield made


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_paid_twice_or_left_behind(house: House, name: str) -> None:
    verdict = run(house, DRILLS[name], JOBS, OVER_S)

    assert verdict.faults == {}, verdict
    assert verdict.failed == 0
    assert verdict.held == 0 or name in ("gateway", "postgres"), "a paid call was cut that nobody touched"
