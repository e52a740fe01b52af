"""Finding the Midjourney task of a submit whose answer was lost: by its mark, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest

from shared.gateway import reading
from shared.gateway.adapter import Found, Sight, Unfound, Wanted
from shared.gateway.adapters.midjourney.finding import FINDING
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.call import marked
from shared.gateway.request import Ambiguous, NotSent, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, call, reply

ID: Final = "1772611200345018"
JOB: Final = "job_01kfa1b2c3d4e5f6g7h8j9k0mn"
SENT_AT: Final = datetime.fromtimestamp(1772611200, UTC)
WANTED: Final = Wanted(marked(JOB, 1), "midjourney.imagine", "paper lighthouse, fog —ar 3:2", SENT_AT)

FOUND: Final = (
    "4.2-find-marked.json",
    "4.2-find-marked-done.json",
    "4.2-find-references-before-prompt.json",
    "4.2-find-snake-case.json",
    "4.2-find-window-and-drawn.json",
)
UNFOUND: Final[dict[str, str]] = {
    "4.2-find-no-mark-yet.json": "no task that the gateway lists has its mark",
    "4.2-find-another-attempt.json": "no task that the gateway lists has its mark",
    "4.2-find-another-prompt.json": f"task {ID} has its mark, and another prompt or an earlier time",
    "4.2-find-before-it-was-sent.json": f"task {ID} has its mark, and another prompt or an earlier time",
    "4.2-find-two-marked.json": f"2 tasks have its mark: {ID}, 1772611200999001",
    "4.2-find-window-open.json": "its window is open at the gateway, and nothing is drawn yet",
    "4.2-list-empty.json": "no task that the gateway lists has its mark",
}
REPLIES: Final = frozenset(f"midjourney/{name}" for name in (*FOUND, *UNFOUND))


def sight(response: Response, wanted: Wanted = WANTED) -> Sight:
    return reading.sight_of(response, lambda answer: FINDING.read(answer, wanted))


@pytest.mark.parametrize("name", FOUND)
def test_a_task_with_the_mark_of_the_attempt_is_found(name: str) -> None:
    assert sight(reply(f"midjourney/{name}")) == Found(ID)


@pytest.mark.parametrize(("name", "told"), UNFOUND.items())
def test_what_is_not_surely_the_attempts_own_is_not_found_and_it_says_why(name: str, told: str) -> None:
    assert sight(reply(f"midjourney/{name}")) == Unfound(told)


def test_the_prompt_of_a_button_is_its_parents_and_speaks_against_nothing() -> None:
    pressed = replace(WANTED, operation="midjourney.action", prompt="with a red door")

    assert sight(reply("midjourney/4.2-find-another-prompt.json"), pressed) == Found(ID)


@pytest.mark.parametrize("name", IN_NO_CONTRACT)
def test_an_answer_in_no_contract_shows_nothing(name: str) -> None:
    assert isinstance(sight(reply(f"midjourney/{name}")), Unfound)


def test_a_refusal_of_the_search_shows_nothing_and_is_told() -> None:
    seen = sight(reply("midjourney/4.2-list-400-numbers.json", 400))

    assert isinstance(seen, Unfound)
    assert seen.told.startswith("the gateway answered the search with: ")


@pytest.mark.parametrize("trouble", [NotSent("no route"), Ambiguous("it broke off")])
def test_trouble_on_the_way_shows_nothing(trouble: NotSent | Ambiguous) -> None:
    assert reading.sight_of(trouble, lambda answer: FINDING.read(answer, WANTED)) == Unfound(trouble.reason)


def test_a_search_names_the_tasks_of_the_log_and_the_mark() -> None:
    request = FINDING.build([ID], WANTED)

    assert (request.method, request.path) == ("POST", "/mj/task/list-by-condition")
    assert request.json == {"ids": [ID], "state": f"{JOB}.1"}


def test_every_submit_carries_a_mark_that_no_other_attempt_has() -> None:
    first = call("midjourney.imagine", job_id=JOB)
    second = replace(first, attempt=2)

    marks = [BY_OPERATION[one.operation].build(one).json["state"] for one in (first, second)]

    assert marks == [f"{JOB}.1", f"{JOB}.2"]


@pytest.mark.parametrize("name", sorted(name for name in BY_OPERATION if name.startswith("midjourney.")))
def test_every_midjourney_submit_can_be_found_and_the_free_query_need_not(name: str) -> None:
    assert (BY_OPERATION[name].finding is FINDING) == (name != "midjourney.seed")
