"""GET /worker/stats."""

import pytest

from tasks.models import ClosedEntry, ClosedTotal
from tasks.queries import worker_stats
from tasks.queue import upkeep
from tests.factories import ProjectFactory, TaskFactory, register

pytestmark = pytest.mark.django_db


def close(api, worker, project, count):
    for _ in range(count):
        TaskFactory(project=project)
        task = api.get(f"/task/get/{project.pk}", worker=worker).content["task"]
        api.post("/task/release", {"task_id": task["id"], "result": 0}, worker=worker)


def stats(api):
    return {one["id"]: one["closed_task_count"] for one in api.get("/worker/stats").content["stats"]}


def test_it_works(api, worker, project):
    close(api, worker, project, 2)
    register("idle", paused=True)
    first, second = api.get("/worker/stats").content["stats"]
    assert first == {"id": worker.worker.pk, "alias": "worker", "closed_task_count": 2, "paused": False}
    assert (second["alias"], second["closed_task_count"], second["paused"]) == ("idle", 0, True)


@pytest.mark.parametrize(
    ("alias", "sought"),
    [
        *(
            ("Café Straße 100%_", sought)
            for sought in ("straße", "STRASSE", "cafe\u0301", "CAFÉ", "ｃafé", "100%", "_")
        ),
        *(("Σας", sought) for sought in ("ΑΣ", "ας", "σα")),
    ],
)
def test_search(worker, alias, sought):
    wanted = register(alias)
    assert [one.id for one in worker_stats(sought=sought)] == [wanted.worker.pk]
    assert len(worker_stats()) == 2


def test_search_passes_on_no_more_than_the_limit(django_assert_num_queries):
    workers = [register(f"bus {number}").worker.pk for number in range(5)]
    with django_assert_num_queries(1):
        assert [one.id for one in worker_stats(sought="BUS", limit=2)] == workers[:2]
    assert [one.id for one in worker_stats(sought="BUS", after=workers[1])] == workers[2:]


def test_without_workers(api, db):
    assert api.get("/worker/stats").content == {"stats": []}


def test_counts_stay_exact_while_they_are_folded(api, worker, other_worker, project):
    close(api, worker, project, 2)
    close(api, worker, ProjectFactory(), 1)
    close(api, other_worker, project, 1)
    expected = {worker.worker.pk: 3, other_worker.worker.pk: 1}
    assert stats(api) == expected
    assert upkeep.fold_closed() == 4
    assert not ClosedEntry.objects.exists()
    assert stats(api) == expected
    close(api, worker, project, 1)
    assert stats(api)[worker.worker.pk] == 4
    upkeep.fold_closed()
    assert stats(api)[worker.worker.pk] == 4
    assert ClosedTotal.objects.count() == 3
