"""What a file really is: sniffed from its bytes, measured, checked for a cut, shown small.

Nobody's word is taken for it: a result called `video.mp4` may be an HTML page, a JSON error or the first
half of a film.  The first bytes choose one reader (never one that follows references to other files), and
that reader has to get through to the end.

What cannot be told is not claimed: a size or duration is None, and the last frame of an MP3 or FLAC, or
a stream that was written without any lengths, may lack its end without notice.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

import av
import av.container
import av.stream
import av.video.frame
from PIL import Image, ImageOps

from shared.errors import WrongMedia

Kind = Literal["image", "video", "audio", "text", "document"]


@dataclass(frozen=True)
class Media:
    """The facts about one file."""

    kind: Kind
    content_type: str
    extension: str
    """Without a dot."""
    width: int | None = None
    """Pixels.  A picture that EXIF turns counts as turned; a film's rotation is not looked at."""
    height: int | None = None
    duration_seconds: float | None = None


SIDE: Final = 512
"""The square into which a thumbnail fits, pixels."""
QUALITY: Final = 85


def inspect(path: Path, limit_pixels: int, small: Path | None = None) -> Media:
    """Look at a file and say what it is; its thumbnail goes to `small`, if one is wanted and can be made.

    Raises:
        WrongMedia: not media, cut, broken or with more than `limit_pixels`; the message is what it is
            instead, as "an HTML page" or "a cut MP4 file (1000 of 2000 bytes)".
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        form = sniff(head)
        if form in PICTURES:
            return _inspect_picture(file, form, limit_pixels, small)
        if form in CONTAINERS:
            container = _container(form, head)
            _check_length(file, size_bytes, container)
            media = _inspect_streams(path, container, limit_pixels)
            if small is not None:
                with suppress(WrongMedia):  # a film without a picture of it is still a film
                    thumbnail(path, media, small)
            return media
        if form == "text":
            return _inspect_text(file)
        if form == PDF:
            return _inspect_pdf(file, size_bytes)
    raise WrongMedia(describe(form, head))


def expect(path: Path, kinds: Sequence[Kind], limit_pixels: int, small: Path | None = None) -> Media:
    """The same, of a file that should be of one of these kinds.  As a text, any UTF-8 will do: HTML, too, and JSON,
    which is told apart.

    Args:
        small: where its thumbnail goes, if one can be made.  A still picture is decoded once for both.

    Raises:
        WrongMedia: it is something else, or not whole.
    """
    try:
        media = _expect_text(path) if tuple(kinds) == ("text",) else inspect(path, limit_pixels, small)
    except WrongMedia as error:
        raise WrongMedia(f"expected {articles(kinds)}, got {error}") from error
    if media.kind not in kinds:
        raise WrongMedia(f"expected {articles(kinds)}, got {ARTICLE[media.kind]} ({media.content_type})")
    return media


def articles(kinds: Sequence[Kind]) -> str:
    """`an image or a video`."""
    return " or ".join(ARTICLE[kind] for kind in kinds)


def thumbnail(path: Path, media: Media, to: Path, side: int = SIDE) -> bool:
    """Write a JPEG that fits into a square: of a picture, or of a film's first frame with something on it.

    Returns:
        False for what cannot be shown; nothing is written then.

    Raises:
        WrongMedia: it cannot be decoded.
    """
    if media.kind == "image":
        image = _shrink(path, side)
    elif media.kind == "video":
        image = _poster(path, side)
    else:
        return False
    image.save(to, "JPEG", quality=QUALITY)
    return True


ARTICLE: Final[dict[Kind, str]] = {
    "image": "an image",
    "video": "a video",
    "audio": "audio",
    "text": "text",
    "document": "a PDF",
}
PDF: Final = "a PDF"
HEAD_BYTES: Final = 4096
DECODING: Final = threading.BoundedSemaphore(os.cpu_count() or 2)
"""A large picture takes hundreds of megabytes while it is decoded; more at once would not be faster."""

#: Checked by us, from the header and against the setting; Pillow's own bounds are fixed numbers.
Image.MAX_IMAGE_PIXELS = None


MAGIC: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (4, b"wide", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"%PDF-", PDF),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"#EXTM3U", "a playlist"),
)
"""Where, which bytes, and the form: a key of PICTURES or CONTAINERS, or else what to call it."""


def sniff(head: bytes) -> str:
    """The form that the first bytes promise: of PICTURES, of CONTAINERS, `text`, or in words what else."""
    if not head:
        return "an empty file"
    for at, magic, form in MAGIC:
        if head.startswith(magic, at):
            return _form_of_brand(head) if magic == b"ftyp" else form
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "adts" if head[1] & 0xF6 == 0xF0 else "mp3"
    return _sniff_text(head)


def _form_of_brand(head: bytes) -> str:
    """Pictures, too, come in MP4's boxes."""
    brands = head[8 : int.from_bytes(head[:4], "big")]
    if b"avif" in brands or b"avis" in brands:
        return "avif"
    if brands[:4] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "a HEIF picture"
    return "mov"


