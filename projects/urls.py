from django.urls import path

from projects import pages, views

urlpatterns = [
    path("project/get/<id:project_id>", views.GetProjectView.as_view()),
    path("project/list", views.ListProjectsView.as_view()),
]

page_urlpatterns = [
    path("projects/", pages.project_list),
]
