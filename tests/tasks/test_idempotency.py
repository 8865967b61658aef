"""Calls with an Idempotency-Key: a repeated one gets the first answer, and has no second effect."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from projects.models import Project, RateBucket
from tasks import repeating
from tasks.models import Attempt, ClosedEntry, ClosedTask, OutcomeEntry, Repeatable, Task
from tasks.queue import frontier, leasing
from tests.client import LoopApi
from tests.factories import ProjectFactory, TaskFactory, grant
from tracker.front import calls
from workers.models import Worker, WorkerAccess
from workers.services import rotate_secret

pytestmark = pytest.mark.django_db

KEY = {"Idempotency-Key": "a1b2"}
REPLAYED = "Idempotency-Replayed"


class Call:
    """A call of a worker that holds a task, in a project with others; `leased` is the one it holds."""

    def __init__(self, api, method, path, body=None):
        self.api, self.method, self.path, self.body = api, method, path, body

    def __call__(self, worker, key="a1b2", **changes):
        path, body = changes.get("path", self.path), changes.get("body", self.body)
        headers = {} if key is None else {"Idempotency-Key": key}
        if self.method == "GET":
            return self.api.get(path, worker=worker, headers=headers)
        return self.api.post(path, body, worker=worker, headers=headers)


LEASED = {"lease": "00000000-0000-4000-8000-000000000000", "assign_time": Now(), "lease_expires": Now()}

CALLS = {
    "submit": ("POST", "/task/submit", {"project": "P", "recipe": "x", "hash64": -(2**63)}),
    "submit of a hash that is there": ("POST", "/task/submit", {"project": "P", "recipe": "x", "hash64": 7}),
    "bulk submit": (
        "POST",
        "/task/bulk_submit",
        [{"project": "P", "recipe": "é'\\%s", "hash64": hash64} for hash64 in (7, 8, 8, 0)],
    ),
    "get": ("GET", "/task/get/P", None),
    "get many": ("GET", "/task/get/P?count=3", None),
    "get any": ("GET", "/task/get", None),
    "get many of any": ("GET", "/task/get?count=1000", None),
    "release OK": ("POST", "/task/release", {"task_id": "T", "result": 0, "verification": 2**63 - 1}),
    "release FAIL": ("POST", "/task/release", {"task_id": "T", "result": 1, "message": "it's \\ 100%"}),
    "release SKIP": ("POST", "/task/release", {"task_id": "T", "result": 2}),
    "release of another's": ("POST", "/task/release", {"task_id": "O", "result": 0}),
    "bulk release": (
        "POST",
        "/task/bulk_release",
        [{"task_id": "T", "result": 0}, {"task_id": "T", "result": 0}, {"task_id": "O", "result": 1}],
    ),
    "exchange with heartbeats": (
        "POST",
        "/task/exchange",
        {
            "project": "P",
            "count": 2,
            "releases": [{"task_id": "O", "result": 0, "lease": LEASED["lease"]}],
            "heartbeats": [
                {"task_id": "T", "lease": "L", "seconds": 600},
                {"task_id": "O", "lease": LEASED["lease"]},
            ],
        },
    ),
    "exchange": (
        "POST",
        "/task/exchange",
        {"project": "P", "count": 2, "releases": [{"task_id": "T", "result": 0}, {"task_id": "O", "result": 0}]},
    ),
}


@pytest.fixture
def project(project):
    """With ready tasks, whose texts are hard to write down, and with a limit of the rate."""
    Project.objects.update(name="Ünï'c\\ode %s", assign_rate=1e6, submit_rate=2.5e5)
    for number, recipe in enumerate(["'quoted' \\ %(x)s {}\"", "\u2028\x01\n\t", "😀" * 100, "null"]):
        TaskFactory(project=project, recipe=recipe, hash64=7 if number == 0 else None)
    return project


@pytest.fixture
def others(worker, other_worker):
    """Tasks in more projects."""
    for number in range(4):
        project = ProjectFactory(priority=number % 2)
        TaskFactory.create_batch(3, project=project)
    TaskFactory(project=project, assignee=other_worker.worker, **LEASED)


@pytest.fixture
def caller(project, worker):
    grant(worker, project, submit=True)
    return worker


@pytest.fixture(params=CALLS)
def call(request, api, project, caller, others):
    held = api.get(f"/task/get/{project.pk}", worker=caller).content["task"]
    ids = {
        "P": project.pk,
        "T": held["id"],
        "L": held["lease"],
        "O": Task.objects.exclude(assignee=caller.worker).last().pk,
    }
    method, path, body = CALLS[request.param]
    # The token that this took is there again.
    RateBucket.objects.update(next_at=Now() - timedelta(seconds=1))
    return Call(api, method, path.replace("P", str(project.pk)), filled(body, ids))


def filled(part, ids):
    if isinstance(part, list):
        return [filled(one, ids) for one in part]
    if isinstance(part, dict):
        return {key: filled(one, ids) for key, one in part.items()}
    return ids.get(part, part) if isinstance(part, str) else part


def state():
    """Everything that such calls change."""
    models = (Task, ClosedTask, ClosedEntry, Attempt, OutcomeEntry, RateBucket)
    return {model.__name__: sorted(map(repr, model.objects.values_list())) for model in models}


def shape(part):
    """Which keys and types an answer has."""
    if isinstance(part, dict):
        return {key: shape(one) for key, one in part.items()}
    return [shape(one) for one in part] if isinstance(part, list) else type(part)


def assert_repeats(call, worker, **options):
    """The call, and what it does when it is repeated. Returns the first answer."""
    before = state()
    first = call(worker, **options)
    after = state()
    assert REPLAYED not in first.headers
    for _ in range(2):
        again = call(worker, **options)
        assert (again.status, again.response.content) == (first.status, first.response.content)
        assert again.headers[REPLAYED] == "true"
        assert state() == after
    assert Repeatable.objects.count() == 1
    # A bucket is made when it is first looked at.
    first.had_effect = before | {"RateBucket": []} != after | {"RateBucket": []}
    return first


def test_it_works(api, project, worker):
    get = Call(api, "GET", f"/task/get/{project.pk}")
    first = assert_repeats(get, worker)
    assert first.content["task"]["id"]
    assert Task.objects.filter(assignee=worker.worker).count() == 1
    assert get(worker, "another").content["task"]["id"] != first.content["task"]["id"]


def test_a_repeated_call_gets_the_first_answer(call, caller, request):
    first = assert_repeats(call, caller)
    name = request.node.callspec.params["call"]
    assert first.status == (409 if name == "submit of a hash that is there" else 200)
    assert first.had_effect is (name not in ("submit of a hash that is there", "release of another's"))


@pytest.mark.parametrize("path", ["/task/get/P", "/task/get", "/task/get?count=2", "/task/get/P?count=2"])
def test_an_answer_is_what_it_is_without_a_key(api, project, worker, path):
    get = Call(api, "GET", path.replace("P", str(project.pk)))
    keyed, unkeyed = get(worker), get(worker, key=None)
    assert shape(keyed.json) == shape(unkeyed.json)
    given = [answer.content.get("task") or answer.content["tasks"][0] for answer in (keyed, unkeyed)]
    assert given[0]["project"] == given[1]["project"]


def test_the_first_answer_also_when_things_have_changed(call, caller, other_worker, project):
    first = call(caller)
    Project.objects.update(paused=True, public=False, hidden=True, version="another")
    WorkerAccess.objects.all().delete()
    Worker.objects.update(paused=True)
    Task.objects.all().delete()
    RateBucket.objects.update(next_at=Now() + timedelta(hours=1))
    assert call(caller).response.content == first.response.content


def test_keys_are_a_workers_own(api, project, worker, other_worker):
    get = Call(api, "GET", f"/task/get/{project.pk}")
    assert get(worker).content["task"]["id"] != get(other_worker).content["task"]["id"]


@pytest.mark.parametrize("change", ["body", "query", "path", "method", "verb", "api"])
def test_another_request_under_the_same_key(api, project, caller, change):
    TaskFactory.create_batch(2, project=project)
    path = f"/task/get/{project.pk}"
    submit = Call(api, "POST", "/task/submit", {"project": project.pk, "recipe": "x"})
    assert (submit if change in ("body", "verb", "method") else Call(api, "GET", path))(caller).status == 200
    before = state()
    refused = {
        "body": lambda: submit(caller, body=submit.body | {"recipe": "y"}),
        "verb": lambda: submit(caller, path="/task/bulk_submit", body=[submit.body]),
        "method": lambda: Call(api, "GET", path)(caller),
        "query": lambda: Call(api, "GET", f"{path}?count=1")(caller),
        "path": lambda: Call(api, "GET", "/task/get")(caller),
        "api": lambda: Call(api, "GET", f"/api{path}")(caller),
    }[change]()
    assert refused.status == 422
    assert refused.message == repeating.KeyReused.__doc__
    assert REPLAYED not in refused.headers
    assert state() == before


@pytest.mark.parametrize("key", ["", "x" * 65, "kéy", "a\tb", "\x7f"])
def test_what_is_no_key(api, project, caller, key):
    for call in (
        Call(api, "GET", f"/task/get/{project.pk}"),
        Call(api, "GET", "/task/get"),
        Call(api, "POST", "/task/submit", {"project": project.pk, "recipe": "x"}),
        Call(api, "POST", "/task/bulk_submit", [{"project": project.pk, "recipe": "x"}]),
        Call(api, "POST", "/task/release", {"task_id": 1, "result": 0}),
        Call(api, "POST", "/task/bulk_release", []),
        Call(api, "POST", "/task/exchange", {"project": project.pk, "count": 1}),
    ):
        before = state()
        refused = call(caller, key.encode().decode("latin-1"))
        assert refused.status == 400, call.path
        assert refused.message.startswith("Idempotency-Key: must be 1 to 64 printable ASCII characters; ")
        assert state() == before
        # To a stranger, nothing is told about it.
        assert call(None, key.encode().decode("latin-1")).status == 401


@pytest.mark.parametrize("key", ["x", "x" * 64, '"quoted"', "it's \\ %s", "~ !"])
def test_what_is_a_key(api, project, caller, key):
    assert_repeats(Call(api, "GET", f"/task/get/{project.pk}"), caller, key=key)


def test_other_calls_ignore_it(api, caller):
    for _ in range(2):
        entry = {"scope": "a", "message": "b", "timestamp": 1}
        assert api.post("/log/info", entry, worker=caller, headers={"Idempotency-Key": "x" * 99}).status == 200
        assert api.get("/worker/figures", worker=caller, headers={"Idempotency-Key": "x" * 99}).status == 200
    assert not Repeatable.objects.exists()


class TestRefusals:
    """Who is told to try again, or to mend its request, may do so under the same key."""

    def test_of_input(self, api, project, caller):
        submit = Call(api, "POST", "/task/submit", {"project": project.pk, "recipe": ""})
        assert submit(caller).status == 400
        assert submit(caller, body=submit.body | {"recipe": "x"}).status == 200

    def test_of_strangers(self, api, project, caller):
        get = Call(api, "GET", f"/task/get/{project.pk}")
        get(caller)
        wrong = caller._replace(secret="wrong")
        assert get(wrong).status == 401
        new = rotate_secret(worker=caller.worker)
        assert get(caller).status == 401
        assert get(new).headers[REPLAYED] == "true"

    def test_of_the_deleted(self, api, project, caller):
        get = Call(api, "GET", f"/task/get/{project.pk}")
        get(caller)
        Task.objects.all().delete()
        Worker.objects.filter(pk=caller.worker.pk).delete()
        assert get(caller).status == 401

    def test_of_a_paused_worker(self, api, project, caller):
        for get in (Call(api, "GET", f"/task/get/{project.pk}"), Call(api, "GET", "/task/get")):
            Worker.objects.update(paused=True)
            assert get(caller, get.path).status == 403
            Worker.objects.update(paused=False)
            assert_tasks(get(caller, get.path))

    def test_of_a_paused_worker_where_there_is_nothing(self, api, caller):
        Task.objects.all().delete()
        Worker.objects.update(paused=True)
        assert Call(api, "GET", "/task/get?wait=20")(caller).status == 403

    def test_of_submits(self, api, project, worker):
        submit = Call(api, "POST", "/task/submit", {"project": project.pk, "recipe": "x"})
        many = Call(api, "POST", "/task/bulk_submit", [submit.body])
        for call in (submit, many):
            assert call(worker, call.path).status == 403
            Project.objects.update(hidden=True, public=False)
            assert call(worker, call.path).status == 404
            Project.objects.update(hidden=False, submit_rate=1)
            granted = grant(worker, project, submit=True)
            RateBucket.objects.update_or_create(
                project=project, kind="submit", defaults={"next_at": Now() + timedelta(hours=1)}
            )
            assert call(worker, call.path).status == 429
            RateBucket.objects.all().delete()
            assert call(worker, call.path).status == 200
            granted.delete()

    @pytest.mark.parametrize("path", ["/task/get/P", "/task/get"])
    def test_of_leases(self, api, project, worker, path):
        Project.objects.update(assign_rate=1)
        RateBucket.objects.create(project=project, kind="assign", next_at=Now() + timedelta(hours=1))
        get = Call(api, "GET", path.replace("P", str(project.pk)))
        assert get(worker).status == 429
        RateBucket.objects.all().delete()
        assert_tasks(get(worker))

    def test_of_an_exchange(self, api, project, worker):
        exchange = Call(api, "POST", "/task/exchange", {"project": project.pk + 1, "count": 1})
        assert exchange(worker).status == 404
        ProjectFactory(id=project.pk + 1)
        assert exchange(worker).status == 200
        assert exchange(worker).headers[REPLAYED] == "true"


def assert_tasks(answer):
    assert answer.ok, answer
    assert answer.content["task"]


@pytest.mark.parametrize("path", ["/task/get/P", "/task/get/P?count=5", "/task/get"])
@pytest.mark.parametrize(
    "reason", ["empty", "leased", "verified_all", "project_paused", "no_access", "too_many_leases"]
)
def test_an_empty_lease_is_an_answer(api, project, worker, other_worker, path, reason):
    Project.objects.update(assign_rate=0)
    match reason:
        case "empty":
            Task.objects.all().delete()
        case "leased":
            Task.objects.update(assignee=other_worker.worker, **LEASED | {"lease_expires": Now() + timedelta(hours=1)})
        case "verified_all":
            Task.objects.update(voters=[worker.worker.pk], votes=[1], verification_count=2)
        case "project_paused":
            Project.objects.update(paused=True)
        case "no_access":
            Project.objects.update(public=False)
        case "too_many_leases":
            Project.objects.update(max_leases=1)
            assert_tasks(api.get(f"/task/get/{project.pk}", worker=worker))
    get = Call(api, "GET", path.replace("P", str(project.pk)))
    first = get(worker)
    assert first.ok is False
    Task.objects.all().delete()
    Project.objects.update(paused=False, public=True, max_leases=0)
    TaskFactory(project=project)
    again = get(worker)
    assert again.response.content == first.response.content
    assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("reason", ["rate_limited", "worker_paused", "project_paused", "empty"])
def test_an_exchange_whose_lease_is_refused(api, project, caller, reason):
    held = api.get(f"/task/get/{project.pk}", worker=caller).content["task"]["id"]
    match reason:
        case "rate_limited":
            RateBucket.objects.update(next_at=Now() + timedelta(seconds=7))
        case "worker_paused":
            Worker.objects.update(paused=True)
        case "project_paused":
            Project.objects.update(paused=True)
        case "empty":
            Task.objects.exclude(pk=held).delete()
    body = {"project": project.pk, "count": 1, "releases": [{"task_id": held, "result": 0}]}
    first = assert_repeats(Call(api, "POST", "/task/exchange", body), caller)
    assert first.content["reason"] == reason
    assert first.content["results"][0]["updated"] is True


def test_a_key_is_forgotten_after_ten_minutes(api, project, worker):
    get = Call(api, "GET", f"/task/get/{project.pk}")
    first = get(worker)
    Repeatable.objects.update(at=F("at") - timedelta(seconds=599))
    assert get(worker).response.content == first.response.content
    Repeatable.objects.update(at=F("at") - timedelta(seconds=2))
    second = get(worker)
    assert second.content["task"]["id"] != first.content["task"]["id"]
    assert REPLAYED not in second.headers
    # It may also stand for another request then.
    assert get(worker).response.content == second.response.content
    Repeatable.objects.update(at=F("at") - timedelta(seconds=601))
    assert Call(api, "GET", f"/task/get/{project.pk}?count=1")(worker).status == 200


def test_old_keys_are_deleted(api, project, worker, monkeypatch):
    monkeypatch.setattr(repeating, "BATCH", 2)
    get = Call(api, "GET", f"/task/get/{project.pk}")
    for key in "abcd":
        get(worker, key)
    for key, age in {"a": 661, "b": 662, "c": 663, "d": 599}.items():
        Repeatable.objects.filter(key=key).update(at=F("at") - timedelta(seconds=age))
    assert repeating.forget_keys() == 2
    assert sorted(Repeatable.objects.values_list("key", flat=True)) == ["a", "d"]
    Worker.objects.filter(pk=worker.worker.pk).update(paused=True)
    assert repeating.forget_keys() == 1
    assert repeating.forget_keys() == 0
    assert [one.key for one in Repeatable.objects.all()] == ["d"]


def test_a_process_remembers_nothing_of_a_repeated_lease(api, project, worker, monkeypatch):
    monkeypatch.setattr(frontier, "PAGES", -1)
    get = Call(api, "GET", f"/task/get/{project.pk}")
    get(worker)
    places = frontier.Frontier()
    monkeypatch.setattr(leasing, "_frontier", places)
    get(worker)
    assert places.after(project.pk) == (None, None)
    get(worker, "another")
    assert places.after(project.pk) != (None, None)


def test_keys_are_not_remembered_with_the_heads_of_calls(project, worker):

    get = Call(LoopApi(), "GET", f"/task/get/{project.pk}")
    get(worker, "first")
    before = calls._remembered.cache_info().currsize
    for number in range(5):
        get(worker, f"key {number}")
    get(worker, None)
    assert calls._remembered.cache_info().currsize == before
