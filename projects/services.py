"""What is done to projects."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from projects.models import Project
from tracker.api.errors import Conflict


class NameTaken(Conflict):
    """A project of this name exists already; names are unique."""


def create_project(*, name: str, **settings: Any) -> Project:
    """Create a project; `settings` are further columns of Project.

    Raises django's ValidationError, whose message_dict names the columns, and NameTaken.
    """
    project = Project(name=name, **settings)
    project.full_clean(validate_unique=False, validate_constraints=False)
    if project.public and project.hidden:
        raise ValidationError({"hidden": "A project can't be public and hidden at once."})
    try:
        with transaction.atomic():
            project.save(force_insert=True)
    except IntegrityError as error:
        if "project_name_unique" in str(error):
            raise NameTaken from error
        raise
    return project
