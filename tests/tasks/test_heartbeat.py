"""POST /task/heartbeat, and the `heartbeats` of POST /task/exchange."""

import time
import uuid

import pytest

from tasks import maintenance, queue
from tasks.models import Attempt, ClosedTask, Outcome, Task
from tasks.queue.exchanging import EXCHANGE as EXCHANGE_STATEMENT
from tasks.queue.expiry import expire_leases
from tests.factories import ProjectFactory, TaskFactory, expire, register
from tracker import db

pytestmark = pytest.mark.django_db

URL, EXCHANGE = "/task/heartbeat", "/task/exchange"
OK, FAIL, SKIP = 0, 1, 2


@pytest.fixture
def project():
    return ProjectFactory(lease_seconds=100, max_lease_seconds=1000)


@pytest.fixture(params=["heartbeat", "exchange"])
def beat(request, api, worker, project):
    """Sends heartbeats in one of the two ways, as `worker`; returns what is answered to each."""

    def heartbeat(*heartbeats, worker=worker):
        return api.post(URL, {"heartbeats": heartbeats}, worker=worker)

    def exchange(*heartbeats, worker=worker):
        return api.post(EXCHANGE, {"project": project.pk, "count": 1, "heartbeats": heartbeats}, worker=worker)

    def run(*heartbeats, **options):
        answer = {"heartbeat": heartbeat, "exchange": exchange}[request.param](*heartbeats, **options)
        assert answer.ok, answer
        return answer.content["heartbeats"]

    return run


def leased(worker, project, **columns):
    """A task that the worker holds."""
    task = TaskFactory(project=project, **columns)
    (found,) = queue.lease_many(worker=worker.worker, project_id=project.pk, count=1).tasks
    assert found.id == task.pk
    return found


def of(task, **more):
    return {"task_id": task.id, "lease": task.lease, **more}


def seconds_left(task):
    """From now until the lease ends, by the database's clock."""
    ((left,),) = db.rows(
        "SELECT extract(epoch FROM lease_expires - now())::float8 FROM tasks_task WHERE id = %(id)s", {"id": task.id}
    )
    return left


def nearly(seconds):
    """Tests run in a transaction, whose time stands still; other times are of a moment ago."""
    return pytest.approx(seconds, abs=5)


def test_it_works(beat, worker, project):
    task = leased(worker, project)
    expire(task.id)
    (told,) = beat(of(task))
    assert told == {"task_id": task.id, "state": "extended", "expires": nearly(time.time() + 100)}
    assert seconds_left(task) == nearly(100)
    row = Task.objects.get()
    assert told["expires"] == pytest.approx(row.lease_expires.timestamp(), abs=0.001)
    assert (row.assignee_id, str(row.lease), row.retries, row.expiries) == (worker.worker.pk, task.lease, 0, 0)
    assert not Attempt.objects.exists()
    assert expire_leases() == 0


def test_a_bare_list(api, worker, project):
    task = leased(worker, project)
    (told,) = api.post(URL, [of(task)], worker=worker).content["heartbeats"]
    assert told["state"] == "extended"


def test_by_seconds(beat, worker, project):
    task = leased(worker, project)
    for seconds, expected in ((500, 500), (1000, 1000), (1000.5, 1000), (10**9, 1000), (0.5, 0.5), (20, 20)):
        (told,) = beat(of(task, seconds=seconds))
        assert told["expires"] == nearly(time.time() + expected)
        assert seconds_left(task) == nearly(expected)


def test_zero_seconds_give_the_task_back(api, worker, project):
    task = leased(worker, project)
    (told,) = api.post(URL, [of(task, seconds=0)], worker=worker).content["heartbeats"]
    assert (told["state"], told["expires"]) == ("extended", nearly(time.time()))
    assert queue.lease(worker=register().worker, project=project).id == task.id


def test_the_end_of_a_lease_in_seconds_is_exact(beat, worker, project):
    task = leased(worker, project)
    beat(of(task, seconds=12.25))
    assert seconds_left(task) == pytest.approx(12.25, abs=0.001)


