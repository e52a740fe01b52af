"""Where pictures stand in what the gateway says, and what asking for them has in common in all formats.  Pure.

Contract: gateway/images-text-audio-system.md 1.5, 2.4, 3.3 to 3.6, 4.8.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused
from shared.gateway import classify, reading, taken
from shared.gateway.call import Call
from shared.gateway.lifted import Lifted
from shared.gateway.outcome import ErrorClass, Output, Produced, Refused, Source

LISTS: Final = ("data", "images", "output", "result")
"""Where the pictures stand at the top of a body, by build."""

PLACES: Final = (
    *("b64_json", "url", "image_url.url", "image_url", "image"),
    *("source.data", "source.url", "source"),
    *("inlineData.data", "inline_data.data", "fileData.fileUri", "file_data.file_uri"),
    *("image_base64", "result"),
)
"""Where one item has its picture, in the order to try them (3.4); what is not used is left out, null or `""`."""

LEAST_BASE64: Final = 32
"""No picture is shorter in base64; a word that happens to decode is."""

TEXT_MOST: Final = 32_000
"""So much of what a model said beside its pictures is kept, characters."""

INLINE_MOST_BYTES: Final = 20_000_000
"""Of pictures in base64 in one request to a Gemini model; the whole request may have 20 MB (1.5)."""

GEMINI: Final = re.compile(taken.GEMINI_NAMES, re.IGNORECASE)

LONG_S: Final = 630.0
"""Longest wait for a 4K picture, several pictures or high quality (1.5)."""


# In objects.


def in_item(item: Any, answer: Lifted) -> tuple[Source, ...]:
    """Where one picture is, of an item of a list or a part of a message; none if it is no picture."""
    if not isinstance(item, Mapping):
        return _sources([item], answer)
    if re.search("video|audio", f"{item.get('type')} {_content_type(item)}"):
        return ()
    return _sources([reading.dig(item, place) for place in PLACES], answer)


def in_items(items: Iterable[Any], answer: Lifted) -> list[Output]:
    """The pictures of a list; one that is named twice is one picture."""
    found = (in_item(item, answer) for item in items)
    return list(dict.fromkeys(Output("image", sources) for sources in found if sources))


def listed(body: Mapping[str, Any]) -> Iterator[Any]:
    """The items at the top of a body, wherever they stand there."""
    for key in LISTS:
        found = body.get(key)
        if isinstance(found, list):
            yield from found
        elif found:
            yield found


def _content_type(item: Mapping[str, Any]) -> object:
    for key in ("inlineData", "inline_data", "fileData", "file_data"):
        inner = item.get(key)
        if isinstance(inner, Mapping):
            return inner.get("mimeType") or inner.get("mime_type")
    return None


def _sources(values: Iterable[Any], answer: Lifted) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(filter(None, (_source(value, answer) for value in values))))


def _source(value: object, answer: Lifted) -> Source | None:
    found = answer.source(value)
    if found is not None or not isinstance(value, str) or not answer.is_long(value, LEAST_BASE64):
        return found
    content = answer.decoded(value)
    return Source(content=content) if content else None


# In texts.


@dataclass(frozen=True)
class _Named:
    """A picture that a text names: from where to where, and what stands there."""

    start: int
    end: int
    target: str


EXTENSION: Final = re.compile(r"\.(?:png|jpe?g|webp|gif|avif)\Z", re.IGNORECASE)

TARGET: Final = re.compile(r"\s*(?:<(?P<angled>[^<>\n]*)>|(?P<bare>(?:\\.|\([^\s()]*\)|[^\s()\\])+))")
"""What stands in the parentheses of a link: up to the first one that closes, or to the blank before a title."""
ALT_MOST: Final = 4_000
"""Longest text in the brackets of a picture, characters; it may be anything, even a URL."""

BARE_DATA: Final = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=-]+", re.ASCII | re.IGNORECASE)
IMG_SOURCE: Final = re.compile(r"""(?<![\w-])src\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
LINK: Final = re.compile(r"\[([^\[\]]{0,500})\]\(\s*<?(https?://[^\s<>)]+)[^)]{0,500}\)", re.IGNORECASE)
URL: Final = re.compile(r"https?://[^\s<>\"'`()\[\]，。；：！？（）「」、]+", re.IGNORECASE)
NO_RESULT: Final = re.compile(r"//[^/]*asyncdata|/(?:web|source)/", re.IGNORECASE)
"""Pages about a picture, which are none (3.4)."""


def in_text(text: str, answer: Lifted, asked: str = "") -> list[Output]:
    """The pictures that a text holds or names, in order.

    Markdown pictures, HTML ones and data URLs count; links only where there is nothing better, and the address ends
    like a picture's or is all there is.

    Args:
        asked: what was asked for; addresses in it are no results.
    """
    text = _without_echo(text)
    named = [*_markdown(text), *_html(text)]
    named += [one for one in _bare_data(text) if not any(other.start <= one.start < other.end for other in named)]
    targets = [one.target for one in sorted(named, key=lambda one: one.start)]
    found = _distinct(targets, answer, asked)
    return found or _distinct(_links(text), answer, asked)


