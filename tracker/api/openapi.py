"""The API's OpenAPI document, generated from the views and their descriptions (see `describe`).

The tests validate every response that they get against it.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, build_parameter_type
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from tracker.api.description import Content, Declaration, Description
from tracker.api.fields import INT64, WireField
from tracker.api.serializers import RequestSerializer

# Real requests and responses, recorded by tests/api/test_examples.py.
EXAMPLES = Path(__file__).with_name("examples.json")

_JSON = "application/json"

# A 64-bit number that names something, as text: JavaScript's numbers don't have so many bits.
FINGERPRINT = "^[0-9a-f]{16}$"

_ERRORS = {
    400: "A part of the request is malformed; the message names it.",
    401: "The credentials are missing or wrong.",
    403: "The caller is not allowed to do this, or another site's page sent the request.",
    404: "It does not exist, or the caller may not see it.",
    409: "The request conflicts with existing data.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "The Idempotency-Key was used for another request within the last ten minutes.",
    429: "Too many requests; `rate_limit_delay` and Retry-After say how many seconds to wait.",
}

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description=(
        "Makes the call safe to repeat: for ten minutes, the same request with the same key of the same worker gets "
        "the first answer, and has no second effect."
    ),
)


class EnvelopeSchema(AutoSchema):
    """Generates the description of an API call, including the envelope."""

    @property
    def described(self) -> Description:
        description: Description = getattr(self.view, self.method.lower()).description
        return description

    def get_operation_id(self) -> str:
        words = "_".join(self._tokenize_path()).replace("-", "_") or "root"
        return words if len(self.view.allowed_methods) == 1 else f"{self.method.lower()}_{words}"

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.split(".")[0]]

    def get_summary(self) -> str:
        return self.described.summary.format(view=self.view)

    def get_description(self) -> str:
        return self.described.details

    def get_response_serializers(self) -> dict[str, Any]:
        # The bodies are built below; drf-spectacular would only guess them.
        return {}

    def get_auth(self) -> list[dict[str, Any]]:
        schemes: list[dict[str, Any]] = super().get_auth()
        return schemes if not schemes or 401 in self._errors() else [*schemes, {}]

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        number = {"type": "integer", "format": "int64", "minimum": 1, "maximum": INT64[1]}
        other = {"fingerprint": {"type": "string", "pattern": FINGERPRINT}}
        return [build_parameter_type(name=name, location="path", schema=other.get(name, number)) for name in variables]

    def get_override_parameters(self) -> list[Any]:
        described = self.described
        declared: list[Any] = [] if described.query is None else [described.query]
        return [*declared, _IDEMPOTENCY_KEY] if described.repeatable else declared

    def _get_request_body(self, direction: str = "request") -> dict[str, Any] | None:
        body = self.described.body
        if body is None:
            return None
        if isinstance(body, type):
            schema = self.resolve_serializer(body, "request").ref
            required = any(field.required for field in body().fields.values())
        else:
            schema, required = self._with_references(body), True
        example = examples().get(f"{self.method} {self.path}", {}).get("request")
        return {"content": {_JSON: _media(schema, example)}, "required": required}

    def _with_references(self, part: Any) -> Any:
        """A JSON Schema in which declarations may stand for themselves."""
        if isinstance(part, type):
            return self.resolve_serializer(part, "request").ref
        if isinstance(part, list):
            return [self._with_references(one) for one in part]
        return {key: self._with_references(one) for key, one in part.items()} if isinstance(part, Mapping) else part

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        described = self.described
        example = examples().get(f"{self.method} {self.path}", {}).get("response")
        bodies: dict[str, Any] = {}
        if described.status == 204:
            bodies["204"] = {"description": "Done; the response is empty."}
        else:
            done = self._envelope(described.content, ok=True)
            if described.refusal is not None:
                done = {"oneOf": [done, self._envelope(described.refusal, ok=False)]}
            bodies["200"] = {
                "description": "Done." if example is None else "",
                "content": {_JSON: _media(done, example)},
            }
        for status, content in sorted(self._errors().items()):
            schema = self._error() if content is None else self._envelope(content, ok=False)
            bodies[str(status)] = {"description": _ERRORS[status], "content": {_JSON: _media(schema, None)}}
        unforeseen = "An internal error, or the tracker is busy or its database away; try again after Retry-After."
        bodies["5XX"] = {"description": unforeseen, "content": {_JSON: _media(self._error(), None)}}
        return bodies

    def _errors(self) -> dict[int, Declaration | None]:
        """Status codes of errors with their content: those of the description, and those that follow from the view."""
        view, described = self.view, self.described
        # Always 400, at least for a Host that is not in ALLOWED_HOSTS.
        statuses = {400}
        if described.body is not None:
            statuses |= {413, 415}
        if "{" in self.path:
            statuses.add(404)
        if described.repeatable:
            statuses.add(422)
        for part in (*view.authentication_classes, *view.permission_classes):
            statuses |= getattr(part, "refuses", {}).get(self.method, set())
        return dict.fromkeys(statuses) | dict(described.errors)

    def _error(self) -> dict[str, Any]:
        component = ResolvedComponent(
            name="Error",
            type=ResolvedComponent.SCHEMA,
            object="Error",
            schema={
                "type": "object",
                "properties": {
                    "ok": {"const": False},
                    "message": {"type": "string", "minLength": 1, "description": "What to change."},
                    "rate_limit_delay": {"type": "number", "description": "Seconds to wait; with status 429."},
                },
                "required": ["ok", "message"],
            },
        )
        self.registry.register_on_missing(component)
        ref: dict[str, Any] = component.ref
        return ref

    def _envelope(self, content: Declaration | None, *, ok: bool) -> dict[str, Any]:
        properties: dict[str, Any] = {"ok": {"const": ok}, "message": {"type": "string"}}
        required = ["ok"] if ok else ["ok", "message"]
        if content is not None:
            properties["content"] = self._content(content)
            required.append("content")
        return {"type": "object", "properties": properties, "required": required}

    def _content(self, content: Declaration) -> dict[str, Any]:
        if isinstance(content, type):
            schema: dict[str, Any] = self.resolve_serializer(content, "response").ref
        else:
            fields = {name: part() if isinstance(part, type) else part for name, part in content.items()}
            schema = self._map_basic_serializer(type("Inline", (serializers.Serializer,), fields)(), "response")
        return schema


def _media(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


class _Declared(OpenApiSerializerExtension):
    """Requests: adds the second keys of fields, and null, which counts as absent."""

    target_class = RequestSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: EnvelopeSchema, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        del schema["description"]
        properties, required = schema["properties"], schema.get("required", [])
        either = []
        for name, field in self.target.fields.items():
            # Without a type, it may be anything already.
            if not field.required and "type" in properties[name]:
                if "enum" in properties[name]:
                    properties[name]["enum"] = [*properties[name]["enum"], None]
                properties[name] |= {"type": [properties[name]["type"], "null"]}
            if isinstance(field, WireField) and field.also is not None:
                properties[field.also] = properties[name] | {"description": f"The same as `{name}`."}
                if field.required:
                    required.remove(name)
                    either.append({"anyOf": [{"required": [name]}, {"required": [field.also]}]})
        if either:
            schema["allOf"] = either
        return schema


class _Shape(OpenApiSerializerExtension):
    """Parts of responses: WorkerContent is called Worker."""

    target_class = Content
    match_subclasses = True

    def get_name(self, auto_schema: EnvelopeSchema, direction: str) -> str:
        name: str = type(self.target).__name__
        return name.removesuffix("Content")

    def map_serializer(self, auto_schema: EnvelopeSchema, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        del schema["description"]
        return schema


class _WorkerScheme(OpenApiAuthenticationExtension):
    target_class = "workers.authentication.WorkerAuthentication"
    name = ["worker_id", "worker_secret"]

    def get_security_definition(self, auto_schema: EnvelopeSchema) -> list[dict[str, Any]]:
        return [
            {"type": "apiKey", "in": "header", "name": "X-Worker-ID", "description": "The `id` of /worker/create."},
            {"type": "apiKey", "in": "header", "name": "X-Secret", "description": "The `secret` of /worker/create."},
        ]


class _ManagerScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionAuthentication"
    name = "manager"

    def get_security_definition(self, auto_schema: EnvelopeSchema) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "Set by /login and /register."}


@functools.cache
def examples() -> dict[str, Any]:
    """Recorded requests and answers, by method and path."""
    recorded: dict[str, Any] = orjson.loads(EXAMPLES.read_bytes())
    return recorded
