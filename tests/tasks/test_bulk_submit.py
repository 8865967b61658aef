"""POST /task/bulk_submit."""

import pytest

from projects.models import RateBucket
from tasks import calls
from tasks.models import Task
from tasks.serializers import parse_bulk_submit
from tasks.views import BulkSubmitView
from tests.clock import now, seconds_since
from tests.factories import ProjectFactory, TaskFactory, grant
from tracker.api import body

pytestmark = pytest.mark.django_db

URL = "/task/bulk_submit"


@pytest.fixture
def item(project):
    def build(n, **fields):
        return {"project": project.pk, "recipe": f"recipe {n}", **fields}

    return build


def test_it_works(api, submitter, item):
    answer = api.post(URL, [item(n, priority=n) for n in range(3)], worker=submitter)
    assert answer.status == 200
    assert (answer.content["created"], answer.content["duplicates"]) == (3, 0)
    ids = [one["id"] for one in answer.content["results"]]
    assert all(one["ok"] for one in answer.content["results"])
    assert list(Task.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "recipe", "priority")) == [
        (task_id, f"recipe {n}", n) for n, task_id in enumerate(ids)
    ]


def test_accepts_an_object_with_requests(api, submitter, item):
    answer = api.post(URL, {"requests": [item(1), item(2)]}, worker=submitter)
    assert answer.content["created"] == 2


def test_every_field_is_stored(api, submitter, item):
    fields = {"max_retries": 2, "priority": -3, "max_assign_time": 9, "hash64": 2**64 - 1, "verification_count": 4}
    api.post(URL, [item(1, **fields)], worker=submitter)
    assert Task.objects.values(*fields).get() == fields | {"hash64": -1}


def test_duplicates_do_not_fail_the_batch(api, submitter, item, project):
    old = TaskFactory(project=project, hash64=5)
    batch = [item(0, hash64=9), item(1, hash64=5), item(2), item(3, hash64=9), item(4, unique_str="a")]
    answer = api.post(URL, [*batch, item(5, unique_string="a")], worker=submitter)
    assert answer.status == 200
    assert (answer.content["created"], answer.content["duplicates"]) == (3, 3)
    results = answer.content["results"]
    assert [one["ok"] for one in results] == [True, False, True, False, True, False]
    assert results[1]["id"] == old.pk
    assert results[3]["id"] == results[0]["id"]
    assert results[5]["id"] == results[4]["id"]
    assert "hash" in results[1]["message"]
    assert Task.objects.filter(project=project).count() == 4


def test_tasks_are_leased_in_the_order_sent(api, submitter, item, project):
    # With descending hashes, rows are stored in a different order.
    api.post(URL, [item(n, hash64=100 - n) for n in range(5)], worker=submitter)
    leased = [api.get(f"/task/get/{project.pk}", worker=submitter).content["task"]["recipe"] for _ in range(5)]
    assert leased == [f"recipe {n}" for n in range(5)]


@pytest.mark.parametrize("body", [{"recipe": "x"}, "text", 5, {"requests": 5}, {"requests": None}, None])
def test_refuses_a_body_without_an_array(api, submitter, body):
    answer = api.post(URL, body, worker=submitter)
    assert answer.status == 400
    assert "array" in answer.message


def test_refuses_an_empty_batch(api, submitter):
    answer = api.post(URL, [], worker=submitter)
    assert answer.status == 400
    assert "1 to 10000 items, not 0" in answer.message


def test_refuses_more_than_the_limit(api, submitter, item):
    answer = api.post(URL, [item(0)] * 10_001, worker=submitter)
    assert answer.status == 400
    assert "not 10001" in answer.message


def test_accepts_ten_thousand_tasks(api, submitter, item):
    answer = api.post(URL, [item(0)] * 10_000, worker=submitter)
    assert answer.content["created"] == 10_000
    assert len(answer.content["results"]) == 10_000


