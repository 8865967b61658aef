"""The checker finds each kind of breach, in what is stored and in what the clients know, and none in a true history."""

import time

import pytest

from chaos.checker import ALIVE, CLOSED_TWICE, COUNTS, EARLY, LEASED_TWICE, LEFT, LOST, QUORUM
from chaos.ledger import (
    DONE,
    FAIL,
    NOT_THERE,
    NOTED,
    OK,
    UNKNOWN,
    UPDATED,
    Beat,
    Cancel,
    Fault,
    Lease,
    Release,
    Seen,
    Submit,
    Sweep,
)
from tasks.queue import tallying, upkeep
from tests.chaos.history import LEASE_SECONDS, History, closed_by_worker, sql


@pytest.fixture
def history(db, tmp_path):
    history = History(tmp_path / "ledger.sqlite").happen()
    yield history
    history.ledger.close()


def kinds(history):
    return {kind for kind, _ in history.breaches()}


def fold():
    upkeep.fold_closed()
    tallying.fold_outcomes()


def test_a_true_history_has_no_breach(history):
    assert history.breaches() == []
    for table, least in (("tasks_closedtask", 10), ("tasks_task", 1), ("tasks_attempt", 4)):
        assert sql(f"SELECT count(*) FROM {table}", {})[0][0] >= least
    assert history.ledger.lines(history.task("quorum"))[-1].startswith("release")


def test_a_true_history_has_none_after_folding(history):
    fold()
    assert history.breaches() == []


# What is stored is changed behind the clients' back. %(task)s is the newest closed task of the project.
FORGED = [
    ("plain", "DELETE FROM tasks_task WHERE status = 2", LOST, "its submit was acknowledged, and it is gone"),
    ("plain", "DELETE FROM tasks_closedtask WHERE id = %(task)s", LOST, "and it isn't closed"),
    ("plain", "UPDATE tasks_closedtask SET recipe = 'x' WHERE id = %(task)s", LOST, "it is 'x' now"),
    ("quorum", "UPDATE tasks_closedtask SET voters = '{}', votes = '{}'", LOST, "the vote of worker"),
    ("plain", "UPDATE tasks_task SET retries = 1 WHERE status = 2", LOST, "2 FAILs were acknowledged, and 1 counted"),
    ("copies", "DELETE FROM tasks_closedtask WHERE id = %(task)s", LOST, "closed 1 times, and copied 0 times"),
    ("plain", "UPDATE tasks_closedtask SET worker_id = 0 WHERE id = %(task)s", CLOSED_TWICE, "closed by worker 0"),
    (
        "plain",
        "INSERT INTO tasks_task (id, project_id, recipe) "
        "SELECT id, project_id, recipe FROM tasks_closedtask WHERE id = %(task)s",
        CLOSED_TWICE,
        "it is closed, and open as well",
    ),
    (
        "copies",
        "INSERT INTO tasks_task (project_id, recipe, status) "
        "SELECT project_id, recipe, 2 FROM tasks_closedtask WHERE id = %(task)s",
        CLOSED_TWICE,
        "closed 1 times, and copied 2 times",
    ),
    ("quorum", "UPDATE tasks_closedtask SET votes = '{5}' WHERE id = %(task)s", QUORUM, "1 workers agree"),
    ("quorum", "UPDATE tasks_closedtask SET voters = '{-5}' WHERE id = %(task)s", QUORUM, "worker -5 never reported"),
    (
        "plain",
        "INSERT INTO tasks_task (project_id, recipe, status) SELECT project_id, recipe, 2 FROM tasks_task",
        COUNTS,
        "it is there 2 times, and was submitted 1 times",
    ),
    (
        "plain",
        "INSERT INTO tasks_task (project_id, recipe, status, hash64, created) "
        "SELECT project_id, recipe, 2, hash64, created - interval '1 h' FROM tasks_closedtask WHERE id = %(task)s",
        COUNTS,
        "was stored with its hash while it was open",
    ),
    ("plain", "UPDATE tasks_task SET retries = 3 WHERE status = 2", COUNTS, "2 FAILs were reported, and 3 counted"),
    ("plain", "UPDATE tasks_task SET status = 1", LEFT, "nobody got it"),
    ("plain", "UPDATE tasks_closedtotal SET count = count + 1", COUNTS, "closed tasks in the totals"),
    ("plain", "UPDATE tasks_closedtotal SET worker_id = 0 WHERE id = 1", COUNTS, "closed tasks by worker"),
    ("plain", "UPDATE tasks_workertally SET closed = closed - 1", COUNTS, "in the tallies of workers"),
    ("plain", "UPDATE tasks_projecttally SET closed = closed + 1", COUNTS, "in the tallies of minutes"),
    ("plain", "UPDATE tasks_workertally SET failed = failed + 1", COUNTS, "FAILs, SKIPs and expired leases"),
    ("plain", "DELETE FROM tasks_attempt WHERE outcome = 1", LOST, "left no attempt"),
    ("plain", "DELETE FROM tasks_attempt WHERE outcome = 2", LOST, "left no attempt"),
    ("plain", "UPDATE tasks_attempt SET outcome = 1 WHERE outcome = 3", LOST, "left no attempt"),
    (
        "plain",
        "INSERT INTO tasks_attempt (task_id, project_id, worker_id, lease, began, outcome, version) "
        "SELECT task_id, project_id, worker_id, lease, began, 4, '' FROM tasks_attempt LIMIT 1",
        CLOSED_TWICE,
        "ended 2 times",
    ),
    ("plain", "DELETE FROM tasks_attempt WHERE outcome = 2", COUNTS, "FAILs, SKIPs and expired leases"),
]


