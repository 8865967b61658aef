"""Results: over the API, as a stream, and with manage.py export_closed; and that readers miss nothing."""

import gzip
import io
import json
import threading
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now

from projects.roles import Role
from tasks import queue
from tasks.management.commands.export_closed import Command
from tasks.models import ClosedTask, Settled
from tasks.queries import results
from tests.factories import ProjectFactory, TaskFactory, grant, register
from tracker import keyset

# What is settled depends on the transactions that are open, so that of a test must not be.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Something else in the server, such as an ANALYZE, may hold readers back for a moment."""
    monkeypatch.setattr(results, "LOOKS", 4_000)


@pytest.fixture
def project(db):
    return ProjectFactory()


@pytest.fixture
def reader(project):
    """A worker with SUBMIT."""
    registration = register("reader")
    grant(registration, project, submit=True)
    return registration


@pytest.fixture
def manage():
    def run(*arguments):
        output = io.StringIO()
        call_command(*map(str, arguments), stdout=output)
        return output.getvalue()

    return run


def close(project, *recipes, told=None, worker=None):
    """Close new tasks, one after the other. Returns their ids."""
    worker = worker or register().worker
    ids = []
    for recipe in recipes:
        TaskFactory(project=project, recipe=recipe)
        task = queue.lease(project=project, worker=worker)
        queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, told=told)
        ids.append(task.id)
    return ids


def read(api, project, reader, **query):
    tail = "&".join(f"{name}={value}" for name, value in query.items())
    return api.get(f"/project/results/{project.pk}?{tail}", worker=reader)


def test_pages(api, project, reader):
    ids = close(project, *"abcde", told=json.dumps({"output": '{"x":[1,"é"]}', "seconds": 2.5, "message": "m"}))
    first = read(api, project, reader, count=2).content
    assert [one["id"] for one in first["results"]] == ids[:2]
    assert first["more"] is True
    one = first["results"][0]
    closed = ClosedTask.objects.get(pk=ids[0])
    assert one == {
        "id": ids[0],
        "recipe": "a",
        "priority": 0,
        "retries": 0,
        "hash64": None,
        "verification": 0,
        "worker_id": closed.worker_id,
        "voters": [],
        "votes": [],
        "created": closed.created.timestamp(),
        "assign_time": closed.assign_time.timestamp(),
        "closed": closed.closed.timestamp(),
        "submitter_id": None,
        "version": "",
        "message": "m",
        "output": {"x": [1, "é"]},
        "seconds": 2.5,
    }
    second = read(api, project, reader, count=3, after=first["after"]).content
    assert [one["id"] for one in second["results"]] == ids[2:]
    last = read(api, project, reader, after=second["after"]).content
    assert (last["results"], last["more"], last["after"]) == ([], False, second["after"])
    (sixth,) = close(project, "f")
    assert [one["id"] for one in read(api, project, reader, after=last["after"]).content["results"]] == [sixth]


def test_nothing_closed(api, project, reader):
    content = read(api, project, reader).content
    assert (content["results"], content["more"]) == ([], False)
    (closed,) = close(project, "a")
    assert [one["id"] for one in read(api, project, reader, after=content["after"]).content["results"]] == [closed]


def test_many_that_close_together(api, project, reader):
    worker = register().worker
    TaskFactory.create_batch(20, project=project)
    tasks = queue.lease_many(worker=worker, project_id=project.pk, count=20).tasks
    queue.release_many(worker=worker, reports=[queue.Report(task.id, queue.Result.OK) for task in tasks])
    assert ClosedTask.objects.values("closed").distinct().count() == 1
    found, after = [], None
    while True:
        content = read(api, project, reader, count=7, **({} if after is None else {"after": after})).content
        found += [one["id"] for one in content["results"]]
        after = content["after"]
        if not content["more"]:
            break
    assert found == sorted(task.id for task in tasks)


def test_a_page_has_few_bytes(api, project, reader, settings):
    settings.MAX_BATCH_BYTES = 5_000
    ids = close(project, "x" * 2_000, "x" * 2_000, "x" * 9_000, "x")
    pages, after = [], {}
    for _ in range(3):
        content = read(api, project, reader, **after).content
        pages.append([one["id"] for one in content["results"]])
        after = {"after": content["after"]}
    assert pages == [ids[:2], ids[2:3], ids[3:]]
    assert content["more"] is False


