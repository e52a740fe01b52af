"""Speech, transcripts, vectors and ranks, from a dispatched job to its artifact or its `result`."""

from __future__ import annotations

import base64
import io
import json
import wave
from typing import Any

import av
import pytest

from deploy.sandbox.routes import vectors
from deploy.sandbox.studio import sounds
from shared.lifecycle import Cause, State
from shared.tables import Artifact, Job, JobRequest
from tests import rows
from tests.sandbox import SandboxServer
from workers import store, submit
from workers.ports import Ports

MODELS = {
    "audio.speech": "tts-1",
    "audio.transcription": "whisper-1",
    "audio.translation": "whisper-1",
    "embedding.create": "text-embedding-3-small",
    "rerank": "jina-reranker-v2-base-multilingual",
}
TUNE_S = 6.0


def ended(ports: Ports, operation: str, *tags: str, **columns: Any) -> Job:
    """A job of this operation after its paid call."""
    asked = {"model": MODELS[operation], "prompt": rows.prompt(*tags), "operation": operation, **columns}
    job = rows.make(ports, **asked)
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def speech(ports: Ports, *tags: str, **params: Any) -> Job:
    return ended(ports, "audio.speech", *tags, params={"voice": "alloy", **params})


def content_of(ports: Ports, artifact: Artifact) -> bytes:
    with ports.store.open(artifact.object_key) as opened:
        return b"".join(opened)


def result_of(ports: Ports, job: Job) -> dict[str, Any]:
    assert job.state is State.SUCCEEDED, job.state_reason
    return dict(rows.result(ports, job).result or {})


def data_url(content: bytes, content_type: str = "audio/mpeg") -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


TUNE = data_url(sounds.encode("a" * 100, "mp3"))
WAV = sounds.encode("a" * 100, "wav")


def paid(sandbox: SandboxServer, ports: Ports, job: Job) -> list[str]:
    with ports.transaction() as session:
        asked = session.get(JobRequest, job.id)
        assert asked is not None
    return [entry["kind"] for entry in sandbox.ledger(asked.prompt.split(" [[")[0])]


# Speech.


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        (None, "audio/mpeg"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/wav"),
    ],
)
def test_speech_is_stored_as_the_sound_that_was_asked_for(
    ports: Ports, sandbox: SandboxServer, form: str | None, content_type: str
) -> None:
    job = speech(ports, response_format=form)

    assert job.state is State.SUCCEEDED, job.state_reason
    (artifact,) = rows.artifacts(ports, job)
    assert (artifact.kind, artifact.content_type) == ("audio", content_type)
    assert artifact.duration_seconds == pytest.approx(len("boat ") * 0.06 + 32 * 0.06, abs=0.1)
    assert ports.store.head(artifact.object_key).size_bytes == artifact.size_bytes
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert paid(sandbox, ports, job) == ["audio.speech"]


def test_pcm_is_stored_with_a_header_and_every_sample(ports: Ports) -> None:
    job = speech(ports, input="Mind the gap.", response_format="pcm")

    (artifact,) = rows.artifacts(ports, job)
    with wave.open(io.BytesIO(content_of(ports, artifact))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
        assert sound.readframes(sound.getnframes()) == sounds.samples("Mind the gap.")


@pytest.mark.parametrize("form", ["mp3", "pcm"])
@pytest.mark.parametrize("variant", ["octet_stream", "sse"])
def test_speech_in_whatever_shape_is_stored(ports: Ports, variant: str, form: str) -> None:
    job = speech(ports, f"variant={variant}", response_format=form)

    assert job.state is State.SUCCEEDED, job.state_reason
    assert [artifact.kind for artifact in rows.artifacts(ports, job)] == ["audio"]


def test_a_stream_that_was_asked_for_is_one_sound_and_its_usage(ports: Ports) -> None:
    job = speech(ports, stream_format="sse")

    assert result_of(ports, job)["usage"]["input_tokens"] == 14
    assert len(rows.artifacts(ports, job)) == 1


@pytest.mark.parametrize("tag", ["variant=empty", "variant=html200", "cut=mid_body", "fail_after=524"])
def test_when_no_sound_came_and_it_may_be_paid_the_job_is_held(ports: Ports, sandbox: SandboxServer, tag: str) -> None:
    job = speech(ports, tag)

    assert job.state is State.HELD
    assert rows.error(ports, job)["class"] == "unknown_outcome"
    assert rows.artifacts(ports, job) == []
    assert paid(sandbox, ports, job) == ["audio.speech"]


def test_half_a_sound_is_no_artifact(ports: Ports) -> None:
    job = speech(ports, "variant=short")

    assert job.state is State.STORING
    assert "cut MP3" in (job.state_reason or "")
    assert rows.artifacts(ports, job) == []


@pytest.mark.parametrize(
    ("tag", "state", "error_class"),
    [
        ("fail=400", State.FAILED, "invalid_request"),
        ("fail=moderation", State.FAILED, "content_policy"),
        ("fail=429", State.QUEUED, "rate_limited"),
        ("fail=503", State.QUEUED, "unavailable"),
    ],
)
def test_what_the_gateway_refuses_costs_nothing(
    ports: Ports, sandbox: SandboxServer, tag: str, state: State, error_class: str
) -> None:
    job = speech(ports, tag)

    assert job.state is state
    assert rows.error(ports, job)["class"] == error_class
    assert paid(sandbox, ports, job) == []


# Listening.


def test_what_was_spoken_can_be_written_down(ports: Ports) -> None:
    spoken = speech(ports)
    (artifact,) = rows.artifacts(ports, spoken)

    by_artifact, by_job = (
        ended(ports, "audio.transcription", project_id=spoken.project_id, inputs={"audio": [named]})
        for named in (artifact.id, {"job": spoken.id, "index": 0})
    )

    for job in (by_artifact, by_job):
        result = result_of(ports, job)
        assert result["format"] == "json"
        assert f"of audio-0.mp3, which lasts {artifact.duration_seconds:.1f} seconds." in result["text"]
        assert rows.artifacts(ports, job) == []
        assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]


