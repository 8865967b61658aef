"""Reading the request body."""

import gzip
import zlib
from io import BytesIO

import pytest
from django.test import RequestFactory

from tests.client import Answer
from tracker.api.body import read_json
from tracker.api.errors import BadInput, TooLarge, UnsupportedMedia
from workers.models import Worker

URL = "/worker/create"
RAW = b'{"alias": "a"}'


def sent(raw=b"", **environ):
    """A request as a WSGI server passes it on; `environ` overrides its values."""
    length = {"CONTENT_LENGTH": str(len(raw))} if raw else {}
    return RequestFactory().generic("POST", "/", **length | {"wsgi.input": BytesIO(raw)} | environ)


def chunked(raw, **environ):
    return sent(raw, **{"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"} | environ)


class Broken:
    def read(self, size=-1):
        raise OSError("connection reset by peer")

    readline = read


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "text/plain; charset=latin-1",
        "application/octet-stream",
        "nonsense",
        "",
    ],
)
def test_it_works(api, content_type):
    answer = api.post(URL, {"alias": "Übung"}, content_type=content_type)
    assert answer.status == 200
    assert Worker.objects.get().alias == "Übung"


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"", b"null", b"{}", b" ", b"\r\n", b" null\n", b" {} "])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_empty_body_counts_as_an_empty_object(api, body, content_type):
    answer = api.post(URL, body, content_type=content_type)
    assert answer.status == 200
    assert Worker.objects.get().alias == "default_alias"


@pytest.mark.django_db
def test_empty_body_lacks_required_fields(api, worker):
    for body in (b"", b"null", b"{}"):
        answer = api.post("/project/request_access", body, worker=worker)
        assert answer.status == 400
        assert answer.message.startswith("project: ")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "project: is missing: the body is empty, send a JSON object."),
        (b" \n", "project: is missing: the body is empty, send a JSON object."),
        (b"null", "project: is missing: the body is null, send a JSON object."),
        (b"{}", "project: is missing."),
    ],
)
@pytest.mark.parametrize("path", ["/task/submit", "/task/exchange", "/project/request_access"])
def test_an_empty_body_is_told_as_such(both_doors, worker, path, body, told):
    answer = both_doors.post(path, body, worker=worker)
    assert (answer.status, answer.message) == (400, told)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not empty."),
        (b"null", "not null."),
        (b"{}", 'not an object without "requests".'),
        (b'{"requests": 5}', 'not 5 under "requests".'),
        (b'"x"', 'not the text "x".'),
    ],
)
def test_an_empty_bulk_is_told_as_such(both_doors, submitter, body, told):
    answer = both_doors.post("/task/bulk_submit", body, worker=submitter)
    assert answer.status == 400
    assert answer.message.endswith(told)


HALF = "half of a surrogate pair"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (gzip.compress(RAW, mtime=0), "compressed (gzip)"),
        (zlib.compress(RAW), "compressed (deflate)"),
        (RAW.decode().encode("utf-16"), "UTF-16"),
        (RAW.decode().encode("utf-16-le"), "UTF-16"),
        (RAW.decode().encode("utf-16-be"), "UTF-16"),
        (RAW.decode().encode("utf-32"), "UTF-16 or UTF-32"),
        (b"\xef\xbb\xbf" + RAW, "byte order mark"),
        (b'{"alias": "\xe9"}', "the byte 0xE9 at position 11"),
        (b'{"alias": "\xed\xa0\x80"}', "the byte 0xED"),
        (b"alias=a", "it is a form"),
        (b'{"alias": "\\ud800"}', HALF),
        (b'{"alias": "a\\udc00b"}', HALF),
        (b'{"alias": 1e400}', "alias: 1e400 is too large a number"),
        (b'{"alias": -1e400}', "alias: -1e400 is too large a number"),
        (b'{"alias": ' + b"9" * 400 + b"}", "alias: 99999999999999999999 is too large a number"),
        (b'{"alias": NaN}', "alias: NaN is not JSON"),
        (b'{"alias": -Infinity}', "alias: -Infinity is not JSON"),
        (b'[{"alias": "a"}, {"alias": "\\ud800"}]', "Item 1: alias: "),
        (b'["a", 1e400]', "Item 1: 1e400 is too large"),
        (b"1e400", "The body: 1e400 is too large"),
        (b'{"\\ud800": 1}', f'the key "\\ud800" holds {HALF}'),
        (b'{"alias": "a",}', "The body is not JSON: trailing comma"),
        (b"[" * 5000, "The body is not JSON: it is nested too deeply; send a flatter object (line 1 column "),
        (b'{"alias": 1e400, "x": "' + b"x" * 70_000 + b'"}', "a number is too large; send a smaller one (line 1"),
        (b'{"alias": "\\ud800", "x": "' + b"x" * 70_000 + b'"}', "send both halves, or the character in UTF-8 (line 1"),
    ],
)
def test_what_is_no_json_is_told_as_what_it_is(api, raw, told):
    answer = api.post(URL, raw)
    assert answer.status == 400
    assert told in answer.message
    assert not Worker.objects.exists()


