"""S3: where objects stand, and the one class that speaks to it.

A key is a function of what the object belongs to: storing twice is storing once, and no name that a user
chose is ever part of one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self
from urllib.parse import quote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

from shared.errors import ObjectMissing, StorageUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client
    from s3transfer.manager import TransferManager

PART_BYTES: Final = 8 * 2**20
"""Above this an object goes up in parts of this size."""
UPLOAD_THREADS: Final = 8
"""Parts that one process uploads at once, over all its uploads."""
CHUNK_BYTES: Final = 2**20
CONNECTIONS: Final = 50

SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")

#: What a browser may show in place.  All else is saved to a file, and what could run there loses its type.
SHOWN: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/avif",
        "video/mp4",
        "video/webm",
        "video/quicktime",
        "audio/mpeg",
        "audio/wav",
        "audio/ogg",
        "audio/flac",
        "audio/aac",
        "audio/mp4",
        "audio/webm",
    }
)
UNTYPED: Final = "application/octet-stream"
SAVED: Final = frozenset({"text/plain", "application/json", "video/x-matroska", "video/ogg"})

TROUBLE: Final = (
    exceptions.ConnectionError,
    exceptions.CredentialRetrievalError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.NoCredentialsError,
)
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
ALREADY_OURS: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def artifact_key(project_id: str, job_id: str, attempt: int, index: int, extension: str) -> str:
    """Two processes that store the same attempt write the same object."""
    return _key("projects", project_id, "jobs", job_id, f"{attempt}-{index}", extension)


def unchecked_key(project_id: str, job_id: str, attempt: int, index: int) -> str:
    """Bytes of an output that the spool had no room for: nobody has looked yet what they are."""
    return _key("projects", project_id, "jobs", job_id, f"{attempt}-{index}", "unchecked")


def asset_key(project_id: str, asset_id: str, extension: str) -> str:
    return _key("projects", project_id, "assets", asset_id, extension)


def thumbnail_key(key: str) -> str:
    """Beside the object that it shows."""
    return f"{key.rpartition('.')[0]}.thumb.jpg"


def _key(*parts: str) -> str:
    for part in parts:
        if not SEGMENT.fullmatch(part):
            raise ValueError(f"{part!r} cannot be part of an object key")
    return f"{'/'.join(parts[:-1])}.{parts[-1]}"


def delivery_headers(filename: str, content_type: str) -> dict[str, str]:
    """How an object is handed to a browser: nothing that a user sent us can run there (reliability 4.3)."""
    shown = content_type in SHOWN
    if not shown and content_type not in SAVED:
        content_type = UNTYPED
    return {
        "Content-Type": f"{content_type}; charset=utf-8" if content_type == "text/plain" else content_type,
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; {_filename(filename)}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }


def _filename(name: str) -> str:
    """RFC 6266: in ASCII for old readers, and in UTF-8 where that is not the same."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", name).replace("\\", "_").replace("/", "_")
    plain = re.sub(r"[^\x20-\x7e]", "_", name).replace('"', "_").replace("%", "_")
    both = f'filename="{plain}"'
    return both if plain == name else f"{both}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


@dataclass(frozen=True)
class Stored:
    """What S3 says about one object."""

    size_bytes: int
    content_type: str
    etag: str
    """With its quotes, as it stands in a header."""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ByteRange:
    """Bytes of an object, from 0; the last one included, None for the end."""

    first: int
    last: int | None = None


class Opened:
    """An object, or a range of it, while it is read: once, and closed at the end."""

    def __init__(self, stored: Stored, length_bytes: int, body: StreamingBody) -> None:
        self.stored = stored
        self.length_bytes = length_bytes
        """How much comes: less than the size of the object if a range was asked for."""
        self._body = body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """
        Raises:
            StorageUnavailable: S3 broke off.
        """
        with self, _trouble("read an object"):
            yield from self._body.iter_chunks(CHUNK_BYTES)

    def close(self) -> None:
        self._body.close()


WORKER: Final = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
REQUEST: Final = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 1})
"""Somebody waits for the answer."""
PROBE: Final = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 0})


