from django.urls import path

from tasks import cancel_views, failure_views, maintenance, result_views, status_views, views

# Calls of workers, which need no session; see tracker.api.shortcut.
worker_urlpatterns = [
    path("task/get/<id:project_id>", views.GetTaskView.as_view()),
    path("task/get", views.GetAnyTaskView.as_view()),
    path("task/heartbeat", views.HeartbeatView.as_view()),
    path("task/exchange", views.ExchangeView.as_view()),
    path("task/release", views.ReleaseView.as_view()),
    path("task/bulk_release", views.BulkReleaseView.as_view()),
    path("task/submit", views.SubmitView.as_view()),
    path("task/bulk_submit", views.BulkSubmitView.as_view()),
    path("worker/figures", views.OwnFiguresView.as_view()),
]

urlpatterns = [
    *worker_urlpatterns,
    path("task/status/<id:task_id>", status_views.StatusView.as_view()),
    path("task/status", status_views.StatusesView.as_view()),
    path("task/cancel", cancel_views.CancelView.as_view()),
    path("project/results/<id:project_id>", result_views.ResultsView.as_view()),
    path("project/results/<id:project_id>/lines", result_views.ResultLinesView.as_view()),
    path("project/reset_failed_tasks/<id:project_id>", views.MaintenanceView.as_view()),
    path(
        "project/reclaim_assigned_tasks/<id:project_id>",
        views.MaintenanceView.as_view(action=maintenance.reclaim_leased, summary="Reclaim every lease"),
    ),
    path(
        "project/hard_reset/<id:project_id>",
        views.MaintenanceView.as_view(action=maintenance.delete_all, summary="Delete every task"),
    ),
    path("project/put_back_closed/<id:project_id>/<id:worker_id>", views.PutBackClosedView.as_view()),
    path("project/put_back_votes/<id:project_id>/<id:worker_id>", views.PutBackVotesView.as_view()),
    path("project/accept_vote/<id:project_id>", views.AcceptVoteView.as_view()),
    path("project/failures/<id:project_id>", failure_views.FailuresView.as_view()),
    path("project/failures/<id:project_id>/<str:fingerprint>", failure_views.FailureView.as_view()),
    path("project/assignees/<id:project_id>", views.AssigneesView.as_view()),
    path("project/workers/<id:project_id>", views.ProjectWorkersView.as_view()),
    path("worker/stats", views.WorkerStatsView.as_view()),
]
