"""A separate tracker for tests that need real processes, sockets and commands."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from django.conf import settings

from tests.processes import PATIENCE_SECONDS


class Server:
    """`manage.py serve` on a free port, with its data in `folder`."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.env = os.environ | {"TRACKER_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"} | env
        self.env.pop("DATABASE_URL", None)
        self.code = settings.BASE_DIR
        self.process: subprocess.Popen[str] | None = None
        self.address = ""
        self.output: list[str] = []

    def start(self) -> "Server":
        self.process = subprocess.Popen(
            self._command("serve", "--host", "127.0.0.1", "--port", "0"),
            env=self.env,
            cwd=self.code,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,))
        self._reader.start()
        if not ready.wait(PATIENCE_SECONDS) or not self.address:
            self.stop()
            raise AssertionError("serve did not start:\n" + "".join(self.output))
        return self

    def _read(self, ready: threading.Event) -> None:
        for line in self.process.stdout:
            self.output.append(line)
            if " listens on " in line:
                self.address = line.split(" listens on ")[1].split(" ")[0].rstrip("/")
            if "Ctrl-C" in line:
                ready.set()
        ready.set()

    def stop(self) -> int:
        """Stop it and return its exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        return code

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run an operator's command against its database and return its output."""
        result = subprocess.run(
            self._command(*arguments), env=self.env, input=stdin, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self.code / "manage.py"), *arguments]
