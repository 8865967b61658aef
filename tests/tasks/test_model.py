"""Random sequences of all verbs by several workers, with time passing, against the model in model.py.

The time of the database stands still within a transaction; it passes by moving all times of the tasks into the past.
"""

import json

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tasks import maintenance, queue
from tasks.cancelling import Canceller, cancel_ids
from tasks.models import ClosedEntry, ClosedTask, Reason, Task
from tasks.queries.overview import overview
from tasks.queue.delays import fail_expired, make_due_ready
from tasks.queue.expiry import expire_leases
from tests.factories import ProjectFactory, grant, register
from tests.tasks.model import NEVER, Model, Rules
from tracker import db

pytestmark = pytest.mark.django_db

WORKERS = 3
HASHES = st.none() | st.integers(1, 3)
SECONDS = st.sampled_from([10, 60, 599, 600, 601, 3_600])
RESULTS = {"OK": queue.Result.OK, "FAIL": queue.Result.FAIL, "SKIP": queue.Result.SKIP}
REASONS = [None, "error", "bad_recipe", "shutdown", "busy", "not_for_me"]

BACKOFFS = {
    "none": lambda retries: 0,
    "fixed": lambda retries: 100,
    "linear": lambda retries: min(100 * retries, 250),
    "exponential": lambda retries: min(100 * 2 ** (retries - 1), 250),
}

PASS = """
UPDATE tasks_task SET
    created = created - make_interval(secs => %(seconds)s), run_at = run_at - make_interval(secs => %(seconds)s),
    expires_at = expires_at - make_interval(secs => %(seconds)s),
    assign_time = assign_time - make_interval(secs => %(seconds)s),
    lease_expires = lease_expires - make_interval(secs => %(seconds)s)
WHERE project_id = %(project)s
"""
LEFT = "SELECT id, extract(epoch FROM lease_expires - now())::float8 FROM tasks_task WHERE project_id = %(project)s"


