"""Projects in the admin: settings and actions."""

import pytest

from projects.access import roles_of, set_roles
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from tasks import queue
from tasks.models import Task
from tests.factories import ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db

PAUSING = {"pause": Role.EDIT, "resume": Role.EDIT}
MAINTAINING = dict.fromkeys(("reset_failed", "reclaim", "hard_reset"), Role.MAINTENANCE)
ACTIONS = PAUSING | MAINTAINING


def fields(project=None, **changes):
    """What the form of a project sends."""
    defaults = {
        "priority": 0,
        "assign_rate": 0,
        "submit_rate": 0,
        "lease_seconds": 3600,
        "max_lease_seconds": 86_400,
        "max_leases": 0,
        "max_expiries": 0,
        "retention_days": 7,
        "ageing_seconds": 0,
        "max_votes": 0,
        "retry_backoff": "none",
        "retry_seconds": 60,
        "retry_max_seconds": 3600,
        "retry_jitter": 0,
        "chain": "",
    }
    if project is not None:
        kept = ("name", "priority", "lease_seconds", "max_lease_seconds", "max_leases", "max_expiries")
        retries = ("retry_backoff", "retry_seconds", "retry_max_seconds", "retry_jitter", "max_votes", "ageing_seconds")
        defaults |= {name: getattr(project, name) for name in (*kept, "retention_days", *retries)}
        defaults |= {"public": "on"} if project.public else {}
        initial = {f"initial-{name}": value for name, value in defaults.items()}
        initial["initial-public"] = "True" if project.public else "False"
        initial |= {"initial-assign_rate": "0.0", "initial-submit_rate": "0.0"}
        defaults |= initial
    return defaults | changes


def busy(project):
    """Three ready, two failed and one leased task."""
    TaskFactory(project=project, priority=9)
    assert queue.lease(project=project, worker=register().worker)
    TaskFactory.create_batch(3, project=project)
    TaskFactory.create_batch(2, project=project, status=Task.Status.FAILED, retries=4)


def state(project):
    tasks = project.tasks
    leased, failed = tasks.filter(assignee__isnull=False).count(), tasks.filter(status=2).count()
    paused = Project.objects.get(pk=project.pk).paused
    return {"ready": tasks.count() - leased - failed, "leased": leased, "failed": failed, "paused": paused}


BEFORE = {"ready": 3, "leased": 1, "failed": 2, "paused": False}
AFTER = {
    "pause": {"ready": 3, "leased": 1, "failed": 2, "paused": True},
    "resume": BEFORE,
    "reset_failed": {"ready": 5, "leased": 1, "failed": 0, "paused": False},
    "reclaim": {"ready": 4, "leased": 0, "failed": 2, "paused": False},
    "hard_reset": {"ready": 0, "leased": 0, "failed": 0, "paused": False},
}
TOUCHED = {"pause": 3, "resume": 3, "reset_failed": 2, "reclaim": 1, "hard_reset": 6}


def act(browser, project, action, **post):
    return browser.client.post(f"/admin/projects/project/{project.pk}/act/{action}/", post)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_in_the_list_asks_first(scoped, project, action):
    busy(project)
    question = scoped.act("projects/project/", action, [project], confirmed=False)
    assert f"{TOUCHED[action]} task" in question.content.decode()
    assert question.context["rows"] == [(project.name, str(TOUCHED[action]))]
    assert state(project) == BEFORE
    answer = scoped.act("projects/project/", action, [project])
    assert answer.status_code == 302
    assert state(project) == AFTER[action]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_on_a_projects_page_asks_first(scoped, project, action):
    busy(project)
    url = f"projects/project/{project.pk}/act/{action}/"
    assert f"{TOUCHED[action]} task" in scoped.get(url)
    assert act(scoped, project, action).status_code == 200
    assert state(project) == BEFORE
    assert act(scoped, project, action, confirmed="yes")["Location"].endswith(f"/{project.pk}/change/")
    assert state(project) == AFTER[action]


@pytest.mark.parametrize(("action", "role"), ACTIONS.items())
@pytest.mark.parametrize("where", ["list", "page"])
def test_an_action_requires_its_role(with_roles, project, action, role, where):
    busy(project)
    browser = with_roles(ALL_ROLES ^ role)
    before = state(project)
    if where == "list":
        answer = browser.act("projects/project/", action, [project])
    else:
        answer = act(browser, project, action, confirmed="yes")
        assert f"requires the role {role.name}" in browser.say(answer)
    assert answer.status_code == 302
    assert state(project) == before
    assert f"act/{action}/" not in browser.get(f"projects/project/{project.pk}/change/")


