"""POST /task/submit."""

import json
import math

import pytest

from projects.models import RateBucket
from tasks.models import Task
from tests.clock import now, seconds_since
from tests.factories import ProjectFactory, TaskFactory, grant

pytestmark = pytest.mark.django_db

URL = "/task/submit"


@pytest.fixture
def body(project):
    return {"project": project.pk, "recipe": "test recipe"}


@pytest.mark.parametrize("recipe", ["x" * 101, "€" * 34, "🚀" * 26])
def test_recipe_is_bounded(both_doors, submitter, body, settings, recipe):
    settings.MAX_RECIPE_BYTES = 100
    answer = both_doors.post(URL, body | {"recipe": recipe}, worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith("recipe: must be at most 100 bytes long in UTF-8, not 10")
    assert not Task.objects.exists()
    assert both_doors.post(URL, body | {"recipe": recipe[:-1]}, worker=submitter).ok


def test_it_works(api, submitter, project):
    answer = api.post(
        URL,
        {
            "project": project.pk,
            "max_retries": 3,
            "recipe": "test recipe",
            "priority": 1,
            "max_assign_time": 3600,
            "hash64": 0,
            "unique_string": "",
            "verification_count": 0,
        },
        worker=submitter,
    )
    assert answer.status == 200
    task = Task.objects.get(pk=answer.content["task"]["id"])
    assert (task.project, task.recipe, task.max_retries, task.priority) == (project, "test recipe", 3, 1)
    assert (task.max_assign_time, task.hash64, task.verification_count) == (3600, None, 0)
    assert (task.status, task.retries, task.assignee, task.voters, task.votes) == (1, 0, None, [], [])


def test_defaults(api, submitter, body):
    task = Task.objects.get(pk=api.post(URL, body, worker=submitter).content["task"]["id"])
    assert (task.priority, task.max_retries, task.max_assign_time, task.hash64, task.verification_count) == (
        *(0, 0, 0),
        *(None, 0),
    )


def test_api_prefix(api, submitter, body):
    assert api.post(f"/api{URL}", body, worker=submitter).status == 200


def test_unknown_keys_are_ignored(api, submitter, body):
    assert api.post(URL, body | {"colour": "green"}, worker=submitter).status == 200


def test_null_counts_as_absent(api, submitter, body):
    answer = api.post(URL, body | {"priority": None, "hash64": None, "unique_str": None}, worker=submitter)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("project", None, "is missing"),
        ("project", "1", "whole number"),
        ("project", 0, "whole number"),
        ("project", True, "not true"),
        ("project", 2**63, "whole number"),
        ("recipe", None, "is missing"),
        ("recipe", "", "must not be empty"),
        ("recipe", 5, "must be text"),
        ("recipe", "a\0b", "U+0000"),
        ("max_retries", -1, "whole number from 0"),
        ("max_retries", 2**31, "whole number from 0"),
        ("max_retries", 1.0, "whole number"),
        ("priority", 2**15, "from -32768 to 32767"),
        ("priority", -(2**15) - 1, "from -32768 to 32767"),
        ("priority", False, "not false"),
        ("priority", [1], "not an array"),
        ("max_assign_time", -1, "whole number from 0"),
        ("max_assign_time", {}, "not an object"),
        ("hash64", 2**64, "whole number"),
        ("hash64", -(2**63) - 1, "whole number"),
        ("hash64", "7", 'the text "7"'),
        ("hash64", False, "not false"),
        ("unique_string", 7, "must be text"),
        ("verification_count", -1, "whole number from 0"),
        ("verification_count", 2**15, "whole number from 0"),
    ],
)
def test_refuses_an_invalid_field(api, submitter, body, field, value, problem):
    # Written by hand, since orjson can't write some of these numbers.
    raw = "{" + ",".join(f'"{key}":{json.dumps(part)}' for key, part in (body | {field: value}).items()) + "}"
    answer = api.post(URL, raw.encode(), worker=submitter)
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert problem in answer.message
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (2**53 + 1, 2**53 + 1),
        (2**63 - 1, 2**63 - 1),
        (2**63, -(2**63)),
        (2**64 - 1, -1),
        (-(2**63), -(2**63)),
        (-1, -1),
    ],
)
@pytest.mark.parametrize("key", ["hash64", "hash_u64"])
def test_hash_takes_any_64_bits(api, submitter, body, key, sent, stored):
    answer = api.post(URL, body | {key: sent}, worker=submitter)
    assert Task.objects.get(pk=answer.content["task"]["id"]).hash64 == stored


def test_both_hash_keys_have_to_agree(api, submitter, body):
    assert api.post(URL, body | {"hash64": 7, "hash_u64": 7}, worker=submitter).status == 200
    # Go clients send the zero values of both.
    assert api.post(URL, body | {"hash64": 0, "hash_u64": 8}, worker=submitter).status == 200
    assert api.post(URL, body | {"hash64": 9, "hash_u64": 0}, worker=submitter).status == 200
    answer = api.post(URL, body | {"hash64": 10, "hash_u64": 11}, worker=submitter)
    assert answer.status == 400
    assert "hash_u64" in answer.message


