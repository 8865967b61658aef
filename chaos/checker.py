"""Compares the ledger with what is stored, task by task. Each check yields the breaches that it finds.

A request with an unknown outcome may have had its effect or not; everything that was answered must hold.
"""

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from chaos.ledger import FAIL, OK, SKIP, Ledger
from chaos.scene import Place
from chaos.stored import Sql

#: The kinds of breaches.
LOST, CLOSED_TWICE, LEASED_TWICE, QUORUM, COUNTS, LEFT = (
    "lost",
    "closed twice",
    "leased twice",
    "quorum broken",
    "counts wrong",
    "not handed out any more",
)
#: A cancelled task that is still there or was closed; a delayed one that was leased before its time.
ALIVE, EARLY = "alive after its cancel", "leased too early"
KINDS = (LOST, CLOSED_TWICE, LEASED_TWICE, QUORUM, COUNTS, LEFT, ALIVE, EARLY)


# For so many seconds, a statement may have waited for another one.
LONGEST_STATEMENT = 60.0


class Breach(NamedTuple):
    """A promise that was broken; of which task, if it is about one."""

    kind: str
    text: str
    task: int | None = None
    recipe: str | None = None


class Evidence(NamedTuple):
    """What is compared: the ledger with the copy of what is stored in it, the database for its counts, the projects."""

    ledger: Ledger
    sql: Sql
    places: list[Place]
    #: How many tasks each worker has closed, as the tracker tells everybody.
    told: dict[int, int]

    @property
    def chain(self) -> tuple[int, int] | None:
        """The chained project and the one that gets its copies."""
        ids = {place.name: place.id for place in self.places}
        return (ids["chained"], ids["copies"]) if "chained" in ids else None


def lost_submits(evidence: Evidence) -> Iterator[Breach]:
    """A task whose submit was acknowledged is there, open or closed, as it was submitted, if it wasn't cancelled."""
    rows = evidence.ledger.sql(
        """
        SELECT DISTINCT submit.task, submit.recipe, coalesce(open_task.recipe, closed_task.recipe)
        FROM submit LEFT JOIN open_task ON open_task.id = submit.task
        LEFT JOIN closed_task ON closed_task.id = submit.task
        WHERE submit.outcome = 'stored'
          AND (submit.recipe, submit.project) IS NOT (coalesce(open_task.recipe, closed_task.recipe),
                                                      coalesce(open_task.project, closed_task.project))
          AND submit.task NOT IN (SELECT task FROM cancel WHERE outcome IN ('cancelled', 'unknown'))
        """
    )
    for task, recipe, found in rows:
        text = "its submit was acknowledged, and it is gone" if found is None else f"it is {found!r} now"
        yield Breach(LOST, text, task, recipe)


def lost_releases(evidence: Evidence) -> Iterator[Breach]:
    """A task whose release as OK was acknowledged is closed, by this worker with this hash."""
    rows = evidence.ledger.sql(
        """
        SELECT report.task, report.worker, report.verification, closed_task.worker, closed_task.verification
        FROM release AS report LEFT JOIN closed_task ON closed_task.id = report.task
        WHERE report.result = 0 AND report.outcome = 'updated'
          AND (closed_task.worker, closed_task.verification) IS NOT (report.worker, report.verification)
        """
    )
    for task, worker, verification, by, hash64 in rows:
        told = f"worker {worker} was told that it closed it with {verification}"
        if by is None:
            yield Breach(LOST, f"{told}, and it isn't closed", task)
        else:
            yield Breach(CLOSED_TWICE, f"{told}, and it was closed by worker {by} with {hash64}", task)


def lost_votes(evidence: Evidence) -> Iterator[Breach]:
    """A vote that was acknowledged is kept, with the open or the closed task."""
    rows = evidence.ledger.sql(
        """
        SELECT report.task, report.worker, report.verification FROM release AS report
        WHERE report.result = 0 AND report.outcome = 'noted' AND NOT EXISTS (
            SELECT 1 FROM vote
            WHERE (vote.task, vote.worker, vote.verification) = (report.task, report.worker, report.verification)
        )
        """
    )
    for task, worker, verification in rows:
        yield Breach(LOST, f"the vote of worker {worker} for {verification} was acknowledged, and is gone", task)


