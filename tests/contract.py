"""Holds answers against /api/schema, strictly: what it does not tell must not be sent."""

import functools
import json
import re
from typing import Any

import jsonschema

from tracker.api.docs import document

# Told by every address; no operation describes the methods that it does not have.
NOT_DESCRIBED = {405}


@functools.cache
def described() -> dict[str, Any]:
    """The document, with every object closed to keys that it does not name."""
    return _closed(json.loads(document()))


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        closed["additionalProperties"] = False
    return closed


def operation_for(method: str, path: str) -> str | None:
    """The described path, such as /task/get/{project_id}, that a request was for."""
    for template, operations in described()["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[0-9]{1,19}", re.escape(template))
        if method.lower() in operations and re.fullmatch(
            pattern, path.removeprefix("/api") if path != "/api/" else path
        ):
            return template
    return None


@functools.cache
def _validator(template: str, method: str, status: int) -> jsonschema.Draft202012Validator:
    responses = described()["paths"][template][method.lower()]["responses"]
    key = str(status) if status < 500 else "5XX"
    assert key in responses, f"{method} {template} answered {status}, which /api/schema does not tell"
    schema = responses[key]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator(schema | {"components": described()["components"]})


def check_described(method: str, path: str, status: int, body: Any) -> None:
    """Fail unless /api/schema tells of this answer. Addresses that are none of the API's are left alone."""
    template = operation_for(method, path)
    if template is not None and status not in NOT_DESCRIBED:
        error = jsonschema.exceptions.best_match(_validator(template, method, status).iter_errors(body))
        assert error is None, f"{method} {template} {status}: {error.json_path} {error.message}"
