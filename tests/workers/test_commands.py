"""manage.py create_worker and grant_access."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.factories import ProjectFactory, grant
from workers.models import Worker, WorkerAccess
from workers.services import digest

pytestmark = pytest.mark.django_db


@pytest.fixture
def manage():
    """Runs a command and returns what it prints on standard output and on standard error."""

    def run(*arguments):
        output, errors = StringIO(), StringIO()
        call_command(*map(str, arguments), stdout=output, stderr=errors)
        return output.getvalue(), errors.getvalue()

    return run


# create_worker


def test_prints_the_headers_of_a_new_worker(manage, api):
    output, message = manage("create_worker", "mine")
    worker = Worker.objects.get()
    first, second = output.splitlines()
    assert first == f"X-Worker-ID: {worker.pk}"
    assert digest(second.removeprefix("X-Secret: ")) == bytes(worker.secret_digest)
    assert message == f'Created worker {worker.pk} "mine".\n'
    headers = dict(line.split(": ", 1) for line in output.splitlines())
    assert api.get("/task/get/999999", headers=headers).status == 404
    assert api.get("/task/get/999999", headers=headers | {"X-Secret": "x"}).status == 401


def test_secret_is_only_on_standard_output(manage):
    output, message = manage("create_worker")
    assert output.split("X-Secret: ")[1].strip() not in message


def test_worker_without_an_alias_gets_the_default(manage):
    _, message = manage("create_worker")
    assert Worker.objects.get().alias == "default_alias"
    assert "default_alias" in message


@pytest.mark.parametrize("alias", ["unassigned", " Unassigned "])
def test_reserved_alias(manage, alias):
    with pytest.raises(CommandError, match='"unassigned" is reserved'):
        manage("create_worker", alias)
    assert not Worker.objects.exists()


# grant_access


def test_grants_assign(manage, worker):
    project = ProjectFactory(private=True)
    output, _ = manage("grant_access", worker.worker.pk, project.name, "--assign")
    assert output == f'Worker {worker.worker.pk} "worker" now has ASSIGN on "{project.name}".\n'
    access = WorkerAccess.objects.get()
    assert (access.worker, access.project, access.assign, access.submit) == (worker.worker, project, True, False)


def test_grants_submit(manage, worker, project, api):
    output, _ = manage("grant_access", worker.worker.pk, project.pk, "--submit")
    assert "now has SUBMIT on" in output
    assert (WorkerAccess.objects.get().assign, WorkerAccess.objects.get().submit) == (False, True)
    assert api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker).status == 200


def test_grants_both(manage, worker, project):
    assert "ASSIGN and SUBMIT" in manage("grant_access", worker.worker.pk, project.pk, "--assign", "--submit")[0]
    assert (WorkerAccess.objects.get().assign, WorkerAccess.objects.get().submit) == (True, True)


def test_granting_revokes_nothing(manage, worker, project):
    grant(worker, project, submit=True)
    assert "ASSIGN and SUBMIT" in manage("grant_access", worker.worker.pk, project.pk, "--assign")[0]
    assert (WorkerAccess.objects.get().assign, WorkerAccess.objects.get().submit) == (True, True)


def test_granting_clears_the_request(manage, worker, api):
    project = ProjectFactory(secluded=True)
    api.post("/project/request_access", {"project": project.pk, "assign": True, "submit": True}, worker=worker)
    assert WorkerAccess.objects.get().wants_submit
    manage("grant_access", worker.worker.pk, project.pk, "--assign")
    access = WorkerAccess.objects.get()
    assert (access.assign, access.submit, access.wants_assign, access.wants_submit) == (True, False, False, False)


@pytest.mark.parametrize("worker_id", [0, -1, 999999, 10**30])
def test_unknown_worker(manage, project, worker_id):
    with pytest.raises(CommandError, match=f"There is no worker {worker_id}."):
        manage("grant_access", "--assign", "--", worker_id, project.pk)
    assert not WorkerAccess.objects.exists()


@pytest.mark.parametrize("name", ["no such", "999999", "9" * 30, "-1"])
def test_unknown_project(manage, worker, name):
    with pytest.raises(CommandError, match=f'There is no project with the name or id "{name}"; queue_status lists'):
        manage("grant_access", "--assign", "--", worker.worker.pk, name)


def test_name_takes_precedence_over_id(manage, worker, project):
    called_like_an_id = ProjectFactory(name=str(project.pk))
    manage("grant_access", worker.worker.pk, project.pk, "--assign")
    assert WorkerAccess.objects.get().project == called_like_an_id


def test_needs_something_to_grant(manage, worker, project):
    with pytest.raises(CommandError, match="--assign, --submit or both"):
        manage("grant_access", worker.worker.pk, project.pk)
    assert not WorkerAccess.objects.exists()


def test_worker_must_be_an_id(manage, worker, project):
    with pytest.raises(CommandError, match="invalid int value: 'worker'"):
        manage("grant_access", "worker", project.pk, "--assign")
