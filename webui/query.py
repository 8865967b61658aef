"""What the query string of a list asks for, in the admin and on the pages."""

from datetime import UTC, datetime

from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from tracker.api.errors import InvalidField
from tracker.api.fields import INT64
from workers.models import Worker

# Maximum number of workers with the same alias that a filter matches.
SAME_NAMES = 1_000


def text_of(request: HttpRequest, name: str) -> str:
    """The value of the filter; empty if it is not set."""
    return request.GET.get(name, "").replace("\0", "").strip()


def id_in(text: str) -> int | None:
    """The text as an id; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def number_of(request: HttpRequest, name: str, *, low: int, high: int) -> int | None:
    """The value of the filter as a whole number; None if it is not set. Raises InvalidField."""
    text = text_of(request, name)
    if not text:
        return None
    try:
        number = int(text[:40])
    except ValueError:
        number = high + 1
    if not low <= number <= high:
        problem = gettext("must be a whole number from %(low)s to %(high)s, not %(text)s.")
        raise InvalidField(name, problem % {"low": low, "high": high, "text": text[:40]})
    return number


def time_of(request: HttpRequest, name: str) -> datetime | None:
    """The value of the filter as a time in ISO 8601, by default in UTC; None if not set. Raises InvalidField."""
    text = text_of(request, name)
    if not text:
        return None
    try:
        moment = parse_datetime(text if len(text) > len("2026-01-31") else f"{text} 00:00")
    except ValueError:
        moment = None
    if moment is None or not 1970 < moment.year < 9999:
        problem = gettext("must be a time such as 2026-01-31 12:00, not %(text)s.")
        raise InvalidField(name, problem % {"text": text[:40]})
    return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)


def workers_called(text: str) -> list[int] | None:
    """The ids of the workers with this id or alias; None for an empty text."""
    if not text:
        return None
    worker = id_in(text)
    if worker is not None:
        return [worker]
    return list(Worker.objects.filter(alias__iexact=text).values_list("pk", flat=True)[:SAME_NAMES])


def sought_tasks(text: str) -> tuple[list[int] | None, int | None, str | None]:
    """What a search for tasks means: their ids, a hash, or text of the recipe."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return None, None, text[1:-1]
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 20 and INT64[0] <= int(text) < 2**64:
        number = int(text)
        signed = number - 2**64 if number > INT64[1] else number
        return ([number] if 0 < number <= INT64[1] else []), signed, None
    return None, None, text or None
