"""The API of results: the closed tasks of a project, page by page and as a stream."""

import zlib
from collections.abc import Iterable, Iterator

import orjson
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.fields import BooleanField, CharField, FloatField, IntegerField, JSONField, ListField
from rest_framework.request import Request

from projects.access import require
from projects.models import Project
from projects.roles import Role
from tasks.queries import results
from tracker import keyset
from tracker.api.description import Content, describe
from tracker.api.envelope import Envelope
from tracker.api.fields import Id, Text, WholeNumber
from tracker.api.serializers import RequestSerializer
from workers.access import require_submit
from workers.authentication import ReaderView
from workers.models import Worker

MOST_RESULTS = 1_000

# How many results one part of the stream has.
PART = 500


class ProjectReaderView(ReaderView):
    """For workers with SUBMIT in the project of the path, and managers with READ there."""

    def project(self, request: Request, project_id: int) -> Project:
        """The project. Raises NotIdentified, NoSuchProject and Forbidden."""
        reader = self.reader(request)
        if isinstance(reader, Worker):
            return require_submit(worker=reader, project_id=project_id)
        return require(reader, project_id, Role.READ)


class ResultContent(Content):
    id = Id()
    recipe = Text()
    priority = IntegerField()
    retries = IntegerField(help_text="How often it was released as FAIL.")
    hash64 = IntegerField(allow_null=True)
    verification = IntegerField(help_text="The verification hash that closed it.")
    worker_id = Id(help_text="The worker that closed it.")
    voters = ListField(child=IntegerField(), help_text="The workers that verified it before, in order.")
    votes = ListField(
        child=IntegerField(allow_null=True),
        help_text="Their verification hashes; null: the task was not for that worker.",
    )
    created = FloatField(help_text="Unix seconds.")
    assign_time = FloatField(help_text="When the lease began that closed it.")
    closed = FloatField(help_text="When it closed.")
    submitter_id = IntegerField(allow_null=True, help_text="The worker that submitted it; null: a manager.")
    version = CharField(help_text="The project's version when it closed.")
    message = CharField(allow_null=True, help_text="What its worker said.")
    output = JSONField(help_text="What its worker sent as `output`; null: nothing.")
    seconds = FloatField(allow_null=True, help_text="How long it took by the worker's own count; null: not told.")


class ResultsQuery(RequestSerializer):
    """Where to go on, and how many results to send."""

    after = Text(required=False, longest=200, help_text="The cursor of the previous page: goes on behind it.")
    count = WholeNumber(low=1, high=MOST_RESULTS, default=100, help_text="Send up to this many.")


class LinesQuery(RequestSerializer):
    after = Text(required=False, longest=200, help_text="A cursor of /project/results: goes on behind it.")


class ResultsView(ProjectReaderView):
    """GET /project/results/:id."""

    @describe(
        "Closed tasks with their outputs, in the order of closing",
        details=(
            "For workers with SUBMIT and managers with READ. Come back with the cursor `after` for those that have "
            "closed since: however many close meanwhile, none is missed and none comes twice, as long as you come back "
            "within the project's `retention_days`. A page ends early where its tasks are long."
        ),
        query=ResultsQuery,
        content={
            "results": ResultContent(many=True),
            "after": Text(help_text="The cursor behind the last result; the same as before if there is none."),
            "more": BooleanField(help_text="Whether there are more already."),
        },
        errors={401: None, 403: None},
    )
    def get(self, request: Request, project_id: int) -> Envelope:
        project = self.project(request, project_id)
        query = self.query(ResultsQuery)
        page = results.page(
            project.pk,
            after=_cursor(query["after"]),
            limit=query["count"],
            most_bytes=settings.MAX_BATCH_BYTES,
        )
        return Envelope(
            {
                "results": [one.content() for one in page.results],
                "after": keyset.encode(page.cursor),
                "more": not page.is_last,
            }
        )


class ResultLinesView(ProjectReaderView):
    """GET /project/results/:id/lines."""

    @describe(
        "All closed tasks as a stream of JSON lines",
        details=(
            "The objects of /project/results/:id, one on each line, compressed if `Accept-Encoding` has gzip. Ends "
            'with those that had closed when it got there. The last line is `{"after": …}`, the cursor to go on '
            "with; without it, the stream is incomplete."
        ),
        query=LinesQuery,
        errors={401: None, 403: None},
    )
    def get(self, request: Request, project_id: int) -> HttpResponse | StreamingHttpResponse:
        project = self.project(request, project_id)
        after = _cursor(self.query(LinesQuery)["after"])
        if after is not None:
            results.place(after)
        parts = _lines(project.pk, after)
        zipped = "gzip" in request.headers.get("Accept-Encoding", "")
        headers = {
            "Content-Type": "application/jsonl",
            "Cache-Control": "no-store",
            "Vary": "Accept-Encoding",
        } | ({"Content-Encoding": "gzip"} if zipped else {})
        if request.method == "HEAD":
            return HttpResponse(headers=headers)
        return StreamingHttpResponse(_gzipped(parts) if zipped else parts, headers=headers)


def _cursor(text: str | None) -> keyset.Cursor | None:
    return None if text is None else keyset.decode(text)


def _lines(project_id: int, after: keyset.Cursor | None) -> Iterator[bytes]:
    """The stream, page by page. Each is read by itself, so that each may be read in another thread."""
    last = results.BEGINNING if after is None else after
    pages = results.lines(project_id, after=after, limit=PART, most_bytes=settings.MAX_BATCH_BYTES)
    for page, cursor in pages:
        yield b"".join(orjson.dumps(one.content(), option=orjson.OPT_APPEND_NEWLINE) for one in page)
        last = cursor
    yield orjson.dumps({"after": keyset.encode(last)}, option=orjson.OPT_APPEND_NEWLINE)


def _gzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts compressed; each can be read when it has come."""
    # 16: with gzip's header.
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
