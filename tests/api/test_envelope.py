"""Every response has the envelope, whatever goes wrong."""

import logging

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError

from tests.client import Answer, Api
from tests.factories import ProjectFactory, TaskFactory
from workers.models import Worker
from workers.views import CreateWorkerView

pytestmark = pytest.mark.django_db

CREATE = "/worker/create"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_it_works(api):
    answer = api.post(CREATE, {"alias": "a"})
    assert answer.status == 200
    assert set(answer.json) == {"ok", "content"}
    assert answer.response.content.endswith(b"}\n")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"alias": "a"',
        b"{'alias': 'a'}",
        b'{"alias": "a"}}',
        b'{"alias": NaN}',
        b"alias=a",
        b"\xff",
        b'{"alias": "\xc3"}',
        b'{"alias": "\\ud800"}',
        b'{"alias": "a\0b"}',
        b"\0",
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_body_that_is_not_json(api, body):
    answer = api.post(CREATE, body)
    assert answer.status == 400
    assert "not JSON" in answer.message
    assert not Worker.objects.exists()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"[]", "an array"),
        (b"[{}]", "an array"),
        (b'"text"', 'the text "text"'),
        (b"5", "5"),
        (b"0", "0"),
        (b"1.5", "1.5"),
        (b"true", "true"),
        (b"false", "false"),
        (b'""', "the text"),
    ],
)
def test_body_that_is_not_an_object(api, body, shown):
    answer = api.post(CREATE, body)
    assert answer.status == 400
    assert "must be a JSON object" in answer.message
    assert shown in answer.message
    assert not Worker.objects.exists()


def test_nul_in_a_text(api):
    answer = api.post(CREATE, {"alias": "a\0b"})
    assert answer.status == 400
    assert answer.message.startswith("alias: ")
    assert not Worker.objects.exists()


def test_missing_credentials(api):
    answer = api.post("/worker/update", {"alias": "a"})
    assert answer.status == 401
    assert "X-Worker-ID" in answer.message
    assert "X-Secret" in answer.message


def test_credentials_are_checked_before_the_body(api):
    assert api.post("/task/submit", b"{").status == 401


def test_forbidden(api, worker, project):
    answer = api.post("/task/submit", {"project": project.pk, "recipe": "x"}, worker=worker)
    assert answer.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/nothing/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/nothing/",
        "/api/api/worker/create",
        "/worker/create/",
        "/api/worker/create/",
        "/Worker/create",
        "/worker",
        "/worker/get",
        "/worker/get/",
        "/task/get/1/",
        "/log/fatal",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_unknown_path(api, method, path):
    answer = getattr(api, method)(path)
    assert answer.status == 404
    assert "no slash" in answer.message


