"""Refusals lead on: whoever doesn't know why is told what to send instead."""

import pytest

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tests.factories import ProjectFactory


def test_it_works(api):
    answer = api.get("/docs")
    assert answer.status == 404
    assert "/api/docs" in answer.message


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            "/task/release",
            {"task_id": 1, "result": "OK"},
            "result: must be a whole number from 0 to 2 (0 OK, 1 FAIL, 2 SKIP)",
        ),
        ("/log/info", {"scope": "a", "message": "b", "timestamp": "now"}, "9223372036854775807 (Unix seconds), not"),
        ("/log/info", {"scope": "a", "message": "b", "timestamp": 0}, "(Unix seconds), not 0."),
        ("/task/bulk_release", [5], "Item 0: must be a JSON object, not 5."),
        ("/task/heartbeat", {"heartbeats": [5]}, "Item 0: must be a JSON object, not 5."),
        ("/task/exchange", {"project": 1, "count": 1, "releases": [None]}, "Item 0: must be a JSON object, not null."),
    ],
)
def test_of_workers(both_doors, worker, path, body, told):
    answer = both_doors.post(path, body, worker=worker)
    assert answer.status == 400
    assert told in answer.message


def test_items_of_a_bulk(both_doors, submitter):
    answer = both_doors.post("/task/bulk_submit", ["x"], worker=submitter)
    assert (answer.status, answer.message) == (400, 'Item 0: must be a JSON object, not the text "x".')


def test_managers_only(api, worker, project):
    answer = api.post(f"/project/update/{project.pk}", {}, worker=worker)
    assert answer.status == 401
    assert "/login" in answer.message


def test_a_secret_for_workers_and_managers(api, project):
    answer = api.get(f"/project/secret/{project.pk}")
    assert answer.status == 401
    assert "X-Worker-ID" in answer.message
    assert "log in" in answer.message


def test_who_can_give_a_role(api, manager, project):
    answer = api.login(manager).post(f"/project/update/{project.pk}", {})
    assert answer.status == 403
    assert answer.message.startswith(f"This requires the role EDIT in project {project.pk}; ")
    assert "MANAGE_ACCESS" in answer.message


def test_the_chain_is_named(api, manager, project):
    own, foreign = ProjectFactory(), ProjectFactory()
    set_roles(manager=manager, project=own, roles=ALL_ROLES)
    api.login(manager)
    for path in ("/project/create", f"/project/update/{own.pk}"):
        answer = api.post(path, {"name": "mine", "chain": 999_999})
        assert (answer.status, answer.message) == (404, "chain: there is no project 999999.")
        answer = api.post(path, {"name": "mine", "chain": foreign.pk})
        assert answer.status == 403
        assert answer.message.startswith(f"chain: this requires the role EDIT in project {foreign.pk}; ")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/manager/set_role_for_project/{}", {"manager": 1, "role": 32}, "from 0 to 31 (a sum of 1 READ, 2 EDIT, "),
        ("/logs", {"level": "info"}, "from 1 to 7 (1 fatal, 2 panic, 3 error, "),
        ("/logs", {"since": "today"}, "(Unix seconds), not"),
    ],
)
def test_of_managers(api, tracker_admin, project, path, body, told):
    answer = api.login(tracker_admin).post(path.format(project.pk), body)
    assert answer.status == 400
    assert told in answer.message


def test_times(api, project):
    answer = api.get(f"/project/monitoring-between/{project.pk}?from=2026-01-01&to=1")
    assert answer.message.startswith("from: must be a whole number from 0 to 253402300799 (Unix seconds), not the text")


def test_roles_say_their_names(api, manager, project):
    set_roles(manager=manager, project=project, roles=Role.READ)
    for path, role in (("access_list", "MANAGE_ACCESS"), ("webhook_secret", "SECRET")):
        assert f"the role {role} in" in api.login(manager).get(f"/project/{path}/{project.pk}").message