def test_who_may_read(api, client, project, reader, manager):
    with_assign = register()
    grant(with_assign, project, assign=True)
    assert read(api, project, register()).status == 403
    assert read(api, project, with_assign).status == 403
    assert read(api, project, None).status == 401
    assert read(api, project, reader).status == 200
    assert api.login(manager).get(f"/project/results/{project.pk}").status == 403
    from projects.access import set_roles

    set_roles(manager=manager, project=project, roles=Role.READ)
    assert api.get(f"/project/results/{project.pk}").status == 200
    secluded = ProjectFactory(secluded=True)
    assert read(api, secluded, reader).status == api.get(f"/project/results/{secluded.pk}").status == 404


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("after=5", "after: must be text"),
        ("after=x", "This is no place in the list"),
        (f"after={keyset.encode([1])}", "This is no place in the list"),
        (f"after={keyset.encode(['x', 1])}", "This is no place in the list"),
        ("count=0", "count: must be a whole number from 1 to 1000"),
        ("count=1001", "count: must be a whole number from 1 to 1000"),
        ("cuont=1", "is no parameter of this address"),
    ],
)
@pytest.mark.parametrize("path", ["", "/lines"])
def test_bad_input(api, project, reader, query, message, path):
    answer = api.get(f"/project/results/{project.pk}{path}?{query}", worker=reader)
    assert answer.status == 400
    assert message in answer.message or (path and "is no parameter" in answer.message)


# The stream


def stream(client, project, reader, **headers):
    fields = {"X-Worker-ID": str(reader.worker.pk), "X-Secret": reader.secret, **headers}
    response = client.get(f"/project/results/{project.pk}/lines", headers=fields)
    assert response.status_code == 200
    assert (response["Content-Type"], response["Cache-Control"]) == ("application/jsonl", "no-store")
    content = b"".join(response.streaming_content)
    return response, content


def test_stream(client, api, project, reader, monkeypatch):
    monkeypatch.setattr("tasks.result_views.PART", 3)
    ids = close(project, *"abcdefg", told='{"output": "5"}')
    _, content = stream(client, project, reader)
    *lines, last = [json.loads(line) for line in content.splitlines()]
    assert [line["id"] for line in lines] == ids
    assert {line["output"] for line in lines} == {5}
    assert read(api, project, reader, after=last["after"]).content["results"] == []
    assert read(api, project, reader, count=7).content["results"] == lines


def test_stream_without_results(client, api, project, reader):
    _, content = stream(client, project, reader)
    (last,) = [json.loads(line) for line in content.splitlines()]
    (closed,) = close(project, "a")
    assert [one["id"] for one in read(api, project, reader, after=last["after"]).content["results"]] == [closed]


def test_compressed_stream(client, project, reader):
    close(project, "é" * 5_000, "b")
    response, content = stream(client, project, reader, **{"Accept-Encoding": "gzip, br"})
    assert response["Content-Encoding"] == "gzip"
    assert len(content) < 2_000
    first, second, last = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert (first["recipe"], second["recipe"], list(last)) == ("é" * 5_000, "b", ["after"])


def test_head_of_a_stream(client, project, reader):
    fields = {"X-Worker-ID": str(reader.worker.pk), "X-Secret": reader.secret}
    response = client.head(f"/project/results/{project.pk}/lines", headers=fields)
    assert (response.status_code, response.content) == (200, b"")


# Nothing is missed