@pytest.mark.parametrize(("name", "statement", "kind", "text"), FORGED, ids=[f"{one[2]}: {one[3]}" for one in FORGED])
def test_what_was_changed_behind_the_clients_back_is_found(history, name, statement, kind, text):
    fold()
    # Ids are taken from sequences, which tests share.
    statement = statement.replace("WHERE id = 1", "WHERE id = (SELECT min(id) FROM tasks_closedtotal)")
    sql(statement, {"task": history.task(name)} if "%(task)s" in statement else {})
    assert [one for one in history.breaches() if one[0] == kind and text in one[1]]


def test_an_entry_that_was_lost_before_it_was_counted_is_found(history):
    sql("DELETE FROM tasks_closedentry WHERE id = (SELECT max(id) FROM tasks_closedentry)", {})
    assert COUNTS in kinds(history)


def test_what_the_tracker_tells_of_its_workers_is_compared(history):
    history.told = {worker: count + 1 for worker, count in closed_by_worker().items()}
    assert kinds(history) == {COUNTS}


# What the clients were told.


def release(history, **changes):
    """The report that closed the newest task of the plain project, with changes."""
    task = history.task("plain")
    history.ledger.complete()
    (row,) = history.ledger.sql("SELECT * FROM release WHERE task = ? AND outcome = 'updated'", task)
    return Release(*row)._replace(**changes)


def lease(history, **changes):
    """The lease that closed the newest task of the plain project, with changes."""
    task = history.task("plain")
    history.ledger.complete()
    (row,) = history.ledger.sql("SELECT * FROM lease WHERE task = ?", task)
    return Lease(*row)._replace(**changes)


def test_two_releases_that_closed_a_task_are_found(history):
    history.ledger.add(release(history, sent=time.time()))
    assert kinds(history) == {CLOSED_TWICE}


def test_a_release_that_another_worker_was_told_to_have_closed_is_found(history):
    history.ledger.add(release(history, worker=history.members[2].worker))
    assert kinds(history) == {CLOSED_TWICE}


def test_a_submit_that_is_acknowledged_but_not_stored_is_found(history):
    history.ledger.add(Submit("nowhere", history.places["plain"].id, False, 1.0, 2.0, "stored", 10**9))
    assert kinds(history) == {LOST}


