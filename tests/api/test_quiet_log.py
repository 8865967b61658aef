"""What strangers send wrong is answered, and leaves nothing in the server's log: they could fill it."""

import logging
import logging.config
from io import BytesIO

import pytest
from django.conf import settings
from django.test import Client

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"


class Broken(BytesIO):
    def read(self, *_size):
        raise OSError("connection reset by peer")

    readline = read


def posted(client, body, path="/accounts/login/", content_type=FORM, **environ):
    return client.generic("POST", path, body, content_type=content_type, **environ)


REQUESTS = {
    "an unknown host": lambda client: client.get("/projects/", headers={"Host": "evil.example"}),
    "an unknown host for the API": lambda client: client.get("/project/list", headers={"Host": "evil.example"}),
    "no host name": lambda client: client.get("/projects/", headers={"Host": "a b"}),
    "too many fields": lambda client: posted(client, b"&a" * 2000),
    "too many fields in the address": lambda client: client.get("/accounts/login/?" + "&a" * 2000),
    "too many parameters of the API": lambda client: client.get("/project/list?" + "&a" * 2000),
    "no form": lambda client: posted(client, b"x", content_type="multipart/form-data"),
    "no token": lambda client: posted(client, b"a=b"),
    "another charset": lambda client: posted(client, b"a=b", content_type=f"{FORM}; charset=utf-7"),
    "a broken connection": lambda client: posted(client, b"", CONTENT_LENGTH="10", **{"wsgi.input": Broken()}),
    "a forged session": lambda client: client.get("/projects/", headers={"Cookie": "sessionid=x; messages=y"}),
    "a long language": lambda client: client.get("/projects/", headers={"Accept-Language": "x" * 5000}),
    "nothing there": lambda client: client.get("/nothing/"),
    "a wrong method": lambda client: client.put("/logs/"),
    "a NUL": lambda client: client.get("/projects/%00/"),
    "no UTF-8": lambda client: client.get("/projects/%ff/?q=%ff"),
    "no file": lambda client: client.get("/static/../../etc/passwd"),
}


@pytest.fixture
def logged():
    """The records that the handlers of settings.LOGGING get."""
    logging.config.dictConfig(settings.LOGGING)
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    root = logging.getLogger()
    root.addHandler(handler)
    yield records
    root.removeHandler(handler)


@pytest.mark.parametrize("what", REQUESTS)
def test_it_works(what, logged):
    REQUESTS[what](Client(enforce_csrf_checks=True, raise_request_exception=False))
    assert [record.getMessage() for record in logged] == []


def test_own_errors_are_logged(logged, monkeypatch):
    def fails(*_arguments):
        raise RuntimeError("broken")

    monkeypatch.setattr("webui.pages.workers.queries.worker_stats", fails)
    assert Client(raise_request_exception=False).get("/workers/").status_code == 500
    assert any("broken" in str(record.exc_info) or "Internal" in record.getMessage() for record in logged)
