"""Serves the OpenAPI document at /api/schema, and Swagger UI at /api/docs."""

import functools
import threading
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request

from tracker.api.views import ApiView

_making = threading.Lock()


def document() -> bytes:
    """The OpenAPI document as JSON. All processes of a version generate the same one."""
    # One at a time: the generator keeps its state in the view classes.
    with _making:
        return _document()


@functools.cache
def _document() -> bytes:
    return orjson.dumps(SchemaGenerator().get_schema(public=True), option=orjson.OPT_INDENT_2)


def schema(request: HttpRequest) -> HttpResponse:
    """GET /api/schema. The only JSON response without an envelope."""
    return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/docs: Swagger UI in the frame of the pages, served from an installed package and not from a CDN."""

    url = "schema"
    http_method_names = ["get", "head"]

    def initialize_request(self, request: HttpRequest, *args: Any, **options: Any) -> Request:
        # The framework sets it to nobody, since the API looks for callers by itself.
        self.visitor = request.user
        wrapped: Request = super().initialize_request(request, *args, **options)
        return wrapped

    def get(self, request: Request, *args: Any, **options: Any) -> Any:
        answer = super().get(request, *args, **options)
        if request.GET.get("script") is not None:
            return answer
        request._request.user = self.visitor
        return render(request._request, answer.template_name, answer.data)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # There is only HTML, whatever the Accept header asks for.
        return super().perform_content_negotiation(request, force=True)


def only_root_paths(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Preprocessing hook of drf-spectacular: leave out pages, and the copy of the API under /api."""
    return [one for one in endpoints if not one[0].startswith("/api/") and issubclass(one[3].cls, ApiView)]
