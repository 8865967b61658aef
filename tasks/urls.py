from django.urls import path

from tasks import maintenance, views

urlpatterns = [
    path("task/get/<id:project_id>", views.GetTaskView.as_view()),
    path("task/release", views.ReleaseView.as_view()),
    path("task/submit", views.SubmitView.as_view()),
    path("task/bulk_submit", views.BulkSubmitView.as_view()),
    path("project/reset_failed_tasks/<id:project_id>", views.MaintenanceView.as_view()),
    path(
        "project/reclaim_assigned_tasks/<id:project_id>",
        views.MaintenanceView.as_view(action=maintenance.reclaim_leased, summary="Take every lease back"),
    ),
    path(
        "project/hard_reset/<id:project_id>",
        views.MaintenanceView.as_view(action=maintenance.delete_all, summary="Delete every task"),
    ),
    path("project/assignees/<id:project_id>", views.AssigneesView.as_view()),
    path("worker/stats", views.WorkerStatsView.as_view()),
]
