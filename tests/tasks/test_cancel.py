"""POST /task/cancel."""

import time

import pytest

from projects.access import set_roles
from projects.roles import Role
from tasks import queue
from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, OutcomeEntry, Task
from tasks.queue.tallying import fold_outcomes, forget_attempts
from tasks.serializers import hash_of
from tests.client import Api
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, expire, grant, register
from workers.models import WorkerAccess

pytestmark = pytest.mark.django_db

URL = "/task/cancel"


def states(content):
    return [one["state"] for one in content["results"]]


def status_of(api, task_id, worker):
    return api.get(f"/task/status/{task_id}", worker=worker).content["task"]


def test_it_works(api, cancel, project, owner):
    tasks = TaskFactory.create_batch(3, project=project)
    content = cancel(ids=[tasks[2].pk, 10**12, tasks[0].pk])
    assert content == {
        "cancelled": 2,
        "results": [
            {"id": tasks[2].pk, "state": "cancelled"},
            {"id": 10**12, "state": "not_found"},
            {"id": tasks[0].pk, "state": "cancelled"},
        ],
    }
    assert [task.pk for task in Task.objects.all()] == [tasks[1].pk]
    for attempt in Attempt.objects.all():
        assert (attempt.worker_id, attempt.lease, attempt.began) == (None, None, None)
        assert (attempt.outcome, attempt.project_id) == (Outcome.CANCELLED, project.pk)
    # It is not there any more.
    assert states(cancel(ids=[tasks[0].pk])) == ["not_found"]
    assert Attempt.objects.count() == 2


def test_the_status(api, cancel, project, owner):
    project.version = "v1"
    project.save()
    body = {"project": project.pk, "recipe": "x"}
    task = api.post("/task/submit", body, worker=owner).content["task"]["id"]
    cancel(ids=[task])
    told = status_of(api, task, owner)
    assert told == {
        "id": task,
        "state": "cancelled",
        "project": project.pk,
        "cancelled": pytest.approx(time.time(), abs=5),
        "submitter": owner.worker.pk,
        "attempts": [],
    }
    (again,) = api.post("/task/status", {"ids": [task]}, worker=owner).content["tasks"]
    assert again == told


def test_whose_status_is_told(api, cancel, project, owner, manager):
    body = {"project": project.pk, "recipe": "x"}
    task = api.post("/task/submit", body, worker=owner).content["task"]["id"]
    cancel(ids=[task])
    unknown = {"id": task, "state": "unknown"}
    colleague, stranger = register(), register()
    grant(colleague, project, submit=True)
    assert status_of(api, task, colleague)["state"] == "cancelled"
    assert status_of(api, task, stranger) == unknown
    # The submitter may have lost SUBMIT meanwhile.
    WorkerAccess.objects.filter(worker=owner.worker).delete()
    assert status_of(api, task, owner)["state"] == "cancelled"
    api.login(manager)
    assert status_of(api, task, None) == unknown
    set_roles(manager=manager, project=project, roles=Role.READ)
    assert status_of(api, task, None)["state"] == "cancelled"


def test_a_leased_task(api, cancel, project, owner):
    holder = register("holder")
    TaskFactory(project=project)
    leased = queue.lease(worker=holder.worker, project=project)
    cancel(ids=[leased.id])
    attempt = Attempt.objects.get()
    assert (attempt.worker_id, str(attempt.lease)) == (holder.worker.pk, leased.lease)
    told = status_of(api, leased.id, owner)
    assert (told["state"], [one["outcome"] for one in told["attempts"]]) == ("cancelled", ["cancelled"])
    # The holder learns it.
    beat = {"task_id": leased.id, "lease": leased.lease}
    (told,) = api.post("/task/heartbeat", [beat], worker=holder).content["heartbeats"]
    assert told["state"] == "cancelled"
    answer = api.post("/task/release", beat | {"result": 0}, worker=holder)
    assert answer.content == {"updated": False, "reason": "cancelled"}


def test_what_others_have_found_stays_hidden(api, cancel, project, owner, manager):
    """Else a worker could cancel a task, submit it again and copy their vote."""
    task = TaskFactory(project=project, verification_count=2)
    voter = register("voter").worker
    queue.lease(worker=voter, project=project)
    told = '{"output": "[1]", "message": "found"}'
    queue.release(worker=voter, task_id=task.pk, result=queue.Result.OK, verification=7, told=told)
    cancel(ids=[task.pk])
    (attempt,) = status_of(api, task.pk, owner)["attempts"]
    assert (attempt["outcome"], attempt["output"], attempt["message"]) == ("voted", None, None)
    set_roles(manager=manager, project=project, roles=Role.READ)
    (attempt,) = status_of(api.login(manager), task.pk, None)["attempts"]
    assert (attempt["output"], attempt["message"]) == ([1], "found")


