"""The addresses that only workers call, for tracker.api.shortcut. Every one of them stands in tracker.urls, too."""

from django.urls import include, path

import logs.urls
import tasks.urls
import workers.urls

calls = [*tasks.urls.worker_urlpatterns, *logs.urls.worker_urlpatterns, *workers.urls.worker_urlpatterns]

urlpatterns = [*calls, path("api/", include(calls))]
