"""What a worker may tell of a task: message, output, reason and seconds."""

import json

import pytest

from projects.models import Snapshot
from tasks import queries
from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, OutcomeEntry, Reason, Task
from tasks.queries import overview, search
from tasks.queries.search import Criteria, State
from tasks.queue.expiry import expire_leases
from tasks.queue.upkeep import take_snapshots
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register
from tracker import db

OK, FAIL, SKIP = range(3)
WAYS = ("release", "bulk_release", "exchange")


@pytest.fixture
def worker(db):
    return register()


@pytest.fixture
def project(db):
    return ProjectFactory(version="abc", retention_days=7)


def lease(api, worker, project):
    return api.get(f"/task/get/{project.pk}", worker=worker).content["task"]


def send(api, way, worker, project, report):
    """Report by one of the three calls. Returns the answer."""
    match way:
        case "release":
            return api.post("/task/release", report, worker=worker)
        case "bulk_release":
            return api.post("/task/bulk_release", [report], worker=worker)
        case "exchange":
            # There is no other project that has a task.
            body = {"project": ProjectFactory().pk, "count": 1, "releases": [report]}
            return api.post("/task/exchange", body, worker=worker)


@pytest.mark.parametrize("way", WAYS)
def test_closing(api, way, worker, project):
    task = TaskFactory(project=project)
    leased = lease(api, worker, project)
    output = {"b": [1, 2.5, None, True, "é\0\\"], "a": {}}
    told = {"message": "so it went", "output": output, "seconds": 0.25}
    assert send(api, way, worker, project, {"task_id": task.pk, "result": OK, "verification": 5, **told}).ok
    closed = ClosedTask.objects.get()
    assert (closed.message, json.loads(closed.output), closed.seconds, closed.version) == (
        *("so it went", output, 0.25, "abc"),
    )
    assert closed.assign_time.timestamp() >= leased["assign_time"]
    assert not Attempt.objects.exists()
    assert not OutcomeEntry.objects.exists()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_told(api, way, worker, project):
    task = TaskFactory(project=project)
    lease(api, worker, project)
    assert send(api, way, worker, project, {"task_id": task.pk, "result": OK}).ok
    closed = ClosedTask.objects.get()
    assert (closed.message, closed.output, closed.seconds, closed.submitter_id) == (None, None, None, None)


@pytest.mark.parametrize("output", ["text", 0, False, [], {}, "", 1.5, -(2**63), ["\0", '"', "\\u0000"]])
def test_any_json_is_an_output(api, worker, project, output):
    task = TaskFactory(project=project)
    lease(api, worker, project)
    assert send(api, "release", worker, project, {"task_id": task.pk, "result": OK, "output": output}).ok
    assert json.loads(ClosedTask.objects.get().output) == output


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("result", "reason", "retries", "status", "is_voter"),
    [
        (FAIL, None, 1, 1, False),
        (FAIL, "error", 1, 1, False),
        (FAIL, "bad_recipe", 1, 2, False),
        (FAIL, "shutdown", 0, 1, False),
        (FAIL, "busy", 0, 1, False),
        (FAIL, "not_for_me", 1, 1, True),
        (SKIP, None, 0, 1, False),
        (SKIP, "error", 0, 1, False),
        (SKIP, "bad_recipe", 0, 2, False),
        (SKIP, "shutdown", 0, 1, False),
        (SKIP, "busy", 0, 1, False),
        (SKIP, "not_for_me", 0, 1, True),
    ],
)
def test_reasons(api, way, worker, project, result, reason, retries, status, is_voter):
    task = TaskFactory(project=project, max_retries=3)
    leased = lease(api, worker, project)
    report = {"task_id": task.pk, "result": result, "message": "it broke", "output": [1], "seconds": 2}
    assert send(api, way, worker, project, report | ({} if reason is None else {"reason": reason})).ok
    task.refresh_from_db()
    assert (task.retries, task.status, task.assignee_id) == (retries, status, None)
    assert (task.voters, task.votes) == (([worker.worker.pk], [None]) if is_voter else ([], []))
    attempt = Attempt.objects.get()
    assert attempt.outcome == (Outcome.FAILED if result == FAIL else Outcome.SKIPPED)
    assert attempt.reason == (None if reason is None else Reason[reason.upper()])
    assert (attempt.task_id, attempt.project, attempt.worker) == (task.pk, project, worker.worker)
    assert (str(attempt.lease), attempt.message, attempt.output) == (leased["lease"], "it broke", "[1]")
    assert (attempt.seconds, attempt.version) == (2.0, "abc")
    assert attempt.began <= attempt.ended
    assert (attempt.fingerprint is not None) == (result == FAIL or reason == "bad_recipe")
    assert task.failure == (attempt.fingerprint if status == 2 else None)
    entry = OutcomeEntry.objects.get()
    assert (entry.outcome, entry.worker, entry.attempt) == (
        *(attempt.outcome, worker.worker),
        None if attempt.fingerprint is None else attempt.pk,
    )


