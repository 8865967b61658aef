import signal
import time
from typing import Any

from django.core.management.base import BaseCommand

from tracker.serve import scheduler
from tracker.serve.stopping import Stop
from tracker.serve.supervisor import follow_supervisor, is_orphaned

ORPHAN_SECONDS = 1


class Command(BaseCommand):
    help = (
        "Runs the periodic jobs: reclaims expired leases, folds counts, deletes data past its retention. "
        "Any number of schedulers may run; each job runs in only one of them at a time. `serve` runs one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        follow_supervisor()
        stop = Stop()
        stop.on_signals([signal.SIGTERM, signal.SIGINT])
        scheduler.run(stop)
        if is_orphaned():
            # The kernel signals us before it has closed the dead supervisor's files, and with them its lock on the
            # embedded database. Only after that are we the database's last user, which stops it.
            time.sleep(ORPHAN_SECONDS)