@pytest.mark.parametrize("path", ["/worker//create", "/task//submit", "/api//task/get/1", "/worker//"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_doubled_slash(both_doors, method, path):
    answer = getattr(both_doors, method)(path)
    assert answer.status == 404
    assert "doubled slash" in answer.message


def test_address_joined_to_a_base_with_a_slash(api):
    # As the server passes it on: the test client would take what follows for a host.
    answer = Answer(api.client.generic("POST", "/", b"{}", PATH_INFO="//worker/create"))
    assert answer.status == 404
    assert "doubled slash" in answer.message


WRONG_IDS = ["one", "-1", "+1", "1.0", "1e3", ":project", "%D9%A1", "1%00", "1%0A", "%201", "null", "0x1"]
WITH_IDS = [
    *("get /task/get/{}", "get /worker/get/{}", "get /project/get/{}", "post /project/update/{}"),
    *("get /project/monitoring/{}", "get /project/monitoring-between/{}", "get /project/assignees/{}"),
    *("get /project/access_list/{}", "get /project/secret/{}", "post /project/webhook_secret/{}"),
    *("post /project/accept_request/{}/1", "post /project/reject_request/1/{}", "post /project/hard_reset/{}"),
    *("post /project/reset_failed_tasks/{}", "post /project/reclaim_assigned_tasks/{}"),
    *("get /manager/list_for_project/{}", "post /manager/promote/{}", "post /manager/set_role_for_project/{}"),
]


@pytest.mark.parametrize("number", WRONG_IDS)
def test_id_that_is_no_number(both_doors, worker, number):
    for path in (f"/task/get/{number}", f"/api/task/get/{number}", f"/worker/get/{number}"):
        answer = both_doors.get(path, worker=worker)
        assert answer.status == 400
        assert "whole number" in answer.message


@pytest.mark.parametrize("call", WITH_IDS)
def test_every_address_says_what_its_id_has_to_be(both_doors, call):
    method, path = call.split()
    answer = getattr(both_doors, method)(path.format("abc"))
    assert answer.status == 400
    name = answer.message.partition(":")[0]
    assert name in ("project", "worker", "manager")
    assert answer.message == f'{name}: the address must have a {name}\'s id here, a whole number, not "abc".'


def test_a_wrong_method_is_told_before_a_wrong_id(api):
    assert api.post("/task/get/abc").status == 405


@pytest.mark.parametrize("path", ["/worker/get/{}", "/project/get/{}", "/api/worker/get/{}"])
@pytest.mark.parametrize(
    "number",
    [
        *("0", str(2**63 - 1), str(2**63), "9" * 19, "9" * 20, "0" * 20 + "1"),
        pytest.param("9" * 5000, id="5000 digits"),
    ],
)
def test_id_that_is_too_large(api, path, number):
    answer = api.get(path.format(number))
    assert answer.status == 404
    assert answer.message.startswith("There is no ")
    assert len(answer.message) < 100


@pytest.mark.parametrize("number", ["9223372036854775807", "9223372036854775808", "99999999999999999999"])
def test_project_id_that_is_too_large_for_a_worker(api, worker, number):
    assert api.get(f"/task/get/{number}", worker=worker).status == 404


GETS = ["/task/get/1", "/worker/get/1", "/worker/stats", "/project/get/1", "/project/list", "/api/project/list"]
POSTS = [
    *("/task/submit", "/task/bulk_submit", "/task/release", "/project/request_access", "/api/worker/create"),
    *("/worker/create", "/worker/update", "/worker/rotate_secret", "/log/info", "/logs"),
]


@pytest.mark.parametrize("path", POSTS)
def test_get_of_a_post_endpoint(api, worker, path):
    answer = api.get(path, worker=worker)
    assert answer.status == 405
    assert answer.message == "GET is not allowed here; use POST."
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", GETS)
def test_post_to_a_get_endpoint(api, worker, path):
    answer = api.post(path, {}, worker=worker)
    assert answer.status == 405
    assert answer.message == "POST is not allowed here; use GET."
    assert answer.headers["Allow"] == ("GET" if path.startswith("/task/get/") else "GET, HEAD")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/worker/create", "/project/list", "/logs"])
def test_other_methods(api, method, path):
    answer = Answer(api.client.generic(method, path))
    assert answer.status == 405
    assert answer.message.startswith(f"{method} is not allowed")
    assert answer.headers["Allow"] in ("GET, HEAD", "POST")
    assert not Worker.objects.exists()


HEADS = ["/project/list", "/worker/stats", "/project/get/{}", "/worker/get/{}", "/project/monitoring/{}", "/account"]


@pytest.mark.parametrize("path", [*HEADS, "/project/assignees/{}", "/api/project/list", "/api/schema", "/api/docs"])
def test_head(api, worker, project, path):
    path = path.format(worker.worker.pk if path.startswith("/worker/get") else project.pk)
    response, same = api.client.head(path), api.client.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, same["Content-Type"])
    assert response.content == b""


def test_head_tells_what_get_would(api):
    assert api.client.head("/project/get/1").status_code == 404
    assert api.client.head("/project/get/abc").status_code == 400
    assert api.client.head("/manager/list").status_code == 401


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/worker/create", "POST"), ("/logs", "POST"), ("/logout", "GET, POST"), ("/task/get", "GET"), ("/login", "POST")],
)
def test_head_of_what_has_an_effect(api, path, allowed):
    response = api.client.head(path)
    assert response.status_code == 405
    assert response["Allow"] == allowed
    assert response["Content-Type"] == "application/json"
    assert response.content == b""


def test_head_does_not_log_out(api, manager):
    api.login(manager).client.head("/logout")
    assert api.get("/account").ok


