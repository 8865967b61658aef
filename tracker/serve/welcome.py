"""The sample project and the greeting with commands to try, for new users."""

from django.conf import settings

from projects.models import Project
from projects.services import create_project
from tasks.models import Task
from tasks.queue import NewTask, store_many
from tracker.postgres.base import uses_embedded_server

SAMPLE_TASKS = 10
_WILDCARDS = ("0.0.0.0", "::")


def create_sample_project() -> None:
    """Create a public project with a few tasks, for a new database."""
    project = create_project(name="hello", public=True, motd="A sample project to try things out.")
    store_many(project=project, tasks=[NewTask(recipe=f"Say hello, {n}") for n in range(1, SAMPLE_TASKS + 1)])


def greeting(address: str) -> str:
    """Where the tracker listens, and the next three steps as commands to paste."""
    database = (
        f"embedded PostgreSQL in {settings.EMBEDDED_POSTGRES_FOLDER}" if uses_embedded_server() else "DATABASE_URL"
    )
    lines = [f"Task tracker {settings.VERSION} listens on {address} (database: {database})", ""]
    ready = Task.objects.filter(
        status=Task.Status.NEW, assignee__isnull=True, project__public=True, project__paused=False
    )
    project_id = ready.values_list("project_id", flat=True).first()
    if project_id is None:
        newest = Project.objects.filter(public=True).order_by("-pk").first()
        project_id = newest.pk if newest else 1
        lines += [
            "No public project has tasks. To create one and submit tasks to it, one per line:",
            "",
            "  .venv/bin/python manage.py create_project NAME --public",
            "  seq 100 | .venv/bin/python manage.py submit_tasks NAME -",
            "",
        ]
    if settings.HOST in _WILDCARDS and settings.ALLOWED_HOSTS[0] == settings.HOST:
        lines += ["Only this machine is allowed; for others, add the name or address they use to ALLOWED_HOSTS.", ""]
    return "\n".join([*lines, *_steps(address.rstrip("/"), project_id), "", "Ctrl-C stops it."])


def _steps(address: str, project_id: int) -> list[str]:
    return [
        "Try it from another terminal:",
        "",
        "  # 1. Register a worker; its credentials are saved to worker.txt",
        f"""  curl -s {address}/worker/create -d '{{"alias": "first"}}' \\""",
        """    | sed -E 's/.*"id":([0-9]+).*"secret":"([^"]+)".*/X-Worker-ID: \\1|X-Secret: \\2/' \\
    | tr '|' '\\n' | tee worker.txt""",
        "  # 2. Lease a task",
        f"  curl -s -H @worker.txt {address}/task/get/{project_id} | tee task.json",
        "  # 3. Report it done",
        f"  curl -s -H @worker.txt {address}/task/release \\",
        """    -d "{\\"task_id\\": $(sed -E 's/.*"task":\\{"id":([0-9]+).*/\\1/' task.json), \\"result\\": 0}\"""",
    ]