@pytest.mark.parametrize("state", ["ready", "leased", "expired", "failed", "awaiting"])
def test_nothing_closes(cancel, owner, state):
    following = ProjectFactory()
    project = ProjectFactory(chain=following)
    grant(owner, project, submit=True)
    holder = register("holder").worker
    columns = {"voters": [SOMEBODY], "votes": [1], "verification_count": 2} if state == "awaiting" else {}
    task = TaskFactory(project=project, hash64=5, **columns)
    if state in ("leased", "expired"):
        queue.lease(worker=holder, project=project)
    if state == "expired":
        expire(task)
    if state == "failed":
        Task.objects.update(status=Task.Status.FAILED)
    assert states(cancel(ids=[task.pk])) == ["cancelled"]
    assert not queue.release(worker=holder, task_id=task.pk, result=queue.Result.OK, verification=1).held
    for table in (Task, ClosedTask, ClosedEntry, OutcomeEntry):
        assert not table.objects.exists()
    # The hash is free again.
    queue.submit(worker=owner.worker, project_id=project.pk, task=queue.NewTask("again", hash64=5))


def test_a_closed_task_is_not_found(cancel, project, worker):
    task = TaskFactory(project=project, hash64=5)
    queue.lease(worker=worker.worker, project=project)
    queue.release(worker=worker.worker, task_id=task.pk, result=queue.Result.OK)
    assert states(cancel(ids=[task.pk])) == ["not_found"]
    assert states(cancel(project=project.pk, hashes=[5])) == ["not_found"]
    assert ClosedTask.objects.count() == 1


def test_by_hashes(cancel, project):
    here, there = (TaskFactory(project=where, hash64=-7) for where in (project, ProjectFactory()))
    text = TaskFactory(project=project, hash64=hash_of("a"))
    content = cancel(project=project.pk, hashes=[2**64 - 7, 8, -7])
    assert content["cancelled"] == 1
    assert content["results"] == [
        {"hash64": -7, "id": here.pk, "state": "cancelled"},
        {"hash64": 8, "state": "not_found"},
        {"hash64": -7, "id": here.pk, "state": "cancelled"},
    ]
    assert Task.objects.filter(pk=there.pk).exists()
    content = cancel(project=project.pk, unique_strings=["b", "a"])
    assert content["results"] == [
        {"hash64": hash_of("b"), "state": "not_found"},
        {"hash64": hash_of("a"), "id": text.pk, "state": "cancelled"},
    ]


def test_a_hash_of_zero_is_none(cancel, project):
    TaskFactory(project=project)
    assert states(cancel(project=project.pk, hashes=[0])) == ["not_found"]


