"""GET /."""

import pytest

from tests.client import Answer
from tracker import __version__

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def test_it_works(api):
    answer = api.get("/")
    assert answer.status == 200
    assert answer.json == {"ok": True, "content": {"name": "task_tracker", "version": __version__}}


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/plain", ""])
def test_programs(api, accept):
    answer = api.get("/", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.content["name"] == "task_tracker"


@pytest.mark.parametrize("accept", [CHROME, "text/html"])
def test_browsers_are_redirected_to_the_pages(api, accept):
    response = api.client.get("/", headers={"Accept": accept})
    assert response.status_code == 302
    assert response["Location"] == "/projects/"


@pytest.mark.parametrize("accept", [CHROME, "*/*"])
def test_responses_vary_on_accept(api, accept):
    assert "Accept" in api.client.get("/", headers={"Accept": accept})["Vary"]


def test_head(api):
    response = api.client.head("/")
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(api, method):
    answer = Answer(api.client.generic(method, "/"))
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_it_needs_no_database(api):
    # No django_db mark: a query would fail this test.
    assert api.get("/", headers={"X-Worker-ID": "1", "X-Secret": "x"}).status == 200
