"""Error pages, whatever the request's headers say."""

import pytest
from django.test import Client
from django.test.client import RequestFactory

from tracker.api.errors import DatabaseAway
from webui.errors import error_response, to_login

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("method", "path"), [("get", "/projects/"), ("post", "/projects/new/"), ("get", "/nothing")])
def test_host_that_is_not_allowed(method, path):
    """After a click on a link, too, when the Referer names the host as well."""
    client = Client(raise_request_exception=False)
    headers = {"Host": "other.example", "Referer": "http://other.example/", "Accept": "text/html"}
    response = getattr(client, method)(path, headers=headers)
    assert response.status_code == 400
    assert "ALLOWED_HOSTS" in response.content.decode()


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example/"])
def test_page_before_is_on_this_site(path):
    request = RequestFactory().post("/projects/7/pause/", headers={"Referer": f"http://testserver{path}"})
    assert to_login(request)["Location"] == "/accounts/login/?next=%2Fprojects%2F"
    assert "evil" not in error_response(request, DatabaseAway()).content.decode()


def test_page_before():
    request = RequestFactory().post("/projects/7/pause/", headers={"Referer": "http://testserver/projects/7/?page=2#x"})
    assert to_login(request)["Location"] == "/accounts/login/?next=%2Fprojects%2F7%2F%3Fpage%3D2"
    assert 'href="/projects/7/?page=2"' in error_response(request, DatabaseAway()).content.decode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"&a" * 2000),
        ("multipart/form-data", b"x"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 2000 + b"--x--",
        ),
    ],
)
def test_form_that_is_not_read(client, content_type, body):
    response = client.post("/accounts/login/", body, content_type=content_type)
    assert response.status_code == 400
    assert "too many fields or files" in response.content.decode()
