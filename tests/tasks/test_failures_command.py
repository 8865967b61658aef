"""manage.py failures."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from tasks.management.commands import failures as module
from tasks.models import Attempt, Task
from tasks.queries import failures
from tests.factories import ProjectFactory, register
from tests.tasks.test_failures import fail
from workers.models import Worker

pytestmark = pytest.mark.django_db

NASTY = "\u202eevil\x1b[31m"
SHOWN = r"\u202eevil\x1b[31m"


@pytest.fixture
def project():
    return ProjectFactory(name="squares", version="v1")


@pytest.fixture
def manage():
    """Runs the command and returns what it prints."""

    def run(*arguments):
        output = io.StringIO()
        call_command("failures", *map(str, arguments), stdout=output)
        return output.getvalue()

    return run


@pytest.fixture
def key(project, worker):
    """The fingerprint of three tasks that failed alike; another one failed for another reason."""
    fail(project, worker, "b")
    fail(project, worker, "a 1", "a 2", "a 3", output='{"x": 1}')
    return failures.find([project.pk], limit=1).groups[0].key


def test_it_works(manage, project, worker, key):
    heading, first, second = manage("squares").splitlines()
    assert heading.split() == [
        *("group", "reason", "attempts", "failed", "last", "seen", "since", "workers", "versions", "message")
    ]
    assert first.split()[:4] == [key, "error", "3", "3"]
    assert first.endswith(f"worker ({worker.worker.pk})  v1        a 3")
    assert second.split()[1:4] == ["error", "1", "1"]


def test_nothing_has_failed(manage, project):
    assert manage(project.pk) == 'Nothing has failed in "squares".\n'
    assert manage(project.pk, "--json") == ""


def test_as_json(manage, project, worker, key):
    groups = [json.loads(line) for line in manage("squares", "--json").splitlines()]
    assert [(one["fingerprint"] == key, one["count"], one["failed_tasks"]) for one in groups] == [
        (True, 3, 3),
        (False, 1, 1),
    ]
    assert groups[0]["example"]["output"] == {"x": 1}


def test_attempts_of_a_group(manage, project, worker, key):
    heading, *rows = manage("squares", "--group", key).splitlines()
    assert heading.split() == ["ended", "task", "worker", "how", "took", "version", "message"]
    tasks = list(Attempt.objects.order_by("-pk").values_list("task_id", flat=True))[:3]
    assert [row.split()[2] for row in rows] == [str(task) for task in tasks]
    assert rows[0].endswith("v1       a 3")
    attempts = [json.loads(line) for line in manage("squares", "--group", key, "--json").splitlines()]
    assert [one["task_id"] for one in attempts] == tasks
    Attempt.objects.all().delete()
    # What waited to be folded is gone with its attempts.
    with pytest.raises(CommandError, match="no such group of failures"):
        manage("squares", "--group", key)


def test_limit(manage, project, worker, key, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    fail(project, worker, *"cdef")
    assert len(manage("squares", "--limit", 5).splitlines()) == 1 + 5
    assert len(manage("squares").splitlines()) == 1 + 6
    assert len(manage("squares", "--group", key, "--limit", 1).splitlines()) == 1 + 1
    assert len(manage("squares", "--group", key).splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("options", "told", "left"),
    [
        (["--retry"], "Returned 3 tasks to the queue.\n", [(1, 0)] * 3),
        (["--priority", -4], "Changed the priority of 3 tasks.\n", [(2, -4)] * 3),
        (["--delete"], "Deleted 3 tasks.\n", []),
    ],
)
def test_acting_on_a_group(manage, project, key, options, told, left):
    before = list(Task.objects.order_by("pk").values())
    assert manage("squares", "--group", key, *options, "--dry-run") == "Would change 3 tasks.\n"
    assert list(Task.objects.order_by("pk").values()) == before
    assert manage("squares", "--group", key, *options) == told
    assert list(Task.objects.order_by("pk").values_list("status", "priority"))[1:] == left
    assert Task.objects.order_by("pk")[0].status == 2


def test_one_task(manage, project, worker):
    fail(project, worker, "x")
    key = failures.find([project.pk], limit=1).groups[0].key
    assert manage("squares", "--group", key, "--retry") == "Returned 1 task to the queue.\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--retry"], "--group: is missing"),
        (["--priority", "0"], "--group: is missing"),
        (["--dry-run"], "--dry-run: goes with"),
        (["--group", "{key}", "--dry-run"], "--dry-run: goes with"),
        (["--group", "{key}", "--retry", "--json"], "--json: goes without"),
        (["--group", "{key}", "--priority", "40000"], "--priority: must be a whole number from -32768 to 32767."),
        (["--group", "{key}", "--retry", "--delete"], "not allowed with"),
        (["--group", "xyz"], "--group: must be a fingerprint"),
        (["--group", "", "--retry"], "--group: must be a fingerprint"),
        (["--group", "0" * 16, "--retry"], "There is no such group of failures"),
        (["--limit", "0"], "--limit: must be a whole number from 1."),
    ],
)
def test_refused(manage, project, key, options, told):
    before = list(Task.objects.order_by("pk").values())
    with pytest.raises(CommandError) as error:
        manage("squares", *(one.format(key=key) for one in options))
    assert told in str(error.value)
    assert list(Task.objects.order_by("pk").values()) == before


def test_many_workers(manage, project, monkeypatch):
    for number in range(4):
        fail(project, register(f"w{number}"), "x")
    assert " and 2 more " in manage("squares")
    monkeypatch.setattr(failures, "KNOWN", 4)
    assert " and 2 or more " in manage("squares")


def test_no_such_project(manage, project):
    with pytest.raises(CommandError, match="There is no project"):
        manage("circles")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_text_of_strangers(manage, options):
    project = ProjectFactory(name="squares", version=f"v {NASTY}")
    worker = register()
    Worker.objects.update(alias=f"alias {NASTY}")
    fail(project, worker, f"message {NASTY}\n" * 5, output=f'{{"x":"{NASTY[:-4]}"}}')
    key = failures.find([project.pk], limit=1).groups[0].key
    for printed in (manage("squares", *options), manage("squares", "--group", key, *options)):
        assert not {"\u202e", "\x1b"} & set(printed)
        if not options:
            assert f"message {SHOWN} … message {SHOWN}" in printed
            assert f"alias {SHOWN}" in printed