@pytest.mark.parametrize(("action", "role"), ACTIONS.items())
def test_an_action_requires_no_other_role(with_roles, project, action, role):
    busy(project)
    browser = with_roles(role)
    assert browser.act("projects/project/", action, [project]).status_code == 302
    assert state(project) == AFTER[action]


@pytest.mark.parametrize(("action", "role"), ACTIONS.items())
def test_one_forbidden_project_blocks_the_whole_action(with_roles, project, manager, action, role):
    other = ProjectFactory()
    set_roles(manager=manager, project=other, roles=ALL_ROLES ^ role)
    busy(project)
    busy(other)
    browser = with_roles(ALL_ROLES)
    said = browser.say(browser.act("projects/project/", action, [project, other]))
    assert "Nothing was changed" in said
    assert other.name in said
    assert (state(project), state(other)) == (BEFORE, BEFORE)


@pytest.mark.parametrize("action", ACTIONS)
def test_projects_out_of_scope_can_not_be_changed(scoped, foreign, action):
    busy(foreign)
    scoped.act("projects/project/", action, [foreign])
    scoped.client.post(f"/admin/projects/project/{foreign.pk}/act/{action}/", {"confirmed": "yes"})
    assert state(foreign) == BEFORE


def test_a_tracker_admin_acts_everywhere(admin, project, foreign):
    busy(project)
    busy(foreign)
    admin.act("projects/project/", "hard_reset", [project, foreign])
    assert not Task.objects.exists()


def test_get_runs_no_action(scoped, project):
    busy(project)
    for action in ACTIONS:
        scoped.get(f"projects/project/{project.pk}/act/{action}/?confirmed=yes")
    assert state(project) == BEFORE


def test_actions_require_the_csrf_token(scoped, project, manager):
    busy(project)
    scoped.client.handler.enforce_csrf_checks = True
    assert act(scoped, project, "hard_reset", confirmed="yes").status_code == 403
    assert state(project) == BEFORE


# --- Settings ---


def test_create(scoped, manager):
    answer = scoped.client.post("/admin/projects/project/add/", fields(name="fresh", motd="hello"))
    project = Project.objects.get(name="fresh")
    assert answer["Location"] == f"/admin/projects/project/{project.pk}/change/"
    assert project.motd == "hello"
    assert roles_of(manager, project) == ALL_ROLES
    assert "fresh" in scoped.say(answer)


def test_only_tracker_admins_create_public_projects(scoped, admin):
    page = scoped.client.post("/admin/projects/project/add/", fields(name="mine", public="on"))
    assert "nly a tracker admin can change whether a project is public" in page.content.decode()
    assert not Project.objects.filter(name="mine").exists()
    assert admin.client.post("/admin/projects/project/add/", fields(name="mine", public="on")).status_code == 302
    assert Project.objects.get(name="mine").public


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "taken"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"assign_rate": "-1"}, "assign_rate"),
        ({"assign_rate": "nan"}, "assign_rate"),
        ({"lease_seconds": "0"}, "lease_seconds"),
        ({"retention_days": str(10**7)}, "retention_days"),
        ({"max_lease_seconds": "0"}, "max_lease_seconds"),
        ({"max_leases": "-1"}, "max_leases"),
        ({"max_expiries": "-1"}, "max_expiries"),
        ({"retry_backoff": "square"}, "retry_backoff"),
        ({"retry_seconds": "0"}, "retry_seconds"),
        ({"retry_max_seconds": "604801"}, "retry_max_seconds"),
        ({"retry_jitter": "101"}, "retry_jitter"),
        ({"max_votes": "-1"}, "max_votes"),
        ({"ageing_seconds": "-1"}, "ageing_seconds"),
        ({"motd": "x" * 10_001}, "motd"),
        ({"public": "on", "hidden": "on"}, "hidden"),
    ],
)
@pytest.mark.parametrize("path", ["add", "change"])
def test_errors_are_shown_at_their_field(admin, project, changes, field, path):
    ProjectFactory(name="taken")
    url = "add/" if path == "add" else f"{project.pk}/change/"
    sent = fields(**{"name": "n"} | changes) if path == "add" else fields(project, **changes)
    page = admin.client.post(f"/admin/projects/project/{url}", sent)
    assert page.status_code == 200
    assert list(page.context["adminform"].form.errors) == [field]
    assert Project.objects.count() == 2
    project.refresh_from_db()
    assert (project.public, project.hidden, project.assign_rate) == (True, False, 0)


