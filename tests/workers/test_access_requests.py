"""GET /project/access_list/:id, POST /project/accept_request/:id/:wid and /project/reject_request/:id/:wid."""

import pytest

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, grant, register
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return ProjectFactory(private=True)


@pytest.fixture
def as_manager(manager, project):
    set_roles(manager=manager, project=project, roles=Role.MANAGE_ACCESS)
    return Api().login(manager)


def ask(api, project, worker, **wishes):
    return api.post("/project/request_access", {"project": project.pk, **wishes}, worker=worker)


def decide(api, verb, project, worker):
    return api.post(f"/project/{verb}_request/{project.pk}/{worker.worker.pk}")


def test_it_works(api, as_manager, project, worker):
    TaskFactory(project=project)
    assert ask(api, project, worker, assign=True, submit=True).ok
    assert not api.get(f"/task/get/{project.pk}", worker=worker).ok
    assert decide(as_manager, "accept", project, worker).json == {"ok": True}
    assert api.get(f"/task/get/{project.pk}", worker=worker).ok
    assert api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).ok
    assert decide(as_manager, "reject", project, worker).ok
    assert not api.get(f"/task/get/{project.pk}", worker=worker).ok
    assert api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).status == 403
    assert not WorkerAccess.objects.exists()


def test_list(api, as_manager, project, worker):
    old = register("old")
    grant(old, project, assign=True)
    ask(api, project, worker, submit=True)
    accesses = as_manager.get(f"/project/access_list/{project.pk}").content["accesses"]
    assert accesses[0] == {
        "worker": {
            "id": worker.worker.pk,
            "alias": "worker",
            "created": int(worker.worker.created.timestamp()),
            "paused": False,
        },
        "project": project.pk,
        "assign": False,
        "submit": True,
        "request": True,
        "granted_assign": False,
        "granted_submit": False,
    }
    assert (accesses[1]["worker"]["alias"], accesses[1]["assign"], accesses[1]["request"]) == ("old", True, False)
    assert len(accesses) == 2


def test_accept_grants_only_what_was_asked(api, as_manager, project, worker):
    ask(api, project, worker, assign=True)
    decide(as_manager, "accept", project, worker)
    access = WorkerAccess.objects.get()
    assert (access.assign, access.submit, access.wants_assign, access.wants_submit) == (True, False, False, False)


def test_grant_stays_while_a_request_is_pending(api, as_manager, project, worker):
    grant(worker, project, assign=True)
    TaskFactory.create_batch(2, project=project)
    ask(api, project, worker, assign=True, submit=True)
    assert api.get(f"/task/get/{project.pk}", worker=worker).ok
    decide(as_manager, "accept", project, worker)
    assert api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).ok


def test_may_ask_again_after_a_refusal(api, as_manager, project, worker):
    ask(api, project, worker, assign=True)
    decide(as_manager, "reject", project, worker)
    assert ask(api, project, worker, assign=True).ok


@pytest.mark.parametrize("verb", ["accept", "reject"])
def test_no_pending_request(as_manager, project, worker, verb):
    assert decide(as_manager, verb, project, worker).status == 404


def test_accepting_twice(api, as_manager, project, worker):
    ask(api, project, worker, assign=True)
    assert decide(as_manager, "accept", project, worker).ok
    assert decide(as_manager, "accept", project, worker).status == 404


@pytest.mark.parametrize("verb", ["accept", "reject"])
def test_needs_manage_access(api, project, manager, worker, verb):
    set_roles(manager=manager, project=project, roles=ALL_ROLES ^ Role.MANAGE_ACCESS)
    ask(api, project, worker, assign=True)
    before = WorkerAccess.objects.values().get()
    other = Api().login(manager)
    assert decide(other, verb, project, worker).status == 403
    assert decide(api, verb, project, worker).status == 401
    assert other.get(f"/project/access_list/{project.pk}").status == 403
    assert WorkerAccess.objects.values().get() == before