def other_session():
    """A connection beside Django's."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    return psycopg2.connect(**parameters)


RELEASE = "SELECT outcome FROM queue_release(%s, %s, %s, 0)"


def test_a_task_that_closes_early_and_commits_late(project, monkeypatch):
    worker, reader = register(), register()
    TaskFactory.create_batch(2, project=project)
    late, early = queue.lease_many(worker=worker.worker, project_id=project.pk, count=2).tasks
    session = other_session()
    try:
        with session.cursor() as cursor:
            cursor.execute(RELEASE, (worker.worker.pk, worker.worker.secret_digest, late.id))
            assert cursor.fetchone() == ("released",)
            queue.release(worker=worker.worker, task_id=early.id, result=queue.Result.OK)
            # The first is still open, so that the second has to wait for it.
            with monkeypatch.context() as impatient:
                impatient.setattr(results, "LOOKS", 2)
                page = results.page(project.pk, after=None, limit=10, most_bytes=10**6)
            assert page.results == []
            session.commit()
        page = results.page(project.pk, after=page.cursor, limit=10, most_bytes=10**6)
        assert [one.id for one in page.results] == [late.id, early.id]
        assert reader is not worker
    finally:
        session.close()


def test_a_transaction_that_only_reads_holds_nobody_back(project):
    session = other_session()
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tasks_task")
            (closed,) = close(project, "a")
            assert [one.id for one in results.page(project.pk, after=None, limit=9, most_bytes=99).results] == [closed]
    finally:
        session.close()


def test_the_clock_is_set_back(project):
    ahead = datetime.now(UTC) + timedelta(hours=1)
    results.settle()
    Settled.objects.update(until=ahead)
    (first,) = close(project, "a")
    assert ClosedTask.objects.get(pk=first).closed >= ahead
    Settled.objects.update(until=ahead, next_until=ahead + timedelta(hours=1), next_xid=None)
    (second,) = close(project, "b")
    assert ClosedTask.objects.get(pk=second).closed >= ahead + timedelta(hours=1)


def test_a_database_that_was_moved(project):
    """Its transaction ids begin anew."""
    results.settle()
    Settled.objects.update(next_until=datetime.now(UTC) + timedelta(days=1), next_xid=2**60)
    (closed,) = close(project, "a")
    assert ClosedTask.objects.get(pk=closed).closed > datetime.now(UTC)
    before = Settled.objects.get().until
    assert results.settle() > before
    Settled.objects.update(until=Now(), next_until=None, next_xid=None)
    ClosedTask.objects.update(closed=Now() - timedelta(seconds=1))
    assert [one.id for one in results.page(project.pk, after=None, limit=9, most_bytes=99).results] == [closed]


def test_readers_beside_closers(project):
    """Four threads close tasks, alone and together, while a reader follows: each comes once, in order."""
    total, threads = 400, 4
    TaskFactory.create_batch(total, project=project)
    over = threading.Event()
    found = []

    def work(seed):
        worker = register(f"w{seed}").worker
        try:
            while tasks := queue.lease_many(worker=worker, project_id=project.pk, count=1 + 4 * (seed % 2)).tasks:
                queue.release_many(worker=worker, reports=[queue.Report(task.id, queue.Result.OK) for task in tasks])
        finally:
            connection.close()

    def follow():
        try:
            is_over = False
            cursor = None
            while True:
                pages = results.lines(project.pk, after=cursor, limit=7, most_bytes=10**6)
                for page, behind in pages:
                    found.extend(one.id for one in page)
                    cursor = behind
                if is_over:
                    return
                is_over = over.is_set()
        finally:
            connection.close()

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    over.set()
    reader.join()
    assert found == list(ClosedTask.objects.order_by("closed", "id").values_list("pk", flat=True))
    assert len(found) == total


# manage.py export_closed


def test_export(manage, project, reader):
    ids = close(project, "a", "b", told='{"output": "\\"x\\\\u001b\\""}')
    close(ProjectFactory(), "elsewhere")
    TaskFactory(project=project)
    first, second = map(json.loads, manage("export_closed", project.name).splitlines())
    assert [first["id"], second["id"]] == ids
    assert first["output"] == "x\x1b"
    assert first["created"] == ClosedTask.objects.get(pk=ids[0]).created.timestamp()


def test_export_of_votes_and_hashes(manage, project):
    first, second, third = (register().worker for _ in range(3))
    TaskFactory(project=project, recipe="x\ny", hash64=-(2**63), priority=-5, verification_count=2)
    for worker, verification in ((first, 2**63 - 1), (second, -1), (third, -1)):
        task = queue.lease(project=project, worker=worker)
        queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=verification)
    (line,) = manage("export_closed", str(project.pk)).splitlines()
    task = json.loads(line)
    assert (task["recipe"], task["hash64"], task["priority"]) == ("x\ny", -(2**63), -5)
    assert (task["verification"], task["worker_id"]) == (-1, third.pk)
    assert (task["voters"], task["votes"]) == ([first.pk, second.pk], [2**63 - 1, -1])


def test_export_follows(manage, project, monkeypatch):
    monkeypatch.setattr("tasks.management.commands.export_closed.BATCH", 2)
    ids = close(project, *"abc")

    def pause():
        if len(ids) == 5:
            raise KeyboardInterrupt
        ids.extend(close(project, "more"))

    monkeypatch.setattr(Command, "pause", staticmethod(pause))
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("export_closed", project.name, "--follow", "--cursors", stdout=output)
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [line["id"] for line in lines if "id" in line] == ids
    cursors = [line["after"] for line in lines if "after" in line]
    assert len(cursors) == 4
    rest = manage("export_closed", project.name, "--after", cursors[0]).splitlines()
    assert [json.loads(line)["id"] for line in rest] == ids[2:]


def test_export_without_closed_tasks_is_empty(manage, project):
    assert manage("export_closed", project.name) == ""


@pytest.mark.parametrize(
    ("arguments", "message"), [(["no such"], "There is no project"), (["{}", "--after", "x"], "no place in the list")]
)
def test_bad_exports(manage, project, arguments, message):
    with pytest.raises(CommandError, match=message):
        manage("export_closed", *(one.format(project.pk) for one in arguments))
