"""The forms of the console."""

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from projects.models import Project
from tasks.files import TaskFile
from tasks.queue import NewTask, store_many
from tasks.serializers import hash_of, problem_with_recipe
from tracker.api.fields import INT16, INT32
from webui.pages.forms.projects import Lines

_BATCH = 1_000


class TaskForm(forms.Form):
    """One task."""

    recipe = Lines(
        label=_("Recipe"),
        strip=False,
        widget=forms.Textarea({"rows": 4, "class": "code", "spellcheck": "false"}),
        help_text=_("What to do, in the words that your workers understand."),
    )
    priority = forms.IntegerField(
        label=_("Priority"), initial=0, min_value=INT16[0], max_value=INT16[1], help_text=_("Higher first.")
    )
    verification_count = forms.IntegerField(
        label=_("Verifications"),
        initial=1,
        min_value=1,
        max_value=INT16[1],
        help_text=_("The number of different workers that have to agree."),
    )
    max_retries = forms.IntegerField(
        label=_("Attempts"),
        initial=0,
        min_value=0,
        max_value=INT32[1],
        help_text=_(
            "At so many failures the task counts as failed; 0 and 1: at the first. Until then it is retried at once."
        ),
    )
    max_assign_time = forms.IntegerField(
        label=_("Lease duration, in seconds"),
        initial=0,
        min_value=0,
        max_value=INT32[1],
        help_text=_("0: as the project sets it. Longer than a worker needs for all tasks that it leases at once."),
    )
    unique_string = forms.CharField(
        label=_("Unique name"),
        required=False,
        strip=False,
        help_text=_("Two tasks of the project can't have the same name. Empty: no name."),
    )

    def clean_recipe(self) -> str:
        recipe: str = self.cleaned_data["recipe"]
        if problem_with_recipe(recipe) is not None:
            too_long = _("The recipe is too long: it may have at most %(number)s bytes in UTF-8.")
            raise forms.ValidationError(too_long % {"number": settings.MAX_RECIPE_BYTES})
        return recipe

    def submit(self, project: Project) -> tuple[int, int]:
        """Store the task. Returns the number of created tasks and the number of duplicates."""
        values = dict(self.cleaned_data)
        unique_string = values.pop("unique_string")
        task = NewTask(**values, hash64=hash_of(unique_string) if unique_string else None)
        (stored,) = store_many(project=project, tasks=[task])
        return (0, 1) if stored.duplicate else (1, 0)


class FileForm(forms.Form):
    """A file of tasks. The whole file is validated before the first task is stored."""

    file = forms.FileField(label=_("File"), help_text=_("In UTF-8."))
    kind = forms.ChoiceField(
        label=_("Each line is"),
        choices=[("lines", _("a recipe")), ("jsonl", _("a JSON object with the keys of /task/submit"))],
    )
    unique = forms.BooleanField(label=_("Skip recipes that are in the project already"), required=False)

    def clean_file(self) -> object:
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_BULK_BODY_BYTES:
            raise forms.ValidationError(_("The file is too large; use the command submit_tasks for it."))
        return file

    def submit(self, project: Project) -> tuple[int, int]:
        """Store the tasks. Returns the number of created tasks and the number of duplicates. Raises BadInput."""
        tasks = TaskFile(
            self.cleaned_data["file"].file,
            project=project,
            as_json=self.cleaned_data["kind"] == "jsonl",
            unique=self.cleaned_data["unique"],
            defaults={},
        )
        total = sum(1 for _task in tasks)
        created = 0
        for batch in tasks.batches(_BATCH):
            stored = store_many(project=project, tasks=batch)
            created += sum(not one.duplicate for one in stored)
        return created, total - created
