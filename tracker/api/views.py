"""The base class of API views."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from rest_framework.fields import CharField
from rest_framework.request import Request
from rest_framework.views import APIView

from tracker import db
from tracker.api.body import read_bytes, read_json
from tracker.api.converters import check_ids
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.serializers import RequestSerializer


class ApiView(APIView):
    """A DRF view that speaks only JSON: no content negotiation, and responses rendered by Envelope."""

    # Django calls `get` for HEAD: a view whose `get` has an effect must leave it out. No OPTIONS.
    http_method_names = ["get", "head", "post"]
    max_body_bytes = settings.MAX_BODY_BYTES

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        db.ensure_alive()
        # Before authentication: a wrong method is refused for all callers.
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        check_ids(kwargs)
        self.perform_authentication(request)
        self.check_permissions(request)

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def json(self) -> Any:
        """The parsed request body. Raises BadInput, Busy, TooLarge, UnsupportedMedia."""
        return read_json(self.request._request, max_bytes=self.max_body_bytes)

    def raw(self) -> bytes:
        """The request body as it was sent. Raises BadInput, TooLarge, UnsupportedMedia."""
        return read_bytes(self.request._request, max_bytes=self.max_body_bytes)

    def parsed(self, serializer: type[RequestSerializer]) -> dict[str, Any]:
        """The request body, validated by the serializer. Raises BadInput and what `json` raises."""
        return serializer.parse(self.json())

    def query(self, serializer: type[RequestSerializer]) -> dict[str, Any]:
        """The query string, checked against a declaration of whole numbers and words. Raises BadInput."""
        return serializer.parse_query(self.request._request.GET.dict())


class RootView(ApiView):
    """GET /: returns name and version, or redirects browsers to the pages."""

    http_method_names = ["get", "head"]

    @describe("Name and version of this server", content={"name": CharField(), "version": CharField()})
    def get(self, request: Request) -> HttpResponse:
        response: HttpResponse
        if wants_html(request._request):
            response = HttpResponseRedirect("/projects/")
        else:
            response = Envelope({"name": "task_tracker", "version": settings.VERSION})
        patch_vary_headers(response, ["Accept"])
        return response


def wants_html(request: HttpRequest) -> bool:
    """Whether the client accepts HTML, as browsers do."""
    return "text/html" in request.headers.get("Accept", "")
