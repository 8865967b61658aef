"""Errors for the rate limits of projects. The tokens are taken in the database: tasks/queue/functions/bucket.py."""

from projects.models import RateBucket
from tracker.api.errors import RateLimited


def refusal(project_id: int, kind: RateBucket.Kind, delay: float) -> RateLimited:
    """The error for a worker that has to wait `delay` seconds."""
    verb = "leases" if kind is RateBucket.Kind.ASSIGN else "submits"
    return RateLimited(delay=delay, message=f"Project {project_id} limits {verb}; wait {delay:.3f} seconds.")
