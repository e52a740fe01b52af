"""What a task object holds: pictures, films or words, and what the next action needs.  Pure.

Contract: gateway/midjourney-and-video.md 2.4 to 2.8, 3.4, 3.8, 5.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from shared.gateway import classify, reading
from shared.gateway.outcome import ErrorClass, Look, Output, Pending, Produced, Source

Task = Mapping[str, Any]

Found = tuple[tuple[Output, ...], Mapping[str, Any]]
"""Outputs, and fields of the result that belong to them."""

FILM_LISTS: Final = ("videoUrls", "video_urls")
FILM_FIELDS: Final = ("videoUrl", "video_url")

FILM_LINK: Final = re.compile(r"https?://[^\s\"'<>\\]+?\.mp4(?:\?[^\s\"'<>\\]*)?", re.IGNORECASE)

BEGINS: Final = ("submitTime", "submit_time")
ENDS: Final = ("finishTime", "finish_time")
"""When a task was begun and finished, milliseconds since 1970 (2.4)."""

KEPT: Final = {
    "action": ("action",),
    "prompt_en": ("promptEn", "prompt_en"),
    "final_prompt": ("properties.finalPrompt", "properties.final_prompt", "final_prompt"),
    "seed": ("seed", "properties.seed"),
}
"""Fields of a task that the user sees in `result`, and where deployments have them (2.4)."""

PROMPTS: Final = ("prompt_en", "final_prompt")
"""Of these, what holds the result itself where that is words."""

WORDS: Final = (*KEPT["final_prompt"], "prompt", *KEPT["prompt_en"])
"""Where words are, in the order to try them (3.4)."""

CANCELED: Final = frozenset({"cancel", "cancelled", "canceled"})
CANCELED_TOLD: Final = "the task was canceled at the gateway's provider, and nothing says that it was refunded"
"""Refunds follow a failure or a reason for one, and this is neither (1.6)."""

NUMBER: Final = re.compile(r"[1-9]\ufe0f?\u20e3|^[1-9][.)](?=\s)", re.MULTILINE)
"""What stands before each of several prompts: a keycap, or a plain number."""

LINK: Final = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
"""A markdown link, of which the text is kept."""


def read_task(task: Task, find: Callable[[Task], Found | None]) -> Look:
    """What a task object (2.4) says, of which `find` takes the result.

    Its `status` ends it: 100 percent comes with failures, too, and a success that has no picture yet gets one within
    the next looks (2.5).  But where the proxy gave a reason for a failure the gateway has refunded the task, set it
    to 100 percent and looks at it no more, whatever status it had (1.6).

    Raises:
        UnreadableReply: neither an id nor a status.
    """
    if not id_of(task) and "status" not in task:
        raise reading.unreadable("neither id nor status in the answer", task)
    status = reading.fold(task.get("status"))
    progress = reading.percent(task.get("progress"))
    reason = reading.first_text(task, "failReason", "fail_reason")
    if status in CANCELED and not reason:
        return classify.refused(ErrorClass.UNKNOWN_OUTCOME, "upstream_canceled", CANCELED_TOLD)
    if status in reading.FAILED or (status not in reading.DONE and reason and progress == 100):
        return classify.failure(classify.said({"message": reason}))
    found = find(task) if status in reading.DONE else None
    if found is None:
        return Pending(progress, status)
    outputs, result = found
    kept = {name: value for name, value in result.items() if value}
    return Produced(outputs, kept, status, reading.took_s(task, BEGINS, ENDS))


def id_of(task: Task) -> str:
    return reading.first_id(task, "mj_id", "id", "task_id", "taskId")


def pictures(task: Task) -> Found | None:
    """The picture of a task and, where the deployment hands them out, the single tiles of a grid; or its films."""
    outputs = _as_films(_films(task)) or _pictures(task)
    return (outputs, _result(task)) if outputs else None


def films(task: Task) -> Found | None:
    """The films of a task, wherever a deployment has them (5.2)."""
    outputs = _as_films(_films(task) or _links(task)) or _film(task)
    return (outputs, _result(task)) if outputs else None


def descriptions(task: Task) -> Found | None:
    """The prompts that describe a picture (3.4).  The picture itself is the caller's own."""
    return _words(task, _numbered(task) or reading.first_text(task, *WORDS))


def short_prompts(task: Task) -> Found | None:
    """What counts in a prompt, and shorter ones (3.8); `prompt` and its translation are what was submitted."""
    return _words(task, _numbered(task) or reading.first_text(task, *KEPT["final_prompt"]))


