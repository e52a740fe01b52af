"""The documentation loads nothing from elsewhere, and has all that the API can do."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from api import reference
from api.routes import docs
from tests.integration.api.said import make

SCHEME = re.compile(r"^(https?:)?//", re.IGNORECASE)


class Loaded(HTMLParser):
    """What a page makes a browser fetch, and its plain text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.scripts += [tag] if tag == "script" else [name for name in said if name.startswith("on")]
        self.addresses += [value for name in ("src", "srcset") if (value := said.get(name))]
        if tag == "link" and said.get("href"):
            self.addresses.append(str(said["href"]))
        if tag == "a" and said.get("href"):
            self.links.append(str(said["href"]))
        if said.get("id"):
            self.anchors.add(str(said["id"]))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(params=["as it is installed", "with Swagger UI", "without it"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "with Swagger UI":
        (tmp_path / "swagger-ui.css").write_text("body {}")
        (tmp_path / "swagger-ui-bundle.js").write_text("var SwaggerUIBundle")
        monkeypatch.setattr(docs, "swagger_folder", lambda: tmp_path)
    elif request.param == "without it":
        monkeypatch.setattr(docs, "swagger_folder", lambda: None)
    return str(request.param)


@pytest.mark.parametrize("path", ["/docs", "/docs/plain"])
def test_the_documentation_loads_nothing_from_elsewhere(anybody: httpx.Client, installed: str, path: str) -> None:
    response = anybody.get(path)

    loaded = Loaded(response.text)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert not any(SCHEME.match(address) for address in loaded.addresses)
    for address in loaded.addresses:
        if not address.startswith("data:"):
            assert anybody.get(address).status_code == 200
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_swagger_ui_reads_our_document_and_asks_no_validator(
    anybody: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "swagger-ui-bundle.js").write_text("var SwaggerUIBundle")
    monkeypatch.setattr(docs, "swagger_folder", lambda: tmp_path)

    page = anybody.get("/docs").text

    assert "url: '/openapi.json'" in page
    assert '"validatorUrl": null' in page
    assert anybody.get("/docs/swagger-ui-bundle.js").text == "var SwaggerUIBundle"


def test_without_swagger_ui_its_files_lead_nowhere(anybody: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "swagger_folder", lambda: None)

    assert anybody.get("/docs/swagger-ui.css").status_code == 404
    assert Loaded(anybody.get("/docs").text).text == Loaded(anybody.get("/docs/plain").text).text


def test_the_plain_page_has_every_operation_with_its_parameters_and_answers(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    page = Loaded(anybody.get("/docs/plain").text)

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert operation["summary"] in page.text
            assert all(parameter["name"] in page.text for parameter in operation.get("parameters", []))
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.anchors
    assert set(document["components"]["schemas"]) <= {anchor.removeprefix("shape-") for anchor in page.anchors}


def test_the_plain_page_needs_no_script(anybody: httpx.Client) -> None:
    page = Loaded(anybody.get("/docs/plain").text)

    assert page.scripts == []


def test_the_curl_line_of_a_new_job_makes_one(api: httpx.Client, anybody: httpx.Client) -> None:
    page = Loaded(anybody.get("/docs/plain").text)
    (line,) = re.findall(r"curl -X POST \S+/v1/jobs \\\n(?:.+\\\n)*.+", page.text)

    words = shlex.split(line.replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])

    assert words[3] == f"{api.base_url}/v1/jobs".replace("//v1", "/v1")
    assert make(api, **body)["model"] == "sora-2"


def test_what_a_description_says_cannot_become_markup() -> None:
    assert str(reference.prose("<b> `a<b` & c\n\nmore")) == "<p>&lt;b&gt; <code>a&lt;b</code> &amp; c</p><p>more</p>"
