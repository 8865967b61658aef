"""Random sequences of all verbs by workers, a manager and a scheduler that race; what must hold is checked afterwards.

Which of two racing calls wins can't be said beforehand, so there is no model: each caller notes what was acknowledged,
and the database must agree with all notes together.
"""

import random
from collections import Counter
from functools import partial

import pytest

from projects.models import Project
from tasks import maintenance, queue
from tasks.cancelling import Canceller, cancel_ids
from tasks.models import Attempt, ClosedEntry, ClosedTask, Outcome, Task
from tasks.queue.delays import fail_expired, make_due_ready
from tasks.queue.expiry import expire_leases
from tests.factories import ProjectFactory, grant, register

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 60
OK, FAIL, SKIP = queue.Result
VOTES = 1, 1, 1, 2


class Caller:
    """Somebody who makes random calls, and what was acknowledged: ids of tasks."""

    def __init__(self, project, seed):
        self.project, self.random = project, random.Random(seed)
        self.submitted, self.closed, self.cancelled, self.accepted = [], [], [], []

    def run(self):
        for _ in range(STEPS):
            self.random.choice(self.verbs())()

    def known(self):
        return list(Task.objects.filter(project=self.project).values_list("pk", flat=True)[:20])


class WorkerCaller(Caller):
    def __init__(self, project, seed):
        super().__init__(project, seed)
        registration = register()
        grant(registration, project, submit=True)
        self.worker, self.held = registration.worker, []

    def verbs(self):
        return [self.submit, self.lease, self.lease, self.release, self.release, self.exchange, self.heartbeat]

    def submit(self):
        needed, delay = self.random.choice([0, 0, 2, 3]), self.random.choice([None, '{"delay": 0.001}'])
        tasks = [
            # The recipe tells how many have to agree.
            queue.NewTask(str(needed), max_retries=self.random.randrange(4), verification_count=needed, timing=delay)
            for _ in range(self.random.randrange(1, 4))
        ]
        stored = queue.submit_many(worker=self.worker, project_id=self.project.pk, tasks=tasks)
        self.submitted += [one.id for one in stored]

    def lease(self):
        count = self.random.randrange(1, 5)
        self.take(queue.lease_many(worker=self.worker, project_id=self.project.pk, count=count))

    def take(self, leased):
        self.held += [(task.id, task.lease) for task in leased.tasks]

    def reports(self):
        """Of some of the tasks that it believes to hold; sometimes of one twice."""
        self.random.shuffle(self.held)
        some, self.held = self.held[:3], self.held[3:]
        some += self.random.choice([[], some[:1]])
        return [
            queue.Report(
                task_id,
                self.random.choice([OK, OK, OK, FAIL, SKIP]),
                self.random.choice(VOTES),
                lease,
                None,
            )
            for task_id, lease in some
        ]

    def note(self, reports, released):
        self.closed += [
            report.task_id for report, one in zip(reports, released, strict=True) if report.result == OK and one.updated
        ]

    def release(self):
        reports = self.reports()
        if len(reports) > 1:
            self.note(reports, queue.release_many(worker=self.worker, reports=reports))
        elif reports:
            self.note(reports, [queue.release(worker=self.worker, **reports[0]._asdict())])

    def exchange(self):
        reports = self.reports()
        beats = [queue.Heartbeat(*one, None) for one in self.held[:2]]
        done = queue.exchange(
            worker=self.worker, project_id=self.project.pk, count=2, reports=reports, heartbeats=beats
        )
        self.note(reports, done.released)
        self.take(done.leased)

    def heartbeat(self):
        if self.held:
            # Some ends have passed when the scheduler comes round.
            seconds = self.random.choice([None, 0.0, 60.0])
            queue.heartbeat(worker=self.worker, heartbeats=[queue.Heartbeat(*one, seconds) for one in self.held[:3]])


class ManagerCaller(Caller):
    def verbs(self):
        return [self.cancel, self.accept, self.retry, self.reclaim, self.schedule, self.schedule, self.schedule]

    def cancel(self):
        chosen = self.random.sample(known, 1) if (known := self.known()) else []
        self.cancelled += cancel_ids(chosen, Canceller(projects=[self.project.pk]))

    def accept(self):
        for task_id in self.known()[:3]:
            try:
                maintenance.accept_vote(project=self.project, task=task_id, verification=1)
            except maintenance.NoSuchVote:
                continue
            self.accepted.append(task_id)

    def retry(self):
        maintenance.reset_failed(project=self.project)

    def reclaim(self):
        if self.random.random() < 0.2:
            maintenance.reclaim_leased(project=self.project)

    def schedule(self):
        expire_leases()
        make_due_ready()
        fail_expired()


@pytest.mark.parametrize("seed", range(4))
def test_all_verbs_race(racing, seed):
    following = ProjectFactory()
    project = ProjectFactory(chain=following, max_votes=3, max_expiries=seed % 2 * 2, retry_backoff="fixed")
    Project.objects.filter(pk=project.pk).update(retry_seconds=1)
    callers = [WorkerCaller(project, f"{seed} {number}") for number in range(4)]
    callers += [ManagerCaller(project, f"{seed} m{number}") for number in range(2)]
    outcomes = racing([partial(one.run) for one in callers])
    assert [one for one in outcomes if isinstance(one, Exception)] == []

    submitted = [task for one in callers for task in one.submitted]
    closings = [task for one in callers for task in [*one.closed, *one.accepted]]
    cancelled = [task for one in callers for task in one.cancelled]
    is_open = set(Task.objects.filter(project=project).values_list("pk", flat=True))
    closed = {task.pk: task for task in ClosedTask.objects.filter(project=project)}
    assert submitted
    assert closed
    assert cancelled

    # Each task is in one place, and got there once.
    assert Counter([*is_open, *closed, *cancelled]) == Counter(submitted)
    assert Counter(closings) == Counter(closed.keys())
    assert sum(ClosedEntry.objects.filter(project=project).values_list("count", flat=True)) == len(closed)
    assert following.tasks.count() == len(closed)

    # It takes as many different workers as it asks for, unless a manager has decided; nobody votes twice.
    accepted = {task for one in callers for task in one.accepted}
    for task in closed.values():
        assert len({*task.voters, task.worker_id}) == len(task.voters) + 1
        assert 1 + task.votes.count(task.verification) >= int(task.recipe) or task.pk in accepted
    for task in Task.objects.filter(project=project):
        assert len(set(task.voters)) == len(task.voters)
        assert len(task.votes) <= 3

    # A lease ends once.
    ended = Attempt.objects.filter(project=project).exclude(lease=None).values_list("lease", flat=True)
    assert len(ended) == len(set(ended))
    gone = Attempt.objects.filter(project=project, outcome=Outcome.CANCELLED).values_list("task_id", flat=True)
    assert sorted(gone) == sorted(cancelled)
