"""Refusals of the wire contract that belong to no single call."""

import gzip

import orjson
import pytest

from tests.api.test_envelope import WITH_IDS
from tests.factories import ProjectFactory
from tests.projects.test_webhooks import GITHUB, SECRET, URL, github
from workers.models import Worker

CALLS = [
    "/task/submit",
    "/task/bulk_submit",
    "/task/release",
    "/task/bulk_release",
    "/task/heartbeat",
    "/task/exchange",
    "/log/info",
    "/log/bulk",
]
WORKERS = [*CALLS, "/worker/update", "/project/request_access"]


@pytest.mark.parametrize("path", WORKERS)
def test_it_works(both_doors, worker, path):
    """Compressed bodies are refused with 415, at both doors."""
    answer = both_doors.post(path, gzip.compress(b"{}"), worker=worker, headers={"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert "plain JSON" in answer.message


@pytest.mark.parametrize("path", WORKERS)
def test_too_large(both_doors, submitter, path, settings):
    is_bulk = path in ("/task/bulk_submit", "/task/bulk_release", "/task/exchange", "/log/bulk")
    most = settings.MAX_BULK_BODY_BYTES if is_bulk else settings.MAX_BODY_BYTES
    answer = both_doors.post(path, b" " * (most + 1), worker=submitter)
    assert answer.status == 413
    assert f"{most} bytes" in answer.message


@pytest.mark.parametrize("path", WORKERS)
@pytest.mark.parametrize("body", [b"[[]]", b'"text"', b"5", b"true", b"1.5"])
def test_neither_an_object_nor_an_array(both_doors, submitter, path, body):
    answer = both_doors.post(path, body, worker=submitter)
    assert answer.status == 400
    assert "must be" in answer.message


@pytest.mark.django_db
def test_a_webhook_that_is_too_large(api, settings):
    project = ProjectFactory(git_repo="octocat/Hello-World", webhook_secret=SECRET, version="old")
    raw = orjson.dumps(GITHUB).ljust(settings.MAX_WEBHOOK_BODY_BYTES + 1)
    assert api.post(URL, raw, headers=github(raw)).status == 413
    raw = raw[:-1]
    assert api.post(URL, gzip.compress(raw), headers=github(raw) | {"Content-Encoding": "gzip"}).status == 415
    project.refresh_from_db()
    assert project.version == "old"
    assert api.post(URL, raw, headers=github(raw)).content == {"updated_projects": 1}


@pytest.mark.parametrize("call", [call for call in WITH_IDS if " /project/" in call or "project/{}" in call])
def test_a_hidden_project_is_answered_as_none(api, manager, worker, call):
    """Nothing tells a manager without READ, and a visitor, that there is one."""
    method, path = call.split()
    hidden = ProjectFactory(secluded=True)
    there, nowhere = path.replace("/1/", f"/{hidden.pk}/"), path.replace("/1/", f"/{hidden.pk + 1}/")
    if "/{}/1" in path or "/1/{}" not in path:
        there, nowhere = there.format(hidden.pk), nowhere.format(hidden.pk + 1)
    else:
        there, nowhere = there.format(worker.worker.pk), nowhere.format(worker.worker.pk)
    for log_in in (lambda: None, lambda: api.login(manager)):
        log_in()
        answer, none = (
            getattr(api, method)(one + ("?from=1&to=2" if "between" in one else "")) for one in (there, nowhere)
        )
        assert answer.status == none.status
        assert answer.status in (401, 404)
        assert answer.message.replace(str(hidden.pk), "N") == none.message.replace(str(hidden.pk + 1), "N")


def test_nothing_was_stored(both_doors, worker):
    stored = Worker.objects.values().get()
    for path in WORKERS:
        for body in (b"\xff", b"[", b"7"):
            assert both_doors.post(path, body, worker=worker).status == 400
    assert Worker.objects.values().get() == stored
