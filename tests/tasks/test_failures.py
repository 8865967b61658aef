"""Groups of failed attempts: the query, with what is folded and what still waits."""

from datetime import timedelta
from functools import partial

import orjson
import pytest

from tasks import maintenance, queue
from tasks.fingerprints import fingerprint_in, text_of
from tasks.models import Attempt, FailureGroup, Outcome, Task
from tasks.queries import failures
from tasks.queries.failures import NoSuchFailure
from tasks.queue.expiry import expire_leases
from tasks.queue.tallying import fold_outcomes
from tests.factories import ProjectFactory, TaskFactory, expire, register
from tracker.keyset import BadCursor

pytestmark = pytest.mark.django_db

FAIL, SKIP = 1, 2


@pytest.fixture
def project():
    return ProjectFactory(version="v1")


def fail(project, worker, *messages, result=FAIL, reason=None, output=None, max_retries=0):
    """Lets a task of its own fail for each message. Returns the ids of the tasks."""
    ids = []
    for message in messages:
        TaskFactory(project=project, max_retries=max_retries)
        task = queue.lease(worker=worker.worker, project=project)
        told = {"message": message, "reason": reason, "output": output}
        queue.release(worker=worker.worker, task_id=task.id, result=result, told=queue_told(told))
        ids.append(task.id)
    return ids


def queue_told(told):
    return orjson.dumps({name: value for name, value in told.items() if value is not None}).decode()


def groups(*projects, **options):
    return failures.find([one.pk for one in projects], limit=50, **options).groups


@pytest.mark.parametrize("folded", ["nothing", "some", "all"])
def test_it_works(project, worker, other_worker, folded):
    fail(project, worker, "no answer after 5 s")
    if folded == "some":
        fold_outcomes()
    project.version = "v2"
    project.save()
    last = fail(project, other_worker, "no answer after 31 s", output='{"at": 3}')[0]
    if folded == "all":
        fold_outcomes()
    (group,) = groups(project, outputs=True)
    attempts = list(Attempt.objects.order_by("pk"))
    assert (group.project_id, group.reason, group.message) == (project.pk, "error", "no answer after 31 s")
    assert (group.total, group.failed_tasks, group.is_cut) == (2, 2, False)
    assert (group.first_seen, group.last_seen) == (attempts[0].ended, attempts[1].ended)
    assert [(one.id, one.alias) for one in group.workers] == [
        (worker.worker.pk, "worker"),
        (other_worker.worker.pk, "other"),
    ]
    assert group.versions == ["v1", "v2"]
    assert group.example.task_id == last
    assert (group.example.worker.alias, group.example.output) == ("other", '{"at": 3}')
    assert (group.example.outcome, group.example.version) == (Outcome.FAILED, "v2")
    assert failures.get(project.pk, group.fingerprint) == group
    assert fingerprint_in(group.key) == group.fingerprint
    assert [one.task_id for one in failures.attempts(project.pk, group.fingerprint, limit=9).attempts] == [
        one.task_id for one in reversed(attempts)
    ]


def test_reasons(project, worker):
    fail(project, worker, "x", reason=2, result=SKIP)
    fail(project, worker, "x", reason=3)
    fail(project, worker, None)
    task = Task.objects.filter(status=1).first()
    queue.lease(worker=worker.worker, project=project)
    expire(task)
    expire_leases()
    assert [one.reason for one in groups(project)] == ["lease_expired", "error", "shutdown", "bad_recipe"]
    assert groups(project)[0].message is None


def test_outputs_only_where_they_are_wanted(project, worker):
    fail(project, worker, "x", output="1")
    assert groups(project)[0].example.output is None
    assert groups(project, outputs=True)[0].example.output == "1"


def test_failed_tasks(project, worker, monkeypatch):
    fail(project, worker, "a", "a", "a", "b")
    fail(project, worker, "a", max_retries=5)
    fold_outcomes()
    counted = {one.message: (one.total, one.failed_tasks, one.is_cut) for one in groups(project)}
    assert counted == {"a": (4, 3, False), "b": (1, 1, False)}
    monkeypatch.setattr(failures, "COUNTED_IN_LISTS", 3)
    assert [(one.message, one.failed_tasks, one.is_cut) for one in groups(project)] == [("a", 3, True), ("b", 1, False)]
    fingerprint = groups(project)[0].fingerprint
    assert maintenance.retry_matching(failures.tasks_of(project.pk, fingerprint)) == 3
    assert failures.get(project.pk, fingerprint).failed_tasks == 0


def all_pages(*projects, limit):
    found, after = [], None
    for _ in range(100):
        page = failures.find([one.pk for one in projects], after=after, limit=limit)
        found += page.groups
        after = page.following
        if after is None:
            return found
    raise AssertionError("The pages have no end.")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("folded", [0, 4, 9])
