"""GET /project/failures/:id, GET and POST /project/failures/:id/:fingerprint."""

import pytest

from projects.access import set_roles
from projects.roles import Role
from tasks.models import Task
from tasks.queue.tallying import fold_outcomes
from tests.client import Api
from tests.factories import ProjectFactory, register
from tests.tasks.test_failures import SKIP, fail

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return ProjectFactory(version="v1")


@pytest.fixture
def api(manager, project):
    """A manager with MAINTENANCE."""
    set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
    return Api().login(manager)


def listed(api, project, query=""):
    return api.get(f"/project/failures/{project.pk}{query}").content["failures"]


def test_it_works(api, project, worker):
    (task,) = fail(project, worker, "Exit code 9", output='{"seen": [9007199254740993]}')
    fold_outcomes()
    (group,) = listed(api, project)
    example = group.pop("example")
    seen = group.pop("first_seen")
    assert group == {
        "fingerprint": group["fingerprint"],
        "reason": "error",
        "message": "Exit code 9",
        "count": 1,
        "last_seen": seen,
        "workers": [{"id": worker.worker.pk, "alias": "worker"}],
        "worker_count": 1,
        "versions": ["v1"],
        "version_count": 1,
        "failed_tasks": 1,
        "more_failed_tasks": False,
    }
    assert len(group["fingerprint"]) == 16
    attempt = {
        "id": example["id"],
        "task_id": task,
        "worker": {"id": worker.worker.pk, "alias": "worker"},
        "began": example["began"],
        "ended": seen,
        "outcome": "failed",
        "reason": "error",
        "message": "Exit code 9",
        "output": {"seen": [9007199254740993]},
        "seconds": None,
        "version": "v1",
    }
    assert example == attempt
    alone = api.get(f"/project/failures/{project.pk}/{group['fingerprint']}").content
    assert alone == {"failure": group | {"first_seen": seen, "example": attempt}, "attempts": [attempt]}


def test_right_after_the_failure(api, project, worker):
    """Not ten seconds later, when the scheduler has folded it."""
    fail(project, worker, "x")
    (group,) = listed(api, project)
    assert api.get(f"/project/failures/{project.pk}/{group['fingerprint']}").content["failure"]["count"] == 1
    answer = api.post(f"/project/failures/{project.pk}/{group['fingerprint']}", {"action": "retry"})
    assert answer.content == {"affected_tasks": 1}


def test_in_pages(api, project, worker):
    fail(project, worker, *"abcde")
    found, query = [], "?limit=2"
    while query:
        content = api.get(f"/project/failures/{project.pk}{query}").content
        found += [one["message"] for one in content["failures"]]
        query = f"?limit=2&after={content['after']}" if "after" in content else ""
    assert found == list("edcba")


def test_attempts_in_pages(api, project, worker):
    ids = fail(project, worker, *(f"no. {n}" for n in range(5)))
    (group,) = listed(api, project)
    address = f"/project/failures/{project.pk}/{group['fingerprint']}"
    first = api.get(f"{address}?limit=3").content
    assert [one["task_id"] for one in first["attempts"]] == ids[:1:-1]
    rest = api.get(f"{address}?limit=3&after={first['after']}").content
    assert [one["task_id"] for one in rest["attempts"]] == ids[1::-1]
    assert "after" not in rest


def test_lists_name_few_workers(api, project):
    workers = [register(f"worker {n}") for n in range(7)]
    for one in workers:
        fail(project, one, "x")
    (group,) = listed(api, project)
    assert (len(group["workers"]), group["worker_count"]) == (5, 7)
    alone = api.get(f"/project/failures/{project.pk}/{group['fingerprint']}").content["failure"]
    assert [one["alias"] for one in alone["workers"]] == [f"worker {n}" for n in range(7)]


@pytest.fixture
def failed(project, worker):
    """Three tasks that failed alike, one that failed otherwise, and one that has been retried since."""
    ids = fail(project, worker, "a 1", "a 2", "a 3", "b")
    retried = fail(project, worker, "a 4", max_retries=5)
    fail(ProjectFactory(), worker, "a 5")
    return ids[:3], ids[3], retried[0]


@pytest.fixture
def act(api, project, failed):
    (group,) = [one for one in listed(api, project) if one["message"].startswith("a ")]
    return lambda body: api.post(f"/project/failures/{project.pk}/{group['fingerprint']}", body)


