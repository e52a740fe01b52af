"""`/mj`: what a submit answers, what a task's row says, lists and seeds."""

from __future__ import annotations

from typing import Any, Final

import httpx

from tests.contract.asks.ask import Ask, Family, Way, ruled, tagged
from tests.contract.shapes import Loose

PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
OTHER_PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
RUNNING: Final = "stuck=true"


def _submit(client: httpx.Client, act: str, **fields: Any) -> httpx.Response:
    return client.post(f"/mj/{act}", json={"state": "job-42", **fields})


def _imagine(client: httpx.Client, words: str) -> httpx.Response:
    return _submit(client, "submit/imagine", prompt=tagged("paper lighthouse, fog --ar 3:2", words))


def _imagine_from_pictures(client: httpx.Client, words: str) -> httpx.Response:
    prompt = "https://cdn.example/a.png https://cdn.example/b.png paper lighthouse, fog --ar 3:2"
    return _submit(client, "submit/imagine", prompt=tagged(prompt, words))


def _describe(client: httpx.Client, words: str) -> httpx.Response:
    return _submit(client, "submit/describe", base64=PIXEL)


def _shorten(client: httpx.Client, words: str) -> httpx.Response:
    return _submit(client, "submit/shorten", prompt=tagged("a very paper lighthouse, fog at night", words))


def _swap(client: httpx.Client, words: str) -> httpx.Response:
    return _submit(client, "insight-face/swap", sourceBase64=PIXEL, targetBase64=OTHER_PIXEL)


def _film(client: httpx.Client, words: str) -> httpx.Response:
    return _submit(client, "submit/video", prompt=tagged("the fog drifts", words), image=PIXEL)


def _extended(client: httpx.Client, words: str) -> httpx.Response:
    parent = _id(_film(client, words))
    return _submit(client, "submit/video", action="extend", taskId=parent, index=0)


def _pressed(label: str) -> Way:
    """A button of a finished grid, or of one of its pictures; the words are for the button."""

    def press(client: httpx.Client, words: str) -> httpx.Response:
        tag = f"paper lighthouse [[sandbox render=plain]] [[sandbox.action render=plain {words}]]"
        task = _id(_submit(client, "submit/imagine", prompt=tag))
        if label not in _buttons(client, task):
            task = _id(_submit(client, "submit/action", taskId=task, customId=_buttons(client, task)["U1"]))
        return _submit(client, "submit/action", taskId=task, customId=_buttons(client, task)[label])

    return press


def _buttons(client: httpx.Client, task: str) -> dict[str, str]:
    row = client.get(f"/mj/task/{task}/fetch").json()
    return {button["label"] or button["emoji"]: button["customId"] for button in row["buttons"] or []}


def _filled(client: httpx.Client, words: str) -> httpx.Response:
    """A window of custom zoom, filled in; the words are for what comes of it."""
    window = _id(_pressed("Custom Zoom")(client, ""))
    prompt = tagged("paper lighthouse --zoom 1.5", words)
    return _submit(client, "submit/modal", taskId=window, prompt=prompt)


def _row(submit: Way = _imagine) -> Way:
    """A task, and then its row."""
    return lambda client, words: client.get(f"/mj/task/{_id(submit(client, words))}/fetch")


def _list(*submits: Way) -> Way:
    """Tasks, the first as the words say, and then all of them in one list."""

    def ask(client: httpx.Client, words: str) -> httpx.Response:
        ids = [_id(submit(client, "" if place else words)) for place, submit in enumerate(submits)]
        return client.post("/mj/task/list-by-condition", json={"ids": ids})

    return ask


def _seed(client: httpx.Client, words: str) -> httpx.Response:
    return client.get(f"/mj/task/{_id(_imagine(client, words))}/image-seed")


def _seed_of_nothing(client: httpx.Client, words: str) -> httpx.Response:
    return client.get("/mj/task/1/image-seed")


def _fetch_of_nothing(client: httpx.Client, words: str) -> httpx.Response:
    return client.get("/mj/task/1/fetch")