def test_the_last_retry(api, worker, project):
    task = TaskFactory(project=project, max_retries=2)
    for status in (1, 2):
        lease(api, worker, project)
        send(api, "release", worker, project, {"task_id": task.pk, "result": FAIL, "message": "no"})
        task.refresh_from_db()
        assert task.status == status
    assert Attempt.objects.count() == 2
    assert task.failure == Attempt.objects.latest("pk").fingerprint


def test_a_task_that_is_not_for_a_worker_goes_to_another_one(api, worker, project):
    task, other = TaskFactory(project=project), register()
    lease(api, worker, project)
    send(api, "release", worker, project, {"task_id": task.pk, "result": SKIP, "reason": "not_for_me"})
    assert not api.get(f"/task/get/{project.pk}", worker=worker).ok
    assert lease(api, other, project)["id"] == task.pk
    send(api, "release", other, project, {"task_id": task.pk, "result": OK, "verification": 3})
    closed = ClosedTask.objects.get()
    assert (closed.voters, closed.votes) == ([worker.worker.pk], [None])
    # Nobody has voted but the one that closed it, so there is no majority.
    assert not OutcomeEntry.objects.filter(outcome__in=[Outcome.AGREED, Outcome.OUTVOTED]).exists()


def test_who_is_not_meant_does_not_count_as_a_vote(api, project):
    task = TaskFactory(project=project, verification_count=2)
    refusing, first, second = register(), register(), register()
    for worker, told in (
        (refusing, {"result": SKIP, "reason": "not_for_me"}),
        (first, {"result": OK, "verification": 9}),
        (second, {"result": OK, "verification": 9}),
    ):
        lease(api, worker, project)
        assert send(api, "release", worker, project, {"task_id": task.pk, **told}).ok
    assert ClosedTask.objects.get().votes == [None, 9]


@pytest.mark.parametrize("way", WAYS)
def test_votes(api, way, project):
    task = TaskFactory(project=project, verification_count=2)
    workers = [register() for _ in range(3)]
    for worker, verification in zip(workers, (1, 2, 1), strict=True):
        lease(api, worker, project)
        told = {"task_id": task.pk, "result": OK, "verification": verification, "output": verification}
        assert send(api, way, worker, project, told).ok
    assert [(one.outcome, one.worker, one.output, one.fingerprint) for one in Attempt.objects.order_by("pk")] == [
        (Outcome.VOTED, workers[0].worker, "1", None),
        (Outcome.VOTED, workers[1].worker, "2", None),
    ]
    closed = ClosedTask.objects.get()
    assert (closed.worker, closed.output, closed.votes) == (workers[2].worker, "1", [1, 2])
    counted = OutcomeEntry.objects.exclude(outcome=Outcome.VOTED).values_list("worker", "outcome")
    assert set(counted) == {
        (workers[0].worker.pk, Outcome.AGREED),
        (workers[1].worker.pk, Outcome.OUTVOTED),
        (workers[2].worker.pk, Outcome.AGREED),
    }


