"""The URLconf of tracker.api.shortcut: the paths that only workers call. tracker.urls has all of them, too."""

from django.urls import include, path

import logs.urls
import tasks.urls
import workers.urls

calls = [*tasks.urls.worker_urlpatterns, *logs.urls.worker_urlpatterns, *workers.urls.worker_urlpatterns]

urlpatterns = [*calls, path("api/", include(calls))]