def test_a_chain_can_not_be_circular(admin, project):
    other = ProjectFactory(chain=project)
    page = admin.client.post(f"/admin/projects/project/{project.pk}/change/", fields(project, chain=other.pk))
    assert "a chain must not form a cycle" in " ".join(page.context["adminform"].form.errors["chain"])
    assert Project.objects.get(pk=project.pk).chain is None


def test_a_chain_requires_edit_on_the_next_project(scoped, project, foreign):
    page = scoped.client.post(f"/admin/projects/project/{project.pk}/change/", fields(project, chain=foreign.pk))
    assert "chain" in page.context["adminform"].form.errors
    assert foreign.name not in page.content.decode()


def test_change(scoped, project):
    answer = scoped.client.post(f"/admin/projects/project/{project.pk}/change/", fields(project, motd="new"))
    assert answer.status_code == 302
    assert Project.objects.get(pk=project.pk).motd == "new"


def test_only_changed_fields_are_saved(scoped, project):
    sent = fields(project, motd="new", version="", **{"initial-version": ""})
    # A push comes in while the page is open.
    Project.objects.filter(pk=project.pk).update(version="abc")
    scoped.client.post(f"/admin/projects/project/{project.pk}/change/", sent)
    project.refresh_from_db()
    assert (project.motd, project.version) == ("new", "abc")


def test_public_stays_unless_a_tracker_admin_changes_it(scoped, admin, project):
    sent = fields(project)
    del sent["public"]
    page = scoped.client.post(f"/admin/projects/project/{project.pk}/change/", sent)
    assert "public" in page.context["adminform"].form.errors
    assert Project.objects.get(pk=project.pk).public
    assert admin.client.post(f"/admin/projects/project/{project.pk}/change/", sent).status_code == 302
    assert not Project.objects.get(pk=project.pk).public


def test_changing_settings_requires_edit(with_roles, project):
    browser = with_roles(ALL_ROLES ^ Role.EDIT)
    page = browser.get(f"projects/project/{project.pk}/change/")
    assert "_save" not in page
    answer = browser.client.post(f"/admin/projects/project/{project.pk}/change/", fields(project, motd="new"))
    assert answer.status_code == 403
    assert Project.objects.get(pk=project.pk).motd == ""


def test_a_hidden_chain_is_not_named(with_roles, project):
    project.chain = ProjectFactory(secluded=True, name="top secret")
    project.save()
    for roles in (ALL_ROLES, Role.READ):
        assert "top secret" not in with_roles(roles).get(f"projects/project/{project.pk}/change/")


def test_projects_are_not_deleted(admin, project):
    admin.get(f"projects/project/{project.pk}/delete/", status=403)
    admin.act("projects/project/", "delete_selected", [project], post="yes")
    assert Project.objects.filter(pk=project.pk).exists()


@pytest.mark.parametrize(
    ("query", "found"),
    [("q=alph", "alpha"), ("q=acme/tool", "beta"), ("kind=hidden", "gamma"), ("kind=paused", "beta"), ("q=zzz", "")],
)
def test_find(admin, query, found):
    ProjectFactory(name="alpha")
    ProjectFactory(name="beta", git_repo="acme/tool", paused=True)
    ProjectFactory(name="gamma", secluded=True)
    assert [project.name for project in admin.rows(f"projects/project/?{query}")] == found.split()


def test_the_list_shows_the_numbers(scoped, project):
    busy(project)
    (row,) = scoped.rows("projects/project/")
    assert (row.overview.ready, row.overview.leased, row.overview.failed) == (3, 1, 2)
    assert f'href="/admin/tasks/task/?project={project.pk}&amp;state=failed">2</a>' in scoped.get("projects/project/")


def test_pagination_of_projects(admin, monkeypatch):
    from webui.admin.projects import ProjectAdmin

    monkeypatch.setattr(ProjectAdmin, "list_per_page", 3)
    names = [project.name for project in ProjectFactory.create_batch(10)]
    assert [project.name for project in admin.all_pages("projects/project/")] == sorted(names)
