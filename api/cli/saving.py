"""Results on their way to a folder, each under a name of its own; what is there already is left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.client import ApiError, Artifact, BadDownload, Darkroom, Job


@dataclass(frozen=True)
class Saved:
    """What became of one artifact."""

    job_id: str
    artifact_id: str
    file: Path
    outcome: str
    """`saved`, `there` (whole, since before), or `failed`."""
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        told = {"job_id": self.job_id, "artifact_id": self.artifact_id, "file": str(self.file), "outcome": self.outcome}
        return told | ({"trouble": self.trouble} if self.trouble else {})

    @property
    def told(self) -> str:
        if self.outcome == "failed":
            return f"{self.file} could not be saved: {self.trouble}"
        return f"saved {self.file}" if self.outcome == "saved" else f"{self.file} is there already"


def save(client: Darkroom, job: Job, out_dir: Path) -> Iterator[Saved]:
    """Download the artifacts of a finished job, one after the other; one that is broken does not stop the others.

    Raises:
        Unreachable: the API, or where it keeps the bytes, does not answer any more.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for artifact in job.artifacts:
        file = out_dir / _name(job, artifact)
        outcome, trouble = "there", ""
        if not _is_whole(file, artifact):
            try:
                client.artifacts.download(artifact, file)
                outcome = "saved"
            except (ApiError, BadDownload) as error:
                outcome, trouble = "failed", str(error)
        yield Saved(job.id, artifact.id, file, outcome, trouble)


def _name(job: Job, artifact: Artifact) -> str:
    number = f"-{artifact.index}" if len(job.artifacts) > 1 else ""
    late = f"-attempt-{artifact.raw['attempt']}" if artifact.raw.get("late") else ""
    return f"{job.id}{late}{number}.{artifact.extension}"


def _is_whole(file: Path, artifact: Artifact) -> bool:
    """A download appears under its name when it is whole, so the size tells it from somebody else's file."""
    try:
        return artifact.size_bytes is not None and file.stat().st_size == artifact.size_bytes
    except FileNotFoundError:
        return False