def test_a_submit_with_an_unknown_outcome_may_be_stored_or_not(history):
    project = history.places["plain"].id
    for recipe in ("stored", "not stored"):
        history.ledger.add(Submit(recipe, project, False, 1.0, 2.0, UNKNOWN, None))
    sql("INSERT INTO tasks_task (project_id, recipe, status) VALUES (%(project)s, 'stored', 2)", {"project": project})
    assert history.breaches() == []


def test_a_task_that_nobody_submitted_is_found(history):
    values = {"project": history.places["plain"].id}
    sql("INSERT INTO tasks_task (project_id, recipe, status) VALUES (%(project)s, 'x', 2)", values)
    assert kinds(history) == {COUNTS}


def submitted_again(history, *, answered):
    """Store a second task with the hash of a closed one; its submit was sent before and answered after the closing."""
    task = history.task("plain")
    columns = "project_id, recipe, hash64, extract(epoch FROM closed)::float8"
    ((project, recipe, hash64, closed),) = sql(
        f"SELECT {columns} FROM tasks_closedtask WHERE id = %(id)s", {"id": task}
    )
    values = {"project": project, "recipe": recipe, "hash64": hash64, "task": task}
    ((again,),) = sql(
        "INSERT INTO tasks_task (project_id, recipe, hash64, status, created) "
        "SELECT %(project)s, %(recipe)s, %(hash64)s, 2, created FROM tasks_closedtask WHERE id = %(task)s RETURNING id",
        values,
    )
    history.ledger.add(Submit(recipe, project, True, closed - 2, closed + answered, "stored", again))


def test_a_submit_that_waited_until_its_hash_was_free_is_right(history):
    submitted_again(history, answered=0.1)
    assert history.breaches() == []


def test_one_that_was_answered_while_its_hash_was_taken_is_found(history):
    submitted_again(history, answered=-0.1)
    assert kinds(history) == {COUNTS}


def test_a_vote_that_is_acknowledged_but_not_kept_is_found(history):
    worker = history.members[2].worker
    history.ledger.add(release(history, task=history.task("quorum"), worker=worker, verification=7, outcome=NOTED))
    assert kinds(history) == {LOST}


def test_a_fail_with_an_unknown_outcome_may_be_counted_or_not(history):
    failed = history.task("plain", closed=False)
    history.ledger.add(release(history, task=failed, result=FAIL, outcome=UNKNOWN))
    assert history.breaches() == []


def test_nor_may_it_be_counted_twice(history):
    failed = history.task("plain", closed=False)
    history.ledger.add(release(history, task=failed, result=FAIL, outcome=UNKNOWN))
    sql("UPDATE tasks_task SET retries = 4 WHERE id = %(task)s", {"task": failed})
    assert kinds(history) == {COUNTS}


def test_a_result_that_was_not_read_is_found(history):
    history.ledger.complete()
    history.ledger.sql("DELETE FROM seen WHERE task = ?", history.task("plain"))
    assert kinds(history) == {COUNTS}


def test_a_result_that_was_read_twice_is_found(history):
    history.ledger.add(Seen(history.places["plain"].id, history.task("plain")))
    assert kinds(history) == {COUNTS}


# Cancels and delays.


def cancel(history, *, closed, outcome=DONE):
    task = history.task("plain", closed=closed)
    history.ledger.add(Cancel(task, history.places["plain"].id, 1.0, 2.0, outcome))
    return task


@pytest.mark.parametrize("closed", [True, False])
def test_a_task_that_is_there_after_its_cancel_is_found(history, closed):
    cancel(history, closed=closed)
    assert kinds(history) == {ALIVE}


@pytest.mark.parametrize("outcome", [DONE, UNKNOWN])
def test_one_that_is_gone_is_right(history, outcome):
    task = cancel(history, closed=False, outcome=outcome)
    sql("DELETE FROM tasks_task WHERE id = %(task)s", {"task": task})
    assert history.breaches() == []