def lost_failures(evidence: Evidence) -> Iterator[Breach]:
    """FAILs are counted once each, in projects where nobody resets them."""
    swept = {place.id for place in evidence.places if place.is_swept}
    rows = evidence.ledger.sql(
        """
        SELECT task.id, task.project, task.retries, sum(report.outcome = 'updated'), sum(report.outcome = 'unknown')
        FROM release AS report JOIN open_task AS task ON task.id = report.task
        WHERE report.result = 1 AND report.outcome IN ('updated', 'unknown')
        GROUP BY 1
        """
    )
    for task, project, retries, known, unknown in rows:
        if project not in swept and retries < known:
            yield Breach(LOST, f"{known} FAILs were acknowledged, and {retries} counted", task)
        elif project not in swept and retries > known + unknown:
            yield Breach(COUNTS, f"{known + unknown} FAILs were reported, and {retries} counted", task)


def lost_attempts(evidence: Evidence) -> Iterator[Breach]:
    """A FAIL, SKIP or vote that was acknowledged has left an attempt, and no lease ends twice."""
    rows = evidence.ledger.sql(
        """
        SELECT report.task, report.worker, report.lease, report.result FROM release AS report
        WHERE (report.outcome = 'noted' OR (report.outcome = 'updated' AND report.result <> 0)) AND NOT EXISTS (
            SELECT 1 FROM attempt
            WHERE attempt.task = report.task AND attempt.worker = report.worker AND attempt.lease = report.lease
              AND attempt.outcome = CASE report.result WHEN 0 THEN 3 ELSE report.result END
        )
        """
    )
    for task, worker, lease, result in rows:
        told = {OK: "vote", FAIL: "FAIL", SKIP: "SKIP"}[result]
        yield Breach(
            LOST, f"the {told} of worker {worker} with lease {lease} was acknowledged, and left no attempt", task
        )
    rows = evidence.ledger.sql(
        """
        SELECT task, lease, count(*) FROM (
            SELECT task, lease FROM attempt
            UNION ALL SELECT task, lease FROM release WHERE result = 0 AND outcome = 'updated'
        ) GROUP BY task, lease HAVING count(*) > 1
        """
    )
    for task, lease, count in rows:
        yield Breach(CLOSED_TWICE, f"lease {lease} ended {count} times", task)


def closed_twice(evidence: Evidence) -> Iterator[Breach]:
    """No task is closed twice, or closed and open at once."""
    rows = evidence.ledger.sql(
        "SELECT task, count(*) FROM release WHERE result = 0 AND outcome = 'updated' GROUP BY task HAVING count(*) > 1"
    )
    for task, count in rows:
        yield Breach(CLOSED_TWICE, f"{count} releases were told that they closed it", task)
    for (task,) in evidence.ledger.sql("SELECT id FROM open_task JOIN closed_task USING (id)"):
        yield Breach(CLOSED_TWICE, "it is closed, and open as well", task)


def stored_twice(evidence: Evidence) -> Iterator[Breach]:
    """A recipe is there as often as it was submitted: at least the acknowledged times, at most those that may count.

    With a hash, it is stored again only after the one before was closed. `created` is when its statement began, which
    may then have waited for the other one to be closed; when it was answered, it was stored.
    """
    copies = evidence.chain[1] if evidence.chain else None
    rows = evidence.ledger.sql(
        """
        WITH stored AS (
            SELECT id, project, recipe, is_unique, created, NULL AS closed FROM open_task WHERE project IS NOT ?1
            UNION ALL
            SELECT id, project, recipe, is_unique, created, closed FROM closed_task WHERE project IS NOT ?1
        ), sent AS (
            SELECT recipe, sum(outcome IN ('stored', 'unknown')) AS most FROM submit GROUP BY recipe
        ), counted AS (
            SELECT recipe, min(id) AS id, count(*) AS count FROM stored GROUP BY recipe
        )
        SELECT counted.id, recipe, counted.count, coalesce(sent.most, 0) FROM counted LEFT JOIN sent USING (recipe)
        WHERE counted.count > coalesce(sent.most, 0)
        """,
        copies,
    )
    for task, recipe, count, most in rows:
        yield Breach(COUNTS, f"it is there {count} times, and was submitted {most} times", task, recipe)
    rows = evidence.ledger.sql(
        """
        WITH stored AS (
            SELECT id, project, recipe, created, ?1 AS closed FROM open_task WHERE is_unique
            UNION ALL
            SELECT id, project, recipe, created, closed FROM closed_task WHERE is_unique
        ), there AS (
            SELECT id, project, recipe, closed, coalesce(
                (SELECT max(answered) FROM submit WHERE task = stored.id AND outcome = 'stored'), created + ?2
            ) AS since
            FROM stored
        )
        SELECT one.id, one.recipe, other.id FROM there AS one
        JOIN there AS other ON one.project = other.project AND one.recipe = other.recipe AND one.id < other.id
        WHERE one.closed > other.since AND other.closed > one.since
        """,
        math.inf,
        LONGEST_STATEMENT,
    )
    for task, recipe, other in rows:
        yield Breach(COUNTS, f"task {other} was stored with its hash while it was open", task, recipe)


