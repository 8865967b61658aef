import json
import socket

import pytest

from benchmarks.client import SCRIPTS, Connection, Job, LoadError, Reply, task_ids

PROJECT = b'{"id":7,"priority":0,"name":"x"}'
TASK = b'{"id":%d,"priority":0,"recipe":"x","lease":"a","project":%s}'


def answer(body: bytes, *, status: bytes = b"200 OK", length: bytes = b"Content-Length") -> bytes:
    return b"HTTP/1.1 %s\r\nServer: x\r\n%s: %d\r\nX: y\r\n\r\n%s" % (status, length, len(body), body)


def tasks(*ids: int) -> bytes:
    return b",".join(TASK % (task_id, PROJECT) for task_id in ids)


def test_it_works() -> None:
    assert Reply().feed(answer(b'{"ok":true}')) == b'{"ok":true}'


@pytest.mark.parametrize("step", [1, 7, 50])
def test_response_in_parts_is_returned_once_it_is_complete(step: int) -> None:
    whole = answer(b'{"ok":true}', length=b"content-length")
    reply = Reply()
    parts = [whole[start : start + step] for start in range(0, len(whole), step)]
    assert [reply.feed(part) for part in parts] == [None] * (len(parts) - 1) + [b'{"ok":true}']


def test_empty_body_is_complete_with_the_head() -> None:
    assert Reply().feed(answer(b"")) == b""


def test_a_reply_has_the_status_and_the_head() -> None:
    reply = Reply()
    assert reply.feed(answer(b'{"ok":false}', status=b"429 Too Many Requests")) == b'{"ok":false}'
    assert reply.status == 429
    assert reply.head.endswith(b"\r\nX: y\r\n\r\n")


def test_any_other_status_stops_the_load() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        job = Job("127.0.0.1", server.getsockname()[1], script="submit", project=7, workers=[(5, "s")], seconds=1)
        connection = Connection(job, (5, "s"))
        connection.send()
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(answer(b'{"ok":false}', status=b"429 Too Many Requests"))
            with pytest.raises(LoadError, match=r'429: \{"ok":false\}'):
                connection.receive()
        connection.close()


def test_a_connection_closed_in_the_middle_stops_the_load() -> None:
    reply = Reply()
    assert reply.feed(answer(b'{"ok":true}')[:-3]) is None
    with pytest.raises(LoadError, match="in the middle"):
        reply.feed(b"")


def test_a_response_of_unknown_length_stops_the_load() -> None:
    with pytest.raises(LoadError, match="without Content-Length"):
        Reply().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_id_of_one_task_is_read_but_not_its_projects() -> None:
    assert task_ids(b'{"ok":true,"content":{"task":%s}}' % tasks(12)) == [b"12"]


def test_the_ids_of_many_tasks_are_read() -> None:
    body = b'{"ok":true,"content":{"tasks":[%s]}}' % tasks(12, 2**53 + 1, 14)
    assert task_ids(body) == [b"12", b"9007199254740993", b"14"]


def test_an_empty_queue_stops_the_load() -> None:
    with pytest.raises(LoadError, match="No task available"):
        task_ids(b'{"ok":false,"message":"No task available"}')


def scripted(script: str, *answers: bytes, size: int = 1) -> tuple[Connection, list[bytes]]:
    """The connection after these responses, and the requests that it has made."""
    job = Job(host="h", port=1, script=script, project=7, workers=[(5, "s")], seconds=1, size=size)
    connection = Connection(job, (5, "s"))
    requests = [connection.request]
    for one in answers:
        connection.take(one)
        requests.append(connection.request)
    return connection, requests


def body_of(request: bytes) -> object:
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    return json.loads(body)


def test_a_lease_is_followed_by_its_release() -> None:
    leased = b'{"ok":true,"content":{"task":%s}}' % tasks(12)
    connection, requests = scripted("lease_release", leased, b'{"ok":true,"content":{"updated":true}}')
    assert requests[0].startswith(b"GET /task/get/7 HTTP/1.1\r\n")
    assert b"X-Worker-ID: 5\r\nX-Secret: s\r\n" in requests[0]
    assert body_of(requests[1]) == {"task_id": 12, "result": 0, "verification": 1}
    assert requests[2] == requests[0]
    assert connection.done == 1


def test_a_release_that_closed_nothing_does_not_count() -> None:
    leased = b'{"ok":true,"content":{"task":%s}}' % tasks(12)
    connection, _ = scripted("lease_release", leased, b'{"ok":true,"content":{"updated":false}}')
    assert connection.done == 0


def test_a_batch_counts_what_was_closed() -> None:
    leased = b'{"ok":true,"content":{"tasks":[%s]}}' % tasks(12, 13)
    released = b'{"ok":true,"content":{"results":[{"ok":true,"updated":true},{"ok":true,"updated":false}]}}'
    connection, requests = scripted("batch", leased, released, size=2)
    assert requests[0].startswith(b"GET /task/get/7?count=2 HTTP/1.1\r\n")
    assert body_of(requests[1]) == {
        "releases": [{"task_id": task_id, "result": 0, "verification": 1} for task_id in (12, 13)]
    }
    assert connection.done == 1


def test_an_exchange_releases_what_the_last_one_leased() -> None:
    first = b'{"ok":true,"content":{"results":[],"tasks":[%s]}}' % tasks(12)
    second = b'{"ok":true,"content":{"results":[{"id":12,"ok":true,"updated":true}],"tasks":[%s]}}' % tasks(13)
    connection, requests = scripted("exchange", first, second)
    assert body_of(requests[0]) == {"project": 7, "count": 1, "releases": []}
    assert [body_of(request)["releases"][0]["task_id"] for request in requests[1:]] == [12, 13]  # type: ignore[index]
    assert connection.done == 1


def test_a_bulk_submit_counts_what_was_created() -> None:
    connection, requests = scripted("bulk_submit", b'{"ok":true,"content":{"created":3,"duplicates":0}}', size=3)
    assert len(body_of(requests[0])) == 3  # type: ignore[arg-type]
    assert connection.done == 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_begins_with_a_request(script: str) -> None:
    _, requests = scripted(script)
    assert requests[0].split(b" ")[0] in (b"GET", b"POST")