def states(ids):
    return list(Task.objects.filter(pk__in=ids).order_by("pk").values_list("status", "retries", "priority"))


def test_retry(act, failed):
    alike, other, retried = failed
    assert act({"action": "retry"}).content == {"affected_tasks": 3}
    assert states(alike) == [(1, 0, 0)] * 3
    assert states([other, retried]) == [(2, 1, 0), (1, 1, 0)]
    assert act({"action": "retry"}).content == {"affected_tasks": 0}
    assert Task.objects.filter(status=2).count() == 2


def test_delete(act, failed):
    alike, other, retried = failed
    assert act({"action": "delete"}).content == {"affected_tasks": 3}
    assert states(alike) == []
    assert len(states([other, retried])) == 2


def test_set_priority(act, failed):
    alike, other, retried = failed
    assert act({"action": "set_priority", "priority": -7}).content == {"affected_tasks": 3}
    assert states(alike) == [(2, 1, -7)] * 3
    assert states([other, retried]) == [(2, 1, 0), (1, 1, 0)]
    assert act({"action": "set_priority", "priority": -7}).content == {"affected_tasks": 0}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "action: is missing"),
        ({"action": "close"}, 'action: must be one of retry, delete, set_priority, not the text "close".'),
        ({"action": 1}, "action: must be one of"),
        ({"action": "set_priority"}, "priority: is missing"),
        ({"action": "set_priority", "priority": None}, "priority: is missing"),
        ({"action": "set_priority", "priority": "5"}, "priority: must be a whole number"),
        ({"action": "set_priority", "priority": 40_000}, "priority: must be a whole number"),
        ({"action": "delete", "priority": 0}, "priority: is only for set_priority, not for delete."),
        ([], "The body must be a JSON object"),
    ],
)
def test_refused(act, failed, body, told):
    before = states(Task.objects.values("pk"))
    answer = act(body)
    assert answer.status == 400
    assert answer.message.startswith(told)
    assert states(Task.objects.values("pk")) == before


@pytest.mark.parametrize("fingerprint", ["5", "A" * 16, "0" * 15, "0" * 17, "%00" * 16, "-123456789012345"])
def test_what_is_no_fingerprint(api, project, fingerprint):
    # Such addresses are not described, so that there is no answer to check.
    for response in (
        api.client.get(f"/project/failures/{project.pk}/{fingerprint}"),
        api.client.post(f"/project/failures/{project.pk}/{fingerprint}", b'{"action": "retry"}', "application/json"),
    ):
        assert response.status_code == 400
        assert response.json()["message"].startswith("fingerprint: the address must have a group's `fingerprint` here")


def test_no_such_group(api, project, worker):
    fail(ProjectFactory(), worker, "x")
    for answer in (
        api.get(f"/project/failures/{project.pk}/{0:016x}"),
        api.post(f"/project/failures/{project.pk}/{0:016x}", {"action": "retry"}),
    ):
        assert answer.status == 404
        assert answer.message.startswith("There is no such group of failures")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?after=xyz", "This is no place in the list"),
        ("?after=WzFd", "This is no place in the list"),
        ("?after=", "after: must not be empty"),
        ("?limit=0", "limit: must be a whole number from 1 to 100"),
        ("?limit=101", "limit: must be a whole number from 1 to 100"),
        ("?before=1", '"before" is no parameter'),
    ],
)
def test_wrong_pages(api, project, query, told):
    answer = api.get(f"/project/failures/{project.pk}{query}")
    assert answer.status == 400
    assert answer.message.startswith(told)


def test_a_skipped_recipe_that_nobody_can_do(api, project, worker):
    fail(project, worker, "no such compiler", result=SKIP, reason=2)
    (group,) = listed(api, project)
    assert (group["reason"], group["example"]["outcome"]) == ("bad_recipe", "skipped")
    assert group["failed_tasks"] == 1


def test_only_for_managers_with_a_role(project, worker, manager):
    fail(project, worker, "x")
    answer = Api().login(manager).get(f"/project/failures/{project.pk}")
    assert (answer.status, answer.message) == (
        403,
        f"This requires a role in project {project.pk}; a manager with MANAGE_ACCESS there can give one.",
    )
    assert Api().get(f"/project/failures/{project.pk}").status == 401