def chained_once(evidence: Evidence) -> Iterator[Breach]:
    """Each closed task of the chained project has exactly one copy in the next one, and nothing else has."""
    if evidence.chain is None:
        return
    rows = evidence.ledger.sql(
        """
        WITH closed AS (
            SELECT recipe, min(id) AS id, count(*) AS count, max(is_unique) AS is_unique
            FROM closed_task WHERE project = ?1 GROUP BY recipe
        ), copy AS (
            SELECT recipe, count(*) AS count FROM (
                SELECT recipe FROM open_task WHERE project = ?2
                UNION ALL SELECT recipe FROM closed_task WHERE project = ?2
            ) GROUP BY recipe
        )
        SELECT closed.id, recipe, closed.count, coalesce(copy.count, 0), closed.is_unique
        FROM closed LEFT JOIN copy USING (recipe)
        UNION ALL
        SELECT NULL, recipe, 0, copy.count, 0 FROM copy WHERE recipe NOT IN (SELECT recipe FROM closed)
        """,
        *evidence.chain,
    )
    for task, recipe, closed, copies, is_unique in rows:
        # If the hash is still there, nothing is added.
        least = min(closed, 1) if is_unique else closed
        if copies < least:
            yield Breach(LOST, f"it was closed {closed} times, and copied {copies} times", task, recipe)
        elif copies > closed:
            yield Breach(CLOSED_TWICE, f"it was closed {closed} times, and copied {copies} times", task, recipe)


def leased_twice(evidence: Evidence) -> Iterator[Breach]:
    """Two leases of a task are never valid at once, unless the database crashed or a manager took one in between.

    A lease is certainly valid from its answer, or that of its heartbeat, until it may have expired or its release was
    sent.
    """
    crashes = sorted(evidence.ledger.sql("SELECT began, ended FROM fault WHERE crashed"))
    sweeps: dict[int, list[tuple[float, float]]] = {}
    for project, began, ended in evidence.ledger.sql("SELECT project, sent, answered FROM sweep"):
        sweeps.setdefault(project, []).append((began, ended))
    rows = evidence.ledger.sql(
        """
        WITH known AS (
            SELECT task, project, lease, worker, sent, answered, ends FROM lease
            UNION ALL
            SELECT beat.task, lease.project, beat.lease, beat.worker, beat.sent, beat.answered, beat.ends
            FROM beat JOIN lease ON lease.task = beat.task AND lease.lease = beat.lease
            WHERE beat.ends IS NOT NULL
        )
        SELECT known.task, known.project, known.lease, known.worker, known.sent, known.answered,
               min(known.ends, coalesce(
                   (SELECT min(sent) FROM release AS report
                    WHERE report.task = known.task AND report.lease = known.lease AND outcome <> 'refused'),
                   known.ends
               ))
        FROM known WHERE task IN (SELECT task FROM lease GROUP BY task HAVING count(*) > 1)
        ORDER BY known.task, known.sent
        """
    )
    for task, group in groupby(rows, key=lambda row: row[0]):
        leases = list(group)
        for position, one in enumerate(leases):
            for other in leases[position + 1 :]:
                yield from _overlap(task, one, other, [*crashes, *sweeps.get(one[1], [])])


def _overlap(
    task: int, one: tuple[Any, ...], other: tuple[Any, ...], excuses: list[tuple[float, float]]
) -> Iterator[Breach]:
    _, _, first, by, sent, answered, ends = one
    _, _, second, also_by, _, also_answered, also_ends = other
    if first == second:
        return
    both_from, both_until = max(answered, also_answered), min(ends, also_ends)
    if both_from < both_until and not any(began <= both_from and ended >= sent for began, ended in excuses):
        text = f"worker {by} held lease {first} and worker {also_by} lease {second} for {both_until - both_from:.3f} s"
        yield Breach(LEASED_TWICE, text, task)