@pytest.mark.parametrize("form", sounds.FORMS)
def test_sounds_of_every_form_are_written_down(ports: Ports, form: str) -> None:
    named = data_url(sounds.encode("a" * 100, form))

    job = ended(ports, "audio.transcription", inputs={"audio": [named]})

    assert ", which lasts 6." in result_of(ports, job)["text"]


def film(container: str) -> bytes:
    """A black picture for as long as a tune lasts."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as target, av.open(io.BytesIO(WAV), "r") as tune:
        picture, sound = target.add_stream("libx264", rate=1), target.add_stream("aac", rate=sounds.RATE_HZ)
        assert isinstance(picture, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for _ in range(round(TUNE_S)):
            target.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(picture.encode(None))
        for frame in tune.decode(audio=0):
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_the_sound_of_a_film_is_written_down(ports: Ports, container: str) -> None:
    job = ended(ports, "audio.transcription", inputs={"audio": [data_url(film(container), "video/mp4")]})

    assert "of audio-0.mp4, which lasts 6." in result_of(ports, job)["text"]


def test_a_film_that_the_gateway_takes_under_no_name_fails_the_job_before_anything_is_paid(
    ports: Ports, sandbox: SandboxServer
) -> None:
    job = ended(ports, "audio.transcription", inputs={"audio": [data_url(film("matroska"), "video/x-matroska")]})

    assert job.state is State.FAILED
    assert rows.error(ports, job)["code"] == "input_refused"
    assert "no file of video/x-matroska" in (job.state_reason or "")
    assert paid(sandbox, ports, job) == []


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
@pytest.mark.parametrize("tags", [(), ("variant=wrapped",)])
def test_texts_and_subtitles_are_a_file_too(ports: Ports, form: str, tags: tuple[str, ...]) -> None:
    job = ended(ports, "audio.transcription", *tags, inputs={"audio": [TUNE]}, params={"response_format": form})

    result = result_of(ports, job)
    (artifact,) = rows.artifacts(ports, job)
    assert result["format"] == form
    assert (artifact.kind, artifact.content_type) == ("text", "text/plain")
    assert content_of(ports, artifact).decode() == result["text"]


def test_times_of_words_and_segments_are_told_when_both_are_asked_for(ports: Ports) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"], "language": "en"}

    job = ended(ports, "audio.transcription", inputs={"audio": [TUNE]}, params=asked)

    result = result_of(ports, job)
    assert (result["format"], result["language"]) == ("verbose_json", "english")
    assert result["duration"] == pytest.approx(TUNE_S, abs=0.1)
    assert [segment["id"] for segment in result["segments"]] == [0, 1]
    assert [word["word"] for word in result["words"]] == result["text"].split()


def test_a_translation_says_so(ports: Ports, sandbox: SandboxServer) -> None:
    asked = {"response_format": "verbose_json"}

    job = ended(ports, "audio.translation", inputs={"audio": [TUNE]}, params=asked)

    assert result_of(ports, job)["task"] == "translate"
    assert paid(sandbox, ports, job) == ["audio.translation"]


def test_nothing_said_is_a_result(ports: Ports) -> None:
    job = ended(ports, "audio.transcription", "variant=silence", inputs={"audio": [TUNE]})

    assert result_of(ports, job) == {"format": "json", "text": ""}


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("data:text/plain;base64,SGVsbG8=", "expected audio or a video, got text"),
        (data_url(WAV[:5000]), "a cut WAV file"),
    ],
)
def test_what_cannot_be_listened_to_fails_the_job_before_anything_is_paid(
    ports: Ports, sandbox: SandboxServer, named: str, told: str
) -> None:
    job = ended(ports, "audio.transcription", inputs={"audio": [named]})

    assert job.state is State.FAILED
    assert told in (job.state_reason or "")
    assert paid(sandbox, ports, job) == []


@pytest.mark.parametrize("tag", ["variant=empty", "variant=html200", "fail_after=502"])
def test_a_transcript_that_may_be_paid_and_did_not_come_holds_the_job(ports: Ports, tag: str) -> None:
    job = ended(ports, "audio.transcription", tag, inputs={"audio": [TUNE]})

    assert job.state is State.HELD


# Vectors and ranks.


@pytest.mark.parametrize("tags", [(), ("variant=backwards",)])
def test_vectors_are_in_the_row_in_the_order_of_their_texts(ports: Ports, tags: tuple[str, ...]) -> None:
    texts = [rows.prompt(*tags), "a tide"]

    job = ended(ports, "embedding.create", prompt="", params={"input": texts, "dimensions": 8})

    result = result_of(ports, job)
    assert [item["index"] for item in result["data"]] == [0, 1]
    assert result["data"][1]["embedding"] == pytest.approx(vectors.vector("a tide", 8))
    assert result["model"] == "text-embedding-3-small"
    assert result["usage"]["total_tokens"] > 0
    assert rows.artifacts(ports, job) == []


def test_base64_vectors_are_kept_as_they_came(ports: Ports) -> None:
    job = ended(ports, "embedding.create", params={"dimensions": 8, "encoding_format": "base64"})

    (item,) = result_of(ports, job)["data"]
    assert len(base64.b64decode(item["embedding"])) == 8 * 4


def test_vectors_too_long_for_a_row_are_an_artifact_of_json(ports: Ports) -> None:
    texts = [f"{rows.prompt()} {number}" for number in range(8)]

    job = ended(ports, "embedding.create", prompt="", params={"input": texts})

    result = result_of(ports, job)
    artifact = rows.artifacts(ports, job)[result["artifact_index"]]
    whole = json.loads(content_of(ports, artifact))
    assert (artifact.kind, artifact.content_type) == ("text", "application/json")
    assert artifact.object_key.endswith(".json")
    assert artifact.size_bytes > submit.RESULT_MOST_BYTES
    assert result == {"model": whole["model"], "usage": whole["usage"], "artifact_index": 0}
    assert [len(item["embedding"]) for item in whole["data"]] == [1536] * 8
    assert whole["data"][3]["embedding"] == pytest.approx(vectors.vector(texts[3], 1536))
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]


def test_a_long_result_survives_the_process_that_got_it(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was paid for is in the spool before the row says so; another process of the host stores it."""
    texts = [f"{rows.prompt()} {number}" for number in range(8)]
    with monkeypatch.context() as dies:
        dies.setattr(store, "store_claimed", lambda claim, ports: None)
        job = ended(ports, "embedding.create", prompt="", params={"input": texts})
    assert job.state is State.STORING

    with ports.transaction() as session:
        held = session.get(Job, job.id)
        assert held is not None
        held.claimed_by, held.due_at = None, held.created_at
    store.store([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert len(rows.artifacts(ports, job)) == 1


@pytest.mark.parametrize("tag", ["variant=fewer", "variant=html200"])
def test_vectors_that_are_missing_hold_the_job(ports: Ports, tag: str) -> None:
    job = ended(ports, "embedding.create", tag)

    assert job.state is State.HELD


@pytest.mark.parametrize("tags", [(), ("variant=texts",), ("variant=meta",)])
def test_ranks_name_the_best_document_first(ports: Ports, tags: tuple[str, ...]) -> None:
    documents = ["wood", "a boat", {"text": "no boat"}]

    job = ended(ports, "rerank", *tags, params={"documents": documents, "top_n": 2})

    result = result_of(ports, job)
    assert [item["index"] for item in result["results"]] == [1, 2]
    assert [item["document"] for item in result["results"]] == [{"text": "a boat"}, {"text": "no boat"}]
    assert result["usage"]["total_tokens"] > 0
    assert rows.artifacts(ports, job) == []
