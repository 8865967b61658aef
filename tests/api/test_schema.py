"""GET /api/schema and /api/docs. All tests check their responses against the schema: see tests/contract.py."""

from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from tests.contract import check_described, described
from tests.flows.test_permission_table import api_addresses, shape
from tracker.api import docs
from tracker.api.errors import BadInput
from tracker.api.fields import WrongValue
from tracker.api.serializers import RequestSerializer
from tracker.urls import api as _every_declaration  # noqa: F401


@pytest.fixture(scope="module")
def document():
    response = Client().get("/api/schema")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/vnd.oai.openapi+json"
    return response.json()


def test_it_works(document):
    validate_schema(document)
    assert document["openapi"] == "3.1.0"


def test_every_address_is_described(document):
    described = {path.replace("{", "<").removeprefix("/") for path in document["paths"]}
    assert {shape(path) for path in described} == {shape(address) for address in api_addresses()}


def test_nothing_is_described_twice(document):
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    summaries = [operation["summary"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
    assert len(set(summaries)) == len(summaries) - 1  # /logout, by two methods


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/account", 200, {"ok": True, "content": {"logged_in": True}}),
        ("GET", "/worker/stats", 200, {"ok": True, "content": {"stats": [{"id": 1}]}}),
        ("GET", "/worker/stats", 200, {"ok": True, "content": {"stats": [], "more": 1}}),
        ("GET", "/worker/stats", 200, {"ok": True, "content": {"stats": []}, "more": 1}),
        ("GET", "/api/worker/stats", 409, {"ok": False, "message": "x"}),
        ("POST", "/task/submit", 403, {"ok": False}),
        ("POST", "/api/task/submit", 403, {"ok": False, "message": "x", "content": {}}),
    ],
)
def test_contract_refuses_what_is_not_described(method, path, status, body):
    with pytest.raises(AssertionError):
        check_described(method, path, status, body)


# Values for fields, at and beyond every limit that fields have.
NUMBERS = [sign * (2**bits + more) for bits in (0, 15, 16, 31, 32, 63, 64) for more in (-1, 0, 1) for sign in (1, -1)]
TEXTS = [
    "0190d2c8-7c3e-7b1e-9d1c-2f6f3c1d9a77",
    "",
    "x",
    "x" * 15,
    "x" * 200,
    "x" * 201,
    "x" * 2001,
    "x" * 100_001,
    "é",
]
OTHERS = [None, True, False, 0.5, 1e300, 253_402_300_799, 253_402_300_800, 31, 8, 32_000, [], {}, ["x"]]


def requests(of=RequestSerializer):
    for one in of.__subclasses__():
        yield from requests(one)
        yield one


DECLARED = described()["components"]["schemas"]
FIELDS = [
    (request, name) for request in requests() if request.__name__ in DECLARED for name in request._declared_fields
]


@pytest.mark.parametrize(("request_class", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_fields_accept_what_is_described(request_class, name, settings):
    # The schema can't express the number of bytes.
    settings.MAX_OUTPUT_BYTES = 1_000_000
    # With the components that it refers to.
    schema = DECLARED[request_class.__name__]["properties"][name] | {"components": {"schemas": DECLARED}}
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(["uuid"]))
    # Without line breaks: the schema does not express that some fields refuse them.
    for value in [*NUMBERS, *TEXTS, *OTHERS]:
        assert is_taken(request_class, name, value) == validator.is_valid(value), value


def is_taken(request_class, name, value):
    field = request_class._declared_fields[name]
    if value is None:
        return not field.required
    try:
        field.parse(value)
    except (WrongValue, BadInput):
        return False
    return True


def test_swagger_ui_loads_nothing_from_other_hosts(client):
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert b"swagger-ui-bundle" in page.content
    script = client.get("/api/docs?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert b"schema" in script.content
    assert b"//cdn" not in page.content + script.content


def test_swagger_ui_ignores_the_accept_header(client):
    assert client.get("/api/docs", headers={"Accept": "application/json"}).status_code == 200
    assert client.options("/api/docs").status_code == 405


def test_concurrent_first_requests():
    docs._document.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        documents = list(pool.map(lambda _: docs.document(), range(8)))
    assert set(documents) == {documents[0]}
