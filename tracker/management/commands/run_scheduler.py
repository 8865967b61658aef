import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from tracker import scheduler


class Command(BaseCommand):
    help = (
        "Does the upkeep: gives expired leases back, folds counts, drops what is past its retention. "
        "Any number may run; each chore is done by one at a time. `serve` runs one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        scheduler.run(stop)
