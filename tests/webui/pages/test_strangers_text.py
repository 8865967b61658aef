"""Text of strangers on the pages and in the admin: it neither controls nor reorders what stands around it."""

import re
from html import unescape
from html.parser import HTMLParser
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from logs.models import Level, LogEntry
from projects.access import set_roles
from projects.models import Project, Snapshot
from projects.roles import ALL_ROLES
from tasks import queue
from tasks.models import Attempt, Outcome, OutcomeEntry, Task, WorkerTally
from tests.factories import FailureGroupFactory, ProjectFactory, TaskFactory, UserFactory, grant, register
from tracker.text import has_unseen
from workers.models import OperatorMark, Worker, WorkerAccess

pytestmark = pytest.mark.django_db

NASTY = "\u202eevil\u2066\x1b[31m\u2069\u2069\u200b"
SHOWN = r"\u202eevil\u2066\x1b[31m\u2069\u2069\u200b"
HEBREW = "שלום"

PAGES = (
    *("/projects/", "/projects/?q=%E2%80%AEevil", "/workers/?q=%E2%80%AE%1B", "/workers/", "/logs/", "/managers/"),
    *("/projects/{id}/", "/projects/{id}/start/", "/projects/{id}/permissions/", "/projects/{id}/console/"),
    *(
        "/failures/",
        "/projects/{id}/failures/",
        "/projects/{id}/failures/{failure}/",
        "/projects/{id}/failures/{failure}/retry/",
        "/projects/{id}/secrets/",
        "/projects/{id}/edit/",
        "/projects/{id}/reset-failed/",
        "/projects/new/",
        "/projects/{id}/workers/?period=all",
        "/workers/{worker}/?period=all",
        "/workers/{worker}/put-back/{id}/",
        "/tasks/{task}/",
        "/tasks/{voted}/",
        "/accounts/",
    ),
)
ADMIN = (
    *("/admin/", "/admin/projects/project/", "/admin/projects/snapshot/", "/admin/tasks/task/"),
    *(
        "/admin/tasks/failuregroup/",
        "/admin/tasks/closedtask/",
        "/admin/workers/worker/",
        "/admin/workers/workeraccess/",
        "/admin/logs/logentry/",
    ),
    *("/admin/accounts/user/", "/admin/projects/project/{id}/change/", "/admin/projects/project/{id}/secrets/"),
    *("/admin/projects/project/{id}/act/pause/", "/admin/workers/worker/{worker}/act/pause/"),
    *("/admin/workers/worker/{worker}/change/", "/admin/tasks/task/{task}/change/"),
    *("/admin/logs/logentry/{entry}/change/", "/admin/accounts/user/{user}/change/"),
    *("/admin/accounts/user/{user}/act/demote/",),
)


