"""What is looked at: the settings, completed by what a running `darkroom up` started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api.cli.runtime import Running
from deploy.local import records, secrets
from shared.settings import Settings


@dataclass(frozen=True)
class Gateway:
    """The gateway that paid calls would go to."""

    url: str | None
    """None: the sandbox gateway, which is not started yet."""
    key: str | None
    """None: we do not know it."""
    told: str
    """Which one it is, and since when, for people."""
    name: str = ""
    """Its credential's, where there are several."""


@dataclass(frozen=True)
class Patient:
    """Everything that the checks look at."""

    settings: Settings
    gateway: Gateway
    api_url: str | None
    api_key: str | None
    others: tuple[Gateway, ...] = ()
    """Of the other credentials, in their order."""


def patient(settings: Settings, data_dir: Path, api_url: str | None, api_key: str | None) -> Patient:
    running = Running.find(data_dir)
    known: Mapping[str, Any] = records.read(secrets.path(data_dir)) if running is not None else {}
    gateway, *others = _gateways(settings, running, known)
    if running is None:
        return Patient(settings, gateway, api_url, api_key, tuple(others))
    return Patient(
        others=tuple(others),
        settings=_completed(settings, running, known),
        gateway=gateway,
        api_url=api_url or running.api_url,
        api_key=api_key or (running.admin_key if api_url in (None, running.api_url) else None),
    )


def _gateways(settings: Settings, running: Running | None, known: Mapping[str, Any]) -> list[Gateway]:
    """A key that is set counts before what runs: whoever sets one wants to know whether it is right."""
    if not settings.has_key:
        return [_without_key(running, known)]
    is_sandbox = running is not None and running.is_sandbox
    later = " from the next `darkroom up` on (the running one has the sandbox gateway)" if is_sandbox else ""
    return [
        Gateway(
            one.base_url,
            one.api_key.get_secret_value(),
            f"{one.base_url}{later}",
            one.name if settings.gateways else "",
        )
        for one in settings.credentials
    ]


def _without_key(running: Running | None, known: Mapping[str, Any]) -> Gateway:
    if running is None:
        told = (
            "the sandbox gateway, which `darkroom up` starts, since no DARKROOM_GATEWAY_API_KEY is set: nothing is paid"
        )
        return Gateway(None, None, told)
    if running.is_sandbox:
        return Gateway(running.gateway_url, known.get("sandbox_key"), f"the sandbox gateway {running.gateway_url}")
    later = "the next one, without DARKROOM_GATEWAY_API_KEY, has the sandbox gateway"
    return Gateway(
        running.gateway_url, None, f"{running.gateway_url}, with the key of the running `darkroom up` ({later})"
    )


def _completed(settings: Settings, running: Running, known: Mapping[str, Any]) -> Settings:
    found: dict[str, Any] = {
        name: running.raw.get(name) for name in ("database_url", "broker_url") if not getattr(settings, name)
    }
    if not settings.s3_endpoint_url:
        found["s3_endpoint_url"] = running.raw.get("s3_endpoint_url")
        found["s3_access_key_id"] = known.get("s3_access_key_id", "")
        found["s3_secret_access_key"] = SecretStr(str(known.get("s3_secret_access_key", "")))
    return settings.model_copy(update=found)
