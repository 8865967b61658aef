"""The API of projects."""

from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, viewer_of
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.serializers import project_content
from tracker.api.envelope import Envelope
from tracker.api.views import ApiView


class GetProjectView(ApiView):
    """GET /project/get/:id. The fields stand in `content` and again in `content.project`; clients read either."""

    authentication_classes = [SessionAuthentication]

    def get(self, request: Request, project_id: int) -> Envelope:
        project = Project.objects.visible_to(viewer_of(request)).filter(pk=project_id).first()
        if project is None:
            raise NoSuchProject(f"There is no project {project_id}.")
        content = project_content(project)
        return Envelope({**content, "project": content})


class ListProjectsView(ApiView):
    """GET /project/list."""

    authentication_classes = [SessionAuthentication]

    def get(self, request: Request) -> Envelope:
        projects = Project.objects.visible_to(viewer_of(request)).order_by("name")
        return Envelope({"projects": [project_content(project) for project in projects]})
