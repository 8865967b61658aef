"""Verification that ends: a limit of votes, accepting one by hand, and workers of one operator."""

import json

import pytest

from projects.models import Project
from projects.roles import Role
from projects.services import set_roles
from tasks import maintenance, putting_back, queue
from tasks.models import Attempt, ClosedEntry, ClosedTask, FailureGroup, Outcome, OutcomeEntry, Reason, Task
from tasks.queries.search import Criteria
from tasks.queue.tallying import fold_outcomes
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, UserFactory, register
from workers.models import OperatorMark
from workers.services import mark_operator

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["one", "many"])
def vote(request, project):
    """A worker (a new one by default) leases the next task and votes. Returns what came of it."""

    def vote(verification, worker=None, **told):
        worker = worker or register().worker
        task = queue.lease(project=project, worker=worker)
        assert task is not None
        said = json.dumps(told) if told else None
        if request.param == "one":
            return queue.release(
                worker=worker, task_id=task.id, result=queue.Result.OK, verification=verification, told=said
            )
        reports = [queue.Report(task.id, queue.Result.OK, verification, told=said)]
        return queue.release_many(worker=worker, reports=reports)[0]

    return vote


@pytest.fixture
def maintainer(project):
    manager = UserFactory()
    set_roles(manager=manager, project=project, roles=Role.MAINTENANCE)
    return Api().login(manager)


def limit(votes):
    Project.objects.update(max_votes=votes)


def disagree(project, vote, *verifications):
    limit(len(verifications))
    task = TaskFactory(project=project, verification_count=2)
    for verification in verifications:
        vote(verification)
    task.refresh_from_db()
    assert task.status == Task.Status.FAILED
    return task


# The limit


def test_disagreement(project, vote):
    limit(3)
    task = TaskFactory(project=project, verification_count=2, max_retries=5)
    vote(1)
    vote(2)
    assert Task.objects.get().status == Task.Status.NEW
    vote(3)
    task.refresh_from_db()
    assert (task.status, task.votes, task.retries) == (Task.Status.FAILED, [1, 2, 3], 0)
    last = Attempt.objects.latest("pk")
    assert (last.outcome, last.reason, last.fingerprint) == (Outcome.VOTED, Reason.DISAGREEMENT, task.failure)
    assert Attempt.objects.exclude(pk=last.pk).values_list("reason", "fingerprint").distinct().get() == (None, None)


def test_the_last_vote_may_agree(project, vote):
    limit(3)
    TaskFactory(project=project, verification_count=2)
    assert [vote(one).updated for one in (1, 2, 1)] == [False, False, True]
    assert ClosedTask.objects.get().verification == 1


def test_no_limit(project, vote):
    TaskFactory(project=project, verification_count=2)
    for verification in range(5):
        vote(verification)
    assert Task.objects.get().status == Task.Status.NEW


def test_who_says_that_it_is_not_for_it_has_no_vote(project, vote):
    limit(2)
    TaskFactory(project=project, verification_count=2, voters=[-1], votes=[None])
    vote(1)
    assert Task.objects.get().status == Task.Status.NEW
    vote(2)
    assert Task.objects.get().status == Task.Status.FAILED


def test_it_is_no_failure_of_the_worker(project, vote):
    disagree(project, vote, 1, 2)
    fold_outcomes()
    group = FailureGroup.objects.get()
    assert (group.reason, group.count) == (Reason.DISAGREEMENT, 1)
    assert not OutcomeEntry.objects.filter(outcome=Outcome.FAILED).exists()


def test_in_a_batch_each_task_by_its_project(project, worker):
    limited = ProjectFactory(max_votes=2)
    tasks = [
        TaskFactory(project=one, verification_count=3, voters=[-1], votes=[1]) for one in (project, limited, limited)
    ]
    Task.objects.filter(pk=tasks[2].pk).update(voters=[], votes=[])
    for one in (project, limited):
        queue.lease_many(worker=worker.worker, project_id=one.pk, count=5)
    queue.release_many(worker=worker.worker, reports=[queue.Report(task.pk, queue.Result.OK, 2) for task in tasks])
    states = dict(Task.objects.values_list("pk", "status"))
    assert [states[task.pk] for task in tasks] == [1, 2, 1]


