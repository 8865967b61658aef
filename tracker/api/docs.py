"""Where the API's description is served: /api/schema, and /api/docs for people."""

import functools
import threading
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request

from tracker.api.views import ApiView

_making = threading.Lock()


def document() -> bytes:
    """The description, as JSON. The same in every process of a version."""
    # One at a time: the generator keeps what it is at in the views' classes.
    with _making:
        return _document()


@functools.cache
def _document() -> bytes:
    return orjson.dumps(SchemaGenerator().get_schema(public=True), option=orjson.OPT_INDENT_2)


def schema(request: HttpRequest) -> HttpResponse:
    """GET /api/schema. The one JSON answer without an envelope: it is a document."""
    return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/docs: Swagger UI, from the packages on this machine."""

    url = "schema"
    http_method_names = ["get", "head"]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # There is one form of it, whatever the client would like better.
        return super().perform_content_negotiation(request, force=True)


def only_root_paths(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """drf-spectacular's hook: leave out pages, and the second place where the API is served."""
    return [one for one in endpoints if not one[0].startswith("/api/") and issubclass(one[3].cls, ApiView)]
