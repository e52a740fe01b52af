"""What files are: real ones of every form, cut ones, broken ones, and what gateways send in place of media."""

from __future__ import annotations

import io
import json
import math
import random
import struct
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest
from PIL import Image, ImageFile

from shared import media
from shared.errors import WrongMedia
from shared.media import Kind, Media

LIMIT_PIXELS = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Named as a gateway might, and wrongly: nothing is read from the name."""
    return tmp_path / "video.bin"


def picture(form: str, mode: str = "RGB", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(file, form, **options)
    return file.getvalue()


def film(form: str = "mp4", codec: str = "libx264", sound: str | None = None, black: int = 0, **options: str) -> bytes:
    """One second of noise at 20 frames a second, after so many black frames."""
    with TemporaryDirectory() as folder:  # an index that goes to the front needs a real file
        path = Path(folder) / "film"
        with av.open(str(path), "w", format=form, options=options) as target:
            stream = target.add_stream(codec, rate=20)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.options = {"g": "5"}
            if sound:
                add_sound(target, sound)
            for index in range(black + 20):
                target.mux(stream.encode(frame(Image.new("RGB", (64, 48)) if index < black else NOISE)))
            target.mux(stream.encode(None))
        return path.read_bytes()


NOISE = Image.effect_noise((64, 48), 80).convert("RGB")


def frame(image: Image.Image) -> av.VideoFrame:
    made: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return made


def song(form: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as target:
        add_sound(target, codec)
    return file.getvalue()


def add_sound(target: av.container.OutputContainer, codec: str, rate: int = 48_000) -> None:
    """One second of a tone."""
    stream = target.add_stream(codec, rate=rate)
    assert isinstance(stream, av.AudioStream)
    context = stream.codec_context
    resampler = av.AudioResampler(context.format, context.layout, rate, frame_size=context.frame_size or 1024)
    tone = av.AudioFrame(format="s16", layout="mono", samples=rate)
    tone.planes[0].update(array("h", (int(8000 * math.sin(at / 20)) for at in range(rate))).tobytes())
    tone.sample_rate, tone.pts, tone.time_base = rate, 0, Fraction(1, rate)
    for part in [*resampler.resample(tone), *resampler.resample(None)]:
        target.mux(stream.encode(part))
    target.mux(stream.encode(None))


PICTURES: dict[str, Callable[[], bytes]] = {
    "image/png": lambda: picture("PNG"),
    "image/jpeg": lambda: picture("JPEG"),
    "image/webp": lambda: picture("WEBP"),
    "image/gif": lambda: picture("GIF"),
    "image/avif": lambda: picture("AVIF"),
}
FILMS: dict[str, Callable[[], bytes]] = {
    "video/mp4": lambda: film(sound="aac"),
    "video/mp4 index first": lambda: film(movflags="faststart"),
    "video/mp4 in fragments": lambda: film(movflags="frag_keyframe+empty_moov"),
    "video/quicktime": lambda: film("mov"),
    "video/webm": lambda: film("webm", "libvpx", "libopus"),
    "video/x-matroska": lambda: film("matroska", sound="aac"),
}
SONGS: dict[str, Callable[[], bytes]] = {
    "audio/mpeg": lambda: song("mp3", "libmp3lame"),
    "audio/wav": lambda: song("wav", "pcm_s16le"),
    "audio/ogg": lambda: song("ogg", "libopus"),
    "audio/flac": lambda: song("flac", "flac"),
    "audio/aac": lambda: song("adts", "aac"),
    "audio/mp4": lambda: song("mp4", "aac"),
    "audio/webm": lambda: song("webm", "libopus"),
}
ALL = {**PICTURES, **FILMS, **SONGS}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_measured(path: Path, name: str) -> None:
    path.write_bytes(PICTURES[name]())

    found = media.expect(path, ("image",), LIMIT_PIXELS)

    assert found == Media("image", name, found.extension, 60, 40)


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_measured(path: Path, name: str) -> None:
    path.write_bytes(FILMS[name]())

    found = media.expect(path, ("video",), LIMIT_PIXELS)

    assert (found.kind, found.content_type) == ("video", name.split()[0])
    assert (found.width, found.height) == (64, 48)
    assert found.duration_seconds == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("name", SONGS)
def test_a_sound_is_measured(path: Path, name: str) -> None:
    path.write_bytes(SONGS[name]())

    found = media.expect(path, ("audio",), LIMIT_PIXELS)

    assert (found.kind, found.content_type, found.width) == ("audio", name, None)
    assert found.duration_seconds == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", ALL)
def test_a_cut_file_is_noticed_wherever_it_is_cut(path: Path, name: str) -> None:
    whole = ALL[name]()
    # The last frames of an MP3 or FLAC may be missing without notice: nothing says how long they are.
    tail = len(whole) // 5 if name in ("audio/mpeg", "audio/flac") else 20

    unseen = adts_frames(whole) if name == "audio/aac" else set()
    for kept in {*range(0, len(whole) - tail, max(len(whole) // 25, 1)), len(whole) - tail} - unseen:
        path.write_bytes(whole[:kept])
        with pytest.raises(WrongMedia):
            media.inspect(path, LIMIT_PIXELS)


def adts_frames(whole: bytes) -> set[int]:
    """Where the frames of an ADTS stream begin: it knows no length, so a cut between two of them leaves a whole one."""
    found, at = set(), 0
    while at < len(whole):
        at += (whole[at + 3] & 3) << 11 | whole[at + 4] << 3 | whole[at + 5] >> 5
        found.add(at)
    return found


def test_a_cut_film_is_called_so(path: Path) -> None:
    whole = film(movflags="faststart")
    path.write_bytes(whole[:-1])

    with pytest.raises(WrongMedia, match=f"expected a video, got a cut MP4 file .{len(whole) - 1} of at least "):
        media.expect(path, ("video",), LIMIT_PIXELS)


@pytest.mark.parametrize("name", ALL)
def test_broken_bytes_are_wrong_media_and_no_other_error(path: Path, tmp_path: Path, name: str) -> None:
    whole = ALL[name]()
    chance = random.Random(name)

    for _ in range(12):
        broken = bytearray(whole)
        for _ in range(chance.choice((1, 5, 30))):
            broken[chance.randrange(min(len(broken), chance.choice((64, 1024, len(broken)))))] = chance.randrange(256)
        path.write_bytes(broken)
        try:
            found = media.inspect(path, LIMIT_PIXELS)
            media.thumbnail(path, found, tmp_path / "small.jpg")
        except WrongMedia:
            pass


def test_a_whole_pdf_is_a_document(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n")

    assert media.expect(path, ("image", "document"), LIMIT_PIXELS) == Media("document", "application/pdf", "pdf")


PAGE = b"\n<!DOCTYPE html>\n<html><title>502 Bad Gateway</title></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "an empty file"),
        (PAGE, "an HTML page"),
        (b"\xef\xbb\xbf" + PAGE, "an HTML page"),
        (b"<!-- x --><HTML></HTML>", "an HTML page"),
        (SVG, "an SVG drawing"),
        (b"<svg/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML: .*AccessDenied"),
        (b'{"error": {"message": "no such task"}}', r'JSON: {"error": {"message": "no such task"}}'),
        (b"\n[]", r"JSON: \[\]"),
        (b"I cannot draw that.", "text"),
        (b"%PDF-1.7\n%%EOF\n", "a PDF"),
        (b"%PDF-1.7\n1 0 obj", "a cut PDF"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"II*\x00rest", "a TIFF picture"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "a HEIF picture"),
        (b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n", "a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "text"),
        (b"\x01\x02\x03\x04", "unknown bytes .01 02 03 04"),
        (bytes(1000), "unknown bytes"),
        (b"\xff\xfb" + bytes(1000), "a broken MP3 file"),
        (b"RIFF\x10\x00\x00\x00WEBP", "a broken WEBP picture"),
        (b"\x1a\x45\xdf\xa3", "a (cut|broken) Matroska file"),
    ],
)
@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_what_came_in_place_of_media_is_named(path: Path, content: bytes, name: str, kind: Kind) -> None:
    path.write_bytes(content)

    with pytest.raises(WrongMedia, match=f"expected .*, got {name}"):
        media.expect(path, (kind,), LIMIT_PIXELS)


def test_an_error_in_words_is_quoted_in_short_and_without_signatures(path: Path) -> None:
    path.write_text(json.dumps({"url": "https://h/a.png?X-Amz-Signature=secret", "text": "word " * 100}))

    with pytest.raises(WrongMedia) as error:
        media.inspect(path, LIMIT_PIXELS)

    assert "https://h/a.png?…" in str(error.value)
    assert "secret" not in str(error.value)
    assert len(str(error.value)) < 120


def test_another_kind_than_expected_is_named(path: Path) -> None:
    path.write_bytes(picture("PNG"))

    with pytest.raises(WrongMedia, match=r"expected a video, got an image \(image/png\)"):
        media.expect(path, ("video",), LIMIT_PIXELS)


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "ü" * 3_000_000,
        "<p>hello",
        PAGE.decode(),
        "[music] la la [music]",
        "[no speech]",
        "{laughs} hello",
        '{"text": "cut',
        '{"text": "whole"} and more',
        '"a text in quotes"',
        "12",
        "[" * 100_000,
    ],
)
def test_any_whole_text_is_a_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

    assert media.expect(path, ("text",), LIMIT_PIXELS) == Media("text", "text/plain", "txt")


JSON = Media("text", "application/json", "json")


@pytest.mark.parametrize("text", ["{}", '{"words": []}', "[]", "\n [0.5, -1]\n", "\ufeff{}", json.dumps(["ü" * 9_000])])
def test_a_text_that_is_json_is_told_apart(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

    assert media.expect(path, ("text",), LIMIT_PIXELS) == JSON


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ('{"data": [0.5, %s 1]}\n', "application/json"),
        ("\ufeff[0.5, %s 1] \n\n", "application/json"),
        ('{"data": [0.5, %s 1]', "text/plain"),
        ("[0.5, %s 1", "text/plain"),
        ("[music] %s [music]", "text/plain"),
    ],
)
def test_a_long_json_is_known_by_its_beginning_and_its_end_and_never_parsed(
    path: Path, monkeypatch: pytest.MonkeyPatch, text: str, content_type: str
) -> None:
    path.write_text(text.replace("%s", "0.25, " * 800_000), encoding="utf-8")
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))

    assert media.expect(path, ("text",), LIMIT_PIXELS).content_type == content_type


@pytest.mark.parametrize("content", [b"", "ü".encode()[:1], b"a" * 5000 + b"\xff", b"a\x00"])
def test_what_is_not_whole_utf8_is_no_text(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(WrongMedia, match="expected text, got"):
        media.expect(path, ("text",), LIMIT_PIXELS)


def test_a_file_that_is_not_there_is_our_own_trouble(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        media.inspect(path, LIMIT_PIXELS)


def test_a_bomb_is_refused_before_it_is_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    path.write_bytes(file.getvalue())
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("was decoded"))

    with pytest.raises(WrongMedia, match="9000 x 9000 pixels, more than 1000000"):
        media.inspect(path, LIMIT_PIXELS)
    assert path.stat().st_size < 20_000


def test_a_film_of_too_many_pixels_is_refused(path: Path) -> None:
    path.write_bytes(film())

    with pytest.raises(WrongMedia, match="64 x 48 pixels, more than 1000 in all"):
        media.inspect(path, 1000)


def test_a_picture_that_exif_turns_is_measured_and_shown_upright(path: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(picture("JPEG", exif=exif))

    found = media.inspect(path, LIMIT_PIXELS)
    media.thumbnail(path, found, tmp_path / "small.jpg", side=30)

    assert (found.width, found.height) == (40, 60)
    assert size_of(tmp_path / "small.jpg") == (20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_of_any_colours_is_shown_small(path: Path, tmp_path: Path, mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (1000, 500)).save(file, "PNG")
    path.write_bytes(file.getvalue())

    assert media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg", side=100)
    assert size_of(tmp_path / "small.jpg") == (100, 50)


def test_a_cmyk_picture_is_shown_small(path: Path, tmp_path: Path) -> None:
    path.write_bytes(picture("JPEG", "CMYK"))

    assert media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg")


def test_what_is_transparent_is_shown_on_white(path: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(file, "PNG")
    path.write_bytes(file.getvalue())

    media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg")

    assert brightness_of(tmp_path / "small.jpg") > 250


def test_a_small_picture_is_not_blown_up(path: Path, tmp_path: Path) -> None:
    path.write_bytes(picture("WEBP"))

    media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg", side=512)

    assert size_of(tmp_path / "small.jpg") == (60, 40)


@pytest.mark.parametrize("name", FILMS)
def test_a_film_has_a_poster(path: Path, tmp_path: Path, name: str) -> None:
    path.write_bytes(FILMS[name]())

    assert media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg", side=32)
    assert size_of(tmp_path / "small.jpg") == (32, 24)


def test_the_poster_waits_until_there_is_something_to_see(path: Path, tmp_path: Path) -> None:
    path.write_bytes(film(black=10))

    media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg")

    assert brightness_of(tmp_path / "small.jpg") > 50


def test_a_film_that_stays_black_has_a_black_poster(path: Path, tmp_path: Path) -> None:
    path.write_bytes(film(black=60))

    assert media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg")
    assert brightness_of(tmp_path / "small.jpg") < 10


def test_a_sound_has_no_thumbnail(path: Path, tmp_path: Path) -> None:
    path.write_bytes(song("mp3", "libmp3lame"))

    assert not media.thumbnail(path, media.inspect(path, LIMIT_PIXELS), tmp_path / "small.jpg")
    assert not (tmp_path / "small.jpg").exists()


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_speech_that_was_streamed_without_a_length_is_whole(path: Path, length: int) -> None:
    sound = bytearray(song("wav", "pcm_s16le"))
    at = sound.index(b"data") + 4
    sound[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(sound)

    assert media.inspect(path, LIMIT_PIXELS).duration_seconds == pytest.approx(1.0, abs=0.05)


def test_speech_that_was_put_together_from_parts_has_the_length_of_all(path: Path) -> None:
    path.write_bytes(song("mp3", "libmp3lame") * 3)

    assert media.inspect(path, LIMIT_PIXELS).duration_seconds == pytest.approx(3.0, abs=0.2)


def test_what_somebody_appended_to_a_film_does_not_make_it_cut(path: Path) -> None:
    path.write_bytes(film() + bytes(100))
    media.inspect(path, LIMIT_PIXELS)

    path.write_bytes(film() + b"\xff\xfe\xfd\xfc" * 10)
    media.inspect(path, LIMIT_PIXELS)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path, formats=["JPEG"]) as image:
        return image.size


def brightness_of(path: Path) -> float:
    with Image.open(path, formats=["JPEG"]) as image:
        pixels = image.convert("L").tobytes()
    return sum(pixels) / len(pixels)
