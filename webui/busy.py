"""What a request gets for which there is no thread; the event loop makes it (tracker.front.application)."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation

from tracker.api.errors import Busy
from webui.errors import error_response, is_for_page, is_form
from webui.middleware import content_security_policy

# By language, and whether a form was sent. Rendering one for each of very many requests would hold up workers' calls.
_pages: dict[tuple[str, bool], HttpResponseBase] = {}


def busy(request: HttpRequest) -> HttpResponseBase:
    """handler503: a page for browsers, the same for everybody, or an envelope for API clients."""
    if not is_for_page(request):
        return Busy().answer()
    has_language = request.path.endswith("/")
    language = translation.get_language_from_request(request) if has_language else settings.LANGUAGE_CODE
    key = language, is_form(request)
    if key not in _pages:
        with translation.override(language):
            _pages[key] = content_security_policy(lambda request: error_response(request, Busy()))(request)
    return _pages[key]