def _list_of_nothing(client: httpx.Client, words: str) -> httpx.Response:
    return client.post("/mj/task/list-by-condition", json={"ids": ["1"]})


def _list_of_numbers(client: httpx.Client, words: str) -> httpx.Response:
    return client.post("/mj/task/list-by-condition", json={"ids": [1]})


def _id(submitted: httpx.Response) -> str:
    return str(submitted.raise_for_status().json()["result"])


def _text(way: Way, words: str = "", **more: Any) -> Ask:
    """A submit's answer, and a seed: stock labels both as text (2.2)."""
    return Ask(way, words, media_type="text/plain", **more)


#: Where a row stands: alone, in a list, in a wrapper.
AT: Final = r"((data|list|result)?(\[\d*\])?\.)?"
NEWER: Final = Loose(AT + r"(customId|botType|maskBase64): ", "newer builds send these fields, always empty (2.4)")
NO_FILM: Final = Loose(
    AT + r"(videoUrl: blank|videoUrls: null)", "newer builds send these fields of pictures, too (2.4)"
)
BUTTONS: Final = Loose(AT + r"buttons\[", "which buttons there are is told by 2.4-task-done.json alone", True)
EXCERPT: Final = Loose(
    AT + r"(description|state|submitTime|startTime|finishTime|buttons): ",
    "the contract's example of such a row shows a part of it; stock sends the row of 2.4",
)
SHORT: Final = Loose(
    AT + r"(prompt|promptEn|properties[^:]*): ",
    "the contract's example of such a row shows even less; stock sends the row of 2.4",
)
LINKS: Final = Loose(
    AT + r"(prompt|promptEn|properties\.finalPrompt): keycap",
    "newer versions put links into the prompts, as the sandbox does; 3.4-task-described-with-links.json has them",
    True,
)
ACTION: Final = Loose(AT + r"action = ", "a window has the action of its button, and the file that of a grid (2.6)")
ANY_BUTTONS: Final = Loose(AT + r"buttons", "films have buttons with some builds and none with others (2.7)")
WORDS: Final = Loose(
    AT + r"(promptEn|properties\.final\w+): ", "the contract's example of films leaves these fields out"
)
ROW: Final = (BUTTONS,)
TEXT: Final = (EXCERPT, BUTTONS, LINKS)
PART: Final = (EXCERPT, SHORT)

#: A window's row, of which the file shows what a drawn one would have.
WINDOW: Final = (
    ACTION,
    SHORT,
    Loose(AT + r"(state|imageUrl): ", "a window has no picture, and the file a preview (2.5)"),
)

DESCRIBED: Final = ruled("mj.describe", _row(_describe))
SHORTENED: Final = _row(_shorten)
FILM: Final = _row(_film)