def released_late(evidence: Evidence) -> Iterator[Breach]:
    """A lease that has ended since another one has begun ends nothing any more, unless a crash lost the other one."""
    crashes = list(evidence.ledger.sql("SELECT began, ended FROM fault WHERE crashed"))
    rows = evidence.ledger.sql(
        """
        SELECT report.task, report.worker, report.lease, other.lease, other.sent, report.answered
        FROM release AS report
        JOIN lease AS own ON own.task = report.task AND own.lease = report.lease
        JOIN lease AS other ON other.task = own.task AND other.lease <> own.lease
        WHERE report.outcome IN ('updated', 'noted') AND other.sent > own.answered AND other.answered < report.sent
        """
    )
    for task, worker, lease, other, sent, answered in rows:
        if not any(began <= answered and ended >= sent for began, ended in crashes):
            text = f"worker {worker} released it with lease {lease}, which had ended when lease {other} began"
            yield Breach(LEASED_TWICE, text, task)


def quorum_broken(evidence: Evidence) -> Iterator[Breach]:
    """A closed task has as many different workers as required that reported its hash, and each of them did."""
    needed = {place.id: max(1, place.verification_count) for place in evidence.places}
    rows = evidence.ledger.sql(
        """
        SELECT task.id, task.project, task.verification, count(DISTINCT vote.worker)
        FROM closed_task AS task LEFT JOIN vote ON vote.task = task.id AND vote.verification = task.verification
        GROUP BY task.id
        """
    )
    for task, project, verification, workers in rows:
        if workers < needed.get(project, 1):
            text = f"{workers} workers agree on {verification}, and {needed[project]} have to"
            yield Breach(QUORUM, text, task)
    rows = evidence.ledger.sql(
        """
        SELECT vote.task, vote.worker, vote.verification FROM vote WHERE NOT EXISTS (
            SELECT 1 FROM release AS report
            WHERE report.task = vote.task AND report.worker = vote.worker AND report.result = 0
              AND report.verification = vote.verification AND report.outcome <> 'refused'
        )
        """
    )
    for task, worker, verification in rows:
        yield Breach(QUORUM, f"worker {worker} never reported {verification}", task)


def cancelled_is_gone(evidence: Evidence) -> Iterator[Breach]:
    """A task whose cancel was acknowledged is neither open nor closed."""
    for table, is_now in (("open_task", "still open"), ("closed_task", "closed")):
        rows = evidence.ledger.sql(
            f"SELECT DISTINCT task FROM cancel JOIN {table} ON id = task WHERE outcome = 'cancelled'"
        )
        for (task,) in rows:
            yield Breach(ALIVE, f"its cancel was acknowledged, and it is {is_now}", task)


def leased_early(evidence: Evidence) -> Iterator[Breach]:
    """A delayed task is not leased before its time."""
    rows = evidence.ledger.sql(
        """
        SELECT lease.task, submit.recipe, submit.sent + submit.delay - lease.answered
        FROM submit JOIN lease ON lease.task = submit.task
        WHERE submit.outcome = 'stored' AND submit.delay > 0 AND lease.answered < submit.sent + submit.delay
        """
    )
    for task, recipe, seconds in rows:
        yield Breach(EARLY, f"it was leased {seconds:.3f} s before its time", task, recipe)


def results_read_once(evidence: Evidence) -> Iterator[Breach]:
    """Who followed the results has read each closed task once."""
    rows = evidence.ledger.sql(
        """
        SELECT closed_task.id, count(seen.task) FROM closed_task LEFT JOIN seen ON seen.task = closed_task.id
        GROUP BY closed_task.id HAVING count(seen.task) <> 1
        """
    )
    for task, count in rows:
        yield Breach(COUNTS, f"it came {count} times in /project/results", task)


def left_over(evidence: Evidence) -> Iterator[Breach]:
    """After everything has been worked off, each task is closed or failed."""
    for task, recipe, leased in evidence.ledger.sql("SELECT id, recipe, is_leased FROM open_task WHERE status = 1"):
        yield Breach(LEFT, "it is leased for ever" if leased else "nobody got it", task, recipe)