def test_the_tasks_own_lease_time(beat, worker, project):
    """It is what a lease of the task lasts, so `max_lease_seconds` is not its limit."""
    task = leased(worker, project, max_assign_time=5000)
    expire(task.id)
    beat(of(task))
    assert seconds_left(task) == nearly(5000)
    beat(of(task, seconds=5000))
    assert seconds_left(task) == nearly(1000)


def test_without_seconds_no_lease_gets_shorter(beat, worker, project):
    task = leased(worker, project)
    beat(of(task, seconds=900))
    (told,) = beat(of(task))
    assert told["expires"] == nearly(time.time() + 900)
    assert seconds_left(task) == nearly(900)
    (told,) = beat(of(task, seconds=None))
    assert seconds_left(task) == nearly(900)


def test_many_in_the_order_sent(beat, worker, project):
    other = ProjectFactory(lease_seconds=300, max_lease_seconds=50)
    tasks = [leased(worker, where) for where in (project, other, project, other)]
    stranger = leased(register(), project)
    sent = [of(tasks[3]), of(stranger), of(tasks[0], seconds=200), of(tasks[1], seconds=200), of(tasks[2])]
    for task in tasks:
        expire(task.id)
    told = beat(*sent)
    assert [one["task_id"] for one in told] == [one["task_id"] for one in sent]
    assert [one["state"] for one in told] == ["extended", "lost", "extended", "extended", "extended"]
    assert list(map(seconds_left, tasks)) == [nearly(200), nearly(50), nearly(100), nearly(300)]
    assert seconds_left(stranger) == nearly(100)


def test_several_for_one_lease(beat, worker, project):
    task = leased(worker, project)
    told = beat(of(task, seconds=500), of(task, seconds=50), of(task, seconds=30))
    assert [one["expires"] for one in told] == [nearly(time.time() + 30)] * 3
    assert seconds_left(task) == nearly(30)


def test_only_that_lease(beat, worker, project):
    task = leased(worker, project)
    before = seconds_left(task)
    for lease in (str(uuid.uuid4()), "00000000-0000-0000-0000-000000000000"):
        (told,) = beat({"task_id": task.id, "lease": lease, "seconds": 900})
        assert told == {"task_id": task.id, "state": "lost"}
    assert seconds_left(task) == before
    right, wrong = beat(of(task, seconds=900), {"task_id": task.id, "lease": str(uuid.uuid4())})
    assert (right["state"], wrong["state"]) == ("extended", "lost")


def test_whose_lease_it_is(beat, worker, project):
    task = leased(worker, project)
    before = seconds_left(task)
    (told,) = beat(of(task, seconds=900), worker=register("thief"))
    assert told == {"task_id": task.id, "state": "lost"}
    assert seconds_left(task) == before


@pytest.mark.parametrize("end", ["closed", "failed", "skipped", "taken", "expired", "reclaimed", "never"])
def test_lost(beat, worker, project, end):
    task = leased(worker, project, max_retries=2)
    match end:
        case "closed" | "failed" | "skipped":
            result = {"closed": OK, "failed": FAIL, "skipped": SKIP}[end]
            queue.release(worker=worker.worker, task_id=task.id, result=result)
        case "taken":
            expire(task.id)
            assert queue.lease(worker=register().worker, project=project).id == task.id
        case "expired":
            expire(task.id)
            assert expire_leases() == 1
        case "reclaimed":
            maintenance.reclaim_leased(project=project)
        case "never":
            task = task._replace(id=10**12)
    before = list(Task.objects.values())
    assert beat(of(task)) == [{"task_id": task.id, "state": "lost"}]
    # An exchange goes on to lease.
    assert [one for one in Task.objects.values() if one["lease"] is None or end == "taken"] in (before, [])


