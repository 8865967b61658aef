"""Calls with an Idempotency-Key that are cut off, and that wait."""

from functools import partial
from types import SimpleNamespace

import orjson
import pytest
from django.db import OperationalError

from tasks import calls, repeating
from tasks.models import Repeatable, Task
from tasks.queue.exchanging import EXCHANGE, EXCHANGE_EXTENDING
from tasks.queue.heartbeating import CANCELLED
from tasks.queue.leasing import LEASE, NOT_YET, PROJECTS_WITH_WORK
from tasks.queue.releasing import RELEASE, RELEASE_MANY
from tasks.queue.submitting import FIND_BY_HASH, SUBMIT, SUBMIT_MANY
from tests.client import Api
from tests.clock import Clock
from tests.factories import ProjectFactory, TaskFactory, grant
from tracker import db, steps
from tracker.steps import Query, Wait
from workers.calls import Call, answer
from workers.identity import FIND_WORKER

KEY = {"Idempotency-Key": "a1b2"}


class Lost(OperationalError):
    """The connection to the database is lost."""


class Client:
    """A worker whose calls are run step by step."""

    def __init__(self, registration):
        self.registration = registration

    def call(self, handler, *, query=None, body=None, key="a1b2", cut=None, is_done=False, waits=(), **arguments):
        """The reply. With `cut`, the connection is lost at this statement, which `is_done` then or not.

        `waits` are functions that are called when the call waits; each returns whether there may be a task.
        """
        call = Call(
            worker_id=str(self.registration.worker.pk),
            secret=self.registration.secret,
            query=query or {},
            read=lambda most: b"" if body is None else orjson.dumps(body),
            is_large=False,
            max_body_bytes=10**6,
            idempotency_key=key,
            target=handler.__name__,
        )
        work, waits = answer(handler, call, **arguments), list(waits)
        number, rows, error = 0, None, None
        self.ran = []
        try:
            while True:
                step = work.send(rows) if error is None else work.throw(error)
                rows, error = [], None
                if isinstance(step, Wait):
                    self.signal = step.signal
                    rows = [(True,)] if waits.pop(0)() else []
                    continue
                assert isinstance(step, Query)
                self.ran.append(step.statement)
                if number == cut and not is_done:
                    error = Lost()
                else:
                    rows = steps._rows(step)
                    error = Lost() if number == cut else None
                number += 1
        except StopIteration as end:
            return end.value

    @property
    def held(self):
        return sorted(self.registration.worker.leases.values_list("pk", flat=True))


def ids(reply):
    return sorted(task["id"] for task in orjson.loads(reply.body)["content"]["tasks"])


@pytest.fixture
def client(worker):
    return Client(worker)


