"""`python -m deploy.sandbox`: the sandbox gateway as a process."""

from __future__ import annotations

import argparse
import os
import socket
from decimal import Decimal
from pathlib import Path

import uvicorn

from deploy.sandbox.app import create_app
from deploy.sandbox.parts import Options

BACKLOG = 4096


def main() -> None:
    arguments = read_arguments()
    options = Options(
        data_dir=arguments.data_dir.resolve(),
        keys=tuple(arguments.key.split(",")),
        access_token=arguments.access_token,
        speed=arguments.speed,
        balance_usd=arguments.balance_usd,
        keep_mb=arguments.keep_mb,
        processes=arguments.processes,
    )
    listener = socket.create_server((arguments.host, arguments.port), backlog=BACKLOG)
    app = create_app(options)
    address = announce(listener, arguments.data_dir)
    print(f"sandbox gateway: {address}", flush=True)  # noqa: T201 - a process says where it listens
    config = uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run([listener])


def announce(listener: socket.socket, data_dir: Path) -> str:
    """Write the address into `address` in the data folder: with `--port 0` it is not known before."""
    host, port = listener.getsockname()[:2]
    address = f"http://{host}:{port}"
    fresh = data_dir / "address.new"
    fresh.write_text(address)
    os.replace(fresh, data_dir / "address")
    return address


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.sandbox", description="Darkroom's sandbox gateway")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any free one, written to DATA_DIR/address")
    parser.add_argument("--data-dir", type=Path, required=True, help="journals and results")
    parser.add_argument(
        "--key",
        default=os.environ.get("DARKROOM_SANDBOX_KEY", "sk-sandbox"),
        help="the API key, or several with commas; also by DARKROOM_SANDBOX_KEY; default sk-sandbox",
    )
    parser.add_argument("--access-token", default="sandbox-access-token-for-user-1842", help="for /api/user/self")
    parser.add_argument("--speed", type=float, default=1.0, help="10: ten times faster; 0: at once")
    parser.add_argument("--balance-usd", type=Decimal, default=Decimal(1000), help="what the account holds")
    parser.add_argument("--keep-mb", type=int, default=2048, help="results above this are deleted, oldest first")
    parser.add_argument("--processes", type=int, default=2, help="that draw pictures and films")
    return parser.parse_args()


if __name__ == "__main__":
    main()
