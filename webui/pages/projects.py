"""The list of projects, and pages to create, configure and pause a project and to change its secrets."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import services
from projects.models import Project
from projects.roles import Role
from tasks.queries import overview
from tracker.api.errors import ApiError, BadInput
from webui.pages.common import blame, choice, named_like, require_login, sought_in
from webui.pages.forms.projects import ProjectForm, SecretForm, WebhookSecretForm
from webui.pages.frame import find_with, home_of, project_page
from webui.pages.totals import total_of

PROJECTS_PER_PAGE = 50

# What a list can be limited to and sorted by, by the words in the query string.
KINDS = {
    "": Q(),
    "public": Q(public=True),
    "private": Q(public=False, hidden=False),
    "hidden": Q(hidden=True),
    "paused": Q(paused=True),
    "running": Q(paused=False),
}
ORDERS = {"priority": ("-priority", "name"), "name": ("name",), "newest": ("-pk",)}


@require_safe
def project_list(request: HttpRequest) -> HttpResponse:
    """/projects/: the projects that the visitor may see, with their current state."""
    sought = sought_in(request)
    kind, condition = choice(request, "kind", KINDS)
    sort, order = choice(request, "sort", ORDERS)
    projects = Project.objects.visible_to(request.user).filter(condition)
    if sought:
        projects = projects.filter(named_like(sought))
    page = Paginator(projects.order_by(*order), PROJECTS_PER_PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    standing, lines = overview.overviews(found), overview.sparklines(found)
    rows = [(project, standing[project.pk], lines.get(project.pk)) for project in found]
    content = {
        "rows": rows,
        "page": page,
        "sought": sought,
        "kind": kind,
        "sort": sort,
        "is_filtered": bool(sought or kind),
        "total": total_of(projects, standing, page.paginator.count),
    }
    return render(request, "projects/list.html", content)


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """/projects/new/."""
    manager = require_login(request)
    form = ProjectForm(manager, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = services.create_project_for(manager=manager, **form.changes())
        except ApiError as error:
            blame(form, error)
        else:
            messages.success(request, _("The project was created; you have every role in it."))
            return HttpResponseRedirect(f"/projects/{project.pk}/")
    return render(request, "projects/new.html", {"form": form}, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/edit/."""
    project = find_with(request, project_id, Role.EDIT)
    form = ProjectForm(request.user, request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_project(manager=require_login(request), project=project, **form.changes())
        except ApiError as error:
            blame(form, error)
        else:
            messages.success(request, _("The settings were saved."))
            return HttpResponseRedirect(f"/projects/{project.pk}/edit/")
    return project_page(
        request, project, "projects/edit.html", "edit/", {"form": form}, status=400 if form.errors else 200
    )


@require_POST
def pause(request: HttpRequest, project_id: int, *, paused: bool) -> HttpResponse:
    """/projects/7/pause/ and resume/."""
    project = find_with(request, project_id, Role.EDIT)
    services.update_project(manager=require_login(request), project=project, paused=paused)
    told = _("Paused: no task is leased until you resume it.") if paused else _("Resumed: tasks are leased again.")
    messages.success(request, told)
    return HttpResponseRedirect(home_of(request, project, "edit/"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def secrets(request: HttpRequest, project_id: int) -> HttpResponse:
    """/projects/7/secrets/. Only responses to a POST contain the secrets."""
    project = find_with(request, project_id, Role.SECRET)
    shown = False
    secret, webhook = SecretForm(initial={"secret": project.secret}), _webhook_form(project)
    if request.method == "POST":
        shown = request.POST.get("do") == "show"
        if request.POST.get("do") == "rotate":
            services.rotate_webhook_secret(project=project)
            return _secret_changed(request, project)
        if not shown:
            form = _posted_secret(request)
            if form.is_valid():
                return _save_secret(request, project, **form.cleaned_data)
            shown = True
            secret, webhook = (form, webhook) if isinstance(form, SecretForm) else (secret, form)
    content = {
        "shown": shown,
        "secret_form": secret,
        "webhook_form": webhook,
        "webhook_address": request.build_absolute_uri("/git/receivehook"),
        "has_webhook_secret": bool(project.webhook_secret),
    }
    return project_page(request, project, "projects/secrets.html", "secrets/", content)


def _posted_secret(request: HttpRequest) -> Form:
    # A missing key must not count as an empty secret.
    if "secret" in request.POST:
        return SecretForm(request.POST)
    if "webhook_secret" in request.POST:
        return WebhookSecretForm(request.POST)
    raise BadInput(_("Say which secret to change."))


def _save_secret(
    request: HttpRequest, project: Project, *, secret: str | None = None, webhook_secret: str | None = None
) -> HttpResponse:
    if webhook_secret is not None:
        services.set_webhook_secret(project=project, secret=webhook_secret)
    else:
        Project.objects.filter(pk=project.pk).update(secret=secret)
    return _secret_changed(request, project)


def _secret_changed(request: HttpRequest, project: Project) -> HttpResponse:
    messages.success(request, _("The secret was changed. Show it to copy it."))
    return HttpResponseRedirect(f"/projects/{project.pk}/secrets/")


def _webhook_form(project: Project) -> Form:
    return WebhookSecretForm(initial={"webhook_secret": project.webhook_secret})