def without_data(text: str, answer: Lifted) -> str:
    """What a model said beside its pictures: the text without data URLs, no longer than `TEXT_MOST`."""
    kept, at = [], 0
    named = (one for one in (*_markdown(text), *_bare_data(text)) if one.target[:5].lower() == "data:")
    for one in sorted(named, key=lambda one: one.start):
        kept.append(text[at : max(at, one.start)])
        at = max(at, one.end)
    return answer.without_runs("".join([*kept, text[at:]])).strip()[:TEXT_MOST]


def _without_echo(text: str) -> str:
    """The text without fenced JSON that repeats the request (4.8)."""
    kept, at = [], 0
    start = text.find("```")
    while start >= 0 and (end := text.find("```", start + 3)) >= 0:
        block = text[start + 3 : end].removeprefix("json").strip()
        if block.startswith("{") and '"prompt"' in block:
            kept.append(text[at:start])
            at = end + 3
        start = text.find("```", end + 3)
    return "".join([*kept, text[at:]]) if kept else text


def _markdown(text: str) -> Iterator[_Named]:
    """`![alt](target "title")`, found by index: a data URL may be megabytes and have line breaks in it."""
    start = text.find("![")
    while start >= 0:
        middle = text.find("](", start, start + ALT_MOST)
        target, end = _target(text, middle + 2) if middle >= 0 else ("", 0)
        if target and _is_balanced(text[start + 2 : middle]):
            yield _Named(start, end, target)
        else:
            end = start + 2
        start = text.find("![", end)


def _target(text: str, start: int) -> tuple[str, int]:
    """What the parentheses hold that open before `start`, and where they are over; an empty text if they are none."""
    closing = text.find(")", start)
    if closing < 0:
        return "", start
    head = text[start : start + 64].lstrip(" \t\n<")
    if head[:5].lower() == "data:":
        return text[start:closing].strip(" \t\r\n<>"), closing + 1
    found = TARGET.match(text, start)
    if found is None:
        return "", start
    end = text.find(")", found.end())
    target = found["angled"] or re.sub(r"\\([^\w\s])", r"\1", found["bare"] or "")
    return (target, end + 1) if end >= 0 else ("", start)


def _is_balanced(alt: str) -> bool:
    depth = 0
    for bracket in re.findall(r"[\[\]]", alt):
        depth += 1 if bracket == "[" else -1
        if depth < 0:
            return False
    return depth == 0


def _html(text: str) -> Iterator[_Named]:
    for tag in re.finditer(r"<img\b", text, re.IGNORECASE):
        end = text.find(">", tag.end())
        end = len(text) if end < 0 else end
        found = IMG_SOURCE.search(text, tag.end(), end)
        if found is not None:
            yield _Named(tag.start(), end, html.unescape(next(filter(None, found.groups()), "")))


def _bare_data(text: str) -> Iterator[_Named]:
    return (_Named(found.start(), found.end(), found[0]) for found in BARE_DATA.finditer(text))


def _links(text: str) -> list[str]:
    """Addresses of pictures that are only linked to, or stand bare."""
    links = [(found[1], found[2], found.span()) for found in LINK.finditer(text)]
    bare = [(found[0], found.start()) for found in URL.finditer(text)]
    spans = [span for _, _, span in links]
    urls = [url for label, url, _ in links if not re.fullmatch(r"\d+%?", label.strip())]
    urls += [url.rstrip(".,;:!?*_") for url, at in bare if not any(start <= at < end for start, end in spans)]
    is_alone = len(urls) == 1 and re.fullmatch(r"\S+|\[[^\[\]]*\]\(\S+\)", text.strip()) is not None
    urls = [url for url in urls if is_alone or EXTENSION.search(_path(url))]
    by_path = {_path(url).replace("/download/", "/"): url for url in reversed(urls) if not NO_RESULT.search(url)}
    return list(reversed(by_path.values()))


def _distinct(targets: Iterable[str], answer: Lifted, asked: str) -> list[Output]:
    """The pictures at these targets; one that is named twice is one."""
    found: dict[object, Output] = {}
    for target in targets:
        source = None if _is_other_media(target) or (target in asked and target) else answer.source(target)
        if source is not None:
            found.setdefault(_identity(source), Output("image", (source,)))
    return list(found.values())


def _is_other_media(target: str) -> bool:
    return re.match(r"data:(?!image/|application/octet-stream)", target, re.IGNORECASE) is not None


