"""Questions about projects. They read only."""

from datetime import UTC, datetime

from projects.models import Project, Snapshot

MOST_SNAPSHOTS = 10_000


def newest_snapshots(project: Project, *, count: int) -> list[Snapshot]:
    """The last snapshots, newest first."""
    return list(Snapshot.objects.filter(project=project).order_by("-taken")[:count])


def snapshots_between(project: Project, *, begin: int, end: int) -> list[Snapshot]:
    """The snapshots between two Unix times, both included, newest first; MOST_SNAPSHOTS at most."""
    times = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    return list(Snapshot.objects.filter(project=project, taken__range=times).order_by("-taken")[:MOST_SNAPSHOTS])
