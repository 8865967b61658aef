"""POST /task/cancel with a filter."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tasks import cancelling, maintenance, queue
from tasks.models import Attempt, Outcome, Task
from tests.factories import SOMEBODY, TaskFactory

pytestmark = pytest.mark.django_db

URL = "/task/cancel"


@pytest.fixture
def queue_of(project, worker):
    """One task in each state, by state, and one of another project that never counts."""
    leased = TaskFactory(project=project, priority=9, recipe="Alpha leased")
    queue.lease(worker=worker.worker, project=project)
    tasks = {
        "leased": leased,
        "ready": TaskFactory(project=project, priority=5, recipe="alpha_ready"),
        "failed": TaskFactory(project=project, priority=-5, status=Task.Status.FAILED, recipe="beta failed"),
        "awaiting": TaskFactory(
            project=project, priority=0, voters=[SOMEBODY], votes=[1], verification_count=2, recipe="beta 100%"
        ),
    }
    TaskFactory(priority=5, recipe="alpha ready")
    return tasks


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"state": "ready"}, {"ready", "awaiting"}),
        ({"state": "leased"}, {"leased"}),
        ({"state": "failed"}, {"failed"}),
        ({"state": "awaiting"}, {"awaiting"}),
        ({"state": "all"}, {"ready", "leased", "failed", "awaiting"}),
        ({"priority": 5}, {"ready"}),
        ({"priority": {"min": 5}}, {"ready", "leased"}),
        ({"priority": {"max": 0}}, {"failed", "awaiting"}),
        ({"priority": {"min": 0, "max": 5}}, {"ready", "awaiting"}),
        ({"state": "ready", "priority": {"min": 1}}, {"ready"}),
        ({"state": "ready", "priority": {"max": 1}}, {"awaiting"}),
        ({"text": "ALPHA"}, {"ready", "leased"}),
        ({"text": "a_r"}, {"ready"}),
        ({"text": "0%"}, {"awaiting"}),
        ({"text": "gamma"}, set()),
        ({"state": "failed", "text": "alpha"}, set()),
        ({"age": {"older": 0}}, {"ready", "leased", "failed", "awaiting"}),
        ({"age": {"older": 1000.5}}, {"failed"}),
        ({"age": {"younger": 1000}}, {"ready", "leased", "awaiting"}),
        ({"age": {"older": 1000, "younger": 3000}}, set()),
        ({"age": {"older": 1000, "younger": 4000}, "state": None, "text": None}, {"failed"}),
    ],
)
def test_it_works(cancel, project, queue_of, asked, gone):
    for state, task in queue_of.items():
        age(task, 3600 if state == "failed" else 10)
    left = Task.objects.count() - len(gone)
    assert cancel(project=project.pk, filter=asked) == {"cancelled": len(gone), "more": False}
    assert {state for state, task in queue_of.items() if not Task.objects.filter(pk=task.pk).exists()} == gone
    assert Task.objects.count() == left
    attempts = Attempt.objects.filter(outcome=Outcome.CANCELLED)
    assert attempts.count() == len(gone)
    assert attempts.filter(worker__isnull=False).count() == ("leased" in gone)


def age(task, seconds):
    Task.objects.filter(pk=task.pk).update(created=Now() - timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, 'filter: must say which tasks; {"state": "all"} means every task of the project.'),
        ({"state": None}, "filter: must say which tasks"),
        ([], "filter: must be an object, not an array."),
        ("all", 'filter: must be an object, not the text "all".'),
        ({"stat": "ready"}, 'filter: "stat" is no key here; there are state, priority, age, text.'),
        ({"state": "failed", "txt": "a"}, 'filter: "txt" is no key here'),
        ({"state": "closed"}, 'filter: state: must be "ready"'),
        ({"state": ["ready"]}, "filter: state: must be"),
        ({"priority": "5"}, "filter: priority: must be a whole number"),
        ({"priority": True}, "filter: priority: must be a whole number"),
        ({"priority": 32_768}, "filter: priority: must be a whole number from -32768 to 32767"),
        ({"priority": {}}, "filter: priority: must have min, max or both."),
        ({"priority": {"min": None}}, "filter: priority: must have min, max or both."),
        ({"priority": {"min": 1.5}}, "filter: priority: min: must be a whole number"),
        ({"priority": {"least": 5}}, 'filter: priority: "least" is no key here; there are min, max.'),
        ({"priority": {"min": 5, "max": 4}}, "filter: priority: no priority is"),
        ({"age": 60}, "filter: age: must be an object, not 60."),
        ({"age": {}}, "filter: age: must have older, younger or both, in seconds."),
        ({"age": {"older": -1}}, "filter: age: older: must be a number of seconds"),
        ({"age": {"old": 1}}, 'filter: age: "old" is no key here; there are older, younger.'),
        ({"age": {"older": 2, "younger": 1}}, "filter: age: no task is older"),
        ({"text": ""}, "filter: text: must not be empty."),
        ({"text": 5}, "filter: text: must be text, not 5."),
    ],
)
def test_a_slip_deletes_nothing(api, project, owner, queue_of, asked, message):
    before = Task.objects.count()
    answer = api.post(URL, {"project": project.pk, "filter": asked}, worker=owner)
    assert (answer.status, answer.message[: len(message)]) == (400, message)
    assert Task.objects.count() == before


def test_in_batches(cancel, project, monkeypatch):
    monkeypatch.setattr(maintenance, "BATCH", 3)
    TaskFactory.create_batch(10, project=project)
    assert cancel(project=project.pk, filter={"state": "ready"}) == {"cancelled": 10, "more": False}
    assert Attempt.objects.filter(worker=None).count() == 10


def test_there_is_more_when_the_time_is_over(cancel, project, monkeypatch):
    monkeypatch.setattr(maintenance, "BATCH", 4)
    monkeypatch.setattr(cancelling, "SECONDS", 0.0)
    TaskFactory.create_batch(10, project=project)
    TaskFactory(project=project, priority=7)
    told = [cancel(project=project.pk, filter={"priority": 0}) for _ in range(4)]
    assert [(one["cancelled"], one["more"]) for one in told] == [(4, True), (4, True), (2, False), (0, False)]
    assert Task.objects.count() == 1


def test_it_looks_on_until_it_has_found_some(cancel, project, monkeypatch):
    """A call that ends without having done anything would end like that again and again."""
    monkeypatch.setattr(cancelling, "SECONDS", 0.0)
    monkeypatch.setattr(maintenance.search, "BOUND", 3)
    TaskFactory.create_batch(10, project=project)
    last = TaskFactory(project=project, recipe="needle")
    assert cancel(project=project.pk, filter={"text": "needle"})["cancelled"] == 1
    assert not Task.objects.filter(pk=last.pk).exists()


def test_a_worker_needs_submit(api, project, worker):
    """Also to cancel what it has submitted itself, which it can name."""
    TaskFactory(project=project, submitter=worker.worker)
    answer = api.post(URL, {"project": project.pk, "filter": {"state": "all"}}, worker=worker)
    assert (answer.status, "SUBMIT" in answer.message) == (403, True)
    assert Task.objects.count() == 1
