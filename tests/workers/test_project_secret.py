"""GET /project/secret/:id, by workers."""

import pytest

from projects.models import Project
from tests.factories import ProjectFactory, grant
from workers.models import WorkerAccess
from workers.services import request_access

pytestmark = pytest.mark.django_db

SECRET = '{"password": "Übung \\u0001"}'


def url(project):
    return f"/project/secret/{project.pk}"


def test_it_works(api, worker):
    project = ProjectFactory(secret=SECRET)
    grant(worker, project, assign=True)
    answer = api.get(url(project), worker=worker)
    assert answer.status == 200
    assert answer.json == {"ok": True, "content": {"secret": SECRET}}


@pytest.mark.parametrize(
    ("kind", "granted", "status", "status_unset"),
    [
        # While nobody has set it, who may lease reads it before the first task, and existing clients end with 403.
        ("public", {}, 403, 200),
        ("private", {}, 403, 403),
        ("secluded", {}, 404, 404),
        *((kind, {"assign": True}, 200, 200) for kind in ("public", "private", "secluded")),
        *((kind, {"submit": True}, 200, 200) for kind in ("public", "private", "secluded")),
    ],
)
@pytest.mark.parametrize("secret", [SECRET, "{}"])
@pytest.mark.parametrize("has_row", [True, False])
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_who_may(api, worker, kind, granted, status, status_unset, secret, has_row, prefix):
    project = ProjectFactory(**{kind: True})
    if secret == SECRET:
        Project.objects.update(secret=secret)
        expected = status
    else:
        expected = status_unset
    if has_row or granted:
        grant(worker, project, **granted)
    answer = api.get(f"{prefix}{url(project)}", worker=worker)
    assert answer.status == expected
    if expected == 200:
        assert answer.json == {"ok": True, "content": {"secret": secret}}
    else:
        assert b"password" not in answer.response.content


def test_a_secret_that_was_set_and_cleared_again(api, worker, project):
    for secret, status in (("", 403), ("x", 403), ("{}", 200), (" {}", 403)):
        Project.objects.update(secret=secret)
        assert api.get(url(project), worker=worker).status == status


def test_hidden_project_and_missing_project_get_the_same_response(api, worker):
    hidden = ProjectFactory(secluded=True)
    there = api.get(url(hidden), worker=worker)
    number = hidden.pk
    hidden.delete()
    not_there = api.get(f"/project/secret/{number}", worker=worker)
    assert there.response.content == not_there.response.content
    assert there.status == not_there.status == 404


def test_pending_request_is_not_enough(api, worker):
    project = ProjectFactory(private=True)
    request_access(worker=worker.worker, project_id=project.pk, assign=True, submit=True)
    assert api.get(url(project), worker=worker).status == 403


def test_grants_that_do_not_count(api, worker, submitter, project):
    Project.objects.update(secret=SECRET)
    assert api.get(url(project), worker=submitter).status == 200
    assert api.get(url(ProjectFactory(private=True)), worker=submitter).status == 403, "elsewhere"
    assert api.get(url(project), worker=worker).status == 403, "another worker's"
    WorkerAccess.objects.update(assign=False, submit=False)
    assert api.get(url(project), worker=submitter).status == 403, "revoked"


def test_changed_secret_is_seen_at_once(api, submitter, project):
    api.get(url(project), worker=submitter)
    project.secret = "new"
    project.save()
    assert api.get(url(project), worker=submitter).content == {"secret": "new"}


def test_never_the_webhook_secret(api, submitter, project):
    assert project.webhook_secret.encode() not in api.get(url(project), worker=submitter).response.content


def test_needs_identity(api, project):
    assert api.get(url(project)).status == 401
