from django.urls import path

from logs import views
from logs.models import Level

worker_urlpatterns = [
    path("log/trace", views.LogView.as_view(level=Level.TRACE)),
    path("log/info", views.LogView.as_view(level=Level.INFO)),
    path("log/warn", views.LogView.as_view(level=Level.WARN)),
    path("log/error", views.LogView.as_view(level=Level.ERROR)),
    path("log/bulk", views.BulkLogView.as_view()),
]

urlpatterns = [
    *worker_urlpatterns,
    path("logs", views.ListLogsView.as_view()),
]
