"""GET and POST /task/status."""

import json

import pytest

from projects.access import set_roles
from projects.roles import Role
from tasks import maintenance, putting_back, queue
from tasks.models import Task
from tasks.serializers import hash_of
from tests.factories import ProjectFactory, TaskFactory, expire, grant, register
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db

OK, FAIL, SKIP = range(3)


@pytest.fixture
def project():
    return ProjectFactory(version="v1")


@pytest.fixture
def owner(project):
    """A worker with SUBMIT."""
    registration = register("owner")
    grant(registration, project, submit=True)
    return registration


def submitted(api, project, owner, **fields):
    return api.post("/task/submit", {"project": project.pk, "recipe": "x", **fields}, worker=owner).content["task"][
        "id"
    ]


def one(api, task_id, worker):
    return api.get(f"/task/status/{task_id}", worker=worker).content["task"]


def report(project, worker, result, verification=0, **told):
    task = queue.lease(worker=worker.worker, project=project)
    queue.release(
        worker=worker.worker,
        task_id=task.id,
        result=result,
        verification=verification,
        told=json.dumps(told) if told else None,
    )


@pytest.mark.django_db(transaction=True)
def test_a_life(api, project, owner):
    task = submitted(api, project, owner, unique_string="u", priority=3, max_retries=2)
    worker = register()
    ready = one(api, task, owner)
    assert (ready["state"], ready["id"], ready["project"], ready["priority"]) == ("ready", task, project.pk, 3)
    assert (ready["hash64"], ready["submitter"], ready["attempts"]) == (hash_of("u"), owner.worker.pk, [])
    assert (ready["worker"], ready["closed"], ready["output"]) == (None, None, None)
    queue.lease(worker=worker.worker, project=project)
    leased = one(api, task, owner)
    assert (leased["state"], leased["worker"]) == ("leased", worker.worker.pk)
    assert leased["created"] <= leased["assign_time"] < leased["lease_expires"]
    queue.release(
        worker=worker.worker, task_id=task, result=FAIL, told='{"message": "no", "reason": 1, "output": "[1]"}'
    )
    again = one(api, task, owner)
    assert (again["state"], again["retries"], again["worker"]) == ("ready", 1, None)
    (attempt,) = again["attempts"]
    assert attempt["began"] <= attempt["ended"]
    assert (attempt["outcome"], attempt["reason"], attempt["message"], attempt["output"], attempt["version"]) == (
        *("failed", "error", "no", [1], "v1"),
    )
    report(project, worker, FAIL)
    failed = one(api, task, owner)
    assert (failed["state"], len(failed["attempts"])) == ("failed", 2)
    assert [attempt["message"] for attempt in failed["attempts"]] == [None, "no"]
    maintenance.reset_failed(project=project)
    report(project, worker, OK, 7, output='{"a":1}', seconds=2, message="done")
    closed = one(api, task, owner)
    assert (closed["state"], closed["worker"], closed["verification"]) == ("closed", worker.worker.pk, 7)
    assert (closed["output"], closed["message"], closed["seconds"], closed["version"]) == ({"a": 1}, "done", 2.0, "v1")
    assert closed["assign_time"] <= closed["closed"]
    assert len(closed["attempts"]) == 2


def test_a_closing_that_was_put_back_has_no_lease(api, project, owner):
    task = submitted(api, project, owner)
    worker = register()
    report(project, worker, OK, output='{"a":1}', message="done")
    putting_back.put_back_closed(project=project, worker=worker.worker.pk)
    told = one(api, task, owner)
    (attempt,) = told["attempts"]
    assert (told["state"], attempt["outcome"], attempt["lease"], attempt["reason"]) == ("ready", "closed", None, None)
    assert (attempt["worker"], attempt["message"], attempt["output"]) == (worker.worker.pk, "done", {"a": 1})
    report(project, worker, FAIL)
    assert [one["lease"] is None for one in one(api, task, owner)["attempts"]] == [False, True]


def test_expired_and_deleted(api, project, owner):
    task = submitted(api, project, owner)
    queue.lease(worker=register().worker, project=project)
    expire(task)
    queue.lease(worker=register().worker, project=project)
    told = one(api, task, owner)
    assert (told["expiries"], [attempt["outcome"] for attempt in told["attempts"]]) == (1, ["expired"])
    maintenance.delete_all(project=project)
    told = one(api, task, owner)
    assert (told["id"], told["state"], told["project"]) == (task, "cancelled", project.pk)
    assert told["submitter"] == owner.worker.pk
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["cancelled", "expired"]
    assert told["cancelled"] == told["attempts"][0]["ended"]


def test_deleted_by_a_manager_while_nobody_held_it(api, project, owner):
    task = submitted(api, project, owner)
    maintenance.delete_all(project=project)
    assert one(api, task, owner) == {"id": task, "state": "unknown"}


def test_votes(api, project, owner, manager):
    task = submitted(api, project, owner, verification_count=2)
    first, second, third = register(), register(), register()
    report(project, first, OK, 11, output='"secret"', message="told")
    told = one(api, task, owner)
    # A worker could copy what others have found.
    assert (told["state"], told["votes"]) == ("awaiting", {"count": 1, "needed": 2, "workers": [first.worker.pk]})
    assert (told["attempts"][0]["output"], told["attempts"][0]["message"]) == (None, None)
    set_roles(manager=manager, project=project, roles=Role.READ)
    told = api.login(manager).get(f"/task/status/{task}").content["task"]
    assert told["votes"]["verifications"] == [11]
    assert told["attempts"][0]["output"] == "secret"
    api.client.logout()
    report(project, second, OK, 12)
    report(project, third, OK, 11)
    told = one(api, task, owner)
    assert told["votes"] == {
        "count": 2,
        "needed": None,
        "workers": [first.worker.pk, second.worker.pk],
        "verifications": [11, 12],
    }
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["voted", "voted"]
    assert told["attempts"][1]["output"] == "secret"


