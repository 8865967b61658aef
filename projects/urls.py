from django.urls import path

from projects import views

urlpatterns = [
    path("project/get/<id:project_id>", views.GetProjectView.as_view()),
    path("project/list", views.ListProjectsView.as_view()),
    path("project/create", views.CreateProjectView.as_view()),
    path("project/update/<id:project_id>", views.UpdateProjectView.as_view()),
    path("project/webhook_secret/<id:project_id>", views.WebhookSecretView.as_view()),
    path("project/monitoring/<id:project_id>", views.MonitoringView.as_view()),
    path("project/monitoring-between/<id:project_id>", views.MonitoringBetweenView.as_view()),
    path("git/receivehook", views.ReceiveHookView.as_view()),
    path("manager/list_for_project/<id:project_id>", views.ListProjectManagersView.as_view()),
    path("manager/set_role_for_project/<id:project_id>", views.SetRoleView.as_view()),
]