def test_same_hash_is_a_conflict(api, submitter, body):
    first = api.post(URL, body | {"hash64": -1}, worker=submitter).content["task"]["id"]
    answer = api.post(URL, body | {"hash64": 2**64 - 1, "recipe": "another"}, worker=submitter)
    assert answer.status == 409
    assert answer.content["task"]["id"] == first
    assert Task.objects.get().recipe == "test recipe"


def test_hash_of_a_failed_task_is_still_taken(api, submitter, body, project):
    TaskFactory(project=project, hash64=5, status=Task.Status.FAILED)
    assert api.post(URL, body | {"hash64": 5}, worker=submitter).status == 409


def test_hash_counts_within_its_project(api, submitter, body):
    TaskFactory(hash64=5)
    assert api.post(URL, body | {"hash64": 5}, worker=submitter).status == 200


def test_zero_hash_is_none(api, submitter, body):
    for _ in range(2):
        assert api.post(URL, body | {"hash64": 0}, worker=submitter).status == 200


@pytest.mark.parametrize("key", ["unique_string", "unique_str"])
def test_unique_string_takes_the_place_of_the_hash(api, submitter, body, key):
    assert api.post(URL, body | {key: "only once"}, worker=submitter).status == 200
    assert Task.objects.get().hash64 is not None
    assert api.post(URL, body | {key: "only once"}, worker=submitter).status == 409
    assert api.post(URL, body | {key: "only twice"}, worker=submitter).status == 200


def test_hash_beside_unique_string_is_refused(api, submitter, body):
    answer = api.post(URL, body | {"hash64": 1, "unique_string": "x"}, worker=submitter)
    assert answer.status == 400
    assert "unique_string" in answer.message
    assert not Task.objects.exists()


def test_unknown_project(api, submitter, body):
    answer = api.post(URL, body | {"project": 10**9}, worker=submitter)
    assert answer.status == 404
    assert "rate_limit_delay" not in answer.json


def test_needs_identity(api, body, project):
    assert api.post(URL, body).status == 401
    assert not Task.objects.exists()


def test_paused_project_accepts_tasks(api, submitter, body, project):
    project.paused = True
    project.save()
    assert api.post(URL, body, worker=submitter).status == 200


def test_recipe_is_stored_as_sent(api, submitter, body):
    recipe = "  <b>Übung</b> \U0001f680\r\n\t'); DROP TABLE tasks_task; -- %s %(x)s  "
    api.post(URL, body | {"recipe": recipe}, worker=submitter)
    assert Task.objects.get().recipe == recipe


def test_rate_limit(api, worker):
    project = ProjectFactory(submit_rate=0.01)
    grant(worker, project, submit=True)
    body = {"project": project.pk, "recipe": "x"}
    began = now()
    assert api.post(URL, body, worker=worker).status == 200
    answer = api.post(URL, body, worker=worker)
    assert answer.status == 429
    assert 100 - seconds_since(began) < answer.json["rate_limit_delay"] <= 100
    assert answer.headers["Retry-After"] == str(math.ceil(answer.json["rate_limit_delay"]))
    assert Task.objects.count() == 1


def test_rate_limit_ends_after_the_announced_delay(api, worker):
    project = ProjectFactory(submit_rate=0.01)
    grant(worker, project, submit=True)
    body = {"project": project.pk, "recipe": "x"}
    api.post(URL, body, worker=worker)
    assert api.post(URL, body, worker=worker).status == 429
    # As if the announced time had passed.
    RateBucket.objects.update(next_at="2020-01-01T00:00:00Z")
    assert api.post(URL, body, worker=worker).status == 200


def test_duplicate_costs_no_token(api, worker):
    project = ProjectFactory(submit_rate=0.01)
    grant(worker, project, submit=True)
    TaskFactory(project=project, hash64=7)
    body = {"project": project.pk, "recipe": "x"}
    for _ in range(2):
        assert api.post(URL, body | {"hash64": 7}, worker=worker).status == 409
    assert api.post(URL, body, worker=worker).status == 200


def test_rate_limits_of_projects_are_independent(api, worker):
    slow, free = ProjectFactory(submit_rate=0.01), ProjectFactory()
    for project in (slow, free):
        grant(worker, project, submit=True)
    api.post(URL, {"project": slow.pk, "recipe": "x"}, worker=worker)
    assert api.post(URL, {"project": slow.pk, "recipe": "x"}, worker=worker).status == 429
    for _ in range(3):
        assert api.post(URL, {"project": free.pk, "recipe": "x"}, worker=worker).status == 200