@pytest.fixture
def scene(tracker_admin):
    """Rows that hold such text wherever a row may hold text of strangers."""
    project, other = ProjectFactory(private=True), ProjectFactory()
    user = UserFactory(is_superuser=True)
    worker, asking = register().worker, register()
    grant(register(), project, assign=True)
    WorkerAccess.objects.create(worker=asking.worker, project=project, wants_assign=True, asked="2026-01-01T00:00:00Z")
    TaskFactory(project=project, recipe=f"recipe {NASTY}")
    set_roles(manager=user, project=project, roles=ALL_ROLES)
    attempt = Attempt.objects.create(
        task_id=1,
        project=project,
        worker=worker,
        lease="00000000-0000-0000-0000-000000000000",
        began="2026-01-01T00:00:00Z",
        outcome=Outcome.FAILED,
        message=f"attempt {NASTY}",
        version=NASTY,
        fingerprint=1,
    )
    OutcomeEntry.objects.create(project=project, worker=worker, outcome=Outcome.FAILED, attempt=attempt.pk)
    leased = queue.lease(project=other, worker=worker) or TaskFactory(project=other, recipe=f"recipe {NASTY}")
    queue.lease(project=other, worker=worker)
    TaskFactory(project=project, recipe=f"recipe {NASTY}", status=Task.Status.FAILED)
    failure = fail_with(project, worker, f"failure {NASTY}")
    entry = LogEntry.objects.create(
        worker=worker, level=Level.ERROR, scope=f"scope {NASTY}", message=f"message {NASTY}", timestamp=1
    )
    for row in (project, other):
        WorkerTally.objects.create(project=row, worker=worker, hour=None, seen="2026-01-01T00:00Z")
        Attempt.objects.create(
            task_id=leased.pk,
            project=row,
            worker=worker,
            lease=UUID(int=1),
            outcome=Outcome.FAILED,
            began="2026-01-01T00:00Z",
            message=f"message {NASTY}",
            version=f"version {NASTY}",
        )
        OperatorMark.objects.create(project=row, worker=worker, operator=f"operator {NASTY}")
    voted = TaskFactory(project=other, voters=[worker.pk], votes=[7], verification_count=2)
    for row in Project.objects.all():
        text = f"project {row.pk} {NASTY}"
        Project.objects.filter(pk=row.pk).update(name=text, name_key=None, motd=text, version=text, clone_url=text)
        Snapshot.objects.create(
            **dict.fromkeys(("new_task_count", "failed_task_count", "closed_task_count"), 1),
            awaiting_verification_count=1,
            worker_access_count=1,
            project=row,
            version=text,
        )
    Project.objects.filter(pk=project.pk).update(chain=other, paused=True)
    for row in Worker.objects.all():
        Worker.objects.filter(pk=row.pk).update(alias=f"alias {row.pk} {NASTY}")
    User.objects.filter(pk=user.pk).update(username=f"m\u202e{user.pk}")
    return {
        "id": project.pk,
        "worker": worker.pk,
        "task": leased.pk,
        "voted": voted.pk,
        "entry": entry.pk,
        "user": user.pk,
        "failure": failure,
    }


def fail_with(project, worker, text):
    """Lets a task fail with this text wherever a worker may say something. Returns the group's fingerprint as text."""
    now = timezone.now()
    attempt = Attempt.objects.create(
        project=project,
        task_id=1,
        worker=worker,
        lease=uuid4(),
        began=now,
        outcome=1,
        message=f"{text}\n" * 9,
        output=f'"{text}"',
        version=text,
        fingerprint=5,
    )
    FailureGroupFactory(
        project=project,
        fingerprint=5,
        message=f"{text}\n" * 9,
        example=attempt.pk,
        workers=list(Worker.objects.values_list("pk", flat=True)),
        versions=[text, f"{text} 2"],
    )
    TaskFactory(project=project, status=Task.Status.FAILED, failure=5)
    return f"{5:016x}"


class Text(HTMLParser):
    """The text of a page outside of blocks that show whole texts as they are, and the values of its attributes."""

    RAW = ("pre", "textarea", "script", "style")

    def __init__(self, page):
        super().__init__()
        self.found, self.inside, self.raw = [], [], 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        classes = (given.get("class") or "").split()
        # Elements that form a paragraph of their own, in which text is shown as it was sent.
        is_raw = tag in self.RAW or bool({"motd", "text", "mono"} & set(classes)) or "readonly" in classes
        if tag not in ("input", "meta", "link", "br", "img", "option", "hr", "path", "polyline"):
            self.inside.append(is_raw)
        for name, value in attributes:
            if name not in ("value", "href", "action") and value:
                self.found.append(value)

    def handle_endtag(self, tag):
        if tag not in ("input", "meta", "link", "br", "img", "option", "hr", "path", "polyline") and self.inside:
            self.inside.pop()

    def handle_data(self, data):
        if not any(self.inside):
            self.found.append(data)


def bare(text):
    return re.sub(r"[\s\u2068\u2069]", "", text)


