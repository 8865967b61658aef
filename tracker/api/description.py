"""What each call of the API takes and answers, told beside the view; tracker.api.openapi makes the document of it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from rest_framework import serializers

from tracker.api.serializers import RequestSerializer

Handler = TypeVar("Handler", bound=Callable[..., Any])
Declaration = type[serializers.Serializer] | Mapping[str, Any]


class Content(serializers.Serializer[Any]):
    """The shape of something that answers hold. Nothing is rendered by it: it describes what a function makes."""


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
) -> Callable[[Handler], Handler]:
    """Describe a view's method.

    `summary` may use the view's attributes, as in "{view.level}". `body` is the request's declaration, or a schema
    whose references name declarations. `content` is what a successful answer carries, by key; `refusal` what a 200
    with `ok` false does. `errors` adds statuses, with their content if they have any, to those that follow from the
    view: 400 and 413 for a body, 401 and 403 for who may call, 404 for an id in the path, 429 for a throttled one.
    """

    def decorate(handler: Handler) -> Handler:
        handler.description = Description(  # type: ignore[attr-defined]
            summary, details, body, query, content, refusal, errors or {}, status
        )
        return handler

    return decorate
