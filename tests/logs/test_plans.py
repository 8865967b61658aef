"""The search of the log uses its indexes, also before the table was first analysed."""

import pytest
from django.db import connection

from logs.queries import FIND, LogCriteria
from tests.factories import register

pytestmark = pytest.mark.django_db(transaction=True)

FILL = """
INSERT INTO logs_logentry (worker_id, level, scope, message, timestamp, task_id, received)
SELECT %s, 5, 's', 'm', 1, nullif(n %% 200, 0), now() - n * interval '1 s' FROM generate_series(1, 8000) AS n
"""


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(
    ("criteria", "index"),
    [
        (LogCriteria(), "logentry_by_receipt"),
        (LogCriteria(level=3, text="%x%"), "logentry_by_receipt"),
        (LogCriteria(task=7), "logentry_of_task"),
        (LogCriteria(task=7, workers=[1], text="%x%"), "logentry_of_task"),
        (LogCriteria(workers=[-1]), "logentry_of_worker"),
    ],
)
def test_it_works(criteria, index, analysed):
    workers = [register(name).worker.pk for name in ("one", "two")]
    with connection.cursor() as cursor:
        for worker in workers:
            cursor.execute(FILL, [worker])
        if analysed:
            cursor.execute("ANALYZE logs_logentry")
        alone = criteria.workers[0] if criteria.workers and criteria.task is None else None
        page = {"after": None, "after_id": 0, "bound": 100_000, "limit": 101}
        cursor.execute(f"EXPLAIN (FORMAT JSON) {FIND}", criteria._asdict() | page | {"worker": alone})
        assert set(indexes(cursor.fetchone()[0][0]["Plan"])) == {index}


def indexes(plan):
    """The index of each scan of the table, or the kind of a scan without one."""
    if plan.get("Relation Name") == "logs_logentry" and plan["Node Type"] != "Bitmap Heap Scan":
        yield plan.get("Index Name", plan["Node Type"])
    elif plan["Node Type"] == "Bitmap Index Scan":
        yield plan["Index Name"]
    for child in plan.get("Plans", []):
        yield from indexes(child)
