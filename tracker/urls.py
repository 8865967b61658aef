"""Every address. The API is served at the root and again under /api."""

from django.contrib import admin
from django.urls import include, path

import accounts.urls
import logs.urls
import projects.urls
import tasks.urls
import workers.urls
from tracker.api.docs import DocsView, schema
from tracker.api.views import RootView

# Tasks first: patterns are tried in order, and workers call little else.
api = [
    path("", include("tasks.urls")),
    path("", include("workers.urls")),
    path("", include("logs.urls")),
    path("", include("projects.urls")),
    path("", include("accounts.urls")),
]

# Pages for people; their addresses end with a slash.
pages = [
    *projects.urls.page_urlpatterns,
    *workers.urls.page_urlpatterns,
    *tasks.urls.page_urlpatterns,
    *logs.urls.page_urlpatterns,
    *accounts.urls.page_urlpatterns,
]

urlpatterns = [
    path("", RootView.as_view()),
    path("", include(api)),
    path("api/", include(api)),
    path("api/schema", schema),
    path("api/docs", DocsView.as_view()),
    path("", include(pages)),
    path("admin/", admin.site.urls),
]

handler400 = "tracker.api.errors.bad_request"
handler403 = "tracker.api.errors.permission_denied"
handler404 = "tracker.api.errors.not_found"
handler500 = "tracker.api.errors.server_error"