def test_a_mixed_batch(api, worker, project):
    tasks = [TaskFactory(project=project, max_retries=5, verification_count=count) for count in (0, 0, 2, 0, 0)]
    api.get(f"/task/get/{project.pk}?count=5", worker=worker)
    reports = [
        {"task_id": tasks[0].pk, "result": OK, "output": "a", "seconds": 1},
        {"task_id": tasks[1].pk, "result": FAIL, "message": "b"},
        {"task_id": tasks[2].pk, "result": OK, "verification": 4, "output": "c"},
        {"task_id": tasks[3].pk, "result": SKIP},
        {"task_id": tasks[4].pk, "result": OK},
        {"task_id": 2**62, "result": FAIL, "message": "not held"},
    ]
    answer = api.post("/task/bulk_release", reports, worker=worker)
    assert [one["updated"] for one in answer.content["results"]] == [True, True, False, True, True, False]
    assert {closed.pk: closed.output for closed in ClosedTask.objects.all()} == {
        tasks[0].pk: '"a"',
        tasks[4].pk: None,
    }
    assert {one.task_id: (one.outcome, one.message, one.output) for one in Attempt.objects.all()} == {
        tasks[1].pk: (Outcome.FAILED, "b", None),
        tasks[2].pk: (Outcome.VOTED, None, '"c"'),
        tasks[3].pk: (Outcome.SKIPPED, None, None),
    }
    assert sum(entry.count for entry in ClosedEntry.objects.all()) == 2


def test_a_project_that_keeps_no_closed_tasks(api, worker):
    project = ProjectFactory(retention_days=0)
    first, second = TaskFactory(project=project), TaskFactory(project=project)
    lease(api, worker, project)
    send(api, "release", worker, project, {"task_id": first.pk, "result": OK, "output": 1})
    lease(api, worker, project)
    send(api, "release", worker, project, {"task_id": second.pk, "result": SKIP})
    assert not ClosedTask.objects.exists()
    assert Attempt.objects.get().task_id == second.pk


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"message": 5}, "message: must be text, not 5"),
        ({"message": "é" * 2049}, "message: must be at most 4096 bytes long in UTF-8, not 4098"),
        ({"message": "a\0"}, "message: must not contain the character U+0000"),
        ({"output": "x" * 65_535}, "output: must be at most 65536 bytes long as JSON, not 65537"),
        ({"reason": "lazy"}, "reason: must be one of error, bad_recipe, shutdown, busy, not_for_me"),
        ({"reason": 1}, "reason: must be one of"),
        ({"reason": ["error"]}, "reason: must be one of"),
        ({"reason": "error", "result": OK}, "reason: tells why a task was not done"),
        ({"seconds": -1}, "seconds: must be a number of seconds"),
        ({"seconds": "5"}, "seconds: must be a number of seconds"),
        ({"seconds": True}, "seconds: must be a number of seconds"),
        ({"seconds": 1e10}, "seconds: must be a number of seconds"),
        ({"mesage": "x"}, "'mesage' is no key of a report; 'message' may be meant"),
        ({"outputs": 1}, "'outputs' is no key of a report; 'output' may be meant"),
        ({"second": 1}, "'second' is no key of a report; 'seconds' may be meant"),
        ({"Reason": "busy"}, "'Reason' is no key of a report; 'reason' may be meant"),
        ({"message": "x", "colour": 1}, "'colour' is no key of a report; there are task_id, "),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_bad_input_changes_nothing(api, way, worker, project, change, message):
    task = TaskFactory(project=project)
    lease(api, worker, project)
    answer = send(api, way, worker, project, {"task_id": task.pk, "result": FAIL, **change})
    assert answer.status == 400
    assert message in answer.message.replace('"', "'")
    task.refresh_from_db()
    assert task.assignee == worker.worker
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("way", WAYS)
def test_other_keys_of_existing_clients_are_ignored(api, way, worker, project):
    task = TaskFactory(project=project)
    lease(api, worker, project)
    report = {"task_id": task.pk, "result": OK, "logs": "", "tasks": [], "worker": 7, "success": True}
    assert send(api, way, worker, project, report).ok
    assert ClosedTask.objects.get().pk == task.pk


@pytest.mark.parametrize("way", ["submit", "bulk_submit"])
def test_the_submitter_is_kept(api, submitter, worker, way):
    following = ProjectFactory()
    project = ProjectFactory(chain=following)
    grant(submitter, project, submit=True)
    body = {"project": project.pk, "recipe": "x"}
    assert api.post(f"/task/{way}", body if way == "submit" else [body], worker=submitter).ok
    task = Task.objects.get()
    assert task.submitter == submitter.worker
    lease(api, worker, project)
    assert send(api, "release", worker, project, {"task_id": task.pk, "result": OK}).ok
    assert ClosedTask.objects.get().submitter == Task.objects.get(project=following).submitter == submitter.worker


