"""Every setting of Darkroom: meaning, unit, default.  Built once by each entry point and handed down.

Read from the environment (`DARKROOM_…`) and from `.env` in the working directory; nothing reads either
at import.  The table in the README is made from these docstrings, and a test compares them.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.credentials import CREDENTIAL, Credential
from shared.errors import SettingsError

Network = IPv4Network | IPv6Network


class Settings(BaseSettings):
    """One frozen value; `Settings.load()` builds it or says in one sentence per field what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix="DARKROOM_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path(".darkroom")
    """Folder of `darkroom up` (embedded servers, `runtime.json`) and of the spool of paid results not yet in S3, which
    must survive a restart of the host: a disk, not a file system in memory."""

    gateway_base_url: str = "https://api.allmhub.com"
    """The gateway, without `/v1`."""
    gateway_api_key: SecretStr | None = None
    """The gateway's key. Without one, `darkroom up` starts the sandbox gateway and uses that."""
    gateway_access_token: SecretStr | None = None
    """The access token of the gateway's console, which opens the whole account. Only the user's balance needs it."""
    gateway_user_id: int | None = Field(None, ge=1)
    """The number of the user whose access token that is. Empty with an empty token: no balance of a user is shown."""
    gateways: Annotated[tuple[Credential, ...], NoDecode] = ()
    """Several credentials, as a JSON list: see `docs/credentials.md`. Empty: the one of the settings above."""

    database_url: str = ""
    """PostgreSQL 15 or newer, as `postgresql://user:password@host:5432/name`. Empty: the embedded one."""
    broker_url: str = ""
    """The Celery broker, as `redis://:password@host:6379/0`. Empty: the embedded Redis."""

    s3_endpoint_url: str = ""
    """S3's address. Empty: the embedded SeaweedFS."""
    s3_public_endpoint_url: str = ""
    """The same S3 as browsers and users reach it, for presigned URLs. Empty: `DARKROOM_S3_ENDPOINT_URL`."""
    s3_bucket: str = "darkroom"
    """The bucket that holds everything; made at the first start if it is missing."""
    s3_region: str = "us-east-1"
    """The bucket's region."""
    s3_access_key_id: str = ""
    """S3's key id. Empty with an empty secret: boto3's own search (instance role, profile)."""
    s3_secret_access_key: SecretStr = SecretStr("")
    """S3's secret."""

    catalog: Path | None = None
    """A TOML file that adds models and lanes to the built-in catalog, or changes them."""
    allowed_private_nets: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks (CIDR, with commas) that inputs, results and webhooks may use although they are private."""

    public_url: str = ""
    """Where users reach the API, for the links in its answers. Empty: the address that the caller used."""
    artifact_delivery: Literal["redirect", "proxy"] = "redirect"
    """How `/content` is served: a redirect to a presigned URL, or streamed through the API with ranges."""
    presign_s: int = Field(3600, ge=60, le=7 * 86400)
    """How long a presigned URL lasts, in seconds."""
    admin_key: SecretStr | None = None
    """An admin key that `darkroom prepare` makes sure of, as `dk_…`. Empty: it makes one if there is none."""
    json_limit_bytes: int = Field(16 * 2**20, ge=2**10)
    """The largest JSON body of a request."""
    upload_limit_bytes: int = Field(100 * 2**20, ge=2**10)
    """The largest upload to `/v1/assets`, and the largest input that is fetched."""
    result_limit_bytes: int = Field(4 * 2**30, ge=2**20)
    """The largest result that is fetched and stored."""
    image_limit_pixels: int = Field(100_000_000, ge=1)
    """The largest picture that is decoded, width times height."""

    worker_threads: int = Field(200, ge=1, le=2000)
    """Celery threads of one worker process: how many hints it works on at once."""
    database_pool: int = Field(20, ge=2, le=200)
    """Database connections of one process, at most."""
    tick_s: float = Field(1.0, gt=0, le=30)
    """How often each worker process looks for rows that no hint named."""
    heartbeat_s: float = Field(5.0, gt=0)
    """How often a worker process says that it lives."""
    dead_after_s: float = Field(30.0, gt=0)
    """After this long without a heartbeat a process counts as dead, and its claims are taken back."""
    hint_lost_after_s: float = Field(60.0, gt=0)
    """After this long a dispatched job that nobody claimed goes back to the queue."""
    poll_timeout_s: float = Field(30.0, gt=0)
    """Longest wait for one look at an upstream task."""
    poll_batch: int = Field(500, ge=1, le=5000)
    """How many due rows one look at the running jobs takes at once."""
    poll_rate: int = Field(400, ge=1, le=10_000)
    """How many questions about upstream tasks one worker process asks one gateway in a second, at most. 10,000 films of
    three minutes want some 320."""
    drain_seconds: float = Field(330.0, ge=0)
    """How long a stopping worker lets paid calls finish."""
    exit_on_lost_tick_s: float = Field(30.0, gt=0)
    """After this long without a tick a worker process says so and exits, to be started again."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written."""
    log_format: Literal["json", "console"] = "json"
    """Log lines for machines or for people."""

    @field_validator("allowed_private_nets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("gateways", mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            listed = json.loads(value) if value.strip() else []
        except ValueError:
            raise ValueError("is no JSON") from None  # whose own error would show what stands there
        if not isinstance(listed, list):
            raise ValueError("must be a JSON list of credentials")
        return tuple(listed)

    @field_validator("gateways")
    @classmethod
    def _named_once(cls, value: tuple[Credential, ...]) -> tuple[Credential, ...]:
        doubled = sorted({one.name for one in value if sum(one.name == other.name for other in value) > 1})
        if doubled:
            raise ValueError(f"every name may stand there once, and {doubled[0]} stands there again")
        return value

    @field_validator("gateway_base_url", "s3_endpoint_url", "s3_public_endpoint_url", "public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("gateway_api_key", "gateway_access_token", "admin_key")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @field_validator("gateway_user_id", mode="before")
    @classmethod
    def _empty_is_nobody(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.heartbeat_s * 3 > self.dead_after_s:
            raise ValueError(
                f"DARKROOM_DEAD_AFTER_S ({self.dead_after_s:g}) must be at least three times"
                f" DARKROOM_HEARTBEAT_S ({self.heartbeat_s:g}), or a busy process counts as dead"
            )
        if (self.gateway_access_token is None) is not (self.gateway_user_id is None):
            raise ValueError(
                "DARKROOM_GATEWAY_ACCESS_TOKEN and DARKROOM_GATEWAY_USER_ID go together: the gateway asks for both"
            )
        alone = (self.gateway_api_key, self.gateway_access_token)
        if self.gateways and (
            any(alone) or self.gateway_base_url != type(self).model_fields["gateway_base_url"].default
        ):
            raise ValueError(
                "DARKROOM_GATEWAYS stands in place of DARKROOM_GATEWAY_BASE_URL, _API_KEY, _ACCESS_TOKEN and _USER_ID:"
                " set the one or the others"
            )
        return self

    @property
    def has_key(self) -> bool:
        """Whether there is a gateway that is paid; else `darkroom up` starts the sandbox gateway."""
        return bool(self.gateways) or self.gateway_api_key is not None

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """All that paid calls may be made with, in the order in which they were named; one at least."""
        return self.gateways or (
            # Without checks: where there is no key, there is an empty one.
            Credential.model_construct(
                name=CREDENTIAL,
                base_url=self.gateway_base_url,
                api_key=self.gateway_api_key or SecretStr(""),
                access_token=self.gateway_access_token,
                user_id=self.gateway_user_id,
            ),
        )

    @property
    def spool_dir(self) -> Path:
        """Results in hand that are not in S3 yet; must survive a restart of the process."""
        return self.data_dir / "spool"

    @classmethod
    def load(cls) -> Self:
        """From the environment and `.env`.

        Raises:
            SettingsError: names each variable that is wrong, and never its value.
        """
        try:
            return cls()
        except ValidationError as error:
            lines = []
            for problem in error.errors(include_input=False, include_url=False):
                name = "".join(f"DARKROOM_{part}".upper() for part in problem["loc"][:1])
                inside = "".join(f" {part}" for part in problem["loc"][1:])
                told = problem["msg"].removeprefix("Value error, ")
                lines.append(f"{name}{inside}: {told}" if name else told)
            raise SettingsError("; ".join(lines)) from None
