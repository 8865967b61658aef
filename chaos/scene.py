"""A tracker with its projects, workers and a manager, in a folder."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.server import BenchmarkError, Tracker
from chaos.client import Client
from chaos.ledger import Ledger

WORKERS = 12
# How long a start after a kill may take. Only bounds a hang.
START_SECONDS = 180
# So few segments of the log are kept that it, too, has to grow while the disk is full.
POSTGRES_OPTIONS = "-c max_wal_size=48MB -c min_wal_size=32MB -c log_timezone=UTC -c log_line_prefix='%m [%p] '"


class Place(NamedTuple):
    """A project, and how its tasks are submitted."""

    id: int
    name: str
    lease_seconds: int
    verification_count: int
    is_chained: bool
    is_swept: bool
    weight: int


class Scene:
    """The tracker, its projects by name and by id, and its workers' ids and secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracker = Tracker(folder / "tracker")
        # Not on the disk that fills up, as the log of an operating system wouldn't be.
        self.tracker.output = folder / "serve.out"
        self.tracker.env |= {
            "EMBEDDED_POSTGRES_OPTIONS": POSTGRES_OPTIONS,
            "SNAPSHOT_SECONDS": "10",
        }
        self.places: dict[str, Place] = {}
        self.workers: list[tuple[int, str]] = []
        self.cookie = ""
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the tracker and set the scene. Raises BenchmarkError."""
        self.tracker.start()
        made = json.loads(self.tracker.python(_SET.format(workers=WORKERS, projects=json.dumps(_PROJECTS))))
        self.workers = [(pk, secret) for pk, secret in made["workers"]]
        for name, options in _PROJECTS.items():
            self.places[name] = Place(
                id=made["projects"][name],
                name=name,
                lease_seconds=options["lease_seconds"],
                verification_count=_VOTES.get(name, 0),
                is_chained="chain" in options,
                is_swept=name == "swept",
                weight=_WEIGHTS[name],
            )
        self.cookie = asyncio.run(_registered(self))

    def start_again(self) -> None:
        """Start the tracker on its port, after it was killed, as an operating system would. Raises BenchmarkError."""
        with self._starting:
            if self.tracker.is_running:
                # It was killed twice, and has been started since.
                return
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    self.tracker.start()
                    return
                except BenchmarkError:
                    # What is left of the one before may still listen on the port.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)

    def sql(self, statement: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own, since the database may have restarted since the last one."""
        with contextlib.closing(self.tracker.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    @property
    def address(self) -> tuple[str, int]:
        return self.tracker.host, self.tracker.port

    def place(self, project: int) -> Place:
        """The project with this id."""
        return next(place for place in self.places.values() if place.id == project)

    def identities(self) -> Iterator[dict[str, str]]:
        """The headers of each worker."""
        for pk, secret in self.workers:
            yield {"X-Worker-ID": str(pk), "X-Secret": secret}


# The order matters: a chain's target is made first.
_PROJECTS: dict[str, dict[str, Any]] = {
    "plain": {"lease_seconds": 15},
    "quorum": {"lease_seconds": 10},
    "copies": {"lease_seconds": 10},
    "chained": {"lease_seconds": 10, "chain": "copies"},
    "limited": {"lease_seconds": 10, "assign_rate": 200, "submit_rate": 50},
    "short": {"lease_seconds": 1, "retry_backoff": "fixed", "retry_seconds": 1},
    "swept": {"lease_seconds": 10},
}
# How many different workers have to agree: two of the twelve.
_VOTES = {"quorum": 2}
# How often each is chosen. Copies come only by the chain.
_WEIGHTS = {"plain": 10, "quorum": 4, "copies": 0, "chained": 4, "limited": 2, "short": 3, "swept": 2}

_SET = """
import json
from tasks.models import Task
from projects.services import create_project
from workers.services import create_worker, grant_access
Task.objects.all().delete()
registered = [create_worker(alias=f"chaos {{n}}") for n in range({workers})]
projects = {{}}
for name, options in json.loads('{projects}').items():
    chain = projects.get(options.pop("chain", None))
    projects[name] = create_project(name=f"chaos {{name}}", chain=chain, **options)
    for one in registered:
        grant_access(worker=one.worker, project=projects[name], assign=True, submit=True)
print(json.dumps({{
    "workers": [(one.worker.pk, one.secret) for one in registered],
    "projects": {{name: project.pk for name, project in projects.items()}},
}}))
"""


async def _registered(scene: Scene) -> str:
    """Register a manager, who becomes the tracker admin as the first one. Returns the cookie of its session."""
    client = Client(0, scene.address, Ledger(scene.folder / "setting.sqlite"), Counter())
    answer = await client.call("POST", "/register", {"username": "chaos", "password": "correct horse battery"})
    client.close()
    if answer.status != 200:
        raise BenchmarkError(f"The manager could not be registered: {answer.body}")
    found = re.search(rb"set-cookie: *((?:__Host-)?session[^=]*=[^;]+)", answer.head, re.IGNORECASE)
    if found is None:
        raise BenchmarkError(f"The manager got no session: {answer.head!r}")
    return found[1].decode()