def fingerprint(message, reason=None, outcome=Outcome.FAILED):
    values = {"outcome": outcome, "reason": reason, "message": message}
    return db.one("SELECT queue_fingerprint(%(outcome)s, %(reason)s, %(message)s)", values)[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("time-out after 31.5 s", "Time-out  after 2 s"),
        ("no file /tmp/tmpa8x3/x", "no file /tmp/tmp1bc/x"),
        ("can't reach 10.0.0.1:80", "can't reach 192.168.1.77:8080"),
        ("can't reach https://a.example/x?y=1", "can't reach http://b.example/"),
        ("<Task object at 0x7fe1deadbeef>", "<Task object at 0x7fe10badf00d>"),
        ("row deadbeef-dead-beef-dead-beefdeadbeef is gone", "row 00000000-0000-0000-0000-000000000000 is gone"),
        ("shapes [1, 2, 3] differ", "shapes [1, 2] differ"),
        ("mail to a@b.example bounced", "mail to c.d@e.example bounced"),
        ("x = -1.5", "x = 12"),
        ("line\n  here", "line here"),
        (None, ""),
    ],
)
def test_alike(one, other):
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) == fingerprint(one, Reason.ERROR)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("no file a", None), ("no file b", None)),
        (("x", Reason.ERROR), ("x", Reason.BAD_RECIPE)),
        (("", None), ("x", None)),
    ],
)
def test_unlike(one, other):
    assert fingerprint(*one) != fingerprint(*other)


@pytest.mark.django_db
def test_a_fingerprint_never_changes():
    """It is stored, and those of old attempts must match those of new ones on any version of PostgreSQL."""
    assert fingerprint("Time-out after 31.5 s at 0x7fe1") == fingerprint("time-out after # s at #")
    assert fingerprint("no file") == 3176954248418949856


@pytest.mark.parametrize(("allowed", "statuses"), [(0, [1, 1, 1]), (1, [2]), (2, [1, 2])])
def test_expiries(api, worker, allowed, statuses):
    project = ProjectFactory(max_expiries=allowed)
    task = TaskFactory(project=project)
    for count, status in enumerate(statuses, 1):
        leased = lease(api, worker, project)
        expire(task)
        assert expire_leases() == 1
        task.refresh_from_db()
        assert (task.expiries, task.status, task.assignee_id) == (count, status, None)
        attempt = Attempt.objects.latest("pk")
        assert (attempt.outcome, str(attempt.lease), attempt.worker) == (
            *(Outcome.EXPIRED, leased["lease"], worker.worker),
        )
        assert task.failure == (attempt.fingerprint if status == 2 else None)
    assert expire_leases() == 0


def test_a_lease_of_an_expired_task_counts_the_expiry(api, worker, project):
    task, other = TaskFactory(project=project), register()
    first = lease(api, worker, project)
    expire(task)
    second = lease(api, other, project)
    assert second["lease"] != first["lease"]
    task.refresh_from_db()
    assert (task.expiries, task.assignee) == (1, other.worker)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, str(attempt.lease), attempt.worker) == (Outcome.EXPIRED, first["lease"], worker.worker)


def test_the_last_expiry_is_left_to_the_scheduler(api, worker):
    project = ProjectFactory(max_expiries=1)
    task = TaskFactory(project=project)
    lease(api, worker, project)
    expire(task)
    assert not api.get(f"/task/get/{project.pk}", worker=register()).ok
    assert expire_leases() == 1
    task.refresh_from_db()
    assert task.status == Task.Status.FAILED


def test_a_refusal_is_no_verification(api, worker, project, tracker_admin, client):
    """Nowhere does a task count as awaiting verification that a worker has only refused."""
    TaskFactory(project=project, verification_count=2)
    task = lease(api, worker, project)
    send(api, "release", worker, project, {"task_id": task["id"], "result": SKIP, "reason": "not_for_me"})
    assert overview.overview(project).awaiting == 0
    assert [one.awaiting for one in queries.project_statuses()] == [0]
    assert search.count(Criteria([project.pk], states=(State.AWAITING,))).total == 0
    take_snapshots()
    assert Snapshot.objects.get().awaiting_verification_count == 0
    client.force_login(tracker_admin)
    assert "awaiting verification</span>" not in client.get("/admin/tasks/task/").content.decode()