def test_pages(project, worker, limit, folded):
    """Each group once, the last seen first, whatever is folded; those with what waits move to the front."""
    other, foreign = ProjectFactory(), ProjectFactory()
    words = "abcdefghi"
    for number, word in enumerate(words):
        fail(other if number % 3 == 0 else project, worker, word)
        if number + 1 == folded:
            while fold_outcomes():
                pass
    fail(foreign, worker, "foreign")
    # The same moment for some.
    FailureGroup.objects.update(last_seen=Attempt.objects.latest("pk").ended - timedelta(seconds=5))
    fail(project, worker, "b")
    found = all_pages(project, other, limit=limit)
    assert sorted(one.message for one in found) == sorted(words)
    assert found[0].message == "b"
    assert [(one.last_seen, one.project_id, one.fingerprint) for one in found] == sorted(
        ((one.last_seen, one.project_id, one.fingerprint) for one in found), reverse=True
    )
    assert {one.message: one.total for one in found} == {word: 1 + (word == "b") for word in words}
    assert {one.message for one in all_pages(other, limit=limit)} == {"a", "d", "g"}


def test_a_page_that_is_filled_although_many_wait(project, worker):
    fail(project, worker, *"abcdefgh")
    fold_outcomes()
    fail(project, worker, *"hgfe")
    page = failures.find([project.pk], limit=6)
    assert [one.message for one in page.groups] == ["e", "f", "g", "h", "d", "c"]
    rest = failures.find([project.pk], after=page.following, limit=6)
    assert [one.message for one in rest.groups] == ["b", "a"]
    assert rest.following is None


def test_pages_end_early_where_texts_are_long(project, worker, settings):
    settings.MAX_BATCH_BYTES = 100
    fail(project, worker, "a" * 80, "b" * 80, "c" * 10, "d" * 10)
    fold_outcomes()
    page = failures.find([project.pk], limit=9, outputs=True)
    assert [one.message[0] for one in page.groups] == ["d", "c", "b"]
    page = failures.find([project.pk], limit=9, outputs=True, after=page.following)
    assert ([one.message[0] for one in page.groups], page.following) == (["a"], None)
    # Without outputs, pages are short anyway.
    assert len(failures.find([project.pk], limit=9).groups) == 4
    Attempt.objects.update(fingerprint=7)
    sizes = partial(failures.attempts, project.pk, 7, limit=9)
    page = sizes()
    assert [one.message[0] for one in page.attempts] == ["d", "c", "b"]
    assert [one.message[0] for one in sizes(after=page.following).attempts] == ["a"]
    settings.MAX_BATCH_BYTES = 5
    assert len(sizes().attempts) == 1


def test_attempts_in_pages(project, worker):
    ids = fail(project, worker, *("x " + str(n) for n in range(7)))
    fail(project, worker, "y")
    fingerprint = groups(project)[1].fingerprint
    found, after = [], None
    while True:
        page = failures.attempts(project.pk, fingerprint, after=after, limit=3)
        found += [one.task_id for one in page.attempts]
        after = page.following
        if after is None:
            break
    assert found == ids[::-1]


def test_a_group_whose_attempts_and_workers_are_gone(project, worker):
    fail(project, worker, "x", reason=2)
    fold_outcomes()
    worker.worker.delete()
    (group,) = groups(project)
    assert [one.alias for one in group.workers] == [group.example.worker.alias] == [None]
    Attempt.objects.all().delete()
    (group,) = groups(project)
    assert (group.example, group.message, group.reason, group.failed_tasks) == (None, "x", "bad_recipe", 1)


def test_no_such_group(project, worker):
    fail(project, worker, "x")
    (group,) = groups(project)
    other = ProjectFactory()
    for place in ((other.pk, group.fingerprint), (project.pk, group.fingerprint + 1)):
        with pytest.raises(NoSuchFailure):
            failures.get(*place)
    assert failures.attempts(other.pk, group.fingerprint, limit=5) == ([], None)
    assert groups(other) == groups() == []


def test_more_wait_than_are_looked_at(project, worker, monkeypatch):
    """The counts lag; nothing is counted twice."""
    monkeypatch.setattr(failures, "WAITING", 2)
    fail(project, worker, "a", "a", "a")
    assert groups(project)[0].total == 2
    fold_outcomes()
    assert groups(project)[0].total == 3


def test_at_most_so_many_workers(project, monkeypatch):
    monkeypatch.setattr(failures, "KNOWN", 2)
    for _ in range(3):
        fail(project, register(), "x")
    assert len(groups(project)[0].workers) == 2


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_fingerprints_as_text(number):
    assert len(text_of(number)) == 16
    assert fingerprint_in(text_of(number)) == number


@pytest.mark.parametrize("text", ["", "0", "g" * 16, "A" * 16, "0" * 17, "0" * 16 + "\n", "０" * 16])
def test_what_is_no_fingerprint(text):
    assert fingerprint_in(text) is None


@pytest.mark.parametrize("cursor", [[], [1, 2, 3], ["2026-01-01T00:00:00Z", 1], ["2026-01-01T00:00:00Z", 1, "x"]])
def test_a_cursor_from_elsewhere(project, cursor):
    with pytest.raises(BadCursor):
        failures.find([project.pk], after=cursor, limit=1)