def _sniff_text(head: bytes) -> str:
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "unknown bytes"
    if re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
        return "unknown bytes"
    start = text.lstrip()[:1000].lower()
    if start.startswith("<"):
        if "<svg" in start:
            return "an SVG drawing"
        if "<html" in start or "<!doctype html" in start or start.startswith(("<head", "<body", "<script")):
            return "an HTML page"
        return "XML" if start.startswith(("<?xml", "<error")) else "text"
    return "JSON" if re.match(r"\{\s*(\"|\}|$)|\[\s*[\[{\"\d\]tfn-]", start) else "text"


def describe(form: str, head: bytes) -> str:
    """What to call bytes that are no media; where they may be an error in words, with their beginning."""
    if form == "unknown bytes":
        return f"unknown bytes ({head[:8].hex(' ')} …)"
    return f"{form}: {excerpt(head)}" if form in ("JSON", "XML", "text") else form


def excerpt(head: bytes) -> str:
    """The first 100 characters in one line; queries of URLs are left out, since they may be signatures."""
    text = re.sub(r"\?[^\s\"'<>\\]+", "?…", head.decode("utf-8", "replace"))
    return " ".join(text.split())[:100]


PICTURES: Final = {
    "png": ("PNG", "image/png", "png"),
    "jpeg": ("JPEG", "image/jpeg", "jpg"),
    "webp": ("WEBP", "image/webp", "webp"),
    "gif": ("GIF", "image/gif", "gif"),
    "avif": ("AVIF", "image/avif", "avif"),
}
"""By form: Pillow's name, content type, extension."""


def _inspect_picture(file: BinaryIO, form: str, limit_pixels: int, small: Path | None) -> Media:
    name, content_type, extension = PICTURES[form]
    with _broken(f"{name} picture"), DECODING:
        file.seek(0)
        with Image.open(file, formats=[name]) as image:
            _check_pixels(f"{name} picture", *image.size, limit_pixels)
            image.verify()  # for PNG the checksums, which decoding does not look at
        file.seek(0)
        with Image.open(file, formats=[name]) as image:
            width, height = image.size
            if _is_on_its_side(image):
                width, height = height, width
            _decode_all(image, name, limit_pixels)
            if small is not None:
                _save_small(image, small)
    return Media("image", content_type, extension, width, height)


def _save_small(image: Image.Image, to: Path) -> None:
    """The thumbnail of a picture that is open and decoded; its want says nothing against the picture."""
    try:
        if getattr(image, "is_animated", False):  # else it stands on its only frame, decoded
            image.seek(0)
        _flatten(image, SIDE).save(to, "JPEG", quality=QUALITY)
    except Exception:
        to.unlink(missing_ok=True)


MOST_FRAMES: Final = 5_000


def _decode_all(image: Image.Image, name: str, limit_pixels: int) -> None:
    """Decode the picture, and of a moving one as many frames as hold `limit_pixels` together."""
    left = limit_pixels
    for index in range(MOST_FRAMES):
        try:
            image.seek(index)
        except EOFError:
            return
        _check_pixels(f"{name} picture", *image.size, limit_pixels)
        image.load()
        left -= image.width * image.height
        if left < 0:
            return