ASKS: Final = {
    "0-cut-off.txt": Ask(_imagine, "cut=unnoticed"),
    "0-empty.txt": Ask(_imagine, "code=empty"),
    "0-page.html": Ask(_imagine, "fail_after=200_page"),
    "1.1-task-403-allow-list.json": Ask(_row(), "poll_fail=403_allow_list"),
    "1.6-task-done-with-a-reason.json": Ask(_row(), "say=reason", loose=ROW),
    "1.6-task-reason-while-running.json": Ask(_row(), f"{RUNNING} say=reason_early", loose=PART),
    "1.6-task-refunded-with-a-reason.json": Ask(_row(), f"{RUNNING} say=refunded", loose=PART),
    "1.8-task-failed-timeout.json": Ask(_row(), "task=fail say=timed_out", loose=PART),
    "2.2-submit-1-blank.json": _text(_imagine, "result=blank"),
    "2.2-submit-1-english.json": _text(_imagine, "say=english"),
    "2.2-submit-1-list.json": _text(_imagine, "say=list"),
    "2.2-submit-1-null.json": _text(_imagine, "result=null"),
    "2.2-submit-1-number.json": _text(_imagine, "result=number"),
    "2.2-submit-1-several-ids.json": _text(_imagine, "say=several_ids"),
    "2.2-submit-1-without-properties.json": _text(_imagine, "say=no_properties"),
    "2.2-submit-1.json": _text(_imagine),
    "2.3-submit-0.json": _text(_imagine, "say=0"),
    "2.3-submit-1-queued.json": _text(_imagine, "say=queued"),
    "2.3-submit-1-window-english.json": _text(_pressed("V1"), "remix=true say=window_english"),
    "2.3-submit-1-window-without-prompt.json": _text(_pressed("V1"), "remix=true say=window_without_prompt"),
    "2.3-submit-1-window.json": _text(_pressed("V1"), "remix=true"),
    "2.3-submit-200.json": _text(_imagine, "say=200"),
    "2.3-submit-21-exists.json": _text(_imagine, "say=exists"),
    "2.3-submit-21-window-without-words.json": _text(_pressed("Custom Zoom"), "say=window_without_words"),
    "2.3-submit-22.json": _text(_imagine, "code=22"),
    "2.3-submit-23.json": _text(_imagine, "code=23"),
    "2.3-submit-24-english.json": _text(_imagine, "code=24 say=24_english"),
    "2.3-submit-24.json": _text(_imagine, "code=24"),
    "2.3-submit-3-no-account.json": _text(_imagine, "code=3 say=no_account"),
    "2.3-submit-3-parent-gone.json": _text(_imagine, "code=3 say=parent_gone"),
    "2.3-submit-4.json": _text(_imagine, "code=4 say=no_prompt"),
    "2.3-submit-5-with-200.json": _text(_imagine, "code=4 say=5"),
    "2.3-submit-9.json": _text(_imagine, "code=9 say=9_blank"),
    "2.3-submit-code-nobody-listed.json": _text(_imagine, "say=77"),
    "2.4-task-done-one-tile.json": Ask(_row(_pressed("U1")), "say=one_tile", loose=ROW),
    "2.4-task-done-snake-case.json": Ask(_row(), "image_place=hosted say=snake_case"),
    "2.4-task-done-tiles-objects.json": Ask(_row(), "image_urls=objects", loose=ROW),
    "2.4-task-done-tiles-only.json": Ask(_row(), "image_urls=strings say=tiles_only", loose=ROW),
    "2.4-task-done-tiles-texts.json": Ask(_row(), "image_urls=strings", loose=ROW),
    "2.4-task-done-tiles-thumbnails.json": Ask(_row(), "image_urls=thumbnails", loose=ROW),
    "2.4-task-done-video-json-in-text.json": Ask(FILM, "films=text", loose=(ANY_BUTTONS,)),
    "2.4-task-done-video-objects.json": Ask(FILM, "say=films_alone", loose=(ANY_BUTTONS,)),
    "2.4-task-done-video-texts.json": Ask(FILM, "films=strings", loose=(ANY_BUTTONS,)),
    "2.4-task-done-video-url.json": Ask(FILM, "films=single", loose=(ANY_BUTTONS,)),
    "2.4-task-done.json": Ask(_row(), "say=null_button"),
    "2.4-task-failed-banned.json": Ask(_row(), "task=fail say=banned", loose=PART),
    "2.4-task-failed-chinese.json": Ask(_row(), "task=fail say=banned_chinese", loose=PART),
    "2.4-task-failed-moderation.json": Ask(_row(), "task=fail say=moderators", loose=PART),
    "2.4-task-failed-no-reason.json": Ask(_row(), "task=fail_bare say=no_reason", loose=PART),
    "2.4-task-failed-parameter.json": Ask(_row(), "task=fail", loose=PART),
    "2.4-task-just-submitted.json": Ask(_row(), "latency=3600"),
    "2.4-task-running.json": Ask(_row(), RUNNING),
    "2.5-task-cancel-with-a-reason.json": Ask(_row(), "task=cancelled say=reason", loose=PART),
    "2.5-task-cancel.json": Ask(_row(), "task=cancelled", loose=PART),
    "2.5-task-completed-lower-case.json": Ask(_row(), "say=completed", loose=ROW),
    "2.5-task-done-picture-null.json": Ask(_row(), "say=picture_null", loose=ROW),
    "2.5-task-done-without-picture.json": Ask(_row(), "late_image=1", loose=ROW),
    "2.5-task-modal.json": Ask(_row(_pressed("Custom Zoom")), loose=(ACTION,)),
    "2.5-task-paused.json": Ask(_row(), f"{RUNNING} say=paused"),
    "2.5-task-progress-number.json": Ask(_row(), f"{RUNNING} progress=int"),
    "2.5-task-submitted-raw-progress.json": Ask(_row(), "latency=3600 words=submitted progress=text say=submitted"),
    "2.5-task-word-nobody-listed.json": Ask(_row(), f"{RUNNING} say=odd_word"),
    "2.8-task-done-discord.json": Ask(_row(), "image_place=hosted", loose=ROW),
    "3.2-submit-21-window.json": _text(_pressed("Custom Zoom")),
    "3.4-task-described-in-one.json": Ask(DESCRIBED, "say=in_one", loose=TEXT),
    "3.4-task-described-in-prompt-en.json": Ask(DESCRIBED, "text_place=prompt_en", loose=TEXT),
    "3.4-task-described-in-prompt.json": Ask(DESCRIBED, "text_place=prompt say=no_properties", loose=TEXT),
    "3.4-task-described-late-in-order.json": Ask(DESCRIBED, "text_place=prompt_en say=late_in_order", loose=TEXT),
    "3.4-task-described-plain-numbers.json": Ask(DESCRIBED, "say=plain_numbers", loose=TEXT),
    "3.4-task-described-with-links.json": Ask(DESCRIBED, "text_place=final_prompt", loose=(EXCERPT, BUTTONS)),
    "3.4-task-described-without-text.json": Ask(DESCRIBED, "say=text_blank", loose=TEXT),
    "3.4-task-described.json": Ask(DESCRIBED, "text_place=both", loose=TEXT),
    "3.7-submit-1-same-id.json": _text(_filled),
    "3.7-submit-3-window-gone.json": _text(_filled, "code=3"),
    "3.7-submit-4-prompt.json": _text(_filled, "code=4"),
    "3.8-task-shortened-in-prompt-en.json": Ask(SHORTENED, "text_place=prompt_en", loose=TEXT),
    "3.8-task-shortened-not-numbered.json": Ask(SHORTENED, "text_place=final_prompt say=not_numbered", loose=TEXT),
    "3.8-task-shortened-without-text.json": Ask(SHORTENED, "text_place=final_prompt say=not_shortened", loose=TEXT),
    "3.8-task-shortened.json": Ask(SHORTENED, "text_place=final_prompt", loose=TEXT),
    "3.9-submit-1.json": _text(_swap),
    "3.9-submit-22.json": _text(ruled("mj.swap_face", _swap), "code=22"),
    "4.1-task-in-result.json": Ask(_row(), "say=in_result", loose=ROW),
    "4.1-task-null.json": Ask(_row(), "say=null"),
    "4.1-task-unknown-400.json": Ask(_fetch_of_nothing),
    "4.1-task-wrapped.json": Ask(_row(), "say=in_data", loose=ROW),
    "4.2-find-another-attempt.json": Ask(_list(_imagine), RUNNING),
    "4.2-find-another-prompt.json": Ask(_list(_imagine), RUNNING, loose=(WORDS,)),
    "4.2-find-before-it-was-sent.json": Ask(_list(_imagine), RUNNING),
    "4.2-find-marked-done.json": Ask(_list(_imagine), "list_form=code_result buttons=none", loose=(WORDS,)),
    "4.2-find-marked.json": Ask(_list(_imagine), RUNNING),
    "4.2-find-no-mark-yet.json": Ask(_list(_imagine), "latency=3600"),
    "4.2-find-references-before-prompt.json": Ask(_list(_imagine_from_pictures), RUNNING, loose=(WORDS,)),
    "4.2-find-snake-case.json": Ask(_list(_imagine), f"{RUNNING} say=snake_case"),
    "4.2-find-two-marked.json": Ask(_list(_imagine), RUNNING),
    "4.2-find-window-and-drawn.json": Ask(_list(_filled), RUNNING, loose=WINDOW),
    "4.2-find-window-open.json": Ask(_list(_pressed("Custom Zoom")), loose=WINDOW),
    "4.2-list-400-numbers.json": Ask(_list_of_numbers),
    "4.2-list-404-invalid-url.json": Ask(ruled("mj.list", _list_of_nothing), "fail=404_url"),
    "4.2-list-empty.json": Ask(_list_of_nothing),
    "4.2-list-in-data.json": Ask(_list(_imagine, _imagine), f"{RUNNING} list_form=data", loose=ROW),
    "4.2-list-in-list.json": Ask(_list(_imagine, _imagine), f"{RUNNING} list_form=list", loose=ROW),
    "4.2-list-in-result.json": Ask(_list(_imagine, _imagine), f"{RUNNING} list_form=code_result", loose=ROW),
    "4.2-list-one-unreadable.json": Ask(_list(_imagine), "say=unreadable_first", loose=ROW),
    "4.2-list-twice-failed-and-done.json": Ask(
        _list(_imagine), "list_row=doubled say=failed_first", loose=(BUTTONS, *PART)
    ),
    "4.2-list-twice-running.json": Ask(_list(_imagine), f"{RUNNING} list_row=doubled"),
    "4.2-list-twice-unreadable-and-running.json": Ask(_list(_film), f"{RUNNING} say=unreadable_first", loose=PART),
    "4.2-list-twice.json": Ask(_list(_filled, _imagine), f"{RUNNING} say=running_last", loose=(ACTION, *ROW)),
    "4.2-list.json": Ask(_list(_imagine, _imagine), RUNNING, loose=ROW),
    "4.3-seed-1-null.json": _text(_seed, "seed=null"),
    "4.3-seed-4.json": _text(_seed, "seed=4"),
    "4.3-seed-400-channel-disabled.json": Ask(ruled("mj.seed", _seed), "fail=mj_channel_disabled"),
    "4.3-seed-400-do-request-failed.json": Ask(ruled("mj.seed", _seed), "fail=500_do_request_failed"),
    "4.3-seed-400-task-no-found.json": Ask(_seed_of_nothing),
    "4.3-seed-9.json": _text(_seed, "seed=9"),
    "4.3-seed-number.json": _text(_seed, "seed=number"),
    "4.3-seed.json": _text(_seed),
    "5.1-submit-1.json": _text(_film, "say=english_short"),
    "5.2-list.json": Ask(_list(_film), loose=PART),
    "5.2-task-done-behind-the-image.json": Ask(FILM, "films=proxy", loose=PART),
    "5.2-task-done-cover-only.json": Ask(FILM, "say=cover_only", loose=PART),
    "5.2-task-done-extended.json": Ask(_row(_extended), loose=PART),
    "5.2-task-done-image-is-the-film.json": Ask(FILM, "films=picture", loose=PART),
    "5.2-task-done-in-properties.json": Ask(FILM, "films=properties", loose=(EXCERPT, WORDS)),
    "5.2-task-done-json-in-text.json": Ask(FILM, "say=films_text", loose=PART),
    "5.2-task-done-reimplementation.json": Ask(FILM, "say=reimplementation"),
    "5.2-task-done-snake-case.json": Ask(FILM, "films=snake", loose=PART),
    "5.2-task-done-somewhere.json": Ask(FILM, "say=films_somewhere", loose=PART),
    "5.2-task-done-thumbnails-and-buttons.json": Ask(FILM, "say=extendable", loose=PART),
    "5.2-task-done.json": Ask(FILM, loose=PART),
}

FAMILY: Final = Family(ASKS, (NEWER, NO_FILM))