class Store:
    """One bucket.  Safe to share between threads; made once per process, since clients are slow to build.

    Each method raises ObjectMissing if there is no such object and StorageUnavailable for every other
    trouble of S3's.  What is wrong with a call itself is our bug, and rises as botocore says it.
    """

    def __init__(self, bucket: str, region: str, client: S3Client, public: S3Client, probe: S3Client) -> None:
        self.bucket = bucket
        self._region = region
        self._client = client
        self._public = public
        """Signs for the address at which users reach S3; never called."""
        self._probe = probe
        """Gives up early: somebody is waiting for the answer of `check`."""
        self._transfers: TransferManager = create_transfer_manager(
            client,
            TransferConfig(
                multipart_threshold=PART_BYTES,
                multipart_chunksize=PART_BYTES,
                max_concurrency=UPLOAD_THREADS,
                preferred_transfer_client="classic",  # whatever else is installed
            ),
        )

    @classmethod
    def from_settings(cls, settings: Settings, patience: Config | None = None) -> Self:
        """
        Args:
            patience: how long and how often each request is tried; a worker's, which has time, unless it is given.
        """
        session = boto3.session.Session(
            aws_access_key_id=settings.s3_access_key_id or None,
            aws_secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
            region_name=settings.s3_region,
        )
        endpoint = settings.s3_endpoint_url
        public = settings.s3_public_endpoint_url or endpoint
        return cls(
            settings.s3_bucket,
            settings.s3_region,
            client=_build_client(session, endpoint, patience or WORKER),
            public=_build_client(session, public, patience or WORKER),
            probe=_build_client(session, endpoint, PROBE),
        )

    def put_file(self, key: str, path: Path, content_type: str, metadata: Mapping[str, str] | None = None) -> Stored:
        """Upload a file in constant memory, above 8 MiB in parts; `metadata` is ASCII."""
        size_bytes = path.stat().st_size
        if size_bytes > PART_BYTES:
            extra = {"ContentType": content_type, "Metadata": dict(metadata or {})}
            with _trouble(f"write {key}"):
                self._transfers.upload(str(path), self.bucket, key, extra).result()
        else:
            with path.open("rb") as file:
                return self._put(key, file, size_bytes, content_type, metadata)
        return self._confirm(key, size_bytes)

    def put_bytes(
        self, key: str, content: bytes, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> Stored:
        return self._put(key, content, len(content), content_type, metadata)

    def _put(
        self,
        key: str,
        content: bytes | BinaryIO,
        size_bytes: int,
        content_type: str,
        metadata: Mapping[str, str] | None,
    ) -> Stored:
        """One request: S3 takes the body only at its announced length, so what it confirms it has whole."""
        metadata = dict(metadata or {})
        with _trouble(f"write {key}"):
            answer = self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=content,
                ContentLength=size_bytes,
                ContentType=content_type,
                Metadata=metadata,
            )
        return Stored(size_bytes, content_type, answer["ETag"], metadata)

    def _confirm(self, key: str, size_bytes: int) -> Stored:
        """What S3 has must be what we sent before any row says so."""
        stored = self.head(key)
        if stored.size_bytes != size_bytes:
            raise StorageUnavailable(f"S3 has {stored.size_bytes} bytes of {key}, we sent {size_bytes}")
        return stored

    def open(self, key: str, part: ByteRange | None = None) -> Opened:
        """Begin to read an object.  The range must lie within it; its size stands in our own row."""
        extra: dict[str, Any] = {}
        if part is not None:
            extra["Range"] = f"bytes={part.first}-{'' if part.last is None else part.last}"
        with _trouble(f"read {key}"):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **extra)
        total = answer.get("ContentRange", "").rpartition("/")[2]
        length_bytes = answer["ContentLength"]
        stored = Stored(
            int(total) if total.isdecimal() else length_bytes,
            answer.get("ContentType", UNTYPED),
            answer["ETag"],
            answer["Metadata"],
        )
        return Opened(stored, length_bytes, answer["Body"])

    def download(self, key: str, to: Path) -> Stored:
        """An object into a file, in constant memory; on any error the file is gone."""
        try:
            with self.open(key) as opened, to.open("wb") as file:
                for chunk in opened:  # botocore compares with the length that was announced
                    file.write(chunk)
        except BaseException:
            to.unlink(missing_ok=True)
            raise
        return opened.stored

    def head(self, key: str) -> Stored:
        with _trouble(f"look at {key}"):
            answer = self._client.head_object(Bucket=self.bucket, Key=key)
        return Stored(answer["ContentLength"], answer.get("ContentType", UNTYPED), answer["ETag"], answer["Metadata"])

    def delete(self, key: str) -> None:
        """To delete what is not there is done, too."""
        with _trouble(f"delete {key}"):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def presign(self, key: str, filename: str, content_type: str, expires_s: int) -> str:
        """A link that needs no key for so long.  Nothing is sent; whether the object exists is not looked at."""
        headers = delivery_headers(filename, content_type)
        return self._public.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentType": headers["Content-Type"],
                "ResponseContentDisposition": headers["Content-Disposition"],
            },
            ExpiresIn=expires_s,
        )

    def ensure_bucket(self) -> None:
        """Make the bucket if it is missing; several processes may do so at once."""
        with _trouble(f"find the bucket {self.bucket}"):
            try:
                self._client.head_bucket(Bucket=self.bucket)
                return
            except ClientError as error:
                if _code(error) not in MISSING:
                    raise
        where: Any = {}
        if self._region != "us-east-1":  # which must not be named
            where = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        with _trouble(f"make the bucket {self.bucket}"):
            try:
                self._client.create_bucket(Bucket=self.bucket, **where)
            except ClientError as error:
                if _code(error) not in ALREADY_OURS:
                    raise

    def check(self) -> None:
        """Write, read and delete an object, to know that all three are possible; takes some seconds at most.

        Raises:
            StorageUnavailable: one of them is not.
        """
        key = f"probes/{uuid.uuid4()}"
        try:
            with _trouble("write, read and delete a probe"):
                self._probe.put_object(Bucket=self.bucket, Key=key, Body=key.encode())
                content = self._probe.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                self._probe.delete_object(Bucket=self.bucket, Key=key)
        except ObjectMissing as error:
            raise StorageUnavailable("S3 does not find what we just wrote") from error
        if content != key.encode():
            raise StorageUnavailable("S3 gave back other bytes than we wrote")

    def close(self) -> None:
        self._transfers.shutdown()
        for client in (self._client, self._public, self._probe):
            client.close()


def _build_client(session: boto3.session.Session, endpoint: str, patience: Config) -> S3Client:
    config = patience.merge(
        Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            max_pool_connections=CONNECTIONS,
            # Else uploads carry a trailing checksum that not every S3 understands.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # A proxy of the environment could not reach the S3 of this machine.
            proxies={} if _is_loopback(endpoint) else None,
        )
    )
    return session.client("s3", endpoint_url=endpoint or None, config=config)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _trouble(act: str) -> Iterator[None]:
    """Two errors in place of botocore's many; `act` goes into the message."""
    try:
        yield
    except ClientError as error:
        if _code(error) in MISSING:
            raise ObjectMissing(f"could not {act}: there is no such object") from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        raise StorageUnavailable(f"could not {act}: S3 answered {status} {_code(error)}") from error
    except TROUBLE as error:
        raise StorageUnavailable(f"could not {act}: {type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