def _is_on_its_side(image: Image.Image) -> bool:
    return _orientation(image) in (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int:
    """EXIF's number from 1 (upright) to 8; broken EXIF makes no broken picture."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def _shrink(path: Path, side: int) -> Image.Image:
    with path.open("rb") as file:
        name = PICTURES[sniff(file.read(HEAD_BYTES))][0]
        file.seek(0)
        with _broken(f"{name} picture"), DECODING, Image.open(file, formats=[name]) as image:
            image.draft("RGB", (side * 2, side * 2))  # a JPEG need not be decoded in full
            image.load()  # while its file is open: what is small already is decoded by nothing below
            return _flatten(image, side)


def _flatten(image: Image.Image, side: int) -> Image.Image:
    """Upright, within the square, without transparency."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    has_alpha = image.has_transparency_data
    mode = "RGBA" if has_alpha else "RGB"
    if image.mode != mode:  # to the same mode it would only copy
        image = image.convert(mode)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.0)
    if not has_alpha:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


@dataclass(frozen=True)
class Container:
    """One way to pack streams, and how to find out that the end is missing."""

    name: str
    demuxer: str
    """FFmpeg's name.  Always given: left to guess, it would also take playlists, which open other files."""
    as_video: tuple[str, str] | None
    as_audio: tuple[str, str] | None
    """Content type and extension with and without pictures in it."""
    piece: Callable[[BinaryIO, int], int | None] | None = None
    """Length of the piece (box, page, element) that begins at a position; None: nobody knows from here on."""
    slack: tuple[float, float] | None = None
    """By how many seconds, and by which share, the packets may end before the duration that is declared.
    None where that is only estimated."""


def _container(form: str, head: bytes) -> Container:
    container = CONTAINERS[form]
    if form == "mov" and head[8:12] == b"qt  ":
        return replace(container, name="QuickTime", as_video=("video/quicktime", "mov"))
    if form == "matroska" and b"webm" in head[:64]:
        return replace(container, name="WebM", as_video=("video/webm", "webm"), as_audio=("audio/webm", "webm"))
    if form == "mp3" and not any(tag in head for tag in (b"Xing", b"Info", b"VBRI")):
        return replace(container, slack=None)
    return container


def _inspect_pdf(file: BinaryIO, size_bytes: int) -> Media:
    """Whole if it says so at its end: readers allow something after the mark, and writers put line ends there."""
    file.seek(max(0, size_bytes - 1024))
    if b"%%EOF" not in file.read():
        raise WrongMedia("a cut PDF")
    return Media("document", "application/pdf", "pdf")


def _check_length(file: BinaryIO, size_bytes: int, container: Container) -> None:
    """Walk from piece to piece, and see whether the last one is all there."""
    if container.piece is None:
        return
    at = 0
    for _ in range(MOST_PIECES):
        length = container.piece(file, at)
        if length is None:
            return
        at += length
        if at > size_bytes:
            raise WrongMedia(f"a cut {container.name} file ({size_bytes} of at least {at} bytes)")
        if at == size_bytes:
            return
    raise WrongMedia(f"a {container.name} file in too many pieces")


MOST_PIECES: Final = 2_000_000
MOST_PACKETS: Final = 10_000_000
"""Twenty hours of film; a few bytes can promise far more."""


FOURCC: Final = re.compile(rb"[\x20-\x7e\xa9]{4}")


def _box(file: BinaryIO, at: int) -> int | None:
    """MP4 (ISO 14496-12, 4.2)."""
    head = _read(file, at, 16)
    length = int.from_bytes(head[:4], "big")
    if not head.strip(b"\0") or length == 0:
        return None  # padding, or a box that goes on to the end
    if len(head) < 8:
        return 8  # not even the head of a box
    if not FOURCC.fullmatch(head, 4, 8):
        return None  # something else was appended
    return int.from_bytes(head[8:16], "big") if length == 1 else max(length, 8)