@pytest.mark.django_db
def test_the_field_is_named_first(both_doors, submitter):
    raw = b'{"project": 1, "recipe": "\\udfff"}'
    answer = both_doors.post("/task/submit", raw, worker=submitter)
    assert (answer.status, answer.message[:8]) == (400, "recipe: ")


@pytest.mark.django_db
def test_unknown_keys_are_ignored(api):
    answer = api.post(URL, {"alias": "a", "paused": True, "id": 7, "": None, "secret_digest": "x"})
    assert answer.status == 200
    worker = Worker.objects.get()
    assert (worker.alias, worker.paused) == ("a", False)


@pytest.mark.django_db
def test_last_of_duplicate_keys_counts(api):
    assert api.post(URL, b'{"alias": "a", "alias": "b"}').content["worker"]["alias"] == "b"


@pytest.mark.django_db
def test_chunked(api):
    environ = {"wsgi.input": BytesIO(RAW), "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = Answer(api.client.generic("POST", URL, b"", **environ))
    assert answer.status == 200
    assert Worker.objects.get().alias == "a"


@pytest.mark.parametrize("encoding", ["chunked", "Chunked", "gzip, chunked"])
def test_reads_chunked(encoding):
    assert read_json(chunked(RAW, HTTP_TRANSFER_ENCODING=encoding), max_bytes=100) == {"alias": "a"}


def test_chunked_and_empty():
    assert read_json(chunked(b""), max_bytes=100) == {}


def test_maximum_size():
    for make in (sent, chunked):
        assert read_json(make(RAW), max_bytes=len(RAW)) == {"alias": "a"}
        with pytest.raises(TooLarge, match=f"{len(RAW) - 1} bytes"):
            read_json(make(RAW), max_bytes=len(RAW) - 1)


def test_large_body_is_refused_unread():
    stream = BytesIO(RAW)
    with pytest.raises(TooLarge):
        read_json(sent(RAW, **{"CONTENT_LENGTH": str(10**30), "wsgi.input": stream}), max_bytes=100)
    assert stream.tell() == 0


def test_chunked_body_is_read_no_further_than_needed():
    stream = BytesIO(b" " * 1000)
    with pytest.raises(TooLarge):
        read_json(chunked(b"", **{"wsgi.input": stream}), max_bytes=100)
    assert stream.tell() == 101


def test_reads_no_more_than_announced():
    assert read_json(sent(RAW + b"POST /next HTTP/1.1", CONTENT_LENGTH=str(len(RAW))), max_bytes=100) == {"alias": "a"}


def test_without_a_length_there_is_no_body():
    assert read_json(sent(RAW, CONTENT_LENGTH=""), max_bytes=100) == {}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
def test_compressed_body(encoding):
    with pytest.raises(UnsupportedMedia):
        read_json(sent(RAW, HTTP_CONTENT_ENCODING=encoding), max_bytes=100)


def test_64_bit_numbers_stay_exact():
    for number in (2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1):
        assert read_json(sent(b'{"n": %d}' % number), max_bytes=100) == {"n": number}


@pytest.mark.parametrize("length", ["15", "1000"])
def test_truncated_body(length):
    with pytest.raises(BadInput):
        read_json(sent(RAW[:-1], CONTENT_LENGTH=length), max_bytes=1000)


@pytest.mark.django_db
@pytest.mark.parametrize("raw", [b"", b"{}", RAW])
def test_body_shorter_than_announced(api, raw):
    answer = Answer(api.client.generic("POST", URL, b"", **{"wsgi.input": BytesIO(raw), "CONTENT_LENGTH": "900"}))
    assert answer.status == 400
    assert "announced" in answer.message
    assert not Worker.objects.exists()


@pytest.mark.django_db
def test_connection_lost_within_the_body(api):
    answer = Answer(api.client.generic("POST", URL, b"", **{"wsgi.input": Broken(), "CONTENT_LENGTH": "900"}))
    assert answer.status == 400
    assert "announced" in answer.message
    assert not Worker.objects.exists()


@pytest.mark.django_db
def test_connection_lost_within_a_chunked_body(api):
    environ = {"wsgi.input": Broken(), "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = Answer(api.client.generic("POST", URL, b"", **environ))
    assert answer.status == 400
    assert not Worker.objects.exists()