@pytest.mark.parametrize("whole", [True, False])
def test_put_back(project, vote, whole):
    """The votes go, or the next one would end it again; for whom it is not, that stays."""
    task = disagree(project, vote, 1, 2)
    Task.objects.update(voters=[*task.voters, -1], votes=[*task.votes, None])
    other = TaskFactory(project=project, status=2, voters=[-2], votes=[9])
    if whole:
        assert maintenance.reset_failed(project=project) == 2
    else:
        assert maintenance.retry_matching(Criteria([project.pk])) == 2
    task.refresh_from_db()
    other.refresh_from_db()
    assert (task.status, task.voters, task.votes, task.failure) == (1, [-1], [None], None)
    assert (other.status, other.votes) == (1, [9])


# Accepting a vote by hand


def test_accept(api, project, vote, maintainer):
    following = ProjectFactory()
    Project.objects.filter(pk=project.pk).update(chain=following)
    first, second, third = (register().worker for _ in range(3))
    limit(3)
    task = TaskFactory(project=project, verification_count=3, hash64=5, priority=4)
    vote(7, first, message="told", output='{"a": 1}', seconds=2.5)
    vote(8, second)
    vote(7, third)
    OutcomeEntry.objects.all().delete()
    body = {"task_id": task.pk, "verification": 7}
    assert maintainer.post(f"/project/accept_vote/{project.pk}", body).ok
    closed = ClosedTask.objects.get()
    assert (closed.pk, closed.worker, closed.verification) == (task.pk, first, 7)
    assert (closed.voters, closed.votes) == ([second.pk, third.pk], [8, 7])
    assert (closed.message, closed.output, closed.seconds) == ("told", '{"a": 1}', 2.5)
    assert ClosedEntry.objects.values_list("worker", "count").get() == (first.pk, 1)
    counted = OutcomeEntry.objects.order_by("worker").values_list("worker", "outcome")
    assert list(counted) == [(first.pk, Outcome.AGREED), (second.pk, Outcome.OUTVOTED), (third.pk, Outcome.AGREED)]
    copy = Task.objects.get()
    assert (copy.project, copy.hash64, copy.priority, copy.votes) == (following, 5, 4, [])
    assert maintainer.post(f"/project/accept_vote/{project.pk}", body).status == 404


def test_accept_before_there_is_a_limit(project, vote):
    task = TaskFactory(project=project, verification_count=2)
    vote(7)
    maintenance.accept_vote(project=project, task=task.pk, verification=7)
    assert ClosedTask.objects.get().votes == []


def test_accepted_without_retention(project, vote):
    Project.objects.update(retention_days=0)
    task = disagree(project, vote, 1, 2)
    maintenance.accept_vote(project=project, task=task.pk, verification=2)
    assert not ClosedTask.objects.exists()
    assert ClosedEntry.objects.get().count == 1


def test_an_accepted_task_can_be_put_back(project, vote):
    first, second = register().worker, register().worker
    limit(2)
    task = TaskFactory(project=project, verification_count=2)
    vote(1, first)
    vote(2, second)
    maintenance.accept_vote(project=project, task=task.pk, verification=2)
    assert putting_back.put_back_closed(project=project, worker=second.pk).tasks == 1
    task.refresh_from_db()
    assert (task.status, task.voters, task.votes) == (1, [first.pk], [1])


@pytest.mark.parametrize(
    "body",
    [{"verification": 9}, {"task_id": 10**12}, {"verification": None}, {"verification": "x"}, {"more": 1}],
    ids=str,
)
def test_nothing_to_accept(project, maintainer, body):
    task = TaskFactory(project=project, verification_count=2, voters=[-1, -2], votes=[1, None])
    answer = maintainer.post(f"/project/accept_vote/{project.pk}", {"task_id": task.pk, "verification": 1} | body)
    assert answer.status in (400, 404)
    assert Task.objects.get().votes == [1, None]
    assert not ClosedEntry.objects.exists()


def test_not_while_a_worker_holds_it(project, worker, maintainer):
    task = TaskFactory(project=project, verification_count=2, voters=[-1], votes=[1])
    queue.lease(project=project, worker=worker.worker)
    body = {"task_id": task.pk, "verification": 1}
    assert maintainer.post(f"/project/accept_vote/{project.pk}", body).status == 404
    assert Task.objects.get().assignee == worker.worker


