"""A small history that a tracker has really gone through: its ledger, and what is stored."""

import time
from collections import Counter
from types import SimpleNamespace

from django.db import connection

from chaos import checker, stored, verbs
from chaos.client import Answer
from chaos.ledger import FAIL, OK, SKIP, Ledger, Seen
from chaos.member import Member
from chaos.plan import Plan
from chaos.scene import Place
from chaos.verbs import NewTask, Report, honest
from tests.client import Api
from tests.factories import ProjectFactory, grant, register

PLAN = Plan(seed=1, seconds=1, tasks=1, clients=3, faults=())
LEASE_SECONDS = 60


class DirectClient:
    """In place of chaos.client.Client: asks the test's API, without a connection."""

    def __init__(self, number):
        self.number = number
        self.headers = {}
        self._api = Api()

    async def call(self, method, path, body=None, *, patience=0.0, key=None):
        sent = time.time()
        headers = self.headers | ({} if key is None else {"Idempotency-Key": key})
        send = self._api.get if method == "GET" else self._api.post
        answer = send(path, **({} if body is None else {"body": body}), headers=headers)
        return Answer(answer.status, answer.json, sent, time.time())


def result_of(coroutine):
    """What a coroutine returns that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("It waits.")


class History:
    """Projects, three workers and a ledger. At the end, each task is closed or failed, and all results were read."""

    def __init__(self, path):
        self.ledger = Ledger(path)
        self.places = self._places()
        registered = [register(f"worker {number}") for number in range(3)]
        for one in registered:
            for project in self.projects.values():
                grant(one, project, submit=True)
        scene = SimpleNamespace(
            workers=[(one.worker.pk, one.secret) for one in registered],
            identities=lambda: [{"X-Worker-ID": str(one.worker.pk), "X-Secret": one.secret} for one in registered],
            place=lambda pk: next(place for place in self.places.values() if place.id == pk),
            places=self.places,
        )
        self.members = [Member(DirectClient(number), PLAN, scene, self.ledger, Counter()) for number in range(3)]

        #: What /worker/stats is said to have told; by default the truth.
        self.told = {}

    def _places(self):
        copies = ProjectFactory(name="copies", lease_seconds=LEASE_SECONDS)
        self.projects = {"copies": copies}
        for name in ("plain", "quorum", "chained", "swept"):
            chain = copies if name == "chained" else None
            self.projects[name] = ProjectFactory(name=name, lease_seconds=LEASE_SECONDS, chain=chain)
        return {
            name: Place(project.pk, name, LEASE_SECONDS, 2 if name == "quorum" else 0, name == "chained", False, 1)
            for name, project in self.projects.items()
        }

    def happen(self):
        """Submit, lease and release, alone and in bulk, with FAILs, SKIPs and a lie."""
        one, two, three = self.members
        for name in ("plain", "quorum", "chained"):
            tasks = [NewTask(one.recipe(), is_unique=number > 0, max_retries=2) for number in range(4)]
            result_of(verbs.submit(one, self.places[name], tasks))
            result_of(verbs.submit(one, self.places[name], [tasks[1]], bulk=False))
        plain, quorum = self.places["plain"], self.places["quorum"]
        for result in (FAIL, FAIL, SKIP, OK):
            (held,) = result_of(verbs.lease(one, plain))
            result_of(verbs.release(one, [Report(held, result, honest(held.recipe))], bulk=False))
        (held,) = result_of(verbs.lease(three, quorum))
        result_of(verbs.release(three, [Report(held, OK, 666)], bulk=False))
        # The copies come last, when all are there.
        for place in sorted(self.places.values(), key=lambda place: place.name == "copies"):
            for member in (one, two):
                _, held = result_of(verbs.exchange(member, place, [], count=10))
                reports = [Report(task, OK, honest(task.recipe)) for task in held]
                result_of(verbs.release(member, reports))
        for project, task in sql("SELECT project_id, id FROM tasks_closedtask", {}):
            self.ledger.add(Seen(project, task))
        return self

    def breaches(self):
        """What the checker finds, as (kind, text)."""
        self.ledger.complete()
        stored.copy(sql, self.ledger)
        evidence = checker.Evidence(self.ledger, sql, list(self.places.values()), self.told or closed_by_worker())
        found = checker.check(evidence)
        return [(breach.kind, breach.text) for breach in found]

    def task(self, name, *, closed=True):
        """The id of the newest task of a project."""
        table = "tasks_closedtask" if closed else "tasks_task"
        values = {"project": self.places[name].id}
        return sql(f"SELECT max(id) FROM {table} WHERE project_id = %(project)s", values)[0][0]


def sql(statement, values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def closed_by_worker():
    return dict(sql("SELECT worker_id, count(*) FROM tasks_closedtask GROUP BY worker_id", {}))
