"""`python -m deploy.settings_table`: writes what the README and `settings.env.example` say about settings.

Both are made from the docstrings in `shared/settings.py` and the table below; a test compares them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from shared.settings import Settings

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
EXAMPLE: Final = ROOT / "deploy" / "docker" / "settings.env.example"
BEGIN: Final = "<!-- settings: written by `python -m deploy.settings_table` -->"
END: Final = "<!-- end -->"
WIDTH: Final = 100

UNITS: Final = {"_s": "seconds", "_seconds": "seconds", "_bytes": "bytes", "_pixels": "pixels"}
"""By the end of a setting's name."""
BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

OF_COMPOSE: Final = {
    "DARKROOM_POSTGRES_PASSWORD": (None, "PostgreSQL's password, of letters and digits. The first start keeps it."),
    "DARKROOM_REDIS_PASSWORD": (None, "Redis's password, of letters and digits."),
    "DARKROOM_FLOWER_PASSWORD": (None, "The password of user `darkroom` in Flower."),
    "DARKROOM_API_PORT": ("8000", "The port of 127.0.0.1 where the API is."),
    "DARKROOM_FLOWER_PORT": ("5555", "The port of 127.0.0.1 where Flower is."),
    "DARKROOM_S3_PORT": ("8333", "The port of 127.0.0.1 where S3 is; presigned URLs name it."),
}
"""Variables that only `docker-compose.yml` reads: default (None: must be filled in) and meaning."""

MUST_BE_GIVEN: Final = ("admin_key", "s3_access_key_id", "s3_secret_access_key")
"""Settings that have no default there, since nothing is baked in."""
COMPOSE_SETS: Final = ("data_dir", "database_url", "broker_url", "s3_endpoint_url")
"""Settings that `docker-compose.yml` or the image knows itself."""


@dataclass(frozen=True)
class Line:
    """What is said of one variable."""

    name: str
    meaning: str
    default: str | None
    """As it would be written in the environment; None: it must be given."""
    values: str = ""
    """Unit and bounds, or the words to choose from."""


def settings() -> Iterator[tuple[str, Line]]:
    """All settings by field name, in the order of their declaration."""
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split())
        yield name, Line(f"DARKROOM_{name.upper()}", meaning, _written(field.default), _values(name, field))


def _written(value: object) -> str:
    """A default as the environment would say it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None or value == () else str(value)


def _values(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " · ".join(get_args(field.annotation))
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return ", ".join(part for part in (unit, *_bounds(field)) if part)


def _bounds(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        for bound, words in BOUNDS.items():
            limit: Any = getattr(rule, bound, None)
            if limit is not None:
                yield f"{words} {limit:g}" if limit < 10**6 else f"{words} {limit}"


def table() -> str:
    """The README's table, without its markers."""
    head = "| setting | default | values | meaning |\n|---|---|---|---|"
    rows = (
        f"| `{line.name}` | {f'`{line.default}`' if line.default else ''} | {line.values} | {line.meaning} |"
        for _, line in settings()
    )
    return "\n".join([head, *rows])


HEAD: Final = """\
Settings of `docker compose`, written by `python -m deploy.settings_table`.

cp deploy/docker/settings.env.example deploy/docker/settings.env, fill in what ends with "=", and start it as
the head of docker-compose.yml says. `openssl rand -hex 20` makes a password, and an API key if you put dk_ before
it. A line that is commented out shows the default. Keep the file to yourself: chmod 600.
"""
NOTES: Final = {
    "gateway_base_url": "With `--profile sandbox` nothing is paid: say http://sandbox:9000 here, and any key below.",
    "gateway_api_key": "Here it must be given, unless DARKROOM_GATEWAYS is: the worker does not start without.",
    "admin_key": "Here it must be given: `dk_` and at least 40 letters and digits.",
    "s3_access_key_id": "Here: what SeaweedFS shall take for one.",
    "s3_public_endpoint_url": "Here the default is http://127.0.0.1 with DARKROOM_S3_PORT.",
    "catalog": "Here: its place in the containers, where an override file mounts it.",
    "drain_seconds": "Here `stop_grace_period` of the worker must stay above it.",
}
"""What is different under `docker compose`, by field name."""


def example() -> str:
    """The whole of `settings.env.example`."""
    by_name = dict(settings())
    must = [Line(name, meaning, None) for name, (default, meaning) in OF_COMPOSE.items() if default is None]
    must += [_noted(name, replace(by_name[name], default=None)) for name in MUST_BE_GIVEN]
    ports = [Line(name, meaning, default) for name, (default, meaning) in OF_COMPOSE.items() if default is not None]
    may = [_noted(name, line) for name, line in by_name.items() if name not in (*MUST_BE_GIVEN, *COMPOSE_SETS)]
    fixed = [by_name[name] for name in COMPOSE_SETS]
    parts = [
        _comment(HEAD),
        "# Must be filled in.",
        *(_entry(line) for line in must),
        "# Where docker compose listens.",
        *(_entry(line) for line in ports),
        "# May be changed.",
        *(_entry(line) for line in may),
        "# Known to docker-compose.yml and the image; for those who run the image in another way.",
        *(_entry(line) for line in fixed),
    ]
    return "\n\n".join(parts) + "\n"


def _noted(name: str, line: Line) -> Line:
    return replace(line, meaning=f"{line.meaning} {NOTES.get(name, '')}".strip())


def _entry(line: Line) -> str:
    told = f"{line.meaning} {f'({line.values})' if line.values else ''}".strip()
    shown = f"{line.name}=" if line.default is None else f"#{line.name}={line.default}"
    return f"{_comment(told)}\n{shown}"


def _comment(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    wrapped = (
        textwrap.fill(" ".join(paragraph.split()), WIDTH, initial_indent="# ", subsequent_indent="# ")
        for paragraph in paragraphs
    )
    return "\n#\n".join(wrapped)


def in_readme(readme: str) -> str:
    """The README with its table brought up to date."""
    block = f"{BEGIN}\n\n{table()}\n\n{END}"
    put: Callable[[re.Match[str]], str] = lambda _: block  # noqa: E731 - a text would have its backslashes read
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", put, readme, count=1, flags=re.DOTALL)


def main() -> None:
    EXAMPLE.write_text(example(), encoding="utf-8")
    README.write_text(in_readme(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
