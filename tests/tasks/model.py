"""The queue as it should be: a model in plain Python, for test_model.py.

One project, a clock in seconds that only `wait` moves, and the verbs. Tasks and leases are named as the tracker named
them, since it may choose: among tasks whose leases expired at the same moment, for instance.
"""

from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass
class Task:
    """A task. `state` is ready, leased, delayed, failed, closed or gone."""

    priority: int
    max_retries: int
    needed: int
    hash64: int | None
    submitted: float
    run_at: float
    expires_at: float
    state: str = "ready"
    retries: int = 0
    expiries: int = 0
    holder: int | None = None
    lease: str | None = None
    ends: float = NEVER
    votes: list = field(default_factory=list)
    disagreed: bool = False

    def voted(self, worker):
        return worker in [voter for voter, _ in self.votes]

    def given(self):
        return [vote for _, vote in self.votes if vote is not None]


@dataclass
class Rules:
    """The settings of the project. `backoff` gives the delay after so many FAILs."""

    lease_seconds: float = 600
    max_lease_seconds: float = 5_000
    max_expiries: int = 0
    max_votes: int = 0
    ageing: float = 0
    backoff: object = lambda retries: 0


class Model:
    def __init__(self, rules):
        self.rules, self.now, self.tasks = rules, 0.0, {}

    def open(self, *states):
        return {name: task for name, task in self.tasks.items() if task.state in states}

    def wait(self, seconds):
        self.now += seconds

    def submit(self, name, *, delay=0, expires_in=NEVER, **columns):
        run_at, expires_at = self.now + delay, self.now + expires_in
        self.tasks[name] = Task(submitted=self.now, run_at=run_at, expires_at=expires_at, **columns)
        self.tasks[name].state = "delayed" if delay else "ready"

    def has_hash(self, hash64):
        open_tasks = self.open("ready", "leased", "delayed", "failed").values()
        return hash64 is not None and any(task.hash64 == hash64 for task in open_tasks)

    def leasable(self, worker):
        """The keys of the tasks that the worker may lease, by name; the lower ones come first."""
        keys = {}
        for name, task in self.tasks.items():
            if task.voted(worker) or task.expires_at <= self.now:
                continue
            if task.state == "ready":
                keys[name] = (0, -self.rank(task), name)
            elif task.state == "leased" and task.ends <= self.now:
                limit = self.rules.max_expiries
                if not limit or task.expiries + 1 < limit:
                    keys[name] = (1, task.ends)
        return keys

    def rank(self, task):
        waited_since = max(task.submitted, task.run_at)
        return task.priority - (waited_since // self.rules.ageing if self.rules.ageing else 0)

    def lease(self, worker, name, lease):
        task = self.tasks[name]
        if task.state == "leased":
            self.expire(task)
        task.state, task.holder, task.lease = "leased", worker, lease
        task.ends = self.now + self.rules.lease_seconds

    def holds(self, worker, name, lease):
        task = self.tasks[name]
        return task.state == "leased" and task.holder == worker and lease in (None, task.lease)

    def release(self, worker, name, result, *, vote=0, reason=None, retry_after=None):
        """A report of a task that the worker holds. Returns how many votes are missing."""
        task = self.tasks[name]
        self.end(task)
        if result == "OK":
            agree = task.given().count(vote) + 1
            if agree >= task.needed:
                task.state = "closed"
                return 0
            task.votes.append((worker, vote))
            if self.rules.max_votes and len(task.given()) >= self.rules.max_votes:
                task.state, task.disagreed = "failed", True
            return max(task.needed, 1) - agree
        counts = result == "FAIL" and reason not in ("shutdown", "busy")
        task.retries += counts
        if reason == "bad_recipe" or (counts and task.retries >= task.max_retries):
            task.state = "failed"
        else:
            delay = self.rules.backoff(task.retries) if counts else 0
            delay = delay if retry_after is None else retry_after
            if delay:
                task.state, task.run_at = "delayed", self.now + delay
        if reason == "not_for_me":
            task.votes.append((worker, None))
        return 0

    def heartbeat(self, worker, name, seconds):
        """Of a lease that the worker holds."""
        task = self.tasks[name]
        if seconds is None:
            task.ends = max(task.ends, self.now + self.rules.lease_seconds)
        else:
            task.ends = self.now + min(seconds, self.rules.max_lease_seconds)

    def cancel(self, name):
        task = self.tasks[name]
        self.end(task)
        task.state = "gone"

    def accept(self, name, vote):
        """Whether a manager may close the task with this vote."""
        task = self.tasks[name]
        if task.state in ("ready", "delayed", "failed") and vote in task.given():
            task.state = "closed"
            return True
        return False

    def retry(self):
        """A manager retries every failed task."""
        for task in self.open("failed").values():
            task.state, task.retries, task.expiries = "ready", 0, 0
            if task.expires_at <= self.now:
                task.expires_at = NEVER
            if task.disagreed:
                task.votes = [(voter, vote) for voter, vote in task.votes if vote is None]
                task.disagreed = False

    def reclaim(self):
        """A manager reclaims every lease."""
        for task in self.open("leased").values():
            self.end(task)

    def tick(self):
        """The scheduler comes round."""
        for task in self.open("leased").values():
            if task.ends <= self.now:
                self.expire(task)
        for task in self.open("delayed").values():
            if task.run_at <= self.now:
                task.state = "ready"
        for task in self.open("ready", "delayed").values():
            if task.expires_at <= self.now:
                task.state, task.disagreed = "failed", False

    def expire(self, task):
        self.end(task)
        task.expiries += 1
        if self.rules.max_expiries and task.expiries >= self.rules.max_expiries:
            task.state = "failed"

    def end(self, task):
        task.state, task.holder, task.lease, task.ends = "ready", None, None, NEVER