def _element(file: BinaryIO, at: int) -> int | None:
    """Matroska (RFC 8794, 4 to 6); a segment of unknown length is walked through as if it had no head."""
    head = _read(file, at, 16)
    id_length = 9 - head[0].bit_length()
    size_length = 9 - head[id_length].bit_length() if id_length < len(head) else 99
    start = id_length + size_length
    if id_length > 4 or size_length > 8:
        return None
    if start > len(head):
        return start
    size = int.from_bytes(head[id_length:start], "big") & ((1 << 7 * size_length) - 1)
    if size == (1 << 7 * size_length) - 1:
        return start if head[:4] == b"\x18\x53\x80\x67" else None
    return start + size


def _page(file: BinaryIO, at: int) -> int | None:
    """Ogg (RFC 3533, 6)."""
    head = _read(file, at, 27 + 255)
    if not head.startswith(b"OggS"[: len(head)]):
        return None
    return 27 + head[26] + sum(head[27 : 27 + head[26]]) if len(head) > 26 else 27


def _chunk(file: BinaryIO, at: int) -> int | None:
    """WAV: the head of RIFF, then chunks up to the one with the sound."""
    if at == 0:
        return 12
    head = _read(file, at, 8)
    length = int.from_bytes(head[4:8], "little")
    if head[:1] == b"\0":
        return 1  # after an odd length there is one byte more, unless it was forgotten
    if len(head) < 8:
        return 8
    if not FOURCC.fullmatch(head, 0, 4):
        return None
    if head[:4] == b"data" and (length == 0 or length >= 0x7FFF0000):
        return None  # written without knowing the end, as speech is that comes as a stream
    return 8 + length


