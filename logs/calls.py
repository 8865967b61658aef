"""The calls of workers about logs, as in tasks.calls."""

from logs import services
from logs.models import Level
from logs.serializers import LogRequest
from tracker.api.envelope import Reply
from tracker.steps import Steps
from workers.calls import Call


def log(call: Call, *, level: Level) -> Steps[Reply]:
    """POST /log/trace, /log/info, /log/warn and /log/error."""
    yield from services.record.steps(worker=call.caller, level=level, **LogRequest.parse(call.json()))
    return Reply()
