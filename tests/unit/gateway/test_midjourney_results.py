"""Midjourney's films and words: what a finished task of these operations holds."""

from __future__ import annotations

from typing import Final

import pytest

from shared.gateway import reading
from shared.gateway.adapter import Looking
from shared.gateway.adapters.midjourney import looks
from shared.gateway.outcome import Look, Output, Pending, Produced, Refused, Source
from tests.unit.gateway.replies import reply

FILM: Final = "1772612000888063"
FILMS: Final = tuple(Source(url=f"https://cdn.example/video/9b1c/0_{index}.mp4") for index in range(4))
FOUR: Final = tuple(Output("video", (film,)) for film in FILMS)
PICTURE: Final = (Source(url=f"https://gw.example/mj/image/{FILM}"), Source(path=f"/mj/image/{FILM}"))

FILMED: Final[dict[str, tuple[Output, ...]]] = {
    "5.2-task-done.json": FOUR,
    "5.2-task-done-snake-case.json": FOUR,
    "5.2-task-done-json-in-text.json": FOUR,
    "5.2-task-done-in-properties.json": FOUR,
    "5.2-task-done-reimplementation.json": FOUR,
    "5.2-task-done-thumbnails-and-buttons.json": FOUR[:2],
    "5.2-task-done-extended.json": FOUR[:1],
    "5.2-task-done-image-is-the-film.json": FOUR[:1],
    "5.2-task-done-behind-the-image.json": (Output("video", PICTURE),),
    "5.2-task-done-somewhere.json": (
        Output("video", (Source(url="https://cdn.example/video/9b1c/0_0.mp4?sig=a%2Bb"),)),
        FOUR[1],
    ),
}
COVER: Final = "5.2-task-done-cover-only.json"
LIST: Final = "5.2-list.json"

PROMPTS: Final = [
    "a tin robot watering ferns --ar 1:1",
    "macro photo of a robot made of cans --ar 1:1",
    "a greenhouse at dusk, tin toys --ar 1:1",
    "fern fronds, brass and rust --ar 1:1",
]
SHORTER: Final = ["paper lighthouse, fog", "lighthouse, fog, paper", "paper lighthouse"]

DESCRIBED: Final[dict[str, list[str]]] = {
    "3.4-task-described.json": PROMPTS,
    "3.4-task-described-in-prompt.json": PROMPTS,
    "3.4-task-described-in-prompt-en.json": PROMPTS,
    "3.4-task-described-late-in-order.json": PROMPTS,
    "3.4-task-described-with-links.json": PROMPTS,
    "3.4-task-described-plain-numbers.json": PROMPTS,
    "3.4-task-described-in-one.json": PROMPTS[:1],
}
SHORTENED: Final[dict[str, list[str]]] = {
    "3.8-task-shortened.json": SHORTER,
    "3.8-task-shortened-in-prompt-en.json": SHORTER,
    "3.8-task-shortened-not-numbered.json": SHORTER[2:],
}
WORDLESS: Final = {
    "3.4-task-described-without-text.json": looks.DESCRIPTIONS,
    "3.8-task-shortened-without-text.json": looks.SHORT_PROMPTS,
}

REPLIES: Final = frozenset(f"midjourney/{name}" for name in (*FILMED, COVER, LIST, *DESCRIBED, *SHORTENED, *WORDLESS))


def look(name: str, looking: Looking) -> Look:
    return reading.look_of(reply(f"midjourney/{name}"), lambda answer: looking.read(answer, ""))


def produced(name: str, looking: Looking) -> Produced:
    found = look(name, looking)
    assert isinstance(found, Produced)
    return found


# Films.


@pytest.mark.parametrize("name", sorted(FILMED))
def test_a_finished_task_has_its_films_wherever_they_are(name: str) -> None:
    assert produced(name, looks.FILMS).outputs == FILMED[name]


def test_a_film_whose_address_is_not_there_yet_is_not_its_cover() -> None:
    assert look(COVER, looks.FILMS) == Pending(100, "success")


def test_a_film_says_how_it_can_go_on() -> None:
    result = produced("5.2-task-done-thumbnails-and-buttons.json", looks.FILMS).result

    assert result["task_id"] == FILM
    assert [button["label"] for button in result["buttons"]] == ["Extend 1", "Extend 2"]


def test_films_are_found_in_a_list() -> None:
    assert looks.FILMS.read_many is not None

    found = reading.looks_of(reply(f"midjourney/{LIST}"), [FILM], looks.FILMS.read_many)[FILM]

    assert isinstance(found, Produced)
    assert found.outputs == FOUR


@pytest.mark.parametrize("looking", [looks.FILMS, looks.DESCRIPTIONS, looks.SHORT_PROMPTS])
def test_every_kind_of_task_fails_and_runs_alike(looking: Looking) -> None:
    assert isinstance(look("2.4-task-failed-parameter.json", looking), Refused)
    assert look("2.4-task-running.json", looking) == Pending(46, "in_progress")


# Words.


@pytest.mark.parametrize("name", sorted(DESCRIBED))
def test_a_description_is_prompts_one_by_one(name: str) -> None:
    found = produced(name, looks.DESCRIPTIONS)

    assert (found.outputs, found.result["prompts"]) == ((), DESCRIBED[name])
    assert found.result["text"]


@pytest.mark.parametrize("name", sorted(SHORTENED))
def test_shorter_prompts_come_one_by_one(name: str) -> None:
    found = produced(name, looks.SHORT_PROMPTS)

    assert (found.outputs, found.result["prompts"]) == ((), SHORTENED[name])


def test_what_counts_in_a_prompt_is_kept_as_it_came() -> None:
    text = produced("3.8-task-shortened.json", looks.SHORT_PROMPTS).result["text"]

    assert text.startswith("## Important tokens\n**paper** **lighthouse**")


def test_words_come_with_what_the_next_action_needs_and_nothing_twice() -> None:
    result = produced("3.4-task-described.json", looks.DESCRIPTIONS).result

    assert set(result) == {"task_id", "action", "buttons", "prompts", "text"}
    assert result["buttons"][0] == {"custom_id": "MJ::Job::PicReader::1", "emoji": "1️⃣", "style": 2}


@pytest.mark.parametrize("name", sorted(WORDLESS))
def test_words_that_are_not_there_yet_are_waited_for(name: str) -> None:
    assert look(name, WORDLESS[name]) == Pending(100, "success")
