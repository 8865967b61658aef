"""The rate limits of projects. Taking a token is part of what stores or leases: tasks/queue/functions/bucket.py."""

from projects.models import RateBucket
from tracker.api.errors import RateLimited


def refusal(project_id: int, kind: RateBucket.Kind, delay: float) -> RateLimited:
    """What a worker is told that has to wait for so many seconds."""
    verb = "leases" if kind is RateBucket.Kind.ASSIGN else "submits"
    return RateLimited(delay=delay, message=f"Project {project_id} limits {verb}; wait {delay:.3f} seconds.")
