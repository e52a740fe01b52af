"""The documentation, for people.  Nothing of it comes from elsewhere, and the pages forbid the browser to ask.

`/docs` is Swagger UI, whose files are in the package `fastapi-standalone-docs`; where that is not installed, and
always at `/docs/plain`, it is a page of our own without any script.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from api import reference
from api.deps import Ports
from shared.errors import NotFound

router = APIRouter(prefix="/docs", include_in_schema=False)

PACKAGE: Final = "fastapi_standalone_docs"
OURS_ALONE: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src data:; base-uri 'none';"
    " script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
NO_SCRIPT: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def swagger_folder() -> Path | None:
    """Where the files of Swagger UI are; None if they are not installed."""
    found = importlib.util.find_spec(PACKAGE)
    places = [] if found is None else found.submodule_search_locations or []
    return next((folder for place in places if (folder := Path(place, "static", "swagger")).is_dir()), None)


@router.get("")
def read(request: Request, ports: Ports) -> Response:
    """Swagger UI, from which requests can be sent; or the plain page."""
    if swagger_folder() is None:
        return read_plain(request, ports)
    swagger = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Darkroom API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": False},
    )
    return HTMLResponse(bytes(swagger.body), headers={"Content-Security-Policy": OURS_ALONE})


@router.get("/plain")
def read_plain(request: Request, ports: Ports) -> Response:
    """All of it on one page."""
    base_url = ports.settings.public_url or str(request.base_url).rstrip("/")
    html = reference.page(request.app.openapi(), base_url)
    return HTMLResponse(html, headers={"Content-Security-Policy": NO_SCRIPT})


@router.get("/swagger-ui.css")
def read_style() -> Response:
    return _file("swagger-ui.css", "text/css")


@router.get("/swagger-ui-bundle.js")
def read_script() -> Response:
    return _file("swagger-ui-bundle.js", "text/javascript")


def _file(name: str, media_type: str) -> Response:
    folder = swagger_folder()
    if folder is None:
        raise NotFound("Swagger UI is not installed; /docs/plain has all that it would show")
    return FileResponse(folder / name, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})
