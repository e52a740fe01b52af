"""S3 on a laptop: SeaweedFS's `weed mini` from its wheel, all of its servers on loopback and on ports of ours."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from deploy.local import environment, probes, wheels
from deploy.local.ports import TWIN, Want
from deploy.local.process import Spec

ROLES = ("s3", "master", "volume", "filer", "admin")
"""Each listens on a port of its own and, for gRPC, on that port's twin."""
WANTS = tuple(Want(f"seaweed-{role}", twin=True) for role in ROLES)

OPTIONS = {
    "ip": "127.0.0.1",
    "ip.bind": "127.0.0.1",
    "webdav": "false",
    "admin.ui": "false",
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
    "master.telemetry": "false",
    # Only clusters have somebody to tell before they stop.
    "volume.preStopSeconds": "0",
}


def url(ports: Mapping[str, int]) -> str:
    return f"http://127.0.0.1:{ports['seaweed-s3']}"


def spec(data_dir: Path, ports: Mapping[str, int], secrets: Mapping[str, str]) -> Spec:
    """The servers of this data folder, in one process.  `ports` by the names of `WANTS`."""
    folder = data_dir / "s3"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = OPTIONS | _port_options(ports)
    return Spec(
        name="s3",
        argv=(
            str(wheels.weed()),
            "-logtostderr=true",
            "mini",
            f"-dir={folder}",
            *(f"-{name}={value}" for name, value in options.items()),
        ),
        address=url(ports),
        is_ready=partial(is_ready, ports),
        env=environment.of_server(folder, **_keys(secrets)),
        cwd=folder,
        prepare=partial(_remove_sockets, ports),
        tidy=partial(_remove_sockets, ports),
    )


def is_ready(ports: Mapping[str, int]) -> bool:
    """S3 answers, and there is a volume to write to."""
    return probes.http_ok(f"{url(ports)}/healthz") and probes.http_ok(
        f"http://127.0.0.1:{ports['seaweed-master']}/dir/assign"
    )


def _port_options(ports: Mapping[str, int]) -> dict[str, str]:
    own = {f"{role}.port": str(ports[f"seaweed-{role}"]) for role in ROLES}
    grpc = {f"{role}.port.grpc": str(ports[f"seaweed-{role}"] + TWIN) for role in ROLES}
    return own | grpc


def _keys(secrets: Mapping[str, str]) -> dict[str, str]:
    """S3's keys, and those with which its parts sign to each other, so that filer and volumes refuse strangers."""
    signing = {
        f"WEED_JWT_{part}_KEY": secrets["s3_signing_key"]
        for part in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    }
    return signing | {
        "AWS_ACCESS_KEY_ID": secrets["s3_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": secrets["s3_secret_access_key"],
        "WEED_ADMIN_PASSWORD": secrets["s3_signing_key"],
    }


def _remove_sockets(ports: Mapping[str, int]) -> None:
    """`weed` puts socket files into /tmp, named after its ports, and leaves some even when it stops in peace."""
    for port in ports.values():
        for number in (port, port + TWIN):
            for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - it has no other place for them
                with suppress(OSError):
                    path.unlink()
