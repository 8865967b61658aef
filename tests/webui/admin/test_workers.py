"""Workers and access requests in the admin."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from logs.models import Level, LogEntry
from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tasks import queue
from tasks.models import ClosedTotal, Task, WorkerTally
from tasks.queue import upkeep
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, grant, register
from tests.webui.admin.conftest import Browser
from workers.models import Worker, WorkerAccess
from workers.services import digest

pytestmark = pytest.mark.django_db

LIST = "workers/worker/"
INBOX = "workers/workeraccess/"
ACTIONS = ("pause", "resume", "release_leases", "rotate_secret")


def ask(registration, project, **columns):
    access = grant(registration, project, **columns)
    WorkerAccess.objects.filter(pk=access.pk).update(wants_submit=True, asked="2026-01-01T00:00:00Z")
    access.refresh_from_db()
    return access


def act(browser, worker, action, **post):
    return browser.client.post(f"/admin/workers/worker/{worker.pk}/act/{action}/", post)


# --- Visibility ---


def test_a_tracker_admin_sees_all_workers(admin, worker, other_worker):
    assert set(admin.rows(LIST)) == {worker.worker, other_worker.worker}


def test_a_manager_sees_workers_with_access_or_leases(scoped, project, foreign):
    with_access, with_lease, elsewhere, nowhere = (register(name) for name in ("access", "lease", "else", "no"))
    grant(with_access, project)
    grant(elsewhere, foreign, assign=True)
    for where, who in ((project, with_lease), (foreign, elsewhere)):
        TaskFactory(project=where)
        queue.lease(project=where, worker=who.worker)
    assert set(scoped.rows(LIST)) == {with_access.worker, with_lease.worker}
    scoped.get(f"{LIST}{with_lease.worker.pk}/change/")
    for hidden in (elsewhere, nowhere):
        scoped.get(f"{LIST}{hidden.worker.pk}/change/", status=404)


def test_seeing_workers_requires_manage_access(with_roles, project, worker):
    access = grant(worker, project)
    browser = with_roles(ALL_ROLES ^ Role.MANAGE_ACCESS)
    assert browser.rows(LIST) == []
    browser.get(f"{LIST}{access.worker_id}/change/", status=404)


def test_nothing_about_other_projects_is_shown(scoped, project, foreign, worker):
    grant(worker, project)
    grant(worker, foreign, assign=True)
    TaskFactory(project=foreign)
    queue.lease(project=foreign, worker=worker.worker)
    (row,) = scoped.rows(LIST)
    assert row.activity == (0, 0, 0, None, None)
    assert foreign.name not in scoped.get(f"{LIST}{worker.worker.pk}/change/")


def test_a_workers_accesses_are_shown_as_the_api_lists_them(with_roles, project, manager, worker):
    """That takes MANAGE_ACCESS in their project; a role elsewhere is not enough."""
    others = {role: ProjectFactory(name=f"only {role.name}") for role in Role}
    for role, other in others.items():
        set_roles(manager=manager, project=other, roles=role)
        grant(worker, other, submit=True)
    grant(worker, project, assign=True)
    page = with_roles(ALL_ROLES).get(f"{LIST}{worker.worker.pk}/change/")
    shown = {role for role, other in others.items() if f"only {role.name}" in page}
    api = Api().login(manager)
    listed = {role for role, other in others.items() if api.get(f"/project/access_list/{other.pk}").ok}
    assert shown == listed == {Role.MANAGE_ACCESS}
    assert project.name in page


def test_a_workers_figures(admin, scoped, project, foreign, worker, other_worker):
    """As on its page, but for managers only of projects in which they have MANAGE_ACCESS."""
    grant(worker, project)
    for place, (numbers, who) in enumerate((((3, 90), worker), ((100, 0), other_worker))):
        for where in (project, foreign):
            closed, failed = numbers
            tally = {"project": where, "worker": who.worker, "hour": None, "seen": f"2026-01-0{place + 1}T00:00:00Z"}
            WorkerTally.objects.create(**tally, failed=failed, durations=[0] * 40 + [closed])
            ClosedTotal.objects.create(project=where, worker=who.worker, count=closed)
    path = f"{LIST}{worker.worker.pk}/change/"
    assert admin.get(path).count('<td class="number">90</td>') == 2
    with CaptureQueriesContext(connection) as queries:
        page = scoped.get(path)
    # Once per period, and once more for the period in which it is compared with others.
    assert sum("tasks_workertally" in query["sql"] and "sum(closed" in query["sql"] for query in queries) == 3
    assert page.count('<td class="number">90</td>') == 1
    assert "97 %" in page
    assert "fails often" in page
    assert foreign.name not in page


def test_the_activity_of_workers(admin, project, worker, other_worker):
    TaskFactory.create_batch(3, project=project)
    first = queue.lease(project=project, worker=worker.worker)
    queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=first.id, result=queue.Result.OK)
    numbers = {row: row.activity for row in admin.rows(LIST)}
    assert (numbers[worker.worker].leases, numbers[worker.worker].closed) == (1, 1)
    assert numbers[worker.worker].seen is not None
    assert numbers[other_worker.worker] == (0, 0, 0, None, None)
    assert numbers[worker.worker].expired == 0
    Task.objects.filter(assignee=worker.worker).update(lease_expires=Now() - timedelta(seconds=1))
    assert next(row for row in admin.rows(LIST) if row == worker.worker).activity.expired == 1
    assert "holds 1 expired lease" in admin.get(LIST)
    upkeep.fold_closed()
    LogEntry.objects.create(level=Level.INFO, scope="s", message="m", timestamp=1, worker=other_worker.worker)
    numbers = {row: row.activity for row in admin.rows(LIST)}
    assert numbers[worker.worker].closed == 1
    assert numbers[other_worker.worker].seen is not None


@pytest.mark.parametrize(
    ("query", "found"), [("q=LPH", "alpha"), ("state=paused", "beta"), ("q={id}", "alpha"), ("q=z", "")]
)
def test_find(admin, query, found):
    alpha = register("alpha").worker
    register("beta", paused=True)
    assert [worker.alias for worker in admin.rows(f"{LIST}?{query.format(id=alpha.pk)}")] == found.split()


def test_pagination_of_workers(admin, monkeypatch):
    from webui.admin.workers import WorkerAdmin

    monkeypatch.setattr(WorkerAdmin, "list_per_page", 3)
    made = [register(f"worker {n}").worker.pk for n in range(8)]
    assert [worker.pk for worker in admin.all_pages(LIST)] == sorted(made, reverse=True)


# --- Actions ---


@pytest.fixture
def holder(project):
    """A worker with two leases in one project and one in another. Another worker holds one, too."""
    registration = register("holder", paused=False)
    other = ProjectFactory()
    TaskFactory.create_batch(3, project=project)
    TaskFactory(project=other)
    queue.lease(project=project, worker=register("somebody").worker)
    for where in (project, project, other):
        queue.lease(project=where, worker=registration.worker)
    grant(registration, project, assign=True)
    return registration


@pytest.mark.parametrize(("action", "paused"), [("pause", True), ("resume", False)])
def test_pause_and_resume(admin, holder, action, paused):
    Worker.objects.update(paused=not paused)
    question = admin.act(LIST, action, [holder.worker], confirmed=False)
    assert "1 worker, 3 leased tasks" in question.content.decode()
    assert Worker.objects.get(pk=holder.worker.pk).paused != paused
    admin.act(LIST, action, [holder.worker])
    assert Worker.objects.get(pk=holder.worker.pk).paused == paused
    assert Worker.objects.filter(paused=paused).count() == 1


def test_reclaim_leases(admin, holder):
    assert "3 leased tasks" in admin.get(f"{LIST}{holder.worker.pk}/act/release_leases/")
    answer = act(admin, holder.worker, "release_leases", confirmed="yes")
    assert "3 leases were reclaimed" in admin.say(answer)
    assert not holder.worker.leases.exists()
    assert Worker.objects.get(alias="somebody").leases.count() == 1


def test_rotate_secret(admin, holder):
    old = bytes(Worker.objects.get(pk=holder.worker.pk).secret_digest)
    assert act(admin, holder.worker, "rotate_secret").status_code == 200
    assert bytes(Worker.objects.get(pk=holder.worker.pk).secret_digest) == old
    page = act(admin, holder.worker, "rotate_secret", confirmed="yes")
    assert "no-store" in page["Cache-Control"]
    new = bytes(Worker.objects.get(pk=holder.worker.pk).secret_digest)
    assert new == digest(page.context["secret"]) != old
    assert page.context["secret"] not in admin.get(f"{LIST}{holder.worker.pk}/change/")


def test_secrets_are_not_rotated_in_the_list(admin, holder):
    old = bytes(Worker.objects.get(pk=holder.worker.pk).secret_digest)
    admin.act(LIST, "rotate_secret", [holder.worker])
    assert bytes(Worker.objects.get(pk=holder.worker.pk).secret_digest) == old


@pytest.mark.parametrize("action", ACTIONS)
def test_only_tracker_admins_act_on_workers(scoped, holder, action):
    before = Worker.objects.filter(pk=holder.worker.pk).values().get()
    assert f"act/{action}/" not in scoped.get(f"{LIST}{holder.worker.pk}/change/")
    scoped.act(LIST, action, [holder.worker])
    answer = act(scoped, holder.worker, action, confirmed="yes")
    assert "Only a tracker admin may do this" in scoped.say(answer)
    assert Worker.objects.filter(pk=holder.worker.pk).values().get() == before
    assert holder.worker.leases.count() == 3


@pytest.mark.parametrize("action", ACTIONS)
def test_get_runs_no_action(admin, holder, action):
    before = Worker.objects.filter(pk=holder.worker.pk).values().get()
    admin.get(f"{LIST}{holder.worker.pk}/act/{action}/?confirmed=yes")
    assert Worker.objects.filter(pk=holder.worker.pk).values().get() == before
    assert holder.worker.leases.count() == 3


def test_pages_contain_no_digests(admin, worker):
    for page in (LIST, f"{LIST}{worker.worker.pk}/change/"):
        assert digest(worker.secret).hex() not in admin.get(page)
        assert "secret_digest" not in admin.get(page)


# --- Access requests ---


def test_pending_requests_come_first(scoped, project):
    granted = grant(register("granted"), project, assign=True)
    late, early = ask(register("late"), project), ask(register("early"), project)
    WorkerAccess.objects.filter(pk=early.pk).update(asked="2020-01-01T00:00:00Z")
    assert scoped.rows(INBOX) == [early, late, granted]
    assert scoped.rows(f"{INBOX}?state=pending") == [early, late]
    assert scoped.rows(f"{INBOX}?state=granted") == [granted]
    assert scoped.rows(f"{INBOX}?q=LAT") == [late]
    assert scoped.rows(f"{INBOX}?project={project.pk}") == [early, late, granted]


def test_pagination_of_the_inbox(scoped, project, monkeypatch):
    from webui.admin.access import WorkerAccessAdmin

    monkeypatch.setattr(WorkerAccessAdmin, "list_per_page", 2)
    for n in range(4):
        ask(register(f"asks {n}"), project)
        grant(register(f"has {n}"), project, assign=True)
    rows = scoped.all_pages(INBOX)
    assert len({row.pk for row in rows}) == len(rows) == 8
    assert [row.is_pending for row in rows] == [True] * 4 + [False] * 4


def test_approve_many(scoped, project):
    accesses = [ask(register(f"worker {n}"), project) for n in range(3)]
    kept = ask(register("kept waiting"), project)
    accesses.append(grant(register("not asking"), project, assign=True))
    question = scoped.act(INBOX, "approve", accesses, confirmed=False)
    assert "3 requests" in question.content.decode()
    assert "not asking" not in question.content.decode()
    assert not WorkerAccess.objects.filter(submit=True).exists()
    answer = scoped.act(INBOX, "approve", accesses)
    assert "3 requests were approved" in scoped.say(answer)
    accesses.pop()
    for access in accesses:
        access.refresh_from_db()
        assert (access.submit, access.is_pending) == (True, False)
    kept.refresh_from_db()
    assert (kept.submit, kept.is_pending) == (False, True)


def test_approve_all_matching_requests(scoped, project, monkeypatch):
    from webui.admin.access import WorkerAccessAdmin

    monkeypatch.setattr(WorkerAccessAdmin, "list_per_page", 2)
    accesses = [ask(register(f"worker {n}"), project) for n in range(5)]
    question = scoped.act(INBOX, "approve", accesses[:1], confirmed=False, select_across="1")
    assert "5 requests" in question.content.decode()
    assert '<input type="hidden" name="select_across" value="1">' in question.content.decode()
    scoped.act(INBOX, "approve", accesses[:1], select_across="1")
    assert WorkerAccess.objects.filter(submit=True).count() == 5


def test_approving_what_was_granted_changes_nothing(scoped, project, worker):
    access = grant(worker, project, assign=True)
    assert "0 requests were approved" in scoped.say(scoped.act(INBOX, "approve", [access]))
    access.refresh_from_db()
    assert (access.assign, access.submit) == (True, False)


def test_reject_many(scoped, project):
    accesses = [ask(register(f"worker {n}"), project) for n in range(2)]
    kept = ask(register("kept"), project)
    accesses.append(grant(register("granted"), project, assign=True))
    question = scoped.act(INBOX, "reject", accesses, confirmed=False)
    assert "2 requests, 1 granted access<" in question.content.decode()
    assert WorkerAccess.objects.count() == 4
    answer = scoped.act(INBOX, "reject", accesses)
    assert "3 accesses were rejected or revoked" in scoped.say(answer)
    assert list(WorkerAccess.objects.all()) == [kept]


def test_accesses_are_not_counted_as_workers(scoped, manager, project, worker):
    elsewhere = ProjectFactory()
    set_roles(manager=manager, project=elsewhere, roles=ALL_ROLES)
    accesses = [ask(worker, project), ask(worker, elsewhere)]
    question = scoped.act(INBOX, "reject", accesses, confirmed=False).content.decode()
    assert "2 requests, 0 granted accesses" in question
    assert "worker" not in question.split("2 requests")[0].rpartition("<")[2]
    assert "2 accesses were rejected" in scoped.say(scoped.act(INBOX, "reject", accesses))


@pytest.mark.parametrize("action", ["approve", "reject"])
@pytest.mark.parametrize("across", ["0", "1"])
def test_deciding_requires_manage_access(with_roles, project, manager, worker, other_worker, action, across):
    forbidden = ask(worker, project)
    browser = with_roles(ALL_ROLES ^ Role.MANAGE_ACCESS)
    # Without the role in any project there is no inbox; with it in another project, this request is not in the inbox.
    browser.get(INBOX, status=403)
    assert browser.act(INBOX, action, [forbidden], select_across=across).status_code == 403
    elsewhere = ProjectFactory()
    set_roles(manager=manager, project=elsewhere, roles=Role.MANAGE_ACCESS)
    allowed = ask(other_worker, elsewhere)
    browser = Browser(manager)
    assert browser.rows(INBOX) == [allowed]
    browser.act(INBOX, action, [forbidden, allowed], select_across=across)
    forbidden.refresh_from_db()
    assert (forbidden.submit, forbidden.is_pending) == (False, True)
