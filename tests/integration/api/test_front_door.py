"""Who comes without an address in mind, or looks for the console, finds the documentation."""

from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize("path", ["/", "/console"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_there_is_a_way_to_the_documentation_without_a_key(anybody: httpx.Client, method: str, path: str) -> None:
    answer = anybody.request(method, path)

    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")
    assert anybody.get(path, follow_redirects=True).status_code == 200