@pytest.mark.django_db
class TestCutOff:
    """Wherever a call of several statements is cut off, the repeated one brings it to its end."""

    @pytest.fixture
    def projects(self, db, client):
        """With few tasks, in random order, one without any for this worker, and one with a low limit."""
        for rate in (0, 0, 0.001, 0):
            TaskFactory.create_batch(3, project=ProjectFactory(assign_rate=rate))
        verified = TaskFactory(verification_count=2)
        Task.objects.filter(pk=verified.pk).update(voters=[client.registration.worker.pk], votes=[1])

    @pytest.mark.usefixtures("projects")
    @pytest.mark.parametrize("is_done", [False, True])
    @pytest.mark.parametrize("count", [2, 7, 100])
    def test_lease_from_any_project(self, client, count, is_done):
        cut = seen = 0
        while True:
            key = f"{cut}"
            lease = partial(client.call, calls.get_any_task, query={"count": str(count)}, key=key)
            try:
                lease(cut=cut, is_done=is_done)
            except Lost:
                seen += bool(client.held)
            else:
                break
            reply = lease()
            assert ids(reply) == client.held
            assert len(client.held) <= count
            again = lease()
            assert again.body == reply.body
            assert again.headers[repeating.REPLAYED] == "true"
            assert ids(again) == client.held
            Task.objects.update(assignee=None, lease=None, assign_time=None, lease_expires=None)
            db.affected("DELETE FROM projects_ratebucket")
            cut += 1
        assert cut >= 4
        # Two may come from the first project, with the last statement.
        assert seen > 0 or count == 2

    @pytest.mark.usefixtures("projects")
    def test_who_is_paused_meanwhile_is_told_what_it_holds(self, client):
        lease = partial(client.call, calls.get_any_task, query={"count": "100"})
        with pytest.raises(Lost):
            lease(cut=5)
        held = client.held
        assert held
        client.registration.worker.paused = True
        client.registration.worker.save()
        reply = lease()
        assert ids(reply) == held == client.held
        assert lease().body == reply.body

    @pytest.mark.parametrize("is_done", [False, True])
    def test_bulk_submit(self, client, project, is_done):
        grant(client.registration, project, submit=True)
        body = [{"project": project.pk, "recipe": "x", "hash64": number % 3} for number in range(6)]
        for cut in range(3):
            submit = partial(client.call, calls.bulk_submit, body=body, key=f"{cut}")
            with pytest.raises(Lost):
                submit(cut=cut, is_done=is_done)
            reply = submit()
            content = orjson.loads(reply.body)["content"]
            assert content["created"] == Task.objects.count() == 4
            Task.objects.all().delete()
            assert submit().body == reply.body
            assert not Task.objects.exists()

    def test_a_call_without_a_key_runs_the_same_statements_as_ever(self, client, project):
        grant(client.registration, project, submit=True)
        body = {"project": project.pk, "recipe": "x", "hash64": 7}
        beat = {"task_id": 1, "lease": "00000000-0000-4000-8000-000000000000"}
        for handler, expected, sent in (
            (calls.submit, [SUBMIT], body),
            (calls.bulk_submit, [SUBMIT_MANY], [body | {"hash64": 8}]),
            (calls.bulk_submit, [SUBMIT_MANY, FIND_BY_HASH], [body]),
            (calls.release, [RELEASE], {"task_id": 1, "result": 0}),
            (calls.bulk_release, [RELEASE_MANY], [{"task_id": 1, "result": 0}]),
            (calls.exchange, [EXCHANGE], {"project": project.pk, "count": 1}),
            (calls.exchange, [EXCHANGE_EXTENDING], {"project": project.pk, "count": 1, "heartbeats": [beat]}),
            (calls.release, [RELEASE, CANCELLED], {**beat, "result": 0}),
        ):
            client.call(handler, body=sent, key=None)
            assert client.ran == expected
        client.call(calls.get_task, key=None, project_id=project.pk)
        assert client.ran == [LEASE]
        TaskFactory(project=project)
        client.call(calls.get_any_task, key=None)
        assert client.ran == [FIND_WORKER, PROJECTS_WITH_WORK, LEASE]
        Task.objects.all().delete()
        client.call(calls.get_any_task, key=None)
        assert client.ran == [FIND_WORKER, PROJECTS_WITH_WORK, NOT_YET]
        # Others would be run again by a repeated call.
        assert {*repeating.CHANGING, *repeating.READING} == {
            SUBMIT,
            SUBMIT_MANY,
            FIND_BY_HASH,
            RELEASE,
            RELEASE_MANY,
            EXCHANGE,
            EXCHANGE_EXTENDING,
            CANCELLED,
            LEASE,
            PROJECTS_WITH_WORK,
            NOT_YET,
        }
        assert not Repeatable.objects.exists()

    def test_one_with_a_key_takes_one_statement(self, client, project):
        grant(client.registration, project, submit=True)
        task = TaskFactory(project=project)
        for handler, sent in (
            (calls.submit, {"project": project.pk, "recipe": "x", "hash64": 7}),
            (calls.bulk_submit, [{"project": project.pk, "recipe": "x"}]),
            (calls.release, {"task_id": task.pk, "result": 0}),
            (calls.bulk_release, [{"task_id": task.pk, "result": 0}]),
            (calls.exchange, {"project": project.pk, "count": 1}),
        ):
            for _ in range(2):
                client.call(handler, body=sent, key=handler.__name__)
                assert client.ran == [repeating.ONCE]
        for _ in range(2):
            client.call(calls.get_task, project_id=project.pk)
            assert client.ran == [repeating.ONCE]


