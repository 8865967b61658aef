"""What must hold when calls with one Idempotency-Key race. Each has its own thread and database connection."""

import threading
from contextlib import closing
from functools import partial

import psycopg2
import pytest
from django.db import connection, transaction

from tasks import calls, repeating
from tasks.models import ClosedTask, Repeatable, Task
from tests.client import Api
from tests.factories import ProjectFactory, TaskFactory, grant, register
from tests.processes import eventually
from tests.tasks.test_repeating import KEY, Client, Lost
from tracker import db

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def submitter(project):
    registration = register()
    grant(registration, project, submit=True)
    return registration


def call(submitter, name, project, number):
    api, headers = Api(), {"Idempotency-Key": f"{name} {number}"}
    submit = {"project": project.pk, "recipe": "x", "hash64": number + 1}
    held = [{"task_id": pk, "result": 0} for pk in submitter.worker.leases.values_list("pk", flat=True)][:3]
    post = partial(api.post, worker=submitter, headers=headers)
    get = partial(api.get, worker=submitter, headers=headers)
    return {
        "submit": partial(post, "/task/submit", submit),
        "bulk submit": partial(post, "/task/bulk_submit", [submit, submit, submit | {"hash64": number + 99}]),
        "get": partial(get, f"/task/get/{project.pk}"),
        "get many": partial(get, f"/task/get/{project.pk}?count=2"),
        "get any": partial(get, "/task/get?count=7"),
        "release": partial(post, "/task/release", (held or [{"task_id": 1, "result": 0}])[0]),
        "bulk release": partial(post, "/task/bulk_release", held),
        "exchange": partial(post, "/task/exchange", {"project": project.pk, "count": 2, "releases": held}),
    }[name]


@pytest.mark.parametrize(
    "name", ["submit", "bulk submit", "get", "get many", "get any", "release", "bulk release", "exchange"]
)
def test_many_at_once_get_one_answer(racing, project, submitter, name):
    others = [ProjectFactory() for _ in range(4)]
    for number in range(6):
        TaskFactory.create_batch(6, project=project)
        for other in others:
            TaskFactory.create_batch(2, project=other)
        Api().get(f"/task/get/{project.pk}?count=3", worker=submitter)
        held, closed, stored = submitter.worker.leases.count(), ClosedTask.objects.count(), Task.objects.count()
        outcomes = racing([call(submitter, name, project, number)] * 8)
        assert {outcome.status for outcome in outcomes} == {200}, outcomes
        assert len({outcome.response.content for outcome in outcomes}) == 1
        assert sum(repeating.REPLAYED not in outcome.headers for outcome in outcomes) >= 1
        changed = (
            submitter.worker.leases.count() - held,
            ClosedTask.objects.count() - closed,
            Task.objects.count() - stored,
        )
        assert (
            changed
            == {
                "submit": (0, 0, 1),
                "bulk submit": (0, 0, 2),
                "get": (1, 0, 0),
                "get many": (2, 0, 0),
                "get any": (7, 0, 0),
                "release": (-1, 1, -1),
                "bulk release": (-3, 3, -3),
                "exchange": (-1, 3, -3),
            }[name]
        )
        ClosedTask.objects.all().delete()
        Task.objects.all().delete()


def test_the_second_waits_for_the_first(racing, project, submitter):
    TaskFactory.create_batch(2, project=project)
    get = call(submitter, "get", project, 0)
    has_leased, may_end = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            answer = get()
            has_leased.set()
            may_end.wait(60)
            return answer

    def second():
        has_leased.wait(60)
        return get()

    def watch():
        has_leased.wait(60)
        try:
            eventually(lambda: db.one(WAITING) == (1,))
        finally:
            may_end.set()

    one, other, _ = racing([first, second, watch])
    assert repeating.REPLAYED not in one.headers
    assert other.headers[repeating.REPLAYED] == "true"
    assert other.response.content == one.response.content
    assert submitter.worker.leases.count() == 1


def test_if_the_first_fails_the_second_does_it(racing, project, submitter):
    TaskFactory.create_batch(2, project=project)
    get = call(submitter, "get", project, 0)
    has_leased = threading.Event()

    def first():
        with transaction.atomic():
            get()
            has_leased.set()
            eventually(lambda: db.one(WAITING) == (1,))
            raise Lost

    def second():
        has_leased.wait(60)
        return get()

    failed, done = racing([first, second])
    assert isinstance(failed, Lost)
    assert repeating.REPLAYED not in done.headers
    assert submitter.worker.leases.count() == 1
    assert Repeatable.objects.count() == 1


def test_on_the_event_loop_the_second_waits_without_a_connection(project):
    client = Client(register())
    client.registration.worker.refresh_from_db()
    TaskFactory.create_batch(2, project=project)
    with closing(psycopg2.connect(connection.connection.dsn)) as other:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('a1b2', %s))", [client.registration.worker.pk]
            )
        looks = []

        def look():
            looks.append(client.held)
            if len(looks) == 3:
                other.rollback()
            return True

        client.call(calls.get_task, waits=[look] * 3, project_id=project.pk)
    assert looks == [[], [], []]
    assert len(client.held) == 1
    assert db.rows(repeating.UNDER_WAY.statement, {"keys": "{7,8}", "amounts": "{2,1}"}) == [(7, 2, 0), (8, 1, 0)]


WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""


@pytest.mark.parametrize("path", ["/task/get/P", "/task/get", "/task/get/P?count=2"])
def test_a_lease_with_a_key_waits_for_the_disk(project, worker, path):
    TaskFactory.create_batch(9, project=project)
    path = path.replace("P", str(project.pk))
    for headers, setting in ((KEY, "on"), ({}, "off")):
        with transaction.atomic():
            assert Api().get(path, worker=worker, headers=headers).ok
            assert db.one("SELECT current_setting('synchronous_commit')") == (setting,)
        assert db.one("SELECT current_setting('synchronous_commit')") == ("on",)
