"""Which requests are workers' calls, and what is remembered of them."""

import pytest

from tracker.front import calls
from tracker.front.calls import WorkerCalls
from workers import identity

HOST = (b"host", b"localhost")


def find(*headers, method=b"GET", address=b"/task/get/7"):
    size = sum(len(name) + len(value) for name, value in headers)
    return WorkerCalls(lambda steps, ended: None).find(method, address, list(headers), size)


def test_it_works():
    found = find(HOST, (b"x-worker-id", b"5"), (b"x-secret", b"s"), address=b"/api/task/get/7?count=3")
    assert found.route.arguments == {"project_id": 7}
    assert found.route.query == {"count": "3"}
    assert (found.heads.worker_id, found.heads.secret, found.heads.length) == ("5", "s", 0)


@pytest.mark.parametrize(
    "request_",
    [
        {"address": b"/nowhere"},
        {"address": b"/task/get/x"},
        {"address": b"/task/get/7?" + b"x" * 2_000},
        {"address": b"/task/get/%ff" + b"\xff"},
        {"method": b"POST"},
        {"method": b"HEAD"},
        {"headers": [(b"host", b"elsewhere.example")]},
        {"headers": [(b"host", b"x" * 300)]},
        {"headers": []},
        {"headers": [HOST, (b"transfer-encoding", b"chunked")]},
        {"headers": [HOST, (b"content-encoding", b"gzip")]},
        {"headers": [HOST, (b"expect", b"100-continue")]},
        {"headers": [HOST, (b"content-length", b"70000")]},
    ],
)
def test_what_django_answers(request_):
    headers = request_.pop("headers", [HOST])
    assert find(*headers, **request_) is None


def test_the_limit_of_bodies_is_read_at_each_request(settings):
    request_ = {"method": b"POST", "address": b"/task/release"}
    length = (b"content-length", b"5000")
    assert find(HOST, length, **request_) is not None
    settings.MAX_BODY_BYTES = 4_000
    assert find(HOST, length, **request_) is None


def test_only_small_heads_are_remembered():
    before = calls._remembered.cache_info().currsize
    for number in range(10):
        assert find(HOST, (b"x-padding", b"%d" % number * 3_000)) is not None
    assert calls._remembered.cache_info().currsize == before


def test_only_short_secrets_are_remembered():
    before = identity._digest.cache_info().currsize
    for number in range(10):
        assert identity.credentials("5", f"{number}" * 200).pk == 5
    assert identity._digest.cache_info().currsize == before
