"""Checks responses against /api/schema, strictly: what it does not describe must not be sent."""

import functools
import json
import re
from typing import Any

import jsonschema

from tracker.api.docs import document

# Any path may respond with 405; operations describe only the methods that exist.
NOT_DESCRIBED = {405}


@functools.cache
def described() -> dict[str, Any]:
    """The OpenAPI document, with no additional keys allowed in any object."""
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
    """The described path of a request, such as /task/get/{project_id}."""
    for template, operations in described()["paths"].items():
        pattern = re.escape(template).replace(r"\{fingerprint\}", "[0-9a-f]{16}")
        pattern = re.sub(r"\\{\w+\\}", "[0-9]{1,19}", pattern)
        if method.lower() in operations and re.fullmatch(
            pattern, path.removeprefix("/api") if path != "/api/" else path
        ):
            return template
    return None


@functools.cache
def _validator(template: str, method: str, status: int) -> jsonschema.Draft202012Validator:
    responses = described()["paths"][template][method.lower()]["responses"]
    key = str(status) if status < 500 else "5XX"
    assert key in responses, f"{method} {template} answered {status}, which /api/schema does not describe"
    schema = responses[key]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator(schema | {"components": described()["components"]})


def check_described(method: str, path: str, status: int, body: Any) -> None:
    """Fail unless /api/schema describes this response. Paths outside the API are ignored."""
    template = operation_for(method, path)
    if template is not None and status not in NOT_DESCRIBED:
        error = jsonschema.exceptions.best_match(_validator(template, method, status).iter_errors(body))
        assert error is None, f"{method} {template} {status}: {error.json_path} {error.message}"