def _pictures(task: Task) -> tuple[Output, ...]:
    whole = _urls(task, "imageUrl", "image_url")
    tiles = [tile for tile in _urls(task, "imageUrls", "image_urls") if tile not in whole]
    if whole and len(tiles) == 1:  # the same picture at another address
        whole, tiles = [*whole, *tiles], []
    if whole:
        whole += _own(task)
    groups = [tuple(whole)] if whole else []
    return tuple(Output("image", sources) for sources in (*groups, *((tile,) for tile in tiles)))


def _own(task: Task) -> list[Source]:
    """The gateway's own copy, since the host that it names may be wrong (2.8)."""
    return [Source(path=f"/mj/image/{reading.segment(id_of(task))}")] if id_of(task) else []


def _films(task: Task) -> list[Source]:
    lists = [_urls(place, *FILM_LISTS) for place in _places(task)]
    alone = [_urls(place, *FILM_FIELDS) for place in _places(task)]
    return next(filter(None, (*lists, *alone)), [])


def _places(task: Task) -> list[Task]:
    """The task, and its properties where a deployment passes them through (5.2)."""
    properties = task.get("properties")
    return [task, properties] if isinstance(properties, Mapping) else [task]


def _links(task: Task) -> list[Source]:
    """Whatever looks like the address of a film, anywhere but in a prompt: the last resort (5.2)."""
    found = (url for text in _texts(task) for url in FILM_LINK.findall(text))
    return [Source(url=url) for url in dict.fromkeys(found)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [inner for name, inner in value.items() if "prompt" not in str(name).lower()]
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _as_films(sources: Sequence[Source]) -> tuple[Output, ...]:
    return tuple(Output("video", (source,)) for source in sources)


def _film(task: Task) -> tuple[Output, ...]:
    """Builds that know no films have one behind the address of its picture; its bytes tell what it is (5.2).

    One that knows them leaves its fields empty for a look or two, and then the address is the cover's.
    """
    if any(name in place for place in _places(task) for name in (*FILM_LISTS, *FILM_FIELDS)):
        return ()
    whole = _urls(task, "imageUrl", "image_url")
    return (Output("video", (*whole, *_own(task))),) if whole else ()


def _urls(task: Task, *names: str) -> list[Source]:
    found = (reading.source(_url(item)) for name in names for item in _as_list(task.get(name)))
    return list(dict.fromkeys(filter(None, found)))


def _as_list(value: Any) -> list[Any]:
    """A list as such, as JSON in a text, or as its only item."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        decoded = classify.documents(value.encode())
        return decoded[0] if decoded and isinstance(decoded[0], list) else []
    return value if isinstance(value, list) else [value]


def _url(item: Any) -> Any:
    return item.get("url") if isinstance(item, Mapping) else item


def _numbered(task: Task) -> str:
    """The first text that holds numbered prompts, or an empty one."""
    texts = (reading.first_text(task, place) for place in WORDS)
    return next((text for text in texts if NUMBER.search(text)), "")


def _words(task: Task, text: str) -> Found | None:
    if not text:
        return None
    told = {name: value for name, value in _result(task).items() if name not in PROMPTS}
    return (), {**told, "prompts": _prompts(text), "text": text}


def _prompts(text: str) -> list[str]:
    """The prompts of a text one by one, without their numbers; all of it where it has none."""
    _, *numbered = NUMBER.split(text)
    plain = (" ".join(LINK.sub(r"\1", one).split()) for one in numbered or [text])
    return [one for one in plain if one]


def _result(task: Task) -> dict[str, Any]:
    """What the next action needs, and how the prompt was understood."""
    kept = {name: reading.first_id(task, *paths) for name, paths in KEPT.items()}
    return {"task_id": id_of(task), "buttons": list(filter(None, map(_button, _buttons(task)))), **kept}


def _buttons(task: Task) -> Iterator[Mapping[str, Any]]:
    """Those of the task, and of its films where each has its own (5.2)."""
    films = [item for name in FILM_LISTS for item in _as_list(task.get(name)) if isinstance(item, Mapping)]
    for holder in (task, *films):
        yield from (button for button in _as_list(holder.get("buttons")) if isinstance(button, Mapping))


def _button(button: Mapping[str, Any]) -> dict[str, Any]:
    """One button in our spelling, without its empty fields; {} for one that cannot be pressed."""
    custom_id = reading.first_text(button, "customId", "custom_id")
    fields = {name: button.get(name) for name in ("label", "emoji", "style") if button.get(name)}
    return {"custom_id": custom_id, **fields} if custom_id else {}
