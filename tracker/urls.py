"""The root URLconf. The API is served at the root and also under /api."""

from django.contrib import admin
from django.urls import include, path

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

urlpatterns = [
    path("", RootView.as_view()),
    path("", include(api)),
    path("api/", include(api)),
    path("api/schema", schema),
    path("api/docs", DocsView.as_view()),
    path("", include("webui.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "webui.errors.bad_request"
handler403 = "webui.errors.permission_denied"
handler404 = "webui.errors.not_found"
handler500 = "webui.errors.server_error"
# Not Django's: see tracker.front.application.
handler503 = "webui.busy.busy"
