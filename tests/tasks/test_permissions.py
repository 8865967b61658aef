"""The contract's permission table: which worker may lease, submit and read in which kind of project."""

from itertools import product

import pytest
from guardian.shortcuts import assign_perm

from tasks.models import Task
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, UserFactory, grant

pytestmark = pytest.mark.django_db

KINDS = {"public": {}, "private": {"private": True}, "hidden": {"secluded": True}}
GRANTS = {
    "none": {},
    "assign": {"assign": True},
    "submit": {"submit": True},
    "both": {"assign": True, "submit": True},
}

# A: may lease, S: may submit, R: may read the project from the API.
TABLE = {
    ("public", "none"): "A R",
    ("public", "assign"): "A R",
    ("public", "submit"): "A S R",
    ("public", "both"): "A S R",
    ("private", "none"): "R",
    ("private", "assign"): "A R",
    ("private", "submit"): "A S R",
    ("private", "both"): "A S R",
    ("hidden", "none"): "",
    ("hidden", "assign"): "A",
    ("hidden", "submit"): "A S",
    ("hidden", "both"): "A S",
}


def test_table_is_complete():
    assert set(TABLE) == set(product(KINDS, GRANTS))


@pytest.mark.parametrize(("kind", "granted"), TABLE)
def test_worker(api, worker, kind, granted):
    project = ProjectFactory(**KINDS[kind])
    if GRANTS[granted]:
        grant(worker, project, **GRANTS[granted])
    TaskFactory(project=project)
    allowed = TABLE[kind, granted].split()

    leased = api.get(f"/task/get/{project.pk}", worker=worker)
    assert leased.ok is ("A" in allowed)
    assert Task.objects.filter(assignee__isnull=False).exists() is leased.ok

    body = {"project": project.pk, "recipe": "new"}
    for path, sent in (("/task/submit", body), ("/task/bulk_submit", [body])):
        before = Task.objects.count()
        submitted = api.post(path, sent, worker=worker)
        assert submitted.ok is ("S" in allowed)
        assert Task.objects.count() - before == submitted.ok
        if not submitted.ok:
            assert submitted.status == (404 if (kind, granted) == ("hidden", "none") else 403)

    read = api.get(f"/project/get/{project.pk}", worker=worker)
    assert read.status == (200 if "R" in allowed else 404)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_role", [True, False])
def test_manager_with_read(kind, has_role):
    project, user = ProjectFactory(**KINDS[kind]), UserFactory()
    if has_role:
        assign_perm("projects.read_project", user, project)
    read = Api().login(user).get(f"/project/get/{project.pk}")
    assert read.ok is (has_role or kind != "hidden")


@pytest.mark.parametrize("kind", KINDS)
def test_access_request_grants_nothing(api, worker, kind):
    project = ProjectFactory(**KINDS[kind])
    TaskFactory(project=project)
    api.post("/project/request_access", {"project": project.pk, "assign": True, "submit": True}, worker=worker)
    assert api.get(f"/task/get/{project.pk}", worker=worker).ok is (kind == "public")
    assert not api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).ok


@pytest.mark.parametrize("kind", KINDS)
def test_grant_applies_to_its_project_only(api, worker, kind):
    project = ProjectFactory(**KINDS[kind])
    grant(worker, ProjectFactory(), assign=True, submit=True)
    assert not api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).ok