@pytest.mark.parametrize("bad", [{"recipe": ""}, {"priority": "x"}, {"project": True}, {"hash64": 1.5}])
def test_one_invalid_item_stores_nothing(api, submitter, item, bad):
    answer = api.post(URL, [item(0), item(1), item(2) | bad], worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith(f"Item 2: {next(iter(bad))}: ")
    assert not Task.objects.exists()


def test_item_that_is_not_an_object(api, submitter, item):
    answer = api.post(URL, [item(0), 7], worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith("Item 1: ")


def test_all_items_must_have_the_same_project(api, submitter, item):
    other = ProjectFactory()
    grant(submitter, other, submit=True)
    answer = api.post(URL, [item(0), item(1, project=other.pk)], worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith("Item 1: project: ")
    assert not Task.objects.exists()


def test_needs_submit(api, worker, item):
    assert api.post(URL, [item(0)], worker=worker).status == 403
    assert not Task.objects.exists()


def test_unknown_project(api, submitter, item):
    answer = api.post(URL, [item(0, project=10**9)], worker=submitter)
    assert answer.status == 404
    assert "rate_limit_delay" not in answer.json


def test_bulk_may_overdraw_the_token_bucket(api, worker):
    project = ProjectFactory(submit_rate=0.1)
    grant(worker, project, submit=True)
    item = {"project": project.pk, "recipe": "x"}
    began = now()
    assert api.post(URL, [item] * 50, worker=worker).status == 200
    answer = api.post(URL, [item] * 2, worker=worker)
    assert answer.status == 429
    assert 500 - seconds_since(began) < answer.json["rate_limit_delay"] <= 500
    assert Task.objects.count() == 50
    assert api.post("/task/submit", item, worker=worker).status == 429


def test_duplicates_cost_no_tokens(api, worker):
    project = ProjectFactory(submit_rate=0.1)
    grant(worker, project, submit=True)
    TaskFactory(project=project, hash64=1)
    item = {"project": project.pk, "recipe": "x", "hash64": 1}
    assert api.post(URL, [item] * 50, worker=worker).status == 200
    assert api.post(URL, [item] * 49 + [item | {"hash64": 2}], worker=worker).content["created"] == 1
    answer = api.post(URL, [item], worker=worker)
    assert 0 < answer.json["rate_limit_delay"] <= 10
    RateBucket.objects.update(next_at="2020-01-01T00:00:00Z")
    assert api.post(URL, [item], worker=worker).status == 200


def test_body_limit(api, submitter, item, monkeypatch):
    monkeypatch.setattr(BulkSubmitView, "max_body_bytes", 200)
    answer = api.post(URL, [item(n) for n in range(20)], worker=submitter)
    assert answer.status == 413
    assert "200 bytes" in answer.message
    assert not Task.objects.exists()


def test_large_body_needs_submit_in_some_project(api, worker, submitter, item, settings, monkeypatch):
    settings.MAX_BODY_BYTES = 100
    batch = [item(n) for n in range(20)]
    parsed = []
    monkeypatch.setattr(calls, "parse_bulk_submit", lambda body: parsed.append(body) or parse_bulk_submit(body))
    assert api.post(URL, batch, worker=worker).status == 403
    assert not parsed
    assert api.post(URL, batch, worker=submitter).content["created"] == 20


def test_recipes_are_bounded(api, submitter, item, settings):
    settings.MAX_RECIPE_BYTES = 10
    answer = api.post(URL, [item(1), item(2) | {"recipe": "x" * 11}], worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith("Item 1: recipe: must be at most 10 bytes")
    assert not Task.objects.exists()


def test_one_large_body_at_a_time(api, submitter, item, settings, monkeypatch):
    settings.MAX_BODY_BYTES = 100
    monkeypatch.setattr(body, "LARGE_PARSE_SECONDS", 0.01)
    batch = [item(n) for n in range(20)]
    with body._large_parse:
        answer = api.post(URL, batch, worker=submitter)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert api.post(URL, batch, worker=submitter).ok