def test_of_a_second_lease_of_the_same_worker(beat, worker, project):
    """Its first lease is lost although the worker holds the task again."""
    task = leased(worker, project)
    queue.release(worker=worker.worker, task_id=task.id, result=SKIP)
    again = queue.lease(worker=worker.worker, project=project)
    assert again.id == task.id
    assert [one["state"] for one in beat(of(task), of(again))] == ["lost", "extended"]


def test_cancelled(beat, worker, project):
    tasks = [leased(worker, project) for _ in range(3)]
    maintenance.delete_matching(maintenance.Criteria([project.pk], ids=[tasks[0].id]))
    told = beat(*map(of, tasks), {"task_id": tasks[0].id, "lease": tasks[1].lease})
    assert [one["state"] for one in told] == ["cancelled", "extended", "extended", "lost"]
    (told,) = beat(of(tasks[0]), worker=register("other"))
    assert told == {"task_id": tasks[0].id, "state": "lost"}


def test_a_lease_that_is_over_can_be_extended(beat, worker, project):
    task = leased(worker, project)
    expire(task.id)
    (told,) = beat(of(task))
    assert told["state"] == "extended"
    assert expire_leases() == 0
    assert queue.lease(worker=register().worker, project=project) is None
    assert queue.release(worker=worker.worker, task_id=task.id, result=OK, lease=task.lease).updated


def test_an_extended_lease_counts_again(beat, worker):
    project = ProjectFactory(max_leases=1)
    task = leased(worker, project)
    expire(task.id)
    TaskFactory(project=project)
    beat(of(task))
    leased_now = queue.lease_many(worker=worker.worker, project_id=project.pk, count=1)
    assert leased_now.reason == "too_many_leases"


def test_a_paused_worker_may(beat, worker, project):
    task = leased(worker, project)
    worker.worker.paused = True
    worker.worker.save()
    (told,) = beat(of(task))
    assert told["state"] == "extended"


def test_in_a_paused_project_and_without_access(api, worker, project):
    task = leased(worker, project)
    project.paused, project.public, project.hidden = True, False, True
    project.save()
    (told,) = api.post(URL, [of(task)], worker=worker).content["heartbeats"]
    assert told["state"] == "extended"


def test_it_does_not_wait_for_the_disk(worker, project):
    task = leased(worker, project)
    db.one("SELECT set_config('synchronous_commit', 'on', true)")
    queue.heartbeat(worker=worker.worker, heartbeats=[queue.Heartbeat(task.id, task.lease)])
    assert db.one("SHOW synchronous_commit") == ("off",)


def test_an_exchange_with_heartbeats_waits_for_the_disk(worker, project):
    beats = [queue.Heartbeat(1, str(uuid.uuid4()))]
    db.one("SELECT set_config('synchronous_commit', 'on', true)")
    queue.exchange(worker=worker.worker, project_id=project.pk, count=1, reports=[], heartbeats=beats)
    assert db.one("SHOW synchronous_commit") == ("on",)


