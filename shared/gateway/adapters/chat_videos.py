"""`/v1/chat/completions` of models that film (Sora, Veo on reverse channels): a log, and a link at its end.  Pure.

The log is meant for people; there is no status and no task to look at later.  So what counts is the link alone: with
one it is a film, whatever else was said, and without one it is not.  Each call is paid for (1.6), so an end that says
nothing is for a person to judge.

Contract: gateway/midjourney-and-video.md 9; gateway/images-text-audio-system.md 5.1, 5.2.
Literal replies: tests/replies/chat_videos/.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from shared.catalog.operations.table import OPERATIONS
from shared.gateway import classify, completions, conversation, lifted, pictures, reading
from shared.gateway.adapter import Adapter
from shared.gateway.adapters import videos
from shared.gateway.call import Call
from shared.gateway.completions import Choice, Completion
from shared.gateway.conversation import Turn
from shared.gateway.lifted import Lifted
from shared.gateway.outcome import ErrorClass, Outcome, Output, Refused
from shared.gateway.request import Request, Response

TASK_ID: Final = re.compile(r"(?<![a-z])ID\s*[:：]\s*`?([^\s`]+)", re.IGNORECASE)
PROGRESS: Final = re.compile(r"(?:进度|progress)[^\d\n]*((?:\d+[^\d\n]{1,4})*\d+)", re.IGNORECASE)
PERCENT: Final = re.compile(r"\b(\d{1,3})\s*%")

FILM: Final = re.compile(r"\.(?:mp4|mov|webm)(?=[?&#/;%]|\Z)", re.IGNORECASE)
"""Where it stands in an address: at the end of its path, or of a path inside its query."""
DOWNLOAD: Final = re.compile(r"下载|download", re.IGNORECASE)
WATCH: Final = re.compile(r"视频|下载|在线|观看|播放|watch|download|video|play", re.IGNORECASE)
ABOUT: Final = re.compile(r"预览|原始|\b(?:preview|source|raw)\b", re.IGNORECASE)
ABOUT_PLACE: Final = re.compile(r"//[^/]*asyncdata|/(?:web|source)/", re.IGNORECASE)
"""Pages about a film, which are none: their labels and their addresses (9.2, 9.4)."""

LINK: Final = re.compile(
    r"\[([^\[\]]{0,500})\]\(\s*<?(https?://(?:\([^\s()<>]*\)|[^\s()<>])+)[^)]{0,500}\)", re.IGNORECASE
)
TAG: Final = re.compile(
    r"""<(?:video|source|a)\b[^<>]*?(?<![\w-])(?:src|href)\s*=\s*(?:"([^"]+)"|'([^']+)')[^<>]*>([^<]{0,200})""",
    re.IGNORECASE,
)
URL: Final = re.compile(r"https?://[^\s<>\"'`()\[\]，。；：！？（）「」、]+", re.IGNORECASE)
DATA: Final = re.compile(r"data:video/[\w.+-]+;base64,[\w+/=-]+", re.ASCII | re.IGNORECASE)
ECHO: Final = re.compile(r"```(?:json)?\s*\{[^`]*\"prompt\"[^`]*(?:```|\Z)")
"""What a log repeats of the request (9.2)."""

FAILED: Final = re.compile(
    r"失败|❌|违规|违反|错误|超时|\berrors?\b|\bfail(?:ed|ure)?\b|violat|policy|heavy load|time[d ]*out|refund",
    re.IGNORECASE,
)
"""What stands in a line that says that nothing came of it (9.4)."""
LOADED: Final = re.compile(r"heavy load|overload|high demand|负载|繁忙|拥挤|稍后", re.IGNORECASE)
LOADED_WAIT_S: Final = 120.0
"""A provider with too much to do is asked again in minutes (9.4)."""
TAIL_MOST: Final = 500
"""So much of the end of a log tells what happened, characters."""


