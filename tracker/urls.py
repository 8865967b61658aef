"""Every address. The API is served at the root and again under /api."""

from django.urls import include, path, register_converter

from tracker.api.fields import INT64
from tracker.api.views import RootView


class IdConverter:
    """An id in a path: a whole number that the database can hold."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        number = int(value)
        if number > INT64[1]:
            raise ValueError
        return number

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(IdConverter, "id")

# Tasks first: patterns are tried in order, and workers call little else.
api = [
    path("", include("tasks.urls")),
    path("", include("workers.urls")),
    path("", include("logs.urls")),
    path("", include("projects.urls")),
]

urlpatterns = [
    path("", RootView.as_view()),
    path("", include(api)),
    path("api/", include(api)),
]

handler400 = "tracker.api.errors.bad_request"
handler403 = "tracker.api.errors.permission_denied"
handler404 = "tracker.api.errors.not_found"
handler500 = "tracker.api.errors.server_error"
