"""Workers' calls take the short way, past sessions and languages."""

import pytest
from django.urls import get_resolver

from tests.factories import TaskFactory
from tests.flows.test_permission_table import TABLE, WORKERS, api_addresses, shape
from tracker.worker_urls import calls

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_nothing_but_the_worker_is_looked_at(api, project, worker, prefix, django_assert_num_queries):
    TaskFactory(project=project)
    api.client.cookies["sessionid"] = "a" * 32
    api.client.cookies["django_language"] = "fr"
    with django_assert_num_queries(1):
        answer = api.get(f"{prefix}/task/get/{project.pk}", worker=worker)
    assert answer.ok
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == str(len(answer.response.content))
    assert not {"Vary", "Content-Language", "Set-Cookie"} & set(answer.headers)


def test_a_host_that_is_not_ours(api, project, worker):
    assert api.get(f"/task/get/{project.pk}", worker=worker, headers={"Host": "evil.example"}).status == 400


def test_an_unforeseen_error_is_told_as_ever(api, project, worker, monkeypatch):
    monkeypatch.setattr("tasks.queue.lease_many", lambda **_: 1 / 0)
    answer = api.get(f"/task/get/{project.pk}", worker=worker)
    assert answer.status == 500
    assert "log" in answer.message


def test_its_addresses_are_among_all_and_take_no_session():
    short = {shape(str(call.pattern)) for call in calls}
    assert short <= {shape(address) for address in api_addresses()}
    # Whoever else gets through is nobody in particular: none of them asks who is logged in.
    for address, _, _, expected in TABLE:
        if shape(address) in short:
            assert expected is not None
            allowed = expected["private"] if isinstance(expected, dict) else expected
            assert allowed <= set(WORKERS) or "nobody" in allowed, address


def test_the_long_way_has_them_too():
    for call in calls:
        address = "/" + str(call.pattern).replace("<id:project_id>", "1").replace("<id:worker_id>", "1")
        assert get_resolver().resolve(address).func.view_class is call.callback.view_class
