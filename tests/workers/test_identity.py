"""X-Worker-ID and X-Secret."""

from contextlib import closing, suppress
from types import SimpleNamespace

import psycopg2
import pytest
from django.db import OperationalError, connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from tests.client import Api
from tracker import db
from workers import identity
from workers.models import Worker
from workers.services import Registration, digest

pytestmark = pytest.mark.django_db

URL = "/worker/update"


def sent(api, headers):
    return api.post(URL, {"alias": "seen"}, headers=headers)


def test_it_works(api, worker):
    assert sent(api, {"X-Worker-ID": str(worker.worker.pk), "X-Secret": worker.secret}).status == 200
    assert Worker.objects.get().alias == "seen"


@pytest.mark.parametrize(
    ("id_header", "secret_header"),
    [
        ("x-worker-id", "x-secret"),
        ("X-WORKER-ID", "X-SECRET"),
        ("X-Worker-Id", "X-Secret"),
        ("x-Worker-iD", "X-sECRET"),
    ],
)
def test_case_of_the_headers(api, worker, id_header, secret_header):
    assert sent(api, {id_header: str(worker.worker.pk), secret_header: worker.secret}).status == 200


@pytest.mark.parametrize(
    ("number", "secret"),
    [
        (None, None),
        ("right", None),
        (None, "right"),
        ("right", ""),
        ("", "right"),
        ("", ""),
        ("right", "wrong"),
        ("right", "Übung"),
        ("right", "\xff\xfe"),
        ("right", "null"),
        ("right", "a" * 8000),
        ("0", "right"),
        ("-1", "right"),
        ("1.0", "right"),
        ("1e3", "right"),
        ("+1", "right"),
        ("0x1", "right"),
        ("1_0", "right"),
        ("1 OR 1=1", "right"),
        ("'", "right"),
        ("²", "right"),
        ("NaN", "right"),
        ("999999999", "right"),
        (str(2**63 - 1), "right"),
        (str(2**63), "right"),
        (str(2**64), "right"),
        ("9" * 20, "right"),
        ("9" * 40, "right"),
        ("0" * 10 + "9" * 40, "right"),
        ("0" * 40, "right"),
        pytest.param("9" * 5000, "right", id="5000 digits"),
        pytest.param(
            *("0" * 10 + "9" * 5000, "right"),
            id="5000 digits after zeros",
        ),
    ],
)
def test_wrong_headers(api, worker, number, secret):
    number = str(worker.worker.pk) if number == "right" else number
    secret = worker.secret if secret == "right" else secret
    headers = {"X-Worker-ID": number, "X-Secret": secret}
    answer = sent(api, {name: value for name, value in headers.items() if value is not None})
    assert answer.status == 401
    assert Worker.objects.get().alias == "worker"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda secret: secret[:-1],
        lambda secret: secret.rstrip("="),
        lambda secret: secret + "=",
        lambda secret: secret.swapcase(),
        lambda secret: f" {secret}",
        lambda secret: f'"{secret}"',
        lambda secret: secret * 2,
        lambda secret: digest(secret).hex(),
        lambda secret: digest(secret).decode("latin-1"),
    ],
)
def test_secret_must_match_exactly(api, worker, spoil):
    assert sent(api, {"X-Worker-ID": str(worker.worker.pk), "X-Secret": spoil(worker.secret)}).status == 401
    assert Worker.objects.get().alias == "worker"


def test_secret_of_another_worker(api, worker, other_worker):
    assert api.post(URL, {"alias": "seen"}, worker=Registration(worker.worker, other_worker.secret)).status == 401
    assert not Worker.objects.filter(alias="seen").exists()


def test_unknown_worker_and_wrong_secret_get_the_same_response(api, worker):
    wrong = sent(api, {"X-Worker-ID": str(worker.worker.pk), "X-Secret": "wrong"})
    unknown = sent(api, {"X-Worker-ID": "999999999", "X-Secret": worker.secret})
    assert wrong.response.content == unknown.response.content
    assert wrong.headers == unknown.headers
    assert wrong.status == unknown.status == 401


def test_deleted_worker(api, worker, other_worker):
    wrong = sent(api, {"X-Worker-ID": str(other_worker.worker.pk), "X-Secret": "wrong"})
    Worker.objects.filter(pk=worker.worker.pk).delete()
    answer = api.post(URL, {"alias": "seen"}, worker=worker)
    assert answer.status == 401
    assert answer.response.content == wrong.response.content


def test_empty_digest_lets_nobody_in(api, worker):
    Worker.objects.update(secret_digest=b"")
    for secret in ("", worker.secret):
        assert sent(api, {"X-Worker-ID": str(worker.worker.pk), "X-Secret": secret}).status == 401