class TestWho:
    @pytest.fixture
    def tasks(self, project, owner):
        """One that the owner has submitted, and one of somebody else; with hashes 1 and 2."""
        return [
            TaskFactory(project=project, hash64=1, submitter=owner.worker),
            TaskFactory(project=project, hash64=2),
        ]

    WAYS = ("ids", "hashes", "filter")

    def cancelled(self, api, way, project, tasks, worker=None):
        """Which of the two are cancelled then."""
        before = set(Task.objects.values_list("pk", flat=True))
        match way:
            case "ids":
                body = {"ids": [task.pk for task in tasks]}
            case "hashes":
                body = {"project": project.pk, "hashes": [1, 2]}
            case _:
                body = {"project": project.pk, "filter": {"state": "all"}}
        answer = api.post(URL, body, worker=worker)
        assert answer.status in (200, 403, 404)
        left = set(Task.objects.values_list("pk", flat=True))
        if answer.ok:
            assert answer.content["cancelled"] == len(before - left)
            if way != "filter":
                told = {one["id"] for one in answer.content["results"] if one["state"] == "cancelled"}
                assert told == before - left
        return [task.pk not in left for task in tasks]

    @pytest.mark.parametrize("way", WAYS)
    def test_workers(self, api, project, owner, tasks, way):
        stranger, assigned = register("stranger"), register("assigned")
        grant(assigned, project, assign=True)
        assert self.cancelled(api, way, project, tasks, stranger) == [False, False]
        assert self.cancelled(api, way, project, tasks, assigned) == [False, False]
        # The submitter, without SUBMIT by now.
        WorkerAccess.objects.filter(worker=owner.worker).update(submit=False, assign=True)
        assert self.cancelled(api, way, project, tasks, owner) == [way != "filter", False]
        colleague = register("colleague")
        grant(colleague, project, submit=True)
        assert self.cancelled(api, way, project, tasks, colleague) == [True, True]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_paused_worker_may_not(self, api, project, owner, tasks, way):
        owner.worker.paused = True
        owner.worker.save()
        assert self.cancelled(api, way, project, tasks, owner) == [False, False]

    @pytest.mark.parametrize("way", WAYS)
    def test_managers(self, project, manager, tasks, way):
        api = Api().login(manager)
        for role in Role:
            if role != Role.MAINTENANCE:
                set_roles(manager=manager, project=project, roles=role)
                assert self.cancelled(api, way, project, tasks) == [False, False]
        set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
        assert self.cancelled(api, way, project, tasks) == [True, True]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_tracker_admin(self, project, tasks, tracker_admin, way):
        assert self.cancelled(Api().login(tracker_admin), way, project, tasks) == [True, True]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_hidden_project(self, api, project, owner, manager, tasks, way):
        project.public, project.hidden = False, True
        project.save()
        stranger = register("stranger")
        assert self.cancelled(api, way, project, tasks, stranger) == [False, False]
        # It does not tell that the project exists.
        if way != "ids":
            body = {"hashes": [1]} if way == "hashes" else {"filter": {"state": "all"}}
            for caller, client in ((stranger, api), (None, Api().login(manager))):
                answers = [
                    client.post(URL, body | {"project": pk}, worker=caller) for pk in (project.pk, project.pk + 1)
                ]
                assert [one.status for one in answers] == [404, 404]
                assert answers[0].message.replace(str(project.pk), "") == answers[1].message.replace(
                    str(project.pk + 1), ""
                )
        if way == "ids":
            assert self.cancelled(api, way, project, tasks[:1], owner) == [True]
        set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
        assert self.cancelled(Api().login(manager), way, project, tasks) == [True, True]

    def test_nobody(self, api):
        assert api.post(URL, {"ids": [1]}).status == 401

    def test_a_filter_of_a_manager_without_the_role(self, project, manager):
        answer = Api().login(manager).post(URL, {"project": project.pk, "filter": {"state": "all"}})
        assert (answer.status, "MAINTENANCE" in answer.message) == (403, True)

    def test_a_request_from_another_site(self, project, tracker_admin):
        task = TaskFactory(project=project)
        api = Api().login(tracker_admin)
        answer = api.post(URL, {"ids": [task.pk]}, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status, Task.objects.count()) == (403, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Send one of ids, hashes, unique_strings and filter."),
        ({"project": "P"}, "Send one of ids, hashes, unique_strings and filter."),
        ({"ids": [1], "project": "P", "filter": {"state": "all"}}, "Send one of"),
        ({"ids": []}, "ids: must be an array of 1 to 1000, not 0 of them."),
        ({"ids": [1] * 1001}, "ids: must be an array of 1 to 1000, not 1001 of them."),
        ({"ids": 5}, "ids: must be an array of 1 to 1000, not 5."),
        ({"ids": [1, "2"]}, "ids: item 1 must be a whole number"),
        ({"ids": [1, True]}, "ids: item 1 must be a whole number"),
        ({"ids": [1], "project": "P"}, "project: goes with hashes, unique_strings or filter; ids are unique"),
        ({"hashes": [1]}, "project: is missing: hashes are unique in a project only."),
        ({"unique_strings": ["a"]}, "project: is missing: unique_strings are unique"),
        ({"filter": {"state": "all"}}, "project: is missing: a filter is for one project."),
        ({"project": "P", "hash": [1]}, '"hash" is no key here; there are ids, project, hashes'),
        ([1], "The body must be a JSON object, not an array."),
    ],
)
def test_bad_input_changes_nothing(api, project, owner, body, message):
    TaskFactory(project=project, hash64=1)
    if isinstance(body, dict) and body.get("project") == "P":
        body = body | {"project": project.pk}
    answer = api.post(URL, body, worker=owner)
    assert (answer.status, answer.message[: len(message)]) == (400, message)
    assert Task.objects.count() == 1


def test_an_unknown_project(api, owner):
    for body in ({"hashes": [1]}, {"unique_strings": ["a"]}, {"filter": {"state": "all"}}):
        assert api.post(URL, body | {"project": 10**12}, worker=owner).status == 404


def test_a_thousand(cancel, project):
    ids = [task.pk for task in TaskFactory.create_batch(1000, project=project)]
    assert cancel(ids=ids[::-1])["cancelled"] == 1000
    assert not Task.objects.exists()


class TestWhoReadsAttempts:
    """Rows without a worker are no leases that ended: nobody is counted for them, and they break no list."""

    @pytest.fixture(autouse=True)
    def _cancelled(self, cancel, project, worker):
        self.task = TaskFactory(project=project)
        cancel(ids=[self.task.pk])
        self.project, self.worker = project, worker

    def test_the_scheduler(self):
        fold_outcomes()
        assert not OutcomeEntry.objects.exists()
        Attempt.objects.update(ended="2020-01-01T00:00:00Z")
        forget_attempts()
        assert not Attempt.objects.exists()

    def test_managers_lists(self, tracker_admin):
        api = Api().login(tracker_admin)
        assert api.get(f"/project/failures/{self.project.pk}").content["failures"] == []
        assert api.get(f"/project/workers/{self.project.pk}").content["workers"] == []
        assert api.post(f"/project/put_back_closed/{self.project.pk}/{self.worker.worker.pk}").ok
        assert api.get("/project/monitoring/" + str(self.project.pk)).ok

    def test_pages(self, client, tracker_admin):
        client.force_login(tracker_admin)
        project = f"/projects/{self.project.pk}/"
        for page in (
            *(project, f"{project}tasks/", f"{project}failures/", f"{project}workers/", f"{project}results/"),
            *("/failures/", "/admin/", "/admin/tasks/task/", f"/workers/{self.worker.worker.pk}/"),
        ):
            assert client.get(page).status_code == 200, page
        page = client.get(f"/tasks/{self.task.pk}/")
        assert page.status_code == 200
        assert "cancelled" in page.content.decode()
