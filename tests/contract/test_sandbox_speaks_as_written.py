"""The sandbox and the adapters are held to the same literal replies, so that neither drifts.

For each file of tests/replies/ the sandbox is asked for that variant, and must answer in the same structure: status,
kind of content, keys, types, the words that clients decide by, events and their order, patterns of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from deploy.sandbox.sayings import table
from tests.contract.asks.ask import Family, media_type_of, status_of
from tests.contract.asks.images import BANANA
from tests.contract.asks.table import FAMILIES
from tests.contract.shapes import Loose, shape_of
from tests.sandbox import SandboxServer

ROOT: Final = Path(__file__).parents[1] / "replies"
ROWS: Final = [(folder, name) for folder, family in FAMILIES.items() for name in family.asks]


@pytest.fixture(scope="module")
def speaker(server: SandboxServer) -> Iterator[httpx.Client]:
    """One client for all rows: to make one takes longer than a row."""
    with server.client() as client:
        yield client


@pytest.mark.parametrize(("folder", "name"), ROWS, ids=[f"{folder}/{name}" for folder, name in ROWS])
def test_the_sandbox_says_it_as_it_is_written(folder: str, name: str, speaker: httpx.Client) -> None:
    family = FAMILIES[folder]
    ask, written = family.asks[name], (ROOT / folder / name).read_bytes()

    said = ask.way(speaker, ask.words)

    loose = (*ask.loose, *family.loose)
    assert shape_of(said.content, loose).shown() == shape_of(written, loose).shown()
    assert said.status_code == status_of(name, ask)
    assert _media_type(said) == media_type_of(name, ask, written)
    assert ask.holds in written
    assert ask.holds in said.content


def test_every_literal_reply_is_spoken_or_has_a_reason_not_to_be() -> None:
    known = {f"{folder}/{name}" for folder, family in FAMILIES.items() for name in _names(family)}

    written = {f"{path.parent.name}/{path.name}" for path in ROOT.glob("*/*")}

    assert written - known == set()
    assert known - written == set()


def test_no_reply_is_both_spoken_and_unspoken() -> None:
    for family in FAMILIES.values():
        assert not set(family.asks) & set(family.unspoken or {})


def test_nothing_that_the_sandbox_says_is_written_nowhere() -> None:
    words = [word for family in FAMILIES.values() for ask in family.asks.values() for word in ask.words.split()]

    asked = {name for word in words if word.startswith("say=") for name in word.removeprefix("say=").split("+")}

    assert table.NAMES - asked == set()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("say=nobody_knows", 400, "say: Value error, unknown saying"),
        ("variant=url say=b64_url_safe", 500, "say=b64_url_safe does not fit this answer"),
    ],
)
def test_who_asks_for_what_cannot_be_said_is_told(words: str, status: int, told: str, speaker: httpx.Client) -> None:
    answer = BANANA(speaker, words)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "sandbox_script")
    assert told in answer.json()["error"]["message"]


def test_what_another_family_says_is_passed_over(speaker: httpx.Client) -> None:
    answer = BANANA(speaker, "say=gpt_best")

    assert answer.json()["data"][0].keys() == {"url"}


def test_what_is_said_otherwise_can_still_be_fetched(speaker: httpx.Client) -> None:
    [item] = BANANA(speaker, "say=relative").json()["data"]

    picture = speaker.get(item["url"])

    assert picture.headers["content-type"] == "image/png"


def test_every_exception_says_why() -> None:
    for family in FAMILIES.values():
        loose: list[Loose] = [*family.loose, *(one for ask in family.asks.values() for one in ask.loose)]
        reasons = [*(one.why for one in loose), *(family.unspoken or {}).values()]
        assert all(len(reason.split()) > 3 for reason in reasons)


def _names(family: Family) -> list[str]:
    return [*family.asks, *(family.unspoken or {})]


def _media_type(said: httpx.Response) -> str:
    return said.headers.get("content-type", "text/plain").partition(";")[0]
