"""The calls of workers about logs, as in tasks.calls."""

from logs import services
from logs.models import Level
from logs.serializers import parse_bulk_log, parse_log
from tracker.api.envelope import Reply
from tracker.steps import Steps
from workers.calls import Call


def log(call: Call, *, level: Level) -> Steps[Reply]:
    """POST /log/trace, /log/info, /log/warn and /log/error."""
    yield from services.record.steps(worker=call.caller, entry=parse_log(call.json(), level))
    return Reply()


def bulk_log(call: Call) -> Steps[Reply]:
    """POST /log/bulk."""
    yield from services.record_many.steps(worker=call.caller, entries=parse_bulk_log(call.json()))
    return Reply()