def counts_wrong(evidence: Evidence) -> Iterator[Breach]:
    """All places that count how leases ended agree with the tasks and attempts themselves, per project."""
    for name, statement in _COUNTS.items():
        for project, rows, counted in evidence.sql(statement, {}):
            yield Breach(COUNTS, f"project {project}: {name}: {rows} are there, and {counted} counted")
    closed = dict(evidence.ledger.sql("SELECT worker, count(*) FROM closed_task GROUP BY worker"))
    for worker in {*closed, *evidence.told}:
        rows, told = closed.get(worker, 0), evidence.told.get(worker, 0)
        if rows != told:
            yield Breach(COUNTS, f"worker {worker} has closed {rows} tasks, and /worker/stats tells {told}")


# For each count the projects in which it differs: (project, rows, counted).
_COUNTS = {
    "closed tasks in the totals": """
        SELECT id, rows, counted FROM (
            SELECT id, (SELECT count(*) FROM tasks_closedtask WHERE project_id = project.id) AS rows,
                   (SELECT coalesce(sum(count), 0) FROM tasks_closedtotal WHERE project_id = project.id)
                   + (SELECT coalesce(sum(count), 0) FROM tasks_closedentry WHERE project_id = project.id) AS counted
            FROM projects_project AS project
        ) AS one WHERE rows <> counted
    """,
    "closed tasks by worker": """
        SELECT project_id, sum(rows), sum(counted) FROM (
            SELECT project_id, worker_id, count(*) AS rows, 0 AS counted FROM tasks_closedtask GROUP BY 1, 2
            UNION ALL SELECT project_id, worker_id, 0, count FROM tasks_closedtotal
            UNION ALL SELECT project_id, worker_id, 0, count FROM tasks_closedentry
        ) AS one GROUP BY project_id, worker_id HAVING sum(rows) <> sum(counted)
    """,
    "closed tasks in the tallies of workers": """
        SELECT project_id, sum(rows), sum(counted) FROM (
            SELECT project_id, worker_id, count(*) AS rows, 0 AS counted FROM tasks_closedtask GROUP BY 1, 2
            UNION ALL SELECT project_id, worker_id, 0, closed FROM tasks_workertally WHERE hour IS NULL
            UNION ALL SELECT project_id, worker_id, 0, count FROM tasks_closedentry
        ) AS one GROUP BY project_id, worker_id HAVING sum(rows) <> sum(counted)
    """,
    "closed tasks in the tallies of minutes": """
        SELECT project_id, sum(rows), sum(counted) FROM (
            SELECT project_id, count(*) AS rows, 0 AS counted FROM tasks_closedtask GROUP BY 1
            UNION ALL SELECT project_id, 0, closed FROM tasks_projecttally
            UNION ALL SELECT project_id, 0, count FROM tasks_closedentry
        ) AS one GROUP BY project_id HAVING sum(rows) <> sum(counted)
    """,
    "FAILs, SKIPs and expired leases in the tallies of workers": """
        SELECT project_id, sum(rows), sum(counted) FROM (
            SELECT project_id, worker_id, outcome, count(*) AS rows, 0 AS counted FROM tasks_attempt
            WHERE outcome IN (1, 2, 4) GROUP BY 1, 2, 3
            UNION ALL SELECT project_id, worker_id, outcome, 0, count(*) FROM tasks_outcomeentry
            WHERE outcome IN (1, 2, 4) GROUP BY 1, 2, 3
            UNION ALL SELECT project_id, worker_id, kind.outcome, 0, kind.count
            FROM tasks_workertally CROSS JOIN LATERAL (VALUES (1, failed), (2, skipped), (4, expired))
                AS kind (outcome, count)
            WHERE hour IS NULL
        ) AS one GROUP BY project_id, worker_id, outcome HAVING sum(rows) <> sum(counted)
    """,
}

CHECKS: tuple[Callable[[Evidence], Iterator[Breach]], ...] = (
    lost_submits,
    lost_releases,
    lost_votes,
    lost_failures,
    lost_attempts,
    closed_twice,
    stored_twice,
    chained_once,
    leased_twice,
    released_late,
    quorum_broken,
    results_read_once,
    cancelled_is_gone,
    leased_early,
    left_over,
    counts_wrong,
)


def check(evidence: Evidence) -> list[Breach]:
    """All breaches that there are."""
    return [breach for one in CHECKS for breach in one(evidence)]
