"""The short way to the calls of workers: past what only pages and managers need.

Sessions, languages, forms and messages cost a worker's call a good part of its time, and it uses none of them. So the
first middleware answers these calls itself. Whatever they could raise, their views turn into answers.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, get_resolver

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# The addresses that take no session, with a list of their own: a worker's call is found without going through all.
_ADDRESSES = "tracker.worker_urls"


def answer_workers(get_response: GetResponse) -> GetResponse:
    """Middleware: answer the calls that are workers' alone, and hand on all others."""
    resolver = get_resolver(_ADDRESSES)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        try:
            found = resolver.resolve(request.path_info)
        except Resolver404:
            return get_response(request)
        # Raises for a host that is not ours, as Django's own middleware would.
        request.get_host()
        request.resolver_match = found
        response: HttpResponse = found.func(request, *found.args, **found.kwargs)
        # What Django's middleware would add. Without a length, the server would send the answer in chunks.
        response["Content-Length"] = str(len(response.content))
        response["X-Content-Type-Options"] = "nosniff"
        return response

    return middleware