LEASE = str(uuid.UUID(int=5))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lease": LEASE}, "task_id: is missing."),
        ({"task_id": 1}, "lease: is missing."),
        ({"task_id": 1, "lease": None}, "lease: is missing."),
        ({"task_id": 0, "lease": LEASE}, "task_id: must be a whole number from 1"),
        ({"task_id": "1", "lease": LEASE}, "task_id: must be a whole number"),
        ({"task_id": True, "lease": LEASE}, "task_id: must be a whole number"),
        ({"task_id": 1, "lease": "x"}, "lease: must be the `lease`"),
        ({"task_id": 1, "lease": 5}, "lease: must be text, not 5."),
        ({"task_id": 1, "lease": LEASE, "seconds": -1}, "seconds: must be a number of seconds from 0"),
        ({"task_id": 1, "lease": LEASE, "seconds": "60"}, "seconds: must be a number of seconds from 0"),
        ({"task_id": 1, "lease": LEASE, "seconds": True}, "seconds: must be a number of seconds from 0"),
        ({"task_id": 1, "lease": LEASE, "seconds": 1e10}, "seconds: must be a number of seconds from 0"),
        ({"task_id": 1, "lease": LEASE, "second": 60}, '"second" is no key here; there are task_id, lease, seconds.'),
        ([], "must be a JSON object, not an array."),
        (5, "must be a JSON object, not 5."),
    ],
)
def test_a_wrong_item_changes_nothing(api, worker, project, wrong, message):
    task = leased(worker, project)
    before = seconds_left(task)
    answer = api.post(URL, [of(task, seconds=900), wrong], worker=worker)
    assert (answer.status, answer.message.partition(message)[0]) == (400, "Item 1: ")
    body = {"project": project.pk, "count": 1, "heartbeats": [of(task, seconds=900), wrong]}
    answer = api.post(EXCHANGE, body, worker=worker)
    assert (answer.status, answer.message.partition(message)[0]) == (400, "heartbeats: item 1: ")
    assert seconds_left(task) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "The body must be an array of heartbeats or"),
        ({}, "The body must be an array of heartbeats or"),
        ({"heartbeats": {}}, "The body must be an array of heartbeats or"),
        ({"heartbeat": []}, '"heartbeat" is no key of this call'),
        ([], "heartbeats: must hold 1 to 1000 items, not 0."),
        ([{"task_id": 1, "lease": LEASE}] * 1001, "heartbeats: must hold 1 to 1000 items, not 1001."),
    ],
)
def test_a_wrong_body(api, worker, body, message):
    answer = api.post(URL, body, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(message)


@pytest.mark.parametrize("value", [{}, 5, "x", [{"task_id": 1, "lease": LEASE}] * 1001])
def test_wrong_heartbeats_of_an_exchange(api, worker, project, value):
    answer = api.post(EXCHANGE, {"project": project.pk, "count": 1, "heartbeats": value}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith("heartbeats: must be an array of at most 1000 heartbeats, not ")


def test_a_thousand(api, worker, project):
    TaskFactory.create_batch(1000, project=project)
    tasks = queue.lease_many(worker=worker.worker, project_id=project.pk, count=1000).tasks
    told = api.post(URL, [of(task, seconds=500) for task in reversed(tasks)], worker=worker).content["heartbeats"]
    assert [one["task_id"] for one in told] == [task.id for task in reversed(tasks)]
    assert {one["state"] for one in told} == {"extended"}
    assert seconds_left(tasks[0]) == nearly(500)


def test_who_calls(api, worker, project):
    task = leased(worker, project)
    assert api.post(URL, [of(task)]).status == 401
    wrong = {"X-Worker-ID": str(worker.worker.pk), "X-Secret": "wrong"}
    assert api.post(URL, [of(task)], headers=wrong).status == 401
    # What is wrong with a request is told to nobody but a worker.
    assert api.post(URL, [], headers=wrong).status == 401
    assert api.get(URL, worker=worker).status == 405


class TestExchange:
    def test_without_heartbeats_there_are_none(self, api, worker, project):
        for sent, told in (({}, None), ({"heartbeats": None}, None), ({"heartbeats": []}, [])):
            answer = api.post(EXCHANGE, {"project": project.pk, "count": 1, **sent}, worker=worker)
            assert answer.content.get("heartbeats") == told

    def test_all_three(self, api, worker, project):
        done, kept, due = (leased(worker, project) for _ in range(3))
        expire(due.id)
        following = TaskFactory(project=project)
        body = {
            "project": project.pk,
            "count": 10,
            "releases": [{"task_id": done.id, "lease": done.lease, "result": OK}],
            "heartbeats": [of(kept, seconds=700), of(due), of(done)],
        }
        answer = api.post(EXCHANGE, body, worker=worker)
        assert [one["updated"] for one in answer.content["results"]] == [True]
        # The lease of what was just reported has ended; and what has expired is extended, not leased anew.
        assert [one["state"] for one in answer.content["heartbeats"]] == ["extended", "extended", "lost"]
        assert [task["id"] for task in answer.content["tasks"]] == [following.pk]
        assert list(map(seconds_left, (kept, due))) == [nearly(700), nearly(100)]
        assert ClosedTask.objects.count() == 1

    def test_it_costs_others_nothing(self, worker, project, monkeypatch, django_assert_num_queries):
        """Without heartbeats, it is one statement, the one that knows of none."""
        sent = []
        rows_again = db.rows_again
        monkeypatch.setattr(db, "rows_again", lambda *query: sent.append(query[0]) or rows_again(*query))
        task = leased(worker, project)
        sent.clear()
        report = queue.Report(task.id, queue.Result.OK, lease=task.lease)
        with django_assert_num_queries(1):
            queue.exchange(worker=worker.worker, project_id=project.pk, count=1, reports=[report])
        assert sent == [EXCHANGE_STATEMENT]

    def test_heartbeats_stand_when_there_is_no_task(self, api, worker, project):
        task = leased(worker, project)
        answer = api.post(EXCHANGE, {"project": project.pk, "count": 1, "heartbeats": [of(task)]}, worker=worker)
        assert (answer.ok, answer.content["reason"], answer.content["tasks"]) == (True, "empty", [])
        assert answer.content["heartbeats"][0]["state"] == "extended"

    def test_unknown_project_changes_nothing(self, api, worker, project):
        task = leased(worker, project)
        before = seconds_left(task)
        for other in (ProjectFactory(secluded=True).pk, 10**12):
            body = {"project": other, "count": 1, "heartbeats": [of(task, seconds=900)]}
            assert api.post(EXCHANGE, body, worker=worker).status == 404
        assert seconds_left(task) == before


class TestReleaseOfACancelledTask:
    @pytest.fixture
    def cancelled(self, worker, project):
        task = leased(worker, project)
        maintenance.delete_all(project=project)
        assert Attempt.objects.get().outcome == Outcome.CANCELLED
        return task

    def test_one(self, api, worker, cancelled):
        report = {"task_id": cancelled.id, "result": OK}
        answer = api.post("/task/release", report | {"lease": cancelled.lease}, worker=worker)
        assert answer.content == {"updated": False, "reason": "cancelled"}
        assert answer.message == "This worker does not hold this task, or no longer holds it; nothing was changed."
        # Only for who names its lease.
        assert api.post("/task/release", report, worker=worker).content == {"updated": False}
        for lease in (LEASE, cancelled.lease):
            other = worker if lease == LEASE else register("other")
            answer = api.post("/task/release", report | {"lease": lease}, worker=other)
            assert answer.content == {"updated": False}
        assert not ClosedTask.objects.exists()

    @pytest.mark.parametrize("path", ["/task/bulk_release", EXCHANGE])
    def test_many(self, api, worker, project, cancelled, path):
        held = leased(worker, project)
        reports = [
            {"task_id": held.id, "lease": held.lease, "result": OK},
            {"task_id": cancelled.id, "lease": cancelled.lease, "result": OK},
            {"task_id": cancelled.id, "result": OK},
            {"task_id": cancelled.id, "lease": LEASE, "result": OK},
        ]
        body = {"releases": reports}
        if path == EXCHANGE:
            body |= {"project": project.pk, "count": 1}
        results = api.post(path, body, worker=worker).content["results"]
        assert [one["updated"] for one in results] == [True, False, False, False]
        assert [one.get("reason") for one in results] == [None, "cancelled", None, None]

    def test_it_costs_others_nothing(self, worker, project, django_assert_num_queries):
        for lease, result in ((None, queue.Result.OK), ("its own", queue.Result.FAIL)):
            task = leased(worker, project)
            with django_assert_num_queries(1):
                queue.release(
                    worker=worker.worker, task_id=task.id, result=result, lease=None if lease is None else task.lease
                )
            with django_assert_num_queries(1):
                queue.release(worker=worker.worker, task_id=task.id, result=result)
        with django_assert_num_queries(1):
            queue.release_many(worker=worker.worker, reports=[queue.Report(task.id, queue.Result.OK)])
