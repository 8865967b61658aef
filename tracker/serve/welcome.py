"""The sample project and the greeting with commands to try, for new users."""

import os
import shlex
import sys
from pathlib import Path

from django.conf import settings

from projects.models import Project
from projects.services import create_project
from tasks.models import Task
from tasks.queue import NewTask, store_many
from tracker.postgres.base import uses_embedded_server

SAMPLE = "hello"
SAMPLE_TASKS = 10
_WILDCARDS = ("0.0.0.0", "::")


def create_sample_project() -> None:
    """Create a private project with a few tasks, for a new database.

    Private, since programs that work on every project that they may lease from would take these tasks, too.
    """
    project = create_project(name=SAMPLE, motd="A sample project to try things out.")
    store_many(project=project, tasks=[NewTask(recipe=f"Say hello, {n}") for n in range(1, SAMPLE_TASKS + 1)])


def greeting(address: str) -> str:
    """Where the tracker listens, and the next three steps as commands to paste."""
    database = (
        f"embedded PostgreSQL in {settings.EMBEDDED_POSTGRES_FOLDER}" if uses_embedded_server() else "DATABASE_URL"
    )
    lines = [f"Task tracker {settings.VERSION} listens on {address} (database: {database})", ""]
    project = _to_try()
    if project is None:
        project = Project.objects.filter(public=True).order_by("-pk").first()
        lines += [
            "No public project has tasks. To create one and submit tasks to it, one per line:",
            "",
            "  .venv/bin/python manage.py create_project NAME --public",
            "  seq 100 | .venv/bin/python manage.py submit_tasks NAME -",
            "",
        ]
    if settings.HOST in _WILDCARDS and settings.ALLOWED_HOSTS[0] == settings.HOST:
        lines += ["Only this machine is allowed; for others, add the name or address they use to ALLOWED_HOSTS.", ""]
    return "\n".join([*lines, *_steps(address.rstrip("/"), project), "", "Ctrl-C stops it."])


def _to_try() -> Project | None:
    """A project with tasks that a new worker may lease, or the sample project if it has any."""
    ready = Task.objects.filter(status=Task.Status.NEW, assignee__isnull=True, project__paused=False)
    task = ready.filter(project__public=True).select_related("project").first()
    if task is None and uses_embedded_server():
        task = ready.filter(project__name=SAMPLE, project__hidden=False).select_related("project").first()
    return task.project if task else None


def _steps(address: str, project: Project | None) -> list[str]:
    admit = [] if project is None or project.public else _admit(project)
    return [
        "Try it from another terminal:",
        "",
        "  # 1. Register a worker; its credentials are saved to worker.txt",
        f"""  curl -s {address}/worker/create -d '{{"alias": "first"}}' \\""",
        """    | sed -E 's/.*"id":([0-9]+).*"secret":"([^"]+)".*/X-Worker-ID: \\1|X-Secret: \\2/' \\
    | tr '|' '\\n' | tee worker.txt""",
        *admit,
        "  # 2. Lease a task",
        f"  curl -s -H @worker.txt {address}/task/get/{project.pk if project else 1} | tee task.json",
        "  # 3. Report it done",
        f"  curl -s -H @worker.txt {address}/task/release \\",
        """    -d "{\\"task_id\\": $(sed -E 's/.*"task":\\{"id":([0-9]+).*/\\1/' task.json), \\"result\\": 0}\"""",
    ]


def _admit(project: Project) -> list[str]:
    """The command that lets the worker into a private project, from whatever folder it is pasted."""
    manage = shlex.join([sys.executable, str(settings.BASE_DIR / "manage.py")])
    folder = os.environ.get("TRACKER_DATA_DIR")
    where = f"TRACKER_DATA_DIR={shlex.quote(str(Path(folder).absolute()))} " if folder else ""
    return [
        f"  # Let it into the project {project.name}, which is private",
        f"  {where}{manage} \\",
        f"""    grant_access "$(sed -n 's/X-Worker-ID: //p' worker.txt)" {project.pk} --assign""",
    ]
