"""The API of projects."""

from django.conf import settings
from django.http import HttpResponse
from rest_framework.fields import IntegerField
from rest_framework.request import Request

from accounts.authentication import SessionAuthentication, manager_of, viewer_of
from accounts.models import User
from accounts.services import NoSuchManager
from accounts.views import ManagerView
from projects import access, queries, services, webhooks
from projects.access import require
from projects.lookup import NoSuchProject
from projects.models import Project
from projects.roles import Role
from projects.serializers import (
    CreateProjectRequest,
    ManagerRoleContent,
    MonitoringBetweenQuery,
    MonitoringQuery,
    ProjectContent,
    ProjectsQuery,
    ProjectTwiceContent,
    SetRoleRequest,
    SnapshotContent,
    UpdateProjectRequest,
    WebhookSecretRequest,
    manager_role_content,
    project_content,
    snapshot_content,
)
from tracker.api import paging
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.fields import Id, Text
from tracker.api.views import ApiView


class GetProjectView(ApiView):
    """GET /project/get/:id. The fields are in `content` and again in `content.project`; clients read either."""

    authentication_classes = [SessionAuthentication]

    @describe("A project", details="A hidden project needs READ.", content=ProjectTwiceContent)
    def get(self, request: Request, project_id: int) -> Envelope:
        project = visible_project(request, project_id)
        content = project_content(project, known=access.known_chains(viewer_of(request), [project]))
        limits = {name: getattr(project, name) for name in ("max_lease_seconds", "max_leases", "max_expiries")}
        return Envelope({**content, **limits, "project": content})


class ListProjectsView(ApiView):
    """GET /project/list."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "All projects by name",
        details=(
            "Hidden projects only for managers with READ. A page ends after 1,000 projects, and earlier if their texts "
            "are very long; then `after` says that there are more."
        ),
        query=ProjectsQuery,
        content={"projects": ProjectContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request) -> Envelope:
        viewer, page = viewer_of(request), self.query(ProjectsQuery)
        projects, following = queries.projects_page(viewer, **page)
        is_whole = not following and page["after"] is None
        known = {project.pk for project in projects} if is_whole else access.known_chains(viewer, projects)
        return Envelope({"projects": [project_content(project, known=known) for project in projects]} | following)


class CreateProjectView(ManagerView):
    """POST /project/create."""

    @describe(
        "Create a project",
        details=(
            "Its creator gets all five roles. A name that counts as a taken one gets 409, also if a hidden project has "
            "it: see Names."
        ),
        body=CreateProjectRequest,
        content={"id": Id()},
        errors={404: None, 409: None},
    )
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(CreateProjectRequest)
        project = services.create_project_for(manager=manager_of(request), **fields)
        return Envelope({"id": project.pk})


class UpdateProjectView(ManagerView):
    """POST /project/update/:id. Fields that are not sent stay unchanged."""

    @describe(
        "Change a project",
        details="Needs EDIT. Fields that are not sent stay unchanged.",
        body=UpdateProjectRequest,
        errors={409: None},
    )
    def post(self, request: Request, project_id: int) -> Envelope:
        manager = manager_of(request)
        project = require(manager, project_id, Role.EDIT)
        services.update_project(manager=manager, project=project, **self.parsed(UpdateProjectRequest))
        return Envelope()


class WebhookSecretView(ManagerView):
    """GET and POST /project/webhook_secret/:id."""

    @describe(
        "The secret that signs the git host's pushes",
        details="Needs SECRET.",
        content={"webhook_secret": Text()},
        errors={403: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.SECRET)
        return Envelope({"webhook_secret": project.webhook_secret})

    @describe(
        "Set the secret that signs the git host's pushes",
        details="Needs SECRET. White space at its ends is taken off.",
        body=WebhookSecretRequest,
    )
    def post(self, request: Request, project_id: int) -> Envelope:
        project = require(manager_of(request), project_id, Role.SECRET)
        services.set_webhook_secret(project=project, secret=self.parsed(WebhookSecretRequest)["webhook_secret"])
        return Envelope()


class ListProjectManagersView(ManagerView):
    """GET /manager/list_for_project/:id."""

    @describe(
        "Managers with roles in a project",
        query=paging.PageQuery,
        content={"managers": ManagerRoleContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = visible_project(request, project_id)
        everybody = access.managers_of(project)
        managers, following = paging.page_by(everybody, key="username", **self.query(paging.PageQuery))
        content = [manager_role_content(manager, roles) for manager, roles in access.with_roles(managers, project)]
        return Envelope({"managers": content} | following)


class SetRoleView(ManagerView):
    """POST /manager/set_role_for_project/:id."""

    @describe("Set a manager's roles in a project", details="Needs MANAGE_ACCESS.", body=SetRoleRequest)
    def post(self, request: Request, project_id: int) -> HttpResponse:
        project = require(manager_of(request), project_id, Role.MANAGE_ACCESS)
        fields = self.parsed(SetRoleRequest)
        manager = User.objects.filter(pk=fields["manager"]).first()
        if manager is None:
            raise NoSuchManager(f"manager: there is no manager {fields['manager']}.")
        access.set_roles(manager=manager, project=project, roles=Role(fields["role"]))
        return Envelope()


class MonitoringView(ApiView):
    """GET /project/monitoring/:id?count=."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "A project's snapshots, newest first", query=MonitoringQuery, content={"snapshots": SnapshotContent(many=True)}
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = visible_project(request, project_id)
        snapshots = queries.newest_snapshots(project, **self.query(MonitoringQuery))
        return Envelope({"snapshots": [snapshot_content(snapshot) for snapshot in snapshots]})


class MonitoringBetweenView(ApiView):
    """GET /project/monitoring-between/:id?from=&to=."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "A project's snapshots between two times, newest first",
        query=MonitoringBetweenQuery,
        content={"snapshots": SnapshotContent(many=True)},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = visible_project(request, project_id)
        snapshots = queries.snapshots_between(project, **self.query(MonitoringBetweenQuery))
        return Envelope({"snapshots": [snapshot_content(snapshot) for snapshot in snapshots]})


class ReceiveHookView(ApiView):
    """POST /git/receivehook. Authenticated by its signature."""

    max_body_bytes = settings.MAX_WEBHOOK_BODY_BYTES

    @describe(
        "Receive a git host's webhook",
        details=(
            "From GitHub, Gitea, Gogs, Forgejo or GitLab, signed with the project's webhook secret. A push to the "
            "production branch becomes the project's `version`: `after` has to be a full commit id. Whatever else is "
            "signed gets 200, and `message` says why it was ignored."
        ),
        body={"type": "object", "description": "The host's payload.", "additionalProperties": True},
        content={"updated_projects": IntegerField()},
        errors={403: None},
    )
    def post(self, request: Request) -> Envelope:
        received = webhooks.receive(body=self.raw(), headers=request.headers)
        return Envelope({"updated_projects": len(received.projects)}, message=received.message)


def visible_project(request: Request, project_id: int) -> Project:
    """The project, if the viewer may know of it. Raises NoSuchProject."""
    project = Project.objects.visible_to(viewer_of(request)).filter(pk=project_id).first()
    if project is None:
        raise NoSuchProject(f"There is no project {project_id}.")
    return project
