"""The rate limits of projects. Taking a token is part of the statement that stores or leases (tasks.sql)."""

from projects.models import Project, RateBucket
from tracker import db
from tracker.api.errors import RateLimited


def explain_refusal(project: Project, kind: RateBucket.Kind) -> None:
    """Find out why a statement got no token: raise RateLimited with the time until there is one, in seconds.

    Returning means that it is worth trying again: the token has come meanwhile, or there was no bucket yet.
    """
    values = {"project": project.pk, "kind": kind.value}
    row = db.one(WAIT, values)
    if row is None:
        db.affected(CREATE, values)
        return
    delay = float(row[0])
    if delay > 0:
        raise refusal(project.pk, kind, delay)


def refusal(project_id: int, kind: RateBucket.Kind, delay: float) -> RateLimited:
    """What a worker is told that has to wait for so many seconds."""
    verb = "leases" if kind is RateBucket.Kind.ASSIGN else "submits"
    return RateLimited(delay=delay, message=f"Project {project_id} limits {verb}; wait {delay:.3f} seconds.")


WAIT = """
SELECT extract(epoch FROM next_at - now()) FROM projects_ratebucket WHERE project_id = %(project)s AND kind = %(kind)s
"""

CREATE = """
INSERT INTO projects_ratebucket (project_id, kind, next_at) VALUES (%(project)s, %(kind)s, now())
ON CONFLICT (project_id, kind) DO NOTHING
"""