def build(call: Call) -> Request:
    """Ask for a film in a conversation, as a stream unless told otherwise; input pictures go as data URLs (9.1).

    Raises:
        InputRefused: the model films pictures, and there are none.
    """
    asked = call.params.given()
    has_pictures = bool(call.images) or conversation.shows_pictures(asked.get("messages", ()))
    videos.check_pictures(call.model, has_pictures=has_pictures)
    body = {
        "model": call.model,
        "messages": _messages(call, asked),
        "stream": asked.get("stream", True),
        **({"n": asked["n"]} if asked.get("n", 1) > 1 else {}),
    }
    query = f"?watermark={str(asked['watermark']).lower()}" if "watermark" in asked else ""
    timeout_s = OPERATIONS[call.operation].timeout_s
    return Request("POST", f"/v1/chat/completions{query}", json=body, timeout_s=timeout_s, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """The film that the log ends with, or why there is none.

    Reply: a completion, streamed or not; its text is the log of 9.2, in any language, or the link alone.  `result`
    has both counts, the text (to go on with, 9.2), the task's id and usage.

    Raises:
        UnreadableReply: no completion.
    """
    answer = lifted.lift(response)
    completion = completions.join(answer.response)
    if not completion.is_completion and not completion.errors:
        raise reading.unreadable("an object without choices", completion.more)
    said = "\n\n".join(choice.content for choice in completion.choices if choice.content)
    text = pictures.without_data(DATA.sub("", said), answer)
    errors = [classify.said(error) for error in completion.errors]
    outputs = _outputs(completion, answer, call)
    if outputs:
        told = {"text": text, "task_id": _task_id(text), "usage": completion.usage}
        return pictures.produced(outputs, call, errors, **told)
    return _nothing(completion, errors, text, call)


# Asking.


def _messages(call: Call, asked: Mapping[str, Any]) -> list[Turn]:
    """The conversation, with the input pictures and what no field says in its last message of the user."""
    wishes, kind = _wishes(asked), asked.get("images_as", "image_url")
    images = [{"type": kind, kind: {"url": one.data_url}} for one in call.images]
    if "messages" in asked:
        words = [{"type": "text", "text": wishes}] if wishes else []
        return conversation.with_inputs(asked["messages"], [*words, *images])
    prompt = "\n\n".join(filter(None, (call.prompt, wishes)))
    return conversation.with_inputs([{"role": "user", "content": prompt}], images)


def _wishes(asked: Mapping[str, Any]) -> str:
    """Orientation and length in words: there is no field for them (9.1)."""
    wishes = [asked.get("orientation", ""), f"{asked['seconds']} seconds" if "seconds" in asked else ""]
    sentence = ", ".join(filter(None, wishes))
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


# Reading.


@dataclass(frozen=True)
class Link:
    """An address in a log."""

    target: str
    label: str = ""
    """What it is called, or what stands behind it."""
    is_whole: bool = True
    """False at the very end of the text, where more of it may have been to come."""
    is_alone: bool = False
    """The answer is this and nothing else."""

    @property
    def is_film(self) -> bool:
        return FILM.search(self.target) is not None or self.target[:5].lower() == "data:"

    @property
    def is_named(self) -> bool:
        """It may be a film, although its address does not say so."""
        is_picture = pictures.EXTENSION.search(_path(self.target)) is not None
        return (self.is_alone or WATCH.search(self.label) is not None) and not is_picture

    @property
    def is_about(self) -> bool:
        """It leads to a page about the film."""
        named = ABOUT.search(self.label) and not WATCH.search(self.label)
        return bool(named or ABOUT_PLACE.search(self.target))

    @property
    def identity(self) -> str:
        """What the two links of one film have in common, where they have anything."""
        path = _path(self.target)
        return path.replace("/download/", "/") if FILM.search(path) else self.target

    @property
    def is_download(self) -> bool:
        return DOWNLOAD.search(f"{self.label} {_path(self.target)}") is not None


def _outputs(completion: Completion, answer: Lifted, call: Call) -> list[Output]:
    """The films, each with all its places: one of each choice, unless several were asked for in one."""
    is_several = call.params.given().get("n", 1) > 1 and len(completion.choices) == 1
    outputs: list[Output] = []
    for choice in completion.choices:
        links = _best(_links(choice), conversation.asked(call), completion.is_whole)
        films = _apart(links) if is_several else [links]
        outputs += filter(None, (_output(film, answer) for film in films))
    return list(dict.fromkeys(outputs))


def _links(choice: Choice) -> list[Link]:
    """All addresses of an answer in their order: those of parts, of Markdown, of HTML, bare ones and data URLs."""
    text = ECHO.sub("", choice.content)
    named = [(found.span(), Link(found[2], found[1])) for found in LINK.finditer(text)]
    named += [(found.span(), Link(html.unescape(found[1] or found[2]), found[3])) for found in TAG.finditer(text)]
    bare = [(found.span(), _bare(found)) for pattern in (DATA, URL) for found in pattern.finditer(text)]
    bare = [one for one in bare if not any(start <= one[0][0] < end for (start, end), _ in named)]
    places = ("video_url.url", "video_url", "url")
    parts = (reading.first_text(part, *places) for part in choice.parts)
    in_order = sorted([*named, *bare], key=lambda one: one[0])
    return [*(Link(url) for url in parts if url), *(link for _, link in in_order)]


def _bare(found: re.Match[str]) -> Link:
    is_alone = found.string.strip() == found[0]
    return Link(found[0].rstrip(".,;:!?*"), is_whole=found.end() < len(found.string), is_alone=is_alone)


def _best(links: Iterable[Link], asked: str, is_whole: bool) -> list[Link]:
    """What may be the film, the likeliest first: downloads before what is to be watched, later ones before earlier.

    Addresses that end like a film's count before those that only their labels call one; the hosts of pages about the
    film come last (9.4).
    """
    given = [link for link in links if link.target not in asked and (is_whole or link.is_whole)]
    about = {_host(link.target) for link in given if link.is_about and not link.is_film}
    films = [link for link in given if link.is_film]
    elsewhere = [link for link in films if _host(link.target) not in about]
    named = [link for link in given if link.is_named and not link.is_about]
    latest_first = (elsewhere or films or named)[::-1]
    downloads = [link for link in latest_first if link.is_download]
    return [*downloads, *(link for link in latest_first if not link.is_download)]


def _apart(links: list[Link]) -> list[list[Link]]:
    """Several films in one answer: each of its downloads is one, or else each link, in their order."""
    films: dict[str, list[Link]] = {}
    for link in reversed(links):
        films.setdefault(link.identity, []).insert(0, link)
    downloads = {key: film for key, film in films.items() if any(link.is_download for link in film)}
    return list((downloads or films).values())


def _output(links: Iterable[Link], answer: Lifted) -> Output | None:
    sources = tuple(dict.fromkeys(filter(None, (answer.source(link.target) for link in links))))
    return Output("video", sources) if sources else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # brackets of an address that is none
        return ""


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


# Why there is none.


def _nothing(completion: Completion, errors: list[classify.Said], said: str, call: Call) -> Refused:
    """Why there is no film.  What was said to the end is paid for (1.6); what broke off, nobody knows."""
    log = ECHO.sub("", said).replace(call.prompt, "").strip()
    tail = log[-TAIL_MOST:]
    refusal = next((choice.refusal for choice in completion.choices if choice.refusal), "")
    if errors:
        return pictures.failure(errors[0])
    if any(choice.finish_reason == "content_filter" for choice in completion.choices):
        told = refusal or tail or "the prompt or the film was blocked"
        return classify.refused(ErrorClass.CONTENT_POLICY, "content_filter", told, charged=True)
    if not completion.is_whole:
        return _unknown("broken_stream", "the stream broke off before its end", log)
    failure = _failure(log)
    if failure:
        return _failed(failure)
    if refusal:
        return classify.refused(ErrorClass.NO_MEDIA, "refusal_text", refusal, charged=True)
    if not log or _task_id(log) or _progress(log) is not None:
        return _unknown("no_link", "the answer ended without a film, and without a reason", log)
    return classify.refused(ErrorClass.NO_MEDIA, "refusal_text", tail, charged=True)


def _unknown(code: str, told: str, log: str) -> Refused:
    """With what a person needs to look for the film: the task's id, and how far it had come."""
    task_id, percent = _task_id(log), _progress(log)
    known = [f"task {task_id}" if task_id else "", f"at {percent} percent" if percent is not None else ""]
    where = f" ({', '.join(filter(None, known))})" if any(known) else ""
    after = f"; its end: {log[-TAIL_MOST // 2 :]}" if log else ""
    return classify.refused(ErrorClass.UNKNOWN_OUTCOME, code, f"{told}{where}{after}")


def _failure(log: str) -> str:
    """The log from the first line that says that nothing came of it; empty if none does."""
    lines = log.splitlines()
    first = next((place for place, line in enumerate(lines) if FAILED.search(line)), len(lines))
    return "\n".join(lines[first:])[-TAIL_MOST:]


def _failed(reason: str) -> Refused:
    """What the log says of its failure: policy, or something that may pass."""
    failure = classify.failure(classify.Said(("generation_failed",), reason), ErrorClass.NO_MEDIA, charged=True)
    if failure.error.error_class is ErrorClass.NO_MEDIA and LOADED.search(reason):
        return Refused(replace(failure.error, retry_after_s=LOADED_WAIT_S))
    return failure


def _task_id(log: str) -> str:
    found = TASK_ID.search(log)
    return found[1] if found else ""


def _progress(log: str) -> int | None:
    """How far the film had come, whole percent; numbers stand in a row, separated by dots (9.4)."""
    rows = PROGRESS.findall(log)
    numbers = [int(number) for number in re.findall(r"\d+", rows[-1])] if rows else []
    numbers = numbers or [int(number) for number in PERCENT.findall(log)]
    return next((number for number in reversed(numbers) if number <= 100), None)


CHAT: Final = Adapter("video.chat", build, read)
ADAPTERS: Final = (CHAT,)
