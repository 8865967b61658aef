import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand

from tracker.serve import scheduler
from tracker.serve.supervisor import follow_supervisor, is_orphaned

ORPHAN_SECONDS = 1


class Command(BaseCommand):
    help = (
        "Does the upkeep: gives expired leases back, folds counts, drops what is past its retention. "
        "Any number may run; each chore is done by one at a time. `serve` runs one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        follow_supervisor()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        scheduler.run(stop)
        if is_orphaned():
            # The kernel tells us before it has closed the dead one's files. Only without those are we the last user of
            # the embedded database, who stops it.
            time.sleep(ORPHAN_SECONDS)
