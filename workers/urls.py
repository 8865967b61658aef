from django.urls import path

from workers import views

worker_urlpatterns = [
    path("worker/create", views.CreateWorkerView.as_view()),
    path("worker/update", views.UpdateWorkerView.as_view()),
    path("worker/get/<id:worker_id>", views.GetWorkerView.as_view()),
    path("worker/rotate_secret", views.RotateSecretView.as_view()),
    path("project/request_access", views.RequestAccessView.as_view()),
]

urlpatterns = [
    *worker_urlpatterns,
    path("worker/set_paused", views.SetPausedView.as_view()),
    path("project/access_list/<id:project_id>", views.AccessListView.as_view()),
    path("project/accept_request/<id:project_id>/<id:worker_id>", views.AcceptRequestView.as_view()),
    path("project/reject_request/<id:project_id>/<id:worker_id>", views.RejectRequestView.as_view()),
    path("project/set_operator/<id:project_id>", views.OperatorView.as_view()),
    path("project/secret/<id:project_id>", views.ProjectSecretView.as_view()),
]
