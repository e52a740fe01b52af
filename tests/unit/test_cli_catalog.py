"""The file of `DARKROOM_CATALOG`: refused early and in one line, and explained in docs/catalog.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.cli import catalog_file, ending
from deploy.local import up
from shared.catalog.entry import Entry, Lane, Limit, Price
from shared.catalog.lookup import Catalog
from shared.errors import SettingsError
from tests.unit import draw_catalog
from tests.unit.pretend_api import PretendApi, run


def trouble(folder: Path, text: str) -> str:
    """What is said of a file with this text."""
    path = folder / "catalog.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        catalog_file.check(path)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"DARKROOM_CATALOG ({path}): ")
    return said.removeprefix(f"DARKROOM_CATALOG ({path}): ")


NEW = '[models.mine]\noperation = "image.generate"\nlane = "other"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.mine\n", "is not TOML: "),
        ("[modles.mine]\n", "there is no [modles]; did you mean models?"),
        ("models = 3\n", "models must be tables, as [models.NAME]"),
        ("[lanes]\nsora = 4\n", "lanes must be tables, as [lanes.NAME]"),
        ("[lanes.sora]\nlimit = -1\n", "lanes.sora.limit must be at least 0, not -1"),
        ("[lanes.sora]\nlimits = 5\n", "lanes.sora.limits: there is no such field; did you mean limit?"),
        ("[models.mine]\nlane = 'other'\n", "models.mine.operation is needed"),
        ("[models.sora-2]\ntypical_s = 'long'\n", 'models.sora-2.typical_s must be a number, not "long"'),
        ("[models.sora-2]\nlane = 'soar'\n", "models.sora-2: lane soar does not exist; did you mean sora?"),
        ("[models.sora-2]\noperation = 'video.creat'\n", "did you mean video.create?"),
        (
            "[models.sora-2]\nprice.per_cal = 1\n",
            "models.sora-2.price.per_cal: there is no such field; did you mean per_call?",
        ),
        (
            "[models.sora-2]\nlimits.seconds.maximum = 'x'\n",
            'models.sora-2.limits.seconds.maximum must be a whole number, not "x"',
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    assert told in trouble(tmp_path, text)


def test_every_mistake_is_told_once(tmp_path: Path) -> None:
    said = trouble(tmp_path, f"{NEW}typical_s = 0\nmax_images = -1\n[lanes.sora]\nrate_per_minute = 0\n")

    assert said.split("; ") == [
        "lanes.sora.rate_per_minute must be at least 1, not 0",
        "models.mine.typical_s must be more than 0, not 0",
        "models.mine.max_images must be at least 0, not -1",
    ]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "catalog.toml")

    with pytest.raises(SettingsError, match=r"^DARKROOM_CATALOG \(.*catalog\.toml\): \w.+$"):
        catalog_file.check(tmp_path / "catalog.toml")


def test_a_lane_of_the_same_file_is_known(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(NEW.replace("other", "ours") + "[lanes.ours]\nlimit = 1\n")

    catalog_file.check(path)

    assert Catalog.load(path).models["mine"].lane == "ours"


def test_up_says_what_is_wrong_with_the_file_before_it_starts_anything(
    api: PretendApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "catalog.toml").write_text("[modles.x]\n")
    monkeypatch.setenv("DARKROOM_CATALOG", "catalog.toml")
    started: list[object] = []
    monkeypatch.setattr(up, "run", lambda *given: started.append(given) or 0)

    code, said, told = run("up")

    assert (code, said, started) == (ending.USAGE, "", [])
    assert told == "DARKROOM_CATALOG (catalog.toml): there is no [modles]; did you mean models?\n"


def test_up_starts_with_a_file_that_is_right(api: PretendApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(NEW)
    monkeypatch.setenv("DARKROOM_CATALOG", "catalog.toml")
    started: list[object] = []
    monkeypatch.setattr(up, "run", lambda *given: started.append(given) or 0)

    code, _, _ = run("up")

    assert (code, len(started)) == (0, 1)


# What the documentation says.


def test_the_page_is_drawn_from_the_classes() -> None:
    committed = draw_catalog.PLACE.read_text(encoding="utf-8")

    assert committed == draw_catalog.drawn(), "write it anew: python -m tests.unit.draw_catalog"


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)


@pytest.mark.parametrize("kind", [Entry, Lane, Limit, Price])
def test_the_example_has_every_field(kind: type[Entry | Lane | Limit | Price]) -> None:
    example = tomllib.loads(draw_catalog.EXAMPLE.read_text(encoding="utf-8"))

    assert set(kind.model_fields) <= set(keys(example))


def test_the_example_is_a_catalog() -> None:
    catalog_file.check(draw_catalog.EXAMPLE)
    catalog, built_in = Catalog.load(draw_catalog.EXAMPLE), Catalog.built_in()

    drawn = catalog.resolve(model="flux-pro", operation=None, prompt="a boat", params={}, inputs_by_role={"images": 1})

    assert drawn.operation.name == "image.edit"
    assert drawn.gateway_model == "flux-1.1-pro-ultra"
    assert drawn.family == "ours"
    assert drawn.estimated_cost_usd == Decimal("0.08")
    assert catalog.lanes["sora"] == built_in.lanes["sora"].model_copy(update={"limit": 4})
    assert catalog.models["sora-2"].title == built_in.models["sora-2"].title
    assert catalog.models["sora-2"].price == Price(per_second=Decimal("0.08"))