def _frame(file: BinaryIO, at: int) -> int | None:
    """AAC in ADTS (ISO 13818-7, 6.2)."""
    head = _read(file, at, 7)
    if len(head) < 7:
        return 7
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    return max((head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5, 7)


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


CONTAINERS: Final = {
    "mov": Container("MP4", "mov", ("video/mp4", "mp4"), ("audio/mp4", "m4a"), _box, slack=(0.5, 0.1)),
    "matroska": Container(
        "Matroska", "matroska", ("video/x-matroska", "mkv"), ("audio/x-matroska", "mka"), _element, slack=(0.5, 0.1)
    ),
    "ogg": Container("Ogg", "ogg", ("video/ogg", "ogv"), ("audio/ogg", "ogg"), _page),
    "wav": Container("WAV", "wav", None, ("audio/wav", "wav"), _chunk),
    "mp3": Container("MP3", "mp3", None, ("audio/mpeg", "mp3"), slack=(0.1, 0.0)),
    "flac": Container("FLAC", "flac", None, ("audio/flac", "flac"), slack=(0.1, 0.0)),
    "adts": Container("AAC", "aac", None, ("audio/aac", "aac"), _frame),
}


def _inspect_streams(path: Path, container: Container, limit_pixels: int) -> Media:
    with _broken(f"{container.name} file"), _demux(path, container) as source:
        films = [stream for stream in source.streams.video if not _is_cover(stream)]
        sounds = list(source.streams.audio)
        names = container.as_video if films else container.as_audio if sounds else None
        if names is None:
            raise WrongMedia(f"a {container.name} file without pictures or sound")
        width, height = (films[0].width, films[0].height) if films else (None, None)
        if width is not None and height is not None:
            _check_pixels(f"{container.name} film", width, height, limit_pixels)
        measured_s = _measure(source, [*films, *sounds], container)
        declared_s = source.duration / av.time_base if source.duration else None
        duration_s = _agree(measured_s, declared_s, container)
    return Media("video" if films else "audio", *names, width, height, duration_s)


@contextmanager
def _demux(path: Path, container: Container) -> Iterator[av.container.InputContainer]:
    with av.open(f"file:{path}", format=container.demuxer, options={"protocol_whitelist": "file"}) as source:
        yield source


def _is_cover(stream: av.stream.Stream) -> bool:
    """A song's picture is no film."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _measure(source: av.container.InputContainer, streams: list[av.stream.Stream], container: Container) -> float:
    """Seconds from the first packet to the end of the last.  All are read, none is decoded."""
    begin, end, count = float("inf"), 0.0, 0
    for packet in source.demux(streams):
        if packet.size == 0 or packet.time_base is None:
            continue
        count += 1
        if count > MOST_PACKETS:
            raise WrongMedia(f"a {container.name} file with too many packets")
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            begin = min(begin, float(time * packet.time_base))
            end = max(end, float((time + (packet.duration or 0)) * packet.time_base))
    if count == 0:
        raise WrongMedia(f"a {container.name} file with nothing in it")
    return end - min(max(begin, 0.0), end)


def _agree(measured_s: float, declared_s: float | None, container: Container) -> float | None:
    if declared_s is None or container.slack is None:
        return round(measured_s, 3) or None
    slack_s = max(container.slack[0], container.slack[1] * declared_s)
    if measured_s < declared_s - slack_s:
        raise WrongMedia(f"a cut {container.name} file ({measured_s:.1f} of {declared_s:.1f} seconds)")
    # Longer than declared are MP3s that were made of several, as long speech is.
    return round(declared_s if measured_s <= declared_s + slack_s else measured_s, 3)


POSTER_S: Final = 2.0
DARK: Final = 24
"""Mean brightness, of 255, up to which a frame shows nothing: films like to fade in from black."""


def _poster(path: Path, side: int) -> Image.Image:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    container = _container(sniff(head), head)
    with _broken(f"{container.name} film"), DECODING, _demux(path, container) as source:
        stream = next(stream for stream in source.streams.video if not _is_cover(stream))
        stream.codec_context.thread_count = 1
        brightest: tuple[float, av.video.frame.VideoFrame] | None = None
        for frame in source.decode(stream):
            light = _brightness(frame)
            if brightest is None or light > brightest[0]:
                brightest = light, frame
            if light > DARK or (frame.time or 0) > POSTER_S:
                break
        if brightest is None:
            raise WrongMedia(f"a {container.name} film without a picture")
        return _small(brightest[1], side)


def _brightness(frame: av.video.frame.VideoFrame) -> float:
    pixels = bytes(frame.reformat(width=32, height=32, format="gray").planes[0])
    return sum(pixels) / len(pixels)


def _small(frame: av.video.frame.VideoFrame, side: int) -> Image.Image:
    scale = min(side / max(frame.width, frame.height), 1)
    width, height = max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)
    image: Image.Image = frame.reformat(width=width, height=height).to_image()  # type: ignore[no-untyped-call]
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _inspect_text(file: BinaryIO) -> Media:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while chunk := file.read(2**20):
            if b"\0" in chunk:
                raise WrongMedia("bytes that are no text")
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise WrongMedia("bytes that are no text, or a cut one") from None
    return Media("text", "text/plain", "txt")


def _expect_text(path: Path) -> Media:
    with path.open("rb") as file:
        if not file.read(1):
            raise WrongMedia("an empty file")
        media = _inspect_text(file)
        return replace(media, content_type="application/json", extension="json") if _is_json(file) else media


PARSED_BYTES: Final = 4 * 2**20
"""Longest JSON that is read to see whether it is some: its values take ten times as much memory."""


def _is_json(file: BinaryIO) -> bool:
    """Whether a whole text is a JSON object or array; of a long one only the beginning and the end are looked at."""
    size_bytes = file.seek(0, os.SEEK_END)
    head = _read(file, 0, HEAD_BYTES)
    if sniff(head) != "JSON":
        return False
    if size_bytes > PARSED_BYTES:
        end = _read(file, size_bytes - HEAD_BYTES, HEAD_BYTES).rstrip()
        return end.endswith(b"}" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else b"]")
    try:
        json.loads(_read(file, 0, size_bytes))  # begins as an object or an array does, so it is one or none
    except (ValueError, RecursionError):
        return False
    return True


@contextmanager
def _broken(what: str) -> Iterator[None]:
    """Whatever a decoder makes of broken bytes: Pillow alone has a dozen kinds of exceptions for them."""
    try:
        yield
    except WrongMedia:
        raise
    except Exception as error:
        raise WrongMedia(f"a broken {what}") from error


def _check_pixels(what: str, width: int, height: int, limit_pixels: int) -> None:
    if width < 1 or height < 1:
        raise WrongMedia(f"a broken {what}")
    if width * height > limit_pixels:
        raise WrongMedia(f"a {what} of {width} x {height} pixels, more than {limit_pixels} in all")