def test_placeholder_digest_lets_nobody_in(api):
    # The secret of an unknown worker is compared with this digest; sending it must not help.
    for number in ("1", "999999999"):
        assert sent(api, {"X-Worker-ID": number, "X-Secret": identity._NO_DIGEST.decode()}).status == 401


def test_message_of_a_malformed_id_names_the_header(api, worker):
    answer = sent(api, {"X-Worker-ID": "one", "X-Secret": worker.secret})
    assert answer.message.startswith("X-Worker-ID: ")


@pytest.mark.parametrize("headers", [{"X-Worker-ID": "1"}, {"X-Secret": "x"}])
def test_message_of_a_missing_header_asks_for_both(api, worker, headers):
    assert sent(api, headers).message == "Send both headers, X-Worker-ID and X-Secret."


def test_message_never_repeats_the_secret(api, worker):
    for number in (str(worker.worker.pk), "0", "999999999"):
        answer = sent(api, {"X-Worker-ID": number, "X-Secret": f"{worker.secret}!"})
        assert worker.secret.encode() not in answer.response.content


def test_secret_is_compared_in_constant_time(api, worker, monkeypatch):
    compared = []

    def compare_digest(first, second):
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(identity, "hmac", SimpleNamespace(compare_digest=compare_digest))
    sent(api, {"X-Worker-ID": str(worker.worker.pk), "X-Secret": "wrong"})
    sent(api, {"X-Worker-ID": "999999999", "X-Secret": "wrong"})
    assert compared == [(digest("wrong"), digest(worker.secret)), (digest("wrong"), identity._NO_DIGEST)]


def test_secret_is_never_stored(worker):
    row = Worker.objects.values().get()
    assert worker.secret not in str(row)
    assert bytes(row["secret_digest"]) == digest(worker.secret)
    assert "secret_digest" not in model_to_dict(worker.worker)


def test_session_does_not_count(api, tracker_admin):
    assert api.login(tracker_admin).post(URL, {"alias": "seen"}).status == 401


def test_identity_in_the_body_does_not_count(api, worker):
    body = {"alias": "seen", "X-Worker-ID": worker.worker.pk, "X-Secret": worker.secret}
    assert api.post(f"{URL}?X-Worker-ID={worker.worker.pk}", body).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/task/get/1"),
        ("post", "/task/submit"),
        ("post", "/task/bulk_submit"),
        ("post", "/task/release"),
        ("post", "/worker/update"),
        ("post", "/worker/rotate_secret"),
        ("post", "/project/request_access"),
        ("get", "/project/secret/1"),
        ("post", "/log/info"),
        ("post", "/log/bulk"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_every_worker_endpoint_needs_credentials(api, worker, method, path, prefix):
    call = getattr(api, method)
    assert call(prefix + path).status == 401
    assert call(prefix + path, worker=Registration(worker.worker, "wrong")).status == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [URL, "/task/release", "/worker/create"])
def test_connection_that_has_died_is_replaced(worker, racing, path):
    def call():
        Api().post(URL, {"alias": "first"}, worker=worker)
        with suppress(OperationalError):
            db.one("SELECT pg_terminate_backend(pg_backend_pid())")
        return Api().post(path, {"alias": "second", "task_id": 1, "result": 0}, worker=worker).status

    assert racing([call]) == [200]


@pytest.mark.django_db(transaction=True)
def test_connection_that_was_ended_while_idle_is_replaced(worker, racing):
    def call():
        (first,) = db.one("SELECT pg_backend_pid()")
        with closing(psycopg2.connect(connection.connection.dsn)) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
            (terminated,) = cursor.fetchone()
        return terminated, Api().post("/task/release", {"task_id": 1, "result": 0}, worker=worker).status

    assert racing([call]) == [(True, 200)]


@pytest.mark.django_db(transaction=True)
def test_live_connection_is_kept_without_a_check(worker, racing):
    def call():
        db.ensure_alive()
        (first,) = db.one("SELECT pg_backend_pid()")
        with CaptureQueriesContext(connection) as queries:
            Api().post("/task/release", {"task_id": 1, "result": 0}, worker=worker)
        return db.one("SELECT pg_backend_pid()") == (first,), len(queries)

    assert racing([call]) == [(True, 1)]


@pytest.mark.parametrize(
    "path", ["/task/submit", "/task/release", "/task/bulk_release", "/task/heartbeat", "/task/exchange"]
)
def test_only_registered_workers_learn_what_is_wrong(api, worker, path):
    for body in (b"{", [1], {"x": 1}, b"x" * 2_000_000):
        assert api.post(path, body, worker=worker).status in (400, 413)
        assert api.post(path, body, worker=Registration(worker.worker, "wrong")).status == 401


def test_invalid_body_while_the_database_is_away(api, worker, monkeypatch):
    def steps(caller):
        raise OperationalError("gone")

    monkeypatch.setattr(identity.identified, "steps", steps)
    assert api.post("/task/release", b"{", worker=worker).status == 503