class Queue(RuleBasedStateMachine):
    """Calls the tracker and the model, and compares what they answer and what they have."""

    @initialize(
        backoff=st.sampled_from(sorted(BACKOFFS)),
        max_expiries=st.sampled_from([0, 1, 2]),
        max_votes=st.sampled_from([0, 2, 3]),
    )
    def begin(self, backoff, max_expiries, max_votes):
        limits = {"max_expiries": max_expiries, "max_votes": max_votes}
        self.model = Model(Rules(backoff=BACKOFFS[backoff], **limits))
        self.chained = ProjectFactory()
        self.project = ProjectFactory(
            chain=self.chained,
            lease_seconds=600,
            max_lease_seconds=5_000,
            retry_backoff=backoff,
            retry_seconds=100,
            retry_max_seconds=250,
            **limits,
        )
        self.registered = [register() for _ in range(WORKERS)]
        for registration in self.registered:
            grant(registration, self.project, submit=True)
        self.workers = [registration.worker for registration in self.registered]
        # What workers have leased, once or now: (worker, task, lease).
        self.leases = []

    @rule(
        worker=st.integers(0, WORKERS - 1),
        priority=st.integers(0, 2),
        max_retries=st.integers(0, 3),
        needed=st.integers(0, 3),
        hash64=HASHES,
        delay=st.none() | SECONDS,
        life=st.none() | SECONDS,
        many=st.booleans(),
    )
    def submit(self, worker, priority, max_retries, needed, hash64, delay, life, many):
        timing = {} if delay is None else {"delay": delay}
        if life is not None:
            timing["expires_in"] = (delay or 0) + life
        task = queue.NewTask(
            "x", priority, max_retries, 0, hash64, needed, timing=json.dumps(timing) if timing else None
        )
        asked = {"worker": self.workers[worker], "project_id": self.project.pk}
        if many:
            (stored,) = queue.submit_many(**asked, tasks=[task])
            name, duplicate = stored.id, stored.duplicate
        else:
            try:
                name, duplicate = queue.submit(**asked, task=task), False
            except queue.DuplicateTask as error:
                name, duplicate = error.content["task"]["id"], True
        assert duplicate == self.model.has_hash(hash64)
        if not duplicate:
            columns = {"priority": priority, "max_retries": max_retries, "needed": needed, "hash64": hash64}
            self.model.submit(name, delay=delay or 0, expires_in=timing.get("expires_in", NEVER), **columns)

    @rule(worker=st.integers(0, WORKERS - 1), count=st.integers(1, 4), exchanges=st.booleans())
    def lease(self, worker, count, exchanges):
        asked = {"worker": self.workers[worker], "project_id": self.project.pk, "count": count}
        leased = queue.exchange(**asked, reports=[]).leased if exchanges else queue.lease_many(**asked)
        keys = self.model.leasable(self.workers[worker].pk)
        assert sorted(keys[task.id] for task in leased.tasks) == sorted(keys.values())[:count]
        for task in leased.tasks:
            self.model.lease(self.workers[worker].pk, task.id, task.lease)
            self.leases.append((worker, task.id, task.lease))

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        result=st.sampled_from(sorted(RESULTS)),
        vote=st.integers(1, 2),
        reason=st.sampled_from(REASONS),
        retry_after=st.none() | st.just(0) | SECONDS,
        names_lease=st.booleans(),
        way=st.sampled_from(["one", "many", "exchange"]),
    )
    def release(self, data, result, vote, reason, retry_after, names_lease, way):
        worker, name, lease = data.draw(st.sampled_from(self.leases))
        lease = lease if names_lease else None
        told = {} if result == "OK" else {"reason": reason, "retry_after": retry_after}
        sent = {key: value for key, value in told.items() if value is not None}
        if sent.get("reason"):
            sent["reason"] = Reason[sent["reason"].upper()].value
        values = {
            "task_id": name,
            "result": RESULTS[result],
            "verification": vote,
            "lease": lease,
            "told": json.dumps(sent) if sent else None,
        }
        caller = {"worker": self.workers[worker]}
        if way == "one":
            released = queue.release(**caller, **values)
        elif way == "many":
            (released,) = queue.release_many(**caller, reports=[queue.Report(**values)])
        else:
            exchanged = queue.exchange(**caller, project_id=self.project.pk, count=1, reports=[queue.Report(**values)])
            (released,), leased = exchanged.released, exchanged.leased
        held = self.model.holds(self.workers[worker].pk, name, lease)
        assert released.held == held
        if held:
            missing = self.model.release(self.workers[worker].pk, name, result, vote=vote, **told)
            assert released.missing == missing
        if way == "exchange":
            keys = self.model.leasable(self.workers[worker].pk)
            assert [keys[task.id] for task in leased.tasks] == sorted(keys.values())[:1]
            for task in leased.tasks:
                self.model.lease(self.workers[worker].pk, task.id, task.lease)
                self.leases.append((worker, task.id, task.lease))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), seconds=st.none() | SECONDS | st.just(10_000))
    def heartbeat(self, data, seconds):
        worker, name, lease = data.draw(st.sampled_from(self.leases))
        (extended,) = queue.heartbeat(worker=self.workers[worker], heartbeats=[queue.Heartbeat(name, lease, seconds)])
        held = self.model.holds(self.workers[worker].pk, name, lease)
        assert (extended.expires is not None) == held
        if held:
            self.model.heartbeat(self.workers[worker].pk, name, seconds)

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from(sorted(self.model.tasks)))
        done = cancel_ids([name], Canceller(projects=[self.project.pk]))
        assert done == ({name} if name in self.model.open("ready", "leased", "delayed", "failed") else set())
        if done:
            self.model.cancel(name)

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data(), vote=st.integers(1, 2))
    def accept(self, data, vote):
        name = data.draw(st.sampled_from(sorted(self.model.tasks)))
        try:
            maintenance.accept_vote(project=self.project, task=name, verification=vote)
            done = True
        except maintenance.NoSuchVote:
            done = False
        assert done == self.model.accept(name, vote)

    @rule()
    def retry(self):
        assert maintenance.reset_failed(project=self.project) == len(self.model.open("failed"))
        self.model.retry()

    @rule()
    def reclaim(self):
        assert maintenance.reclaim_leased(project=self.project) == len(self.model.open("leased"))
        self.model.reclaim()

    @rule(seconds=SECONDS)
    def wait(self, seconds):
        db.affected(PASS, {"seconds": seconds, "project": self.project.pk})
        self.model.wait(seconds)

    @rule()
    def scheduler(self):
        expire_leases()
        make_due_ready()
        fail_expired()
        self.model.tick()

    @invariant()
    def all_agree(self):
        if not hasattr(self, "model"):
            return
        stored = {task.pk: task for task in Task.objects.filter(project=self.project)}
        expected = self.model.open("ready", "leased", "delayed", "failed")
        assert stored.keys() == expected.keys()
        ends = dict(db.rows(LEFT, {"project": self.project.pk}))
        for name, task in expected.items():
            assert shown(stored[name]) == shown_of(task), name
            if task.holder is not None:
                assert ends[name] == pytest.approx(task.ends - self.model.now)

    @invariant()
    def counts_are_right(self):
        if not hasattr(self, "model"):
            return
        closed = self.model.open("closed")
        assert set(ClosedTask.objects.filter(project=self.project).values_list("pk", flat=True)) == closed.keys()
        assert sum(ClosedEntry.objects.filter(project=self.project).values_list("count", flat=True)) == len(closed)
        copies = self.chained.tasks.count()
        with_hash = {task.hash64 for task in closed.values() if task.hash64 is not None}
        assert copies == sum(task.hash64 is None for task in closed.values()) + len(with_hash)
        counted = overview(self.project)
        numbers = (counted.ready, counted.leased, counted.delayed, counted.failed, counted.closed)
        assert numbers == tuple(
            len(self.model.open(state)) for state in ("ready", "leased", "delayed", "failed", "closed")
        )


def shown(task):
    """What the row of a task has, in the terms of the model."""
    names = {Task.Status.NEW: "ready", Task.Status.FAILED: "failed", Task.Status.DELAYED: "delayed"}
    state = "leased" if task.assignee_id is not None else names[Task.Status(task.status)]
    lease = None if task.lease is None else str(task.lease)
    return state, task.assignee_id, lease, task.retries, task.expiries, list(zip(task.voters, task.votes, strict=True))


def shown_of(task):
    return task.state, task.holder, task.lease, task.retries, task.expiries, task.votes


def test_against_the_model():
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            # With Phase.shrink, a failure takes minutes to become a short one.
            phases=[Phase.generate],
        ),
    )