@pytest.mark.parametrize("address", [*PAGES, *ADMIN])
def test_no_page_shows_characters_that_control_or_turn(scene, admin, address):
    response = admin.get(address.format(**scene), follow=True)
    assert response.status_code == 200
    found = Text(response.content.decode()).found
    assert len(found) > 20
    assert [text for text in found if has_unseen(re.sub(r"[\n\r\t]", "", text))] == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/workers/", f"<bdi>alias {{worker}} {SHOWN}</bdi>"),
        ("/projects/", f"<bdi>project {{id}} {SHOWN}</bdi>"),
        ("/projects/{id}/workers/?period=all", f"<bdi>alias {{worker}} {SHOWN}</bdi>"),
        ("/workers/{worker}/?period=all", f"<h1><bdi>alias {{worker}} {SHOWN}</bdi>"),
        ("/workers/{worker}/?period=all", f"<bdi>project {{id}} {SHOWN}</bdi>"),
        ("/workers/{worker}/?period=all", f'tabindex="0">message {NASTY}</div>'),
        ("/workers/{worker}/?period=all", f"<bdi>operator {SHOWN}</bdi>"),
        ("/projects/{id}/workers/?period=all", f"<bdi>operator {SHOWN}</bdi>"),
        ("/tasks/{voted}/", f"<bdi>operator {SHOWN}</bdi>"),
        ("/admin/workers/worker/{worker}/change/", f"<bdi>operator {SHOWN}</bdi>"),
        ("/workers/{worker}/put-back/{id}/", f"<bdi>alias {{worker}} {SHOWN}</bdi>"),
        ("/projects/{id}/", f"<h1><bdi>project {{id}} {SHOWN}</bdi>"),
        ("/projects/{id}/", f"<bdi>attempt {SHOWN}</bdi>"),
        ("/projects/{id}/permissions/", r"<bdi>m\u202e{user}</bdi>"),
        ("/projects/{id}/failures/", f"<bdi>alias {{worker}} {SHOWN}</bdi>"),
        ("/projects/{id}/failures/{failure}/", f"<bdi>alias {{worker}} {SHOWN}</bdi></a>"),
        ("/projects/{id}/failures/{failure}/", f"<bdi>failure {SHOWN}</bdi></code>"),
        ("/projects/{id}/failures/{failure}/", f">failure {SHOWN}\nfailure {SHOWN}\n"),
        ("/failures/", f"<bdi>project {{id}} {SHOWN}</bdi>"),
        ("/logs/", f'<td class="who-cell"><bdi>scope {SHOWN}</bdi></td>'),
        ("/managers/", r"<bdi>m\u202e{user}</bdi>"),
        ("/admin/", f"<bdi>message {SHOWN}</bdi>"),
        ("/admin/workers/worker/{worker}/change/", f"alias {{worker}} {SHOWN}"),
    ],
)
def test_names_are_isolated(scene, admin, address, shown):
    page = unescape(admin.get(address.format(**scene)).content.decode())
    assert shown.format(**scene) in page


def test_alias_and_id_where_access_is_decided(admin, project):
    asking = register()
    WorkerAccess.objects.create(worker=asking.worker, project=project, wants_assign=True, asked="2026-01-01T00:00:00Z")
    Worker.objects.update(alias=f"{NASTY} {HEBREW}")
    page = unescape(admin.get(f"/projects/{project.pk}/permissions/").content.decode())
    assert f'<bdi>{SHOWN} {HEBREW}</bdi> <span class="subtle small">{asking.worker.pk}</span>' in page
    assert f'aria-label="Approve \u2068{SHOWN} {HEBREW}\u2069"' in page
    page = unescape(admin.get("/admin/workers/workeraccess/").content.decode())
    assert f"<bdi>{SHOWN} {HEBREW}</bdi> ({asking.worker.pk})" in page


def test_charts_get_harmless_names(admin, project):
    TaskFactory(project=project)
    worker = register().worker
    queue.lease(project=project, worker=worker)
    Worker.objects.update(alias=f"{NASTY} {HEBREW}")
    numbers = admin.get(f"/projects/{project.pk}/numbers/").json()
    assert numbers["assignees"] == [{"name": f"\u2068{SHOWN} {HEBREW}\u2069", "count": 1}]


def test_messages_name_managers_harmlessly(admin, project):
    user = UserFactory()
    User.objects.filter(pk=user.pk).update(username=f"m\u202e{HEBREW}")
    response = admin.post(f"/projects/{project.pk}/permissions/roles/", {"manager": f"m\u202e{HEBREW}"}, follow=True)
    assert f"The roles of \u2068m\\u202e{HEBREW}\u2069 were saved." in unescape(response.content.decode())
