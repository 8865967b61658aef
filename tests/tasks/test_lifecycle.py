"""docs/task-lifecycle.md: what each call does to a task in each state."""

import uuid
from pathlib import Path

import pytest
from django.conf import settings

from projects.models import Project
from tasks import maintenance
from tasks.models import Attempt, ClosedTask, Outcome, Task
from tasks.queries.search import Criteria, State
from tasks.queue.delays import fail_expired, make_due_ready
from tasks.queue.expiry import expire_leases
from tests.factories import SOMEBODY, TaskFactory, expire, grant

pytestmark = pytest.mark.django_db

STATES = ("ready", "mine", "theirs", "expired", "delayed", "failed", "closed")
HASH = 5
PAST = "2020-01-01T00:00:00Z"


def cells():
    """(call, state before, expected outcome) for each cell of the table."""
    text = Path(settings.BASE_DIR / "docs" / "task-lifecycle.md").read_text()
    table = text.split("| call |")[1].split("\n\n")[0].splitlines()
    assert tuple(name.strip() for name in table[0].strip(" |").split("|")) == STATES
    for line in table[2:]:
        call, *outcomes = (cell.strip() for cell in line.strip("|").split("|"))
        yield from ((call, state, outcome) for state, outcome in zip(STATES, outcomes, strict=True))


class Scene:
    """One task, the calling worker and another worker."""

    def __init__(self, api, project, caller, other, *, many=False):
        self.api, self.project, self.caller, self.other, self.many = api, project, caller, other, many
        self.task = TaskFactory(project=project, hash64=HASH, max_retries=2)

    def put_in(self, state):
        match state:
            case "mine":
                self.lease(self.caller)
            case "theirs":
                self.lease(self.other)
            case "expired":
                self.lease(self.other)
                expire(self.task)
            case "delayed":
                Task.objects.update(status=Task.Status.DELAYED, run_at="2200-01-01T00:00:00Z")
            case "failed":
                Task.objects.update(status=Task.Status.FAILED)
            case "closed":
                self.lease(self.other)
                self.release(self.other, 0)

    def lease(self, worker):
        return self.api.get(f"/task/get/{self.project.pk}" + "?count=10" * self.many, worker=worker)

    def release(self, worker, result, **told):
        """Whether the task was updated, and the message."""
        body = {"task_id": self.task.pk, "result": result, "verification": 1, **told}
        if self.many:
            (told,) = self.api.post("/task/bulk_release", [body], worker=worker).content["results"]
            return told["updated"], told.get("message")
        answer = self.api.post("/task/release", body, worker=worker)
        return answer.content["updated"], answer.json.get("message")

    def submit(self, **keys):
        body = {"project": self.project.pk, "recipe": "again", "hash64": HASH, **keys}
        if self.many:
            answer = self.api.post("/task/bulk_submit", [body], worker=self.caller)
            return "409" if answer.content["duplicates"] else "stored"
        answer = self.api.post("/task/submit", body, worker=self.caller)
        return "stored" if answer.ok else str(answer.status)

    def heartbeat(self, worker):
        """What is answered to a heartbeat with the task's present lease, or with one that there never was."""
        lease = Task.objects.filter(pk=self.task.pk).values_list("lease", flat=True).first() or uuid.uuid4()
        beats = [{"task_id": self.task.pk, "lease": str(lease)}]
        if self.many:
            beats = [*beats, {"task_id": self.task.pk + 1, "lease": str(uuid.uuid4())}]
        told, *others = self.api.post("/task/heartbeat", beats, worker=worker).content["heartbeats"]
        assert [one["state"] for one in others] == ["lost"] * self.many
        return told["state"]

    def cancel(self, worker):
        """What is answered to a cancel of the task, or whether one of all the project's tasks cancelled it."""
        if self.many:
            body = {"project": self.project.pk, "filter": {"state": "all"}}
            content = self.api.post("/task/cancel", body, worker=worker).content
            assert not content["more"]
            return "cancelled" if content["cancelled"] else "not found"
        (told,) = self.api.post("/task/cancel", {"ids": [self.task.pk]}, worker=worker).content["results"]
        return told["state"].replace("_", " ")

    @property
    def state(self):
        task = Task.objects.filter(project=self.project).first()
        if task is None:
            if Attempt.objects.filter(task_id=self.task.pk, outcome=Outcome.CANCELLED).exists():
                return "cancelled"
            assert ClosedTask.objects.filter(pk=self.task.pk).exists()
            return "closed"
        if task.status == Task.Status.FAILED:
            return "failed"
        if task.status == Task.Status.DELAYED:
            return "delayed"
        if task.assignee is None:
            return "ready"
        if task.lease_expires < task.assign_time:
            return "expired"
        return "mine" if task.assignee == self.caller.worker else "theirs"

    def run(self, call):
        """Make the call. Returns the response as the table words it."""
        match call:
            case "get":
                answer = self.lease(self.caller)
                return "task" if answer.ok else answer.content["reason"]
            case "submit of its hash":
                return self.submit()
            case "submit of its hash, with a delay":
                return self.submit(delay=60)
            case "a manager accepts its vote":
                Task.objects.update(voters=[SOMEBODY], votes=[1], verification_count=2)
                try:
                    maintenance.accept_vote(project=self.project, task=self.task.pk, verification=1)
                except maintenance.NoSuchVote as error:
                    return str(error.status)
                return None
            case "a manager's “run now”":
                ids = None if self.many else [self.task.pk]
                maintenance.run_now_matching(Criteria([self.project.pk], ids=ids, states=(State.DELAYED,)))
                return None
            case "its time comes":
                Task.objects.filter(status=Task.Status.DELAYED).update(run_at=PAST)
                make_due_ready()
                return None
            case "its `expires_at` passes":
                Task.objects.update(expires_at=PAST)
                expire_leases()
                fail_expired()
                return None
            case "heartbeat":
                return self.heartbeat(self.caller)
            case "cancel":
                return self.cancel(self.caller)
            case "the scheduler":
                expire_leases()
                make_due_ready()
                fail_expired()
                return None
            case "release OK, the last vote":
                Task.objects.update(verification_count=2)
                Project.objects.update(max_votes=1)
                updated, message = self.release(self.caller, 0)
            case "release OK, 1 of 2 votes":
                Task.objects.update(verification_count=2)
                updated, message = self.release(self.caller, 0)
            case "release OK":
                updated, message = self.release(self.caller, 0)
            case "release FAIL, retries left":
                updated, message = self.release(self.caller, 1)
            case "release FAIL, with a delay":
                Project.objects.update(retry_backoff="fixed")
                updated, message = self.release(self.caller, 1)
            case "release SKIP, retry_after":
                updated, message = self.release(self.caller, 2, retry_after=60)
            case "release FAIL, the last":
                Task.objects.update(retries=1)
                updated, message = self.release(self.caller, 1)
            case "release SKIP":
                updated, message = self.release(self.caller, 2)
        expire_leases()
        if updated:
            return "updated"
        return "not held" if "does not hold" in message else "1 missing"


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize(("call", "state", "expected"), list(cells()))
def test_table(api, project, worker, other_worker, call, state, expected, many):
    for registration in (worker, other_worker):
        grant(registration, project, submit=True)
    scene = Scene(api, project, worker, other_worker, many=many)
    scene.put_in(state)
    assert scene.state == state
    told = scene.run(call)
    assert (f"{scene.state} [{told}]" if told else scene.state) == expected
