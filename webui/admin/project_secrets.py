"""A project's secrets in the admin. Only the response to a POST that asks for a secret contains it."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from projects import services
from projects.models import Project
from tracker.text import isolated
from webui.admin.base import TrackerModelAdmin


class WorkersSecretForm(forms.Form):
    secret = forms.CharField(
        required=False,
        strip=False,
        max_length=100_000,
        label=_("Secret for the workers"),
        widget=UnfoldAdminTextareaWidget({"rows": 8, "autocomplete": "off", "spellcheck": "false"}),
    )


def answer(model_admin: TrackerModelAdmin, request: HttpRequest, project: Project) -> HttpResponse:
    """The page of a project's secrets. The field `do` of a POST says which secret to show, save or rotate."""
    do = request.POST.get("do") if request.method == "POST" else None
    shown, form = None, None
    match do:
        case "show_webhook":
            shown = project.webhook_secret
        case "rotate_webhook":
            shown = services.rotate_webhook_secret(project=project)
            model_admin.message_user(request, _("The webhook secret was replaced; give the new one to the git host."))
        case "show_workers":
            form = WorkersSecretForm(initial={"secret": project.secret})
        case "save_workers":
            form = WorkersSecretForm(request.POST)
            if form.is_valid():
                Project.objects.filter(pk=project.pk).update(secret=form.cleaned_data["secret"])
                model_admin.message_user(request, _("The secret for the workers was saved."), messages.SUCCESS)
                form = None
    context = model_admin.admin_site.each_context(request) | {
        "opts": model_admin.opts,
        "title": _("Secrets"),
        "crumbs": [
            (model_admin.plural, model_admin.address("changelist")),
            (isolated(project.name), model_admin.address("change", project.pk)),
            (_("Secrets"), None),
        ],
        "project": project,
        "hook_address": request.build_absolute_uri("/git/receivehook"),
        "webhook_secret": shown,
        "form": form,
        "back": model_admin.address("change", project.pk),
    }
    # Never cached, like every page of the admin.
    return TemplateResponse(request, "admin/projects/project/secrets.html", context)