@pytest.mark.django_db
class TestWaiting:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        monkeypatch.setattr("tasks.repeating.time", SimpleNamespace(monotonic=clock))
        monkeypatch.setattr("tasks.queue.waiting.time", SimpleNamespace(monotonic=clock))
        return clock

    @pytest.fixture(params=["get", "get any", "exchange"])
    def wait(self, request, client, project, clock):
        """Waits for a task, for at most 20 seconds."""
        body = {"project": project.pk, "count": 1, "wait": 20, "releases": [{"task_id": 7, "result": 0}]}
        return {
            "get": partial(client.call, calls.get_task, query={"wait": "20"}, project_id=project.pk),
            "get any": partial(client.call, calls.get_any_task, query={"wait": "20"}),
            "exchange": partial(client.call, calls.exchange, body=body),
        }[request.param]

    def found(self, project, clock, *, seconds=1):
        """There is a task after so long."""

        def wait():
            clock.now += seconds
            TaskFactory(project=project)
            return True

        return wait

    def nothing(self, clock, seconds=1, *, woken=False):
        def wait():
            clock.now += seconds
            return woken

        return wait

    def test_tries_that_find_nothing_are_not_kept(self, wait, client, project, clock):
        in_vain = self.nothing(clock, woken=True)
        reply = wait(waits=[in_vain, in_vain, self.found(project, clock)])
        assert b'"recipe"' in reply.body
        (held,) = client.held
        clock.now += 100
        again = wait()
        assert again.body == reply.body
        assert again.headers[repeating.REPLAYED] == "true"
        assert client.held == [held]

    def test_that_there_was_nothing_in_the_end_is_kept(self, wait, client, project, clock):
        reply = wait(waits=[self.nothing(clock, woken=True), self.nothing(clock, 19)])
        assert b'"reason":"empty"' in reply.body
        TaskFactory(project=project)
        clock.now += 100
        again = wait()
        assert again.body == reply.body
        assert again.headers[repeating.REPLAYED] == "true"
        assert client.held == []

    def test_also_by_a_last_try(self, wait, client, project, clock):
        reply = wait(waits=[self.nothing(clock, 20, woken=True)])
        assert b'"reason":"empty"' in reply.body
        TaskFactory(project=project)
        assert wait().body == reply.body

    def test_what_is_cut_short_is_not_kept(self, wait, client, project, clock):
        """The client has hung up, or the process stops."""
        wait(waits=[self.nothing(clock, woken=True), self.nothing(clock)])
        reply = wait(waits=[self.found(project, clock)])
        assert b'"recipe"' in reply.body
        assert repeating.REPLAYED not in reply.headers
        assert wait().body == reply.body
        assert len(client.held) == 1

    def test_who_waits_at_the_same_time_gets_the_same(self, wait, client, project, clock):
        first = []

        def meanwhile():
            clock.now += 5
            first.append(wait(waits=[self.found(project, clock)]))
            clock.now += 15
            return False

        second = wait(waits=[meanwhile])
        assert second.body == first[0].body
        assert second.headers[repeating.REPLAYED] == "true"
        assert len(client.held) == 1

    def test_the_signal_that_the_other_one_has_an_answer(self, wait, client, project, clock):
        seen = []

        def meanwhile():
            signal = client.signal
            seen.append(steps._rows(signal))
            wait(waits=[self.found(project, clock)])
            seen.append(steps._rows(signal))
            return True

        assert b'"recipe"' in wait(waits=[meanwhile]).body
        assert seen == [[], [(True,)]]
        assert len(client.held) == 1

    def test_an_exchange_that_waits_has_ended_its_leases(self, client, project, clock):
        task = TaskFactory(project=project, **leased_by(client.registration))
        releases = [{"task_id": task.pk, "result": 0}]
        body = {"project": project.pk, "count": 1, "wait": 20, "releases": releases}
        exchange = partial(client.call, calls.exchange, body=body)
        with pytest.raises(Lost):
            exchange(waits=[self.found(project, clock)], cut=1, is_done=True)
        assert len(client.held) == 1
        content = orjson.loads(exchange().body)["content"]
        assert content["results"] == [{"id": task.pk, "updated": True}]
        assert [one["id"] for one in content["tasks"]] == client.held

    def test_where_nothing_can_wait(self, project, worker, api):
        """Django's way in: the answer is the final one, at once."""
        get = partial(Api().get, f"/task/get/{project.pk}?wait=20", worker=worker, headers=KEY)
        first = get()
        TaskFactory(project=project)
        assert get().response.content == first.response.content


def leased_by(registration):
    return {
        "assignee": registration.worker,
        "lease": "00000000-0000-4000-8000-000000000000",
        "assign_time": "2026-01-01T00:00:00Z",
        "lease_expires": "2100-01-01T00:00:00Z",
    }
