"""The shortcut for workers' calls, past sessions and languages."""

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory
from django.urls import get_resolver

from tasks import queue
from tests.factories import TaskFactory
from tests.flows.test_permission_table import TABLE, WORKERS, api_addresses, shape
from tracker.api.shortcut import WorkersFirst
from tracker.worker_urls import calls

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_one_query_and_no_session_or_language(api, project, worker, prefix, django_assert_num_queries):
    TaskFactory(project=project)
    api.client.cookies["sessionid"] = "a" * 32
    api.client.cookies["django_language"] = "fr"
    with django_assert_num_queries(1):
        answer = api.get(f"{prefix}/task/get/{project.pk}", worker=worker)
    assert answer.ok
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == str(len(answer.response.content))
    assert not {"Vary", "Content-Language", "Set-Cookie"} & set(answer.headers)


def test_host_that_is_not_allowed(api, project, worker):
    assert api.get(f"/task/get/{project.pk}", worker=worker, headers={"Host": "evil.example"}).status == 400


class FromOutside:
    """Calls the WSGI application, as the web server does."""

    def __init__(self):
        self.application = WorkersFirst(get_wsgi_application())

    def __call__(self, method, path, body=b"", headers=None):
        environ = RequestFactory(headers=headers).generic(method, path, body).environ
        answered = []
        parts = self.application(environ, lambda status, headers: answered.extend([status, headers]))
        status, headers = answered
        text = b"".join(parts)
        getattr(parts, "close", lambda: None)()
        return status, dict(headers), text


@pytest.fixture
def outside():
    return FromOutside()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/task/get/{project}", b"", "200 OK"),
        ("GET", "/api/task/get/{project}?count=3", b"", "200 OK"),
        ("GET", "/task/get/999999", b"", "404 Not Found"),
        ("GET", "/task/get/{project}/", b"", "404 Not Found"),
        ("HEAD", "/task/get/{project}", b"", "405 Method Not Allowed"),
        ("POST", "/task/release", b"{", "400 Bad Request"),
        ("POST", "/task/release", b'{"task_id": 1, "result": 0}', "200 OK"),
        ("GET", "/", b"", "200 OK"),
    ],
)
def test_wsgi_shortcut_responds_like_the_middleware(outside, api, project, worker, method, path, body, status):
    path, headers = path.format(project=project.pk), {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
    response = outside(method, path, body, headers)
    assert response[0] == status
    inside = api.client.generic(method, path, body, headers=headers)
    assert f"{inside.status_code} {inside.reason_phrase}" == status
    assert {name for name, _ in inside.items()} == set(response[1])
    if status != "200 OK":
        assert inside.content == response[2]


def test_wsgi_shortcut_with_a_host_that_is_not_allowed(outside, project, worker):
    headers = {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret, "Host": "evil.example"}
    status, _, body = outside("GET", f"/task/get/{project.pk}", headers=headers)
    assert status == "400 Bad Request"
    assert b'"ok":false' in body


def test_wsgi_shortcut_with_an_internal_error(outside, project, worker, monkeypatch):
    monkeypatch.setattr(queue.lease_many, "steps", lambda **_: 1 / 0)
    headers = {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
    status, _, body = outside("GET", f"/task/get/{project.pk}", headers=headers)
    assert status == "500 Internal Server Error"
    assert b"log" in body


def test_internal_error(api, project, worker, monkeypatch):
    monkeypatch.setattr(queue.lease_many, "steps", lambda **_: 1 / 0)
    answer = api.get(f"/task/get/{project.pk}", worker=worker)
    assert answer.status == 500
    assert "log" in answer.message


def test_shortcut_paths_are_api_paths_and_need_no_session():
    short = {shape(str(call.pattern)) for call in calls}
    assert short <= {shape(address) for address in api_addresses()}
    # A call that not only workers may make must be open to everybody: the shortcut doesn't know who is logged in.
    for address, _, _, expected in TABLE:
        if shape(address) in short:
            assert expected is not None
            allowed = expected["private"] if isinstance(expected, dict) else expected
            assert allowed <= set(WORKERS) or "nobody" in allowed, address


def test_django_has_the_shortcut_paths_too():
    for call in calls:
        address = "/" + str(call.pattern).replace("<id:project_id>", "1").replace("<id:worker_id>", "1")
        assert get_resolver().resolve(address).func.view_class is call.callback.view_class
