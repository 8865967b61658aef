from django.urls import path
from django.views.i18n import set_language

from accounts import pages, views

urlpatterns = [
    path("register", views.RegisterView.as_view()),
    path("login", views.LoginView.as_view()),
    path("logout", views.LogoutView.as_view()),
    path("account", views.AccountView.as_view()),
    path("manager/list", views.ListManagersView.as_view()),
    path("manager/promote/<id:manager_id>", views.PromoteView.as_view()),
    path(
        "manager/demote/<id:manager_id>",
        views.PromoteView.as_view(tracker_admin=False, summary="Make a manager a tracker admin no longer"),
    ),
]

page_urlpatterns = [
    path("accounts/", pages.account),
    path("accounts/login/", pages.login),
    path("accounts/logout/", pages.logout),
    path("accounts/register/", pages.register),
    path("accounts/language/", set_language),
    path("managers/", pages.managers),
    path("managers/<id:manager_id>/promote/", pages.promote, {"tracker_admin": True}),
    path("managers/<id:manager_id>/demote/", pages.promote, {"tracker_admin": False}),
]
