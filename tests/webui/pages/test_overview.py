"""The current state of projects: tasks.queries.overview."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import Snapshot
from tasks import queue
from tasks.models import ProjectTally, Task
from tasks.queries.overview import Overview, overview, overviews, sparklines
from tasks.queue import upkeep
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db


def snapshot(project, *, hours=0.0, **counts):
    columns = ("new_task_count", "failed_task_count", "closed_task_count", "awaiting_verification_count")
    values = dict.fromkeys((*columns, "worker_access_count"), 0) | counts
    return Snapshot.objects.create(project=project, taken=timezone.now() - timedelta(hours=hours), **values)


def test_it_works(project, worker):
    TaskFactory.create_batch(4, project=project)
    TaskFactory.create_batch(2, project=project, voters=[SOMEBODY], votes=[2], verification_count=2)
    TaskFactory.create_batch(3, project=project, status=Task.Status.FAILED)
    TaskFactory()
    queue.lease(project=project, worker=worker.worker)
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=queue.Result.OK)
    now = overview(project)
    assert now._replace(oldest_seconds=None, rates=None) == Overview(ready=4, leased=1, failed=3, awaiting=2, closed=1)
    assert now.open == 5
    upkeep.fold_closed()
    assert overview(project).closed == 1


def test_a_project_without_anything(project):
    assert overview(project) == Overview()
    assert overview(project).eta_seconds is None


def test_several_at_once(project):
    other = ProjectFactory()
    TaskFactory(project=other)
    found = overviews([project, other])
    assert found[project.pk].ready == 0
    assert found[other.pk].ready == 1
    assert overviews([]) == {}


def test_the_wait_of_the_oldest_task(project):
    for minutes in (30, 90, 60):
        TaskFactory(project=project, created=timezone.now() - timedelta(minutes=minutes))
    # The oldest by id, the order of submission; the times differ only to tell the tasks apart.
    assert overview(project).oldest_seconds == pytest.approx(30 * 60, abs=60)


def test_rate_and_eta(project):
    TaskFactory.create_batch(6, project=project)
    for minutes, closed in ((70, 5), (40, 3000), (5, 600)):
        minute = (timezone.now() - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
        ProjectTally.objects.create(project=project, minute=minute, closed=closed)
    now = overview(project)
    assert now.rate == pytest.approx(1)
    assert now.eta_seconds == pytest.approx(6)
    ProjectTally.objects.exclude(closed=5).delete()
    now = overview(project)
    assert now.rate == 0
    assert now.eta_seconds is None


def test_the_share_done(project):
    assert Overview().done_share is None
    assert Overview(ready=1, leased=1, failed=1, closed=1).done_share == 0.25
    assert Overview(closed=3).done_share == 1


def test_beyond_the_counting_limit_the_last_snapshot_is_used(project):
    TaskFactory.create_batch(5, project=project)
    snapshot(project, hours=1, new_task_count=9)
    snapshot(project, new_task_count=1_000_010, leased_task_count=10, oldest_ready=timezone.now() - timedelta(days=2))
    found = overviews([project], counted=5)[project.pk]
    assert found.ready == 1_000_000
    assert found.approximate
    assert found.oldest_seconds == pytest.approx(2 * 86400, abs=60)
    exact = overviews([project], counted=6)[project.pk]
    assert (exact.ready, exact.approximate) == (5, False)


def test_a_snapshot_never_lowers_the_counted_number(project):
    TaskFactory.create_batch(5, project=project)
    assert overviews([project], counted=5)[project.pk].ready == 5
    snapshot(project, new_task_count=1)
    assert overviews([project], counted=5)[project.pk].ready == 5


def test_sparklines(project, worker):
    other = ProjectFactory()
    now = timezone.now()
    for hours, closed in ((30, 5), (2.5, 10), (1.5, 15), (1.5, -2), (0.5, 1)):
        minute = (now - timedelta(hours=hours, minutes=closed)).replace(second=0, microsecond=0)
        ProjectTally.objects.create(project=project, minute=minute, closed=closed)
    line = sparklines([project, other])
    assert set(line) == {project.pk}
    assert line[project.pk][-3:] == [10, 13, 1]
    assert sum(line[project.pk][:-3]) == 0
    assert len(line[project.pk]) == 24


@pytest.mark.parametrize("folded", [False, True])
def test_a_sparkline_begins_with_the_first_closed_task(project, worker, folded):
    TaskFactory(project=project)
    task = queue.lease(project=project, worker=worker.worker)
    queue.release(worker=worker.worker, task_id=task.id, result=0, verification=0)
    if folded:
        upkeep.fold_closed()
    assert sparklines([project]) == {project.pk: [0] * 23 + [1]}


def test_snapshots_contain_leases_the_oldest_task_and_the_version(project, worker):
    project.version = "abc"
    project.save()
    first = TaskFactory.create_batch(3, project=project)[1]
    queue.lease(project=project, worker=worker.worker)
    upkeep.take_snapshots()
    taken = Snapshot.objects.get(project=project)
    assert (taken.new_task_count, taken.leased_task_count, taken.version) == (3, 1, "abc")
    first.refresh_from_db()
    assert taken.oldest_ready == first.created