def test_who_is_not_meant_has_no_vote(api, project, owner):
    task = submitted(api, project, owner)
    report(project, register(), SKIP, reason=5)
    told = one(api, task, owner)
    assert (told["state"], told["votes"]["count"]) == ("ready", 0)
    assert told["attempts"][0]["reason"] == "not_for_me"


def test_whose_tasks_are_told(api, project, owner, manager):
    task = submitted(api, project, owner)
    stranger, colleague = register(), register()
    grant(colleague, project, submit=True)
    unknown = {"id": task, "state": "unknown"}
    assert one(api, task, stranger) == unknown
    assert one(api, task, colleague)["state"] == "ready"
    # The submitter may have lost SUBMIT meanwhile.
    WorkerAccess.objects.filter(worker=owner.worker).delete()
    assert one(api, task, owner)["state"] == "ready"
    assert api.get(f"/task/status/{task}").status == 401
    api.login(manager)
    assert one(api, task, None) == unknown
    set_roles(manager=manager, project=project, roles=Role.READ)
    assert one(api, task, None)["state"] == "ready"


def test_by_ids(api, project, owner):
    ids = [submitted(api, project, owner) for _ in range(3)]
    foreign = TaskFactory().pk
    report(project, register(), OK)
    asked = [ids[2], 2**62, ids[0], foreign, ids[0]]
    tasks = api.post("/task/status", {"ids": asked}, worker=owner).content["tasks"]
    assert [(task["id"], task["state"]) for task in tasks] == [
        (ids[2], "ready"),
        (2**62, "unknown"),
        (ids[0], "closed"),
        (foreign, "unknown"),
        (ids[0], "closed"),
    ]


@pytest.mark.parametrize("by", ["hashes", "unique_strings"])
def test_by_hash(api, project, owner, by):
    names = ["a", "b", "c", "d"]
    hashes = [hash_of(name) for name in names]
    ids = [submitted(api, project, owner, unique_string=name) for name in "abc"]
    for _ in range(2):
        report(project, register(), OK)
    again = submitted(api, project, owner, unique_string="b")
    asked = names if by == "unique_strings" else hashes
    tasks = api.post("/task/status", {"project": project.pk, by: asked}, worker=owner).content["tasks"]
    assert [(task.get("id"), task["state"], task["hash64"]) for task in tasks] == [
        (ids[0], "closed", hashes[0]),
        (again, "ready", hashes[1]),
        (ids[2], "ready", hashes[2]),
        (None, "unknown", hashes[3]),
    ]
    report(project, register(), OK)
    report(project, register(), OK)
    tasks = api.post("/task/status", {"project": project.pk, by: asked}, worker=owner).content["tasks"]
    assert [task.get("id") for task in tasks] == [ids[0], again, ids[2], None]


def test_unsigned_hashes(api, project, owner):
    task = submitted(api, project, owner, hash64=2**64 - 1)
    tasks = api.post("/task/status", {"project": project.pk, "hashes": [2**64 - 1]}, worker=owner).content["tasks"]
    assert [(one["id"], one["hash64"]) for one in tasks] == [(task, -1)]


def test_an_answer_has_few_bytes(api, project, owner, settings):
    ids = [submitted(api, project, owner) for _ in range(3)]
    for _ in ids:
        report(project, register(), OK, output=json.dumps("x" * 2_000))
    settings.MAX_BATCH_BYTES = 5_000
    tasks = api.post("/task/status", {"ids": ids}, worker=owner).content["tasks"]
    assert [(len(task["output"] or ""), task.get("output_left_out", False)) for task in tasks] == [
        (2_000, False),
        (2_000, False),
        (0, True),
    ]
    assert len(one(api, ids[2], owner)["output"]) == 2_000


def test_the_newest_attempts_are_told(api, project, owner):
    task = submitted(api, project, owner)
    for n in range(25):
        report(project, register(), SKIP, message=str(n))
    assert [attempt["message"] for attempt in one(api, task, owner)["attempts"]] == [str(n) for n in range(24, 4, -1)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Send one of ids, hashes and unique_strings."),
        ({"ids": [1], "hashes": [1], "project": 1}, "Send one of"),
        ({"ids": []}, "ids: must be an array of 1 to 1000"),
        ({"ids": [1] * 1001}, "ids: must be an array of 1 to 1000, not 1001 of them"),
        ({"ids": 5}, "ids: must be an array"),
        ({"ids": [1, 0]}, "ids: item 1 must be a whole number"),
        ({"ids": [1, "2"]}, "ids: item 1 must be a whole number"),
        ({"ids": [1], "project": 1}, "project: goes with hashes"),
        ({"hashes": [1]}, "project: is missing"),
        ({"unique_strings": ["x"]}, "project: is missing"),
        ({"project": 1, "unique_strings": [""]}, "unique_strings: item 0 must not be empty"),
        ({"project": 1, "unique_string": ["x"]}, '"unique_string" is no key here; there are ids, project'),
    ],
)
def test_bad_input(api, owner, body, message):
    answer = api.post("/task/status", body, worker=owner)
    assert answer.status == 400
    assert message in answer.message


def test_unknown_projects(api, owner, manager):
    hidden = ProjectFactory(secluded=True)
    for project in (hidden.pk, 2**62):
        for worker in (owner, None):
            if worker is None:
                api.login(manager)
            answer = api.post("/task/status", {"project": project, "hashes": [1]}, worker=worker)
            assert (answer.status, answer.message) == (404, f"There is no project {project}.")
        api.client.logout()
    assert not Task.objects.exists()
