"""The shortcut: answers workers' calls before Django's middleware.

Sessions, languages, forms, messages and Django's signals around each request take a good part of the time of a worker's
call, which uses none of them. WorkersFirst answers these calls in front of Django; `answer_workers` does so where
requests don't pass through it, as in tests. No exception gets here: the views turn all of them into responses.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, get_resolver

GetResponse = Callable[[HttpRequest], HttpResponseBase]
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# A separate URLconf of the paths that need no session, so that a worker's call is found without trying all patterns.
_ADDRESSES = "tracker.worker_urls"


class WorkersFirst:
    """A WSGI application that answers the calls that only workers make, and passes on all other requests."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = _found(environ["PATH_INFO"])
        if found is None:
            return self._application(environ, start_response)
        request = WSGIRequest(environ)
        try:
            request.get_host()
        except DisallowedHost:
            return self._application(environ, start_response)
        request.resolver_match = found
        response = _answer(request)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]


def answer_workers(get_response: GetResponse) -> GetResponse:
    """Middleware that does the same as WorkersFirst."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        found = _found(request.path_info)
        if found is None:
            return get_response(request)
        # Raises DisallowedHost for a host that is not in ALLOWED_HOSTS, as Django's own middleware would.
        request.get_host()
        request.resolver_match = found
        return _answer(request)

    return middleware


def _found(path: str) -> ResolverMatch | None:
    try:
        return get_resolver(_ADDRESSES).resolve(path)
    except Resolver404:
        return None


def _answer(request: HttpRequest) -> HttpResponse:
    call, args, kwargs = request.resolver_match  # type: ignore[misc]
    response: HttpResponse = call(request, *args, **kwargs)
    # Headers that Django's middleware would add. Without Content-Length, gunicorn would send the response in chunks.
    response["Content-Length"] = str(len(response.content))
    response["X-Content-Type-Options"] = "nosniff"
    return response
