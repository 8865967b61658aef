"""Descriptions of API calls, kept beside the views. tracker.api.openapi generates the OpenAPI document from them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from rest_framework import serializers

from tracker.api.serializers import RequestSerializer

Handler = TypeVar("Handler", bound=Callable[..., Any])
Declaration = type[serializers.Serializer] | Mapping[str, Any]


class Content(serializers.Serializer[Any]):
    """The shape of an object in responses. Only the OpenAPI document uses it; functions build the responses."""


class Description(NamedTuple):
    """See `describe`."""

    summary: str
    details: str
    body: type[RequestSerializer] | Mapping[str, Any] | None
    query: type[RequestSerializer] | None
    content: Declaration | None
    refusal: Declaration | None
    errors: Mapping[int, Declaration | None]
    status: int
    repeatable: bool


def describe(
    summary: str,
    *,
    details: str = "",
    body: type[RequestSerializer] | Mapping[str, Any] | None = None,
    query: type[RequestSerializer] | None = None,
    content: Declaration | None = None,
    refusal: Declaration | None = None,
    errors: Mapping[int, Declaration | None] | None = None,
    status: int = 200,
    repeatable: bool = False,
) -> Callable[[Handler], Handler]:
    """Describe a view's method.

    `summary` may use the view's attributes, as in "{view.level}". `body` is the serializer of the request body, or a
    JSON Schema in which a serializer stands for its schema, or is named by a reference. `content` describes the
    envelope's `content` in a successful response, as a serializer or by key; `refusal` describes it in a response with
    status 200 and `ok` false. `errors` adds status codes, with their content if they have any, to those that follow
    from the view: always 400, 413 and 415 for a body, 401 and 403 for authentication and permissions, 404 for an id in
    the path. `repeatable`: it takes the header Idempotency-Key.
    """

    def decorate(handler: Handler) -> Handler:
        handler.description = Description(  # type: ignore[attr-defined]
            summary, details, body, query, content, refusal, errors or {}, status, repeatable
        )
        return handler

    return decorate