def test_one_that_was_not_there_to_be_cancelled_must_not_be_gone(history):
    task = cancel(history, closed=False, outcome=NOT_THERE)
    assert history.breaches() == []
    history.ledger.sql("DROP TABLE open_task")
    for table in ("closed_task", "vote", "attempt"):
        history.ledger.sql(f"DROP TABLE {table}")
    sql("DELETE FROM tasks_task WHERE id = %(task)s", {"task": task})
    assert kinds(history) == {LOST}


def test_a_lease_before_the_time_of_a_task_is_found(history):
    history.ledger.complete()
    history.ledger.sql("UPDATE submit SET delay = 100 WHERE task = ?", history.task("plain"))
    assert kinds(history) == {EARLY}


# Two leases of one task.


@pytest.fixture
def second(history):
    """A lease of a task that another worker holds, and had still held for some seconds."""
    own = lease(history)
    # As if the first one had been released later than it was.
    history.ledger.sql("UPDATE release SET sent = sent + 50, answered = answered + 50 WHERE task = ?", own.task)
    began = own.answered + 10
    return Lease(own.task, "other", 0, own.project, own.recipe, began, began + 1, began + 1 + LEASE_SECONDS)


def test_overlapping_leases_are_found(history, second):
    history.ledger.add(second)
    assert LEASED_TWICE in kinds(history)


def test_so_are_those_whose_answers_crossed(history, second):
    history.ledger.add(second._replace(sent=second.sent - 20))
    assert kinds(history) == {LEASED_TWICE}


def test_one_after_the_first_has_expired_but_was_extended_is_found(history, second):
    history.ledger.sql("DELETE FROM release WHERE task = ?", second.task)
    own = lease(history)
    beat = own.ends - 5
    history.ledger.add(Beat(own.task, own.lease, own.worker, beat, beat + 1, beat + LEASE_SECONDS))
    history.ledger.add(second._replace(sent=own.ends + 1, answered=own.ends + 2, ends=own.ends + LEASE_SECONDS))
    assert LEASED_TWICE in kinds(history)


def test_a_lease_after_the_release_is_none(history):
    own = lease(history)
    after = release(history).answered
    history.ledger.add(own._replace(lease="other", sent=after, answered=after + 1, ends=after + LEASE_SECONDS))
    assert history.breaches() == []


def test_nor_is_one_after_the_first_has_expired(history, second):
    history.ledger.sql("DELETE FROM release WHERE task = ?", second.task)
    began = second.sent - 10 + LEASE_SECONDS + 1
    history.ledger.add(second._replace(sent=began, answered=began + 1, ends=began + LEASE_SECONDS))
    assert LEASED_TWICE not in kinds(history)


@pytest.mark.parametrize(
    "excuse",
    [
        lambda second: Fault("crash", "", second.sent - 5, second.sent - 4, True),
        lambda second: Sweep(second.project, "reclaim", second.sent - 5, second.sent - 4),
    ],
    ids=["crash", "reclaim"],
)
def test_a_crash_or_a_manager_may_have_ended_the_first(history, second, excuse):
    history.ledger.sql("DELETE FROM release WHERE task = ?", second.task)
    history.ledger.add(second, excuse(second))
    assert LEASED_TWICE not in kinds(history)


@pytest.mark.parametrize(
    "excuse",
    [
        lambda second: Fault("web process killed", "", second.sent - 5, second.sent - 4, False),
        lambda second: Fault("crash", "", second.answered + 1, second.answered + 2, True),
        lambda second: Sweep(second.project + 1, "reclaim", second.sent - 5, second.sent - 4),
    ],
    ids=["no crash", "too late", "elsewhere"],
)
def test_nothing_else_excuses_it(history, second, excuse):
    history.ledger.add(second, excuse(second))
    assert LEASED_TWICE in kinds(history)


def test_a_release_with_a_lease_that_had_ended_is_found(history, second):
    # It ends before the release of the first one is sent, which is then accepted.
    history.ledger.add(second, release(history, lease="other", outcome="not held", sent=second.answered + 1, worker=0))
    history.ledger.add(release(history, result=OK, outcome=UPDATED, task=second.task))
    assert LEASED_TWICE in kinds(history)
