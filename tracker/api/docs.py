"""Where the API's description is served: /api/schema, and /api/docs for people."""

import functools
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView

from tracker.api.views import ApiView


@functools.cache
def document() -> bytes:
    """The description, as JSON. The same in every process of a version."""
    return orjson.dumps(SchemaGenerator().get_schema(public=True), option=orjson.OPT_INDENT_2)


def schema(request: HttpRequest) -> HttpResponse:
    """GET /api/schema. The one JSON answer without an envelope: it is a document."""
    return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/docs: Swagger UI, from the packages on this machine."""

    url = "schema"


def only_root_paths(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """drf-spectacular's hook: leave out pages, and the second place where the API is served."""
    return [one for one in endpoints if not one[0].startswith("/api/") and issubclass(one[3].cls, ApiView)]
