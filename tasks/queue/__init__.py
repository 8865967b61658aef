"""The queue: submitting, leasing, extending and releasing tasks.

This is its public interface. What a call does in the database is in `functions`; docs/task-lifecycle.md shows the
states of a task.

A lease is held until it is released or expires.
"""

from tasks.queue.exchanging import exchange
from tasks.queue.heartbeating import heartbeat
from tasks.queue.leasing import lease, lease_anywhere, lease_many
from tasks.queue.releasing import release, release_many
from tasks.queue.submitting import store_many, submit, submit_many
from tasks.queue.types import (
    BATCH_LIMIT,
    BULK_LIMIT,
    LONGEST_WAIT,
    DuplicateTask,
    Exchanged,
    Extended,
    Heartbeat,
    Leased,
    LeasedTask,
    NewTask,
    Released,
    Report,
    Result,
    Stored,
    WorkerPaused,
)

__all__ = [
    "BATCH_LIMIT",
    "BULK_LIMIT",
    "LONGEST_WAIT",
    "DuplicateTask",
    "Exchanged",
    "Extended",
    "Heartbeat",
    "Leased",
    "LeasedTask",
    "NewTask",
    "Released",
    "Report",
    "Result",
    "Stored",
    "WorkerPaused",
    "exchange",
    "heartbeat",
    "lease",
    "lease_anywhere",
    "lease_many",
    "release",
    "release_many",
    "store_many",
    "submit",
    "submit_many",
]
