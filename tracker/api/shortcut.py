"""The short way to the calls of workers: past what only pages and managers need.

Sessions, languages, forms, messages and Django's signals around each request cost a worker's call a good part of its
time, and it uses none of them. So these calls are answered before: by WorkersFirst where they come in, and by the first
middleware where requests come from Django itself, as in tests. Whatever they could raise, their views turn into
answers.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, get_resolver

from tracker.api.body import drain_refused_bodies

GetResponse = Callable[[HttpRequest], HttpResponseBase]
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# The addresses that take no session, with a list of their own: a worker's call is found without going through all.
_ADDRESSES = "tracker.worker_urls"


class WorkersFirst:
    """A WSGI application that answers the calls that are workers' alone, and hands on all others."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._answer = drain_refused_bodies(_answer)

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
        response = self._answer(request)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]


def answer_workers(get_response: GetResponse) -> GetResponse:
    """Middleware that does the same."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        found = _found(request.path_info)
        if found is None:
            return get_response(request)
        # Raises for a host that is not ours, as Django's own middleware would.
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
    # What Django's middleware would add. Without a length, the server would send the answer in chunks.
    response["Content-Length"] = str(len(response.content))
    response["X-Content-Type-Options"] = "nosniff"
    return response
