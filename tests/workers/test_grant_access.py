"""workers.services.grant_access."""

import pytest

from tests.factories import ProjectFactory, TaskFactory, grant
from workers.models import WorkerAccess
from workers.services import grant_access, request_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def private(db):
    return ProjectFactory(private=True)


def columns(access):
    return access.assign, access.submit, access.wants_assign, access.wants_submit


def test_it_works(worker, private):
    access = grant_access(worker=worker.worker, project=private, assign=True, submit=False)
    assert access == WorkerAccess.objects.get()
    assert (access.worker, access.project) == (worker.worker, private)
    assert columns(access) == (True, False, False, False)
    assert access.asked is None


@pytest.mark.parametrize(("assign", "submit"), [(True, False), (False, True), (True, True)])
def test_grants_only_what_is_given(worker, private, assign, submit):
    grant_access(worker=worker.worker, project=private, assign=assign, submit=submit)
    assert columns(WorkerAccess.objects.get()) == (assign, submit, False, False)


@pytest.mark.parametrize("kind", ["public", "private", "secluded"])
def test_takes_effect_on_the_next_call(api, worker, kind):
    project = ProjectFactory(**{kind: True})
    TaskFactory(project=project)
    body = {"project": project.pk, "recipe": "x"}
    assert api.post("/task/submit", body, worker=worker).status in (403, 404)
    grant_access(worker=worker.worker, project=project, assign=False, submit=True)
    assert api.post("/task/submit", body, worker=worker).status == 200
    assert api.get(f"/task/get/{project.pk}", worker=worker).ok


@pytest.mark.parametrize(("assign", "submit"), [(True, False), (False, True), (False, False)])
def test_never_revokes_anything(worker, private, assign, submit):
    grant(worker, private, assign=True, submit=True)
    grant_access(worker=worker.worker, project=private, assign=assign, submit=submit)
    assert columns(WorkerAccess.objects.get()) == (True, True, False, False)


def test_adds_to_existing_access(worker, private):
    grant(worker, private, assign=True)
    grant_access(worker=worker.worker, project=private, assign=False, submit=True)
    assert columns(WorkerAccess.objects.get()) == (True, True, False, False)


def test_clears_a_request(worker, private):
    request_access(worker=worker.worker, project_id=private.pk, assign=True, submit=True)
    asked = WorkerAccess.objects.get().asked
    access = grant_access(worker=worker.worker, project=private, assign=True, submit=False)
    assert columns(access) == (True, False, False, False)
    assert access.asked == asked is not None


def test_leaves_other_requests_alone(worker, other_worker, private):
    for project in (private, ProjectFactory(private=True)):
        for one in (worker, other_worker):
            request_access(worker=one.worker, project_id=project.pk, assign=True, submit=False)
    grant_access(worker=worker.worker, project=private, assign=True, submit=False)
    assert WorkerAccess.objects.filter(wants_assign=True).count() == 3
    assert WorkerAccess.objects.get(assign=True) == WorkerAccess.objects.get(worker=worker.worker, project=private)


@pytest.mark.django_db(transaction=True)
def test_at_once(worker, racing):
    private = ProjectFactory(private=True)

    def granting(assign, submit):
        return lambda: grant_access(worker=worker.worker, project=private, assign=assign, submit=submit)

    outcomes = racing([granting(True, False), granting(False, True)] * 3)
    assert all(isinstance(outcome, WorkerAccess) for outcome in outcomes)
    assert columns(WorkerAccess.objects.get()) == (True, True, False, False)
