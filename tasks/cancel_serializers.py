"""Requests and responses of /task/cancel."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework.fields import ChoiceField, IntegerField, JSONField

from tasks.heartbeats import CANCELLED
from tasks.queries.search import Criteria, State
from tasks.reports import LONGEST_SECONDS
from tasks.status_views import StatusRequest
from tasks.timing import Duration
from tracker.api.description import Content
from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import INT16, Choice, Id, Text, WholeNumber, WireField, WrongValue, shown
from tracker.api.serializers import RequestSerializer

# Any state: what to say for all tasks of a project. That an empty filter is refused keeps a slip from deleting them.
ALL = "all"
_STATES = [*(state.value for state in State), ALL]

_PRIORITY = WholeNumber(low=INT16[0], high=INT16[1])


def _object(**properties: Any) -> dict[str, Any]:
    """The schema of an object that has some of these keys."""
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


_ONE_PRIORITY = {"type": "integer", "minimum": INT16[0], "maximum": INT16[1]}
_PRIORITIES = {"oneOf": [_ONE_PRIORITY, _object(min=_ONE_PRIORITY, max=_ONE_PRIORITY)]}
_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_SECONDS}
_FILTER = _object(
    state={
        "enum": _STATES,
        "description": f"`{ALL}`: any; alone it means every task of the project. `awaiting` ones are ready or leased.",
    },
    priority=_PRIORITIES | {"description": "One, or the least and the most."},
    age=_object(older=_SECONDS, younger=_SECONDS)
    | {"description": "Seconds since they were submitted: at least `older`, at most `younger`."},
    text={"type": "string", "minLength": 1, "description": "Part of the recipe, in upper or lower case."},
)


class AgeRequest(RequestSerializer):
    strict = True

    older = Duration(longest=LONGEST_SECONDS, required=False)
    younger = Duration(longest=LONGEST_SECONDS, required=False)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        older, younger = values["older"], values["younger"]
        if older is None and younger is None:
            raise BadInput("must have older, younger or both, in seconds.")
        if older is not None and younger is not None and older > younger:
            raise BadInput("no task is older than `older` and yet younger than `younger`.")


class PriorityRequest(RequestSerializer):
    strict = True

    min = WholeNumber(low=INT16[0], high=INT16[1], required=False)
    max = WholeNumber(low=INT16[0], high=INT16[1], required=False)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if values["min"] is None and values["max"] is None:
            raise BadInput("must have min, max or both.")
        if values["min"] is not None and values["max"] is not None and values["min"] > values["max"]:
            raise BadInput("no priority is at least `min` and at most `max`.")


class Nested(WireField, JSONField):
    """An object with declared keys of its own."""

    declared: type[RequestSerializer]

    def parse(self, value: Any) -> Any:
        if type(value) is not dict:
            raise WrongValue(f"must be an object, not {shown(value)}.")
        try:
            return self.declared.parse(value)
        except BadInput as error:
            raise WrongValue(str(error)) from error


class PriorityField(Nested):
    """One priority, or a range of them."""

    declared = PriorityRequest

    def parse(self, value: Any) -> Any:
        if type(value) is dict:
            return super().parse(value)
        priority = _PRIORITY.parse(value)
        return {"min": priority, "max": priority}


class AgeField(Nested):
    declared = AgeRequest


class FilterRequest(RequestSerializer):
    strict = True

    state = Choice(choices=_STATES, required=False)
    priority = PriorityField(required=False)
    age = AgeField(required=False)
    text = Text(shortest=1, required=False)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if all(value is None for value in values.values()):
            raise BadInput(f'must say which tasks; {{"state": "{ALL}"}} means every task of the project.')


@extend_schema_field(_FILTER)
class FilterField(Nested):
    declared = FilterRequest


class CancelRequest(StatusRequest):
    """The tasks: `ids`, or `project` with `hashes`, `unique_strings` or `filter`."""

    ways = (*StatusRequest.ways, "filter")

    project = Id(required=False, help_text="The project of `hashes`, `unique_strings` or `filter`.")
    filter = FilterField(required=False, help_text="Tasks of the project that meet all of this.")

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if values["filter"] is not None and values["project"] is None:
            raise InvalidField("project", "is missing: a filter is for one project.")
        super().check(values)


class CancelResultContent(Content):
    id = Id(required=False, help_text="By hash, only of cancelled tasks.")
    hash64 = IntegerField(required=False, help_text="By hash.")
    state = ChoiceField([CANCELLED, "not_found"])


def criteria_of(project_id: int, asked: dict[str, Any]) -> Criteria:
    """What a filter searches for."""
    state, priority, age = asked["state"], asked["priority"] or {}, asked["age"] or {}
    return Criteria(
        [project_id],
        states=() if state in (None, ALL) else (State(state),),
        least_priority=priority.get("min"),
        most_priority=priority.get("max"),
        older=age.get("older"),
        younger=age.get("younger"),
        text=asked["text"],
    )


def result_content(given: dict[str, int], task_id: int | None) -> dict[str, Any]:
    """What became of a task that was named by its id or hash; None: it was not cancelled."""
    return given | ({"state": "not_found"} if task_id is None else {"id": task_id, "state": CANCELLED})