@pytest.mark.parametrize("method", ["head", "options"])
def test_only_get_leases(api, worker, project, method):
    task = TaskFactory(project=project)
    headers = {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}
    response = getattr(api.client, method)(f"/task/get/{project.pk}", headers=headers)
    assert response.status_code == 405
    assert response["Allow"] == "GET"
    task.refresh_from_db()
    assert (task.assignee, task.lease) == (None, None)


def test_body_that_is_too_large(api, monkeypatch):
    monkeypatch.setattr(CreateWorkerView, "max_body_bytes", 20)
    assert api.post(CREATE, b'{"alias": "1234567"}').status == 200
    answer = api.post(CREATE, b'{"alias": "12345678"}')
    assert answer.status == 413
    assert "20 bytes" in answer.message
    assert Worker.objects.get().alias == "1234567"


def test_content_encoding(api):
    answer = api.post(CREATE, b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert "Content-Encoding" in answer.message
    assert not Worker.objects.exists()


@pytest.mark.parametrize(
    "encoding",
    [
        "identity",
        pytest.param("Identity"),
    ],
)
def test_content_encoding_identity(api, encoding):
    assert api.post(CREATE, {"alias": "a"}, headers={"Content-Encoding": encoding}).status == 200


@pytest.fixture
def faulty(monkeypatch):
    """Makes /worker/create raise an error."""

    def fail_with(error):
        def create_worker(**_):
            raise error

        monkeypatch.setattr("workers.services.create_worker", create_worker)

    return fail_with


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", [CREATE, f"/api{CREATE}"])
def test_internal_error(api, faulty, settings, caplog, debug, path):
    settings.DEBUG = debug
    faulty(ZeroDivisionError("the gory detail"))
    answer = api.post(path, {"alias": "a"})
    assert answer.status == 500
    assert set(answer.json) == {"ok", "message"}
    for telltale in ("gory", "Traceback", "ZeroDivisionError", "create_worker"):
        assert telltale not in answer.message
    (record,) = [one for one in caplog.records if one.name == "tracker.api"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"Unexpected error in POST {path}"
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_internal_error_outside_of_a_view(monkeypatch, caplog):
    def process_request(self, request):
        raise ZeroDivisionError("the gory detail")

    monkeypatch.setattr(SessionMiddleware, "process_request", process_request)
    answer = Api(raise_request_exception=False).get("/project/list")
    assert answer.status == 500
    assert "gory" not in answer.message
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_database_does_not_answer(api, faulty, caplog, error):
    faulty(error('connection to server on socket "/secret/place" failed\n\tIs the server running?'))
    answer = api.post(CREATE, {"alias": "a"})
    assert answer.status == 503
    assert "try again" in answer.message
    assert "/secret/place" not in answer.message
    assert answer.headers["Retry-After"] == "1"
    (record,) = [one for one in caplog.records if one.name == "tracker.api"]
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()


def test_database_does_not_answer_while_the_session_is_read(api, manager, monkeypatch):
    api.login(manager)

    def load(self):
        raise OperationalError("gone")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", load)
    assert api.get("/project/list").status == 503


@pytest.mark.parametrize("path", ["/", "/project/list", "/nothing"])
def test_host_that_is_not_allowed(api, path):
    answer = api.get(path, headers={"Host": "evil.example"})
    assert answer.status == 400
    assert "ALLOWED_HOSTS" in answer.message


def test_browser_gets_a_page(api):
    response = api.client.get("/nothing", headers=BROWSER)
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    assert b"<html" in response.content.lower()


def test_api_answers_browsers_in_json(api):
    assert api.get("/worker/get/999", headers=BROWSER).status == 404


def test_text_is_returned_unchanged(api, tracker_admin):
    name, text = 'Übung \U0001f680 <b> " \\ ｈ₂o', 'Übung \U0001f680 <b> \u2028 \x7f " \\ \n \x1b \u202e'
    answer = api.post(CREATE, {"alias": name})
    assert answer.content["worker"]["alias"] == name
    assert Worker.objects.get().alias == name
    project = api.login(tracker_admin).post("/project/create", {"name": name, "motd": text}).content["id"]
    content = api.get(f"/project/get/{project}").content
    assert (content["name"], content["motd"]) == (name, text)


def test_numbers_beyond_2_53_stay_exact(api):
    number = 2**53 + 1
    ProjectFactory(pk=number)
    assert api.get(f"/project/get/{number}").content["id"] == number
