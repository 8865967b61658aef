from django.urls import path

from tasks import views

urlpatterns = [
    path("task/get/<id:project_id>", views.GetTaskView.as_view()),
    path("task/release", views.ReleaseView.as_view()),
    path("task/submit", views.SubmitView.as_view()),
    path("task/bulk_submit", views.BulkSubmitView.as_view()),
    path("worker/stats", views.WorkerStatsView.as_view()),
]
