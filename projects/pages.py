"""The pages of projects."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.models import Project


@require_safe
def project_list(request: HttpRequest) -> HttpResponse:
    """GET /projects/: the projects that the visitor may know of."""
    projects = Project.objects.visible_to(request.user).order_by("name")
    return render(request, "projects/list.html", {"projects": projects})
