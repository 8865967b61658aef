from django.urls import path

from accounts import views

urlpatterns = [
    path("register", views.RegisterView.as_view()),
    path("login", views.LoginView.as_view()),
    path("logout", views.LogoutView.as_view()),
    path("account", views.AccountView.as_view()),
    path("manager/list", views.ListManagersView.as_view()),
    path("manager/promote/<id:manager_id>", views.PromoteView.as_view()),
    path(
        "manager/demote/<id:manager_id>",
        views.PromoteView.as_view(tracker_admin=False, summary="Demote a tracker admin"),
    ),
]
