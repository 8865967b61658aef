"""Takes the README's screenshot: starts a separate tracker, fills it with a day of history, captures the dashboard.

Run by `make screenshot`; needs the packages of requirements-dev.txt, and chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright
from rich.console import Console

from demo.__main__ import Demo

PICTURE = Path(__file__).with_name("dashboard.png")
PASSWORD = "only for this picture"  # noqa: S105

# A project that has been busy for a day: a new version, some failures, and two batches of new tasks.
SCENE = """
import math, random
from datetime import timedelta
from django.utils import timezone
from accounts.services import register
from projects.models import Project, Snapshot
from projects.services import create_project
from tasks import queue
from tasks.models import ClosedTotal, ProjectTally, Task
from tracker.models import Chore
from workers.services import create_worker

random.seed(7)
# The scheduler's own snapshots would show the tasks of the scene, which don't match the made-up history.
tomorrow = timezone.now() + timedelta(days=1)
Chore.objects.update_or_create(name="tasks.chores.take_snapshots", defaults={"next_at": tomorrow})
register(username="ada", password="only for this picture")
project = create_project(
    name="Fold proteins", public=True, version="6113728f27ae82c7", clone_url="https://git.example/biology/fold",
    git_repo="biology/fold", motd="Please update: the new version needs 8 GiB instead of 12.", priority=10,
)
names = ["attic-3", "basement-gpu", "garage", "laptop", "lab-17.cluster.example", "lab-18.cluster.example", "office"]
workers = [create_worker(alias=name).worker for name in names]
recipes = [f'{{"protein": "1A{n:03}", "seed": {n}}}' for n in range(2400)]
tasks = [queue.NewTask(recipe, n % 3, 3, 0, None, 2) for n, recipe in enumerate(recipes)]
queue.store_many(project=project, tasks=tasks)
Task.objects.filter(project=project).update(created=timezone.now() - timedelta(minutes=95))
for n, worker in enumerate(workers):
    for _ in range(2 + 7 * n % 12):
        queue.lease(project=project, worker=worker)
waiting = list(Task.objects.filter(project=project, assignee=None).values_list("pk", flat=True))
Task.objects.filter(pk__in=waiting[:9]).update(status=Task.Status.FAILED, retries=3)
Task.objects.filter(pk__in=waiting[20:204]).update(voters=[1], votes=[1])
now, closed, new = timezone.now(), 31_000, 5_200
for minute in range(1440, -2, -2):
    hour = (1440 - minute) / 60
    done = max(0, int(random.gauss(9 + 4 * math.sin(hour / 3.5), 2)))
    closed += done
    ended = {"failed": int(random.random() < 0.06) * 3, "expired": int(random.random() < 0.02) * 5}
    for n, counts in enumerate(({"closed": done // 2}, {"closed": done - done // 2, **ended})):
        ago = now - timedelta(minutes=minute + n)
        ProjectTally.objects.create(project=project, minute=ago.replace(second=0, microsecond=0), **counts)
    new = max(2391, new - done + (1550 if minute in (900, 420) else 0))
    Snapshot.objects.create(
        project=project, taken=now - timedelta(minutes=minute), new_task_count=new, closed_task_count=closed,
        failed_task_count=9 if hour > 13 else int(hour > 6) * 4, leased_task_count=random.randrange(38, 48),
        awaiting_verification_count=random.randrange(150, 210), worker_access_count=7,
        version="a4c11e90bb12" if hour < 8 else "6113728f27ae82c7",
    )
for n, worker in enumerate(workers):
    ClosedTotal.objects.create(project=project, worker=worker, count=closed // 7)
"""


def main() -> None:
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed.")
    with tempfile.TemporaryDirectory() as folder:
        tracker = Demo(Path(folder), Console())
        try:
            address = tracker.start_server()
            tracker.manage("shell", "-v0", "-c", SCENE)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=address)
                page.request.post("/login", data={"username": "ada", "password": PASSWORD})
                page.goto("/projects/")
                page.get_by_role("link", name="Fold proteins").click()
                page.wait_for_selector("html[data-drawn]")
                page.screenshot(path=PICTURE)
                browser.close()
        finally:
            tracker.stop()
    Console().print(f"Wrote {PICTURE}.")


if __name__ == "__main__":
    main()