def _identity(source: Source) -> object:
    """What two names of one picture have in common: signatures differ (3.4); a query may also tell pictures apart."""
    if source.url is None or not EXTENSION.search(_path(source.url)):
        return source
    return source.url.partition("?")[0]


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # brackets of an address that is none
        return ""


# Asking.


def is_gemini(model: str) -> bool:
    """Whether this is one of the Nano Banana models, by its name; the operator may have called it otherwise."""
    return GEMINI.search(model) is not None


def timeout_s(call: Call) -> float:
    """Longest wait for the answer: large, good or several pictures take twice as long (1.5)."""
    return LONG_S if _takes_long(call) else OPERATIONS[call.operation].timeout_s


def check_inline(call: Call) -> None:
    """Whether a Gemini model takes these pictures, before anything is sent: its channels refuse others with 500 (3.6).

    Raises:
        InputRefused: it does not.
    """
    for number, media in enumerate(call.images, 1):
        if media.content_type not in taken.COMMON:
            raise InputRefused(f"picture {number} is {media.content_type}; Gemini models take PNG, JPEG and WebP")
    size_bytes = sum(4 * -(-len(media.content) // 3) for media in call.images)
    if size_bytes > INLINE_MOST_BYTES:
        raise InputRefused(
            f"the pictures have {size_bytes} bytes in base64; a request to a Gemini model holds {INLINE_MOST_BYTES}"
        )


def _takes_long(call: Call) -> bool:
    asked = call.params.given()
    config = asked.get("generation_config", {}).get("image_config", {})
    sizes = {asked.get("size"), asked.get("image_size"), asked.get("quality"), config.get("image_size")}
    pixels = re.fullmatch(r"(\d+)x(\d+)", str(asked.get("size")))
    return (
        not sizes.isdisjoint({"4K", "high", "hd"})
        or re.search(r"[-_]4k\b", call.model, re.IGNORECASE) is not None
        or asked.get("n", 1) > 1
        or (pixels is not None and int(pixels[1]) * int(pixels[2]) > 2048 * 2048)
    )


# Answering.


def produced(outputs: Sequence[Output], call: Call, errors: Sequence[classify.Said] = (), **more: Any) -> Produced:
    """Pictures, with how many there are of how many, and what else there is to say."""
    requested = max(call.params.given().get("n", 1), len(outputs))
    counts = {"delivered": len(outputs), "requested": requested}
    told = {**more, "errors": [_error(words) for words in errors]}
    return Produced(tuple(outputs), {**counts, **{key: value for key, value in told.items() if value}})


def as_sent(body: bytes, content_type: str) -> Output | None:
    """The body itself, if it is a picture (3.4)."""
    return Output("image", (Source(content=body),)) if body and content_type.startswith("image/") else None


def failure(words: classify.Said) -> Refused:
    """An error where a picture was expected, in an answer that said 200: counted as paid (2.5)."""
    otherwise = ErrorClass.NO_MEDIA if "empty_response" in words.codes else ErrorClass.UNKNOWN_OUTCOME
    return classify.failure(words, otherwise, charged=True)


TASK_IDS: Final = ("task_id", "data.0.task_id", "data.task_id")


def receipt(body: Mapping[str, Any]) -> Refused | None:
    """A task that will make the pictures later (3.3 V6): nothing that this call could be asked about."""
    word = reading.fold(body.get("status"))
    is_task = bool(word) and word not in reading.DONE | reading.FAILED
    task_id = reading.first_id(body, *TASK_IDS) or (reading.first_id(body, "id") if is_task else "")
    if not task_id:
        return None
    message = f"accepted as {task_id}, to be made later; this endpoint has no way to ask for the result"
    return classify.refused(ErrorClass.UNKNOWN_OUTCOME, "async_receipt", message, charged=True)


def broken(said: str) -> Refused:
    """A stream without an end: what was made of it is paid for (2.7), and nobody knows what is missing."""
    told = "the stream broke off before its end" + (f", after: {said}" if said else "")
    return classify.refused(ErrorClass.UNKNOWN_OUTCOME, "broken_stream", told, charged=True)


def words(*said: Any) -> str:
    """What a model says in place of a picture; a revised prompt is no such thing, nor is "success"."""
    found = (reading.first_text(one, "text", "content", "message") for one in said)
    return next((text for text in found if text and reading.fold(text) not in reading.DONE | {"ok"}), "")


def no_picture(words: str, code: str) -> Refused:
    """A whole answer with a text, or nothing, in the place of a picture; counted as paid (2.4).

    Args:
        code: of nothing.
    """
    if words:
        return classify.refused(ErrorClass.NO_MEDIA, "refusal_text", words, charged=True)
    return classify.refused(ErrorClass.NO_MEDIA, code, "the answer holds no picture", charged=True)


def _error(words: classify.Said) -> dict[str, str]:
    return {"code": next(iter(words.codes), ""), "message": classify.clean(words.message)}