def test_only_in_its_own_project(project, maintainer):
    task = TaskFactory(verification_count=2, voters=[-1], votes=[1])
    body = {"task_id": task.pk, "verification": 1}
    assert maintainer.post(f"/project/accept_vote/{project.pk}", body).status == 404
    assert maintainer.post(f"/project/accept_vote/{task.project_id}", body).status == 403


# Workers of one operator


@pytest.fixture
def pair(project):
    """Two workers that are marked as one operator's, and another operator's."""
    one, same, else_ = (register().worker for _ in range(3))
    mark_operator(project=project, workers=[one.pk, same.pk], operator="Ada")
    mark_operator(project=project, workers=[else_.pk], operator="Bob")
    return one, same


@pytest.mark.parametrize("expired", [False, True])
def test_none_gets_what_the_other_has_verified(project, vote, pair, expired):
    one, same = pair
    TaskFactory(project=project, verification_count=2)
    vote(1, one)
    if expired:
        queue.lease(project=project, worker=register().worker)
        Task.objects.update(lease_expires="2020-01-01T00:00:00Z")
    assert queue.lease(project=project, worker=same) is None
    assert queue.lease(project=project, worker=register().worker) is not None


def test_many_voters_are_passed_over_by_groups(project, pair):
    """Where all of the first tasks are the operator's, the lease goes on from group to group."""
    one, same = pair
    TaskFactory.create_batch(150, project=project, verification_count=2, voters=[one.pk], votes=[1])
    assert queue.lease(project=project, worker=same) is None
    free = TaskFactory(project=project, verification_count=2, voters=[-1], votes=[1])
    assert queue.lease(project=project, worker=same).id == free.pk


def test_their_votes_count_once(project, vote):
    """Marked only after they have voted."""
    one, same, third = (register().worker for _ in range(3))
    TaskFactory(project=project, verification_count=3)
    vote(1, one)
    vote(1, same)
    mark_operator(project=project, workers=[one.pk, same.pk], operator="Ada")
    done = vote(1, third)
    assert (done.held, done.updated, done.missing) == (True, False, 1)
    assert vote(1).updated


def test_marked_while_it_holds_the_task(project, worker):
    one = register().worker
    task = TaskFactory(project=project, verification_count=2, voters=[one.pk], votes=[1])
    queue.lease(project=project, worker=worker.worker)
    mark_operator(project=project, workers=[one.pk, worker.worker.pk], operator="Ada")
    done = queue.release(worker=worker.worker, task_id=task.pk, result=queue.Result.OK, verification=1)
    assert (done.held, done.missing) == (True, 1)


def test_in_other_projects_nothing_changes(vote, pair):
    one, same = pair
    other = ProjectFactory()
    TaskFactory(project=other, verification_count=2)
    for worker in (one, same):
        task = queue.lease(project=other, worker=worker)
        queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=1)
    assert ClosedTask.objects.get().project == other


def test_mark(project, maintainer):
    one, two = (register().worker for _ in range(2))
    url = f"/project/set_operator/{project.pk}"
    answer = maintainer.post(url, {"workers": [one.pk, two.pk, one.pk], "operator": "Ada"})
    assert answer.content == {"affected_workers": 2}
    assert maintainer.post(url, {"workers": [one.pk], "operator": "Bob"}).ok
    assert dict(OperatorMark.objects.values_list("worker", "operator")) == {one.pk: "Bob", two.pk: "Ada"}
    assert maintainer.post(url, {"workers": [one.pk, 10**9], "operator": ""}).content == {"affected_workers": 1}
    assert OperatorMark.objects.get().worker == two


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"workers": [10**9], "operator": "Ada"}, "workers: there is no worker 1000000000."),
        ({"workers": [], "operator": "Ada"}, "workers: must be an array of 1 to 1000"),
        ({"workers": 5, "operator": "Ada"}, "workers: must be an array of 1 to 1000"),
        ({"workers": [1]}, "operator: is missing."),
        ({"workers": [1], "operator": "x" * 101}, "operator: must be at most 100 characters"),
        ({"worker": [1], "operator": "x"}, '"worker" is no key here'),
    ],
    ids=str,
)
def test_mistakes(project, maintainer, body, problem):
    answer = maintainer.post(f"/project/set_operator/{project.pk}", body)
    assert answer.status == 400
    assert problem in answer.message
    assert not OperatorMark.objects.exists()
