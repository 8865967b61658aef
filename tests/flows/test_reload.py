"""A reload replaces all processes by those of the present code, under load, without failing a request."""

import os
import re
import shutil
import signal
import subprocess

import psutil
import pytest
from django.conf import settings

from tests.flows.load import Load, make_submitter
from tests.flows.server import Server
from tests.flows.test_clients import CurlClient
from tests.processes import PATIENCE_SECONDS, eventually, gone

OPTIONS = {"WEB_PROCESSES": "2", "WORKER_CREATE_RATE": "", "EMBEDDED_POSTGRES_OPTIONS": "-c fsync=off"}
CODE = ("manage.py", "gunicorn.conf.py", "tracker", "accounts", "projects", "workers", "tasks", "logs", "webui")


class Installed(Server):
    """A tracker that runs a copy of the code, which a test may change."""

    def __init__(self, folder):
        super().__init__(folder / "data", **OPTIONS)
        self.code = folder / "code"
        self.code.mkdir()
        for name in (*CODE, "templates"):
            source = settings.BASE_DIR / name
            if source.is_dir():
                shutil.copytree(source, self.code / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.code)
        # Compiled files are taken for those of a file that was changed in the same second.
        self.env |= {"PYTHONDONTWRITEBYTECODE": "1"}

    def set_version(self, version):
        """Change the code: the version, which pages of the API show, is a line of it."""
        (self.code / "tracker" / "__init__.py").write_text(f'__version__ = "{version}"\n')

    def version(self):
        return CurlClient(self.address).call("GET", "/api/schema")["info"]["version"]

    def processes(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def reload(self):
        """Ask for it and wait for the line in the log that says what has become of it."""
        said = len(self.output)
        self.process.send_signal(signal.SIGUSR2)
        eventually(lambda: any("Reloaded." in line or "reload failed" in line for line in self.output[said:]))
        return [line for line in self.output[said:] if "INFO tracker.serve: Reloading." not in line]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Installed(tmp_path_factory.mktemp("r")).start()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def submitter(server):
    return make_submitter(server)


def test_it_works(server, submitter):
    with Load(server.address, submitter, clients=6) as load:
        for version in ("7.0", "7.1"):
            old = server.processes()
            server.set_version(version)
            load.wait_for_answers(20)
            (line,) = server.reload()
            assert line.endswith("INFO tracker.serve: Reloaded.\n")
            assert server.version() == version
            load.wait_for_answers(20)
            eventually(lambda old=old: all(gone(process) for process in old))
    assert load.failures == []
    # gunicorn, its two processes, and the scheduler.
    eventually(lambda: len(server.processes()) == 4)


def test_however_often(server, submitter):
    before = server.processes()
    with Load(server.address, submitter) as load:
        for _ in range(50):
            # To its group, too, which its parts don't belong to.
            os.killpg(server.process.pid, signal.SIGUSR2)
        eventually(lambda: all(gone(process) for process in before))
    assert load.failures == []
    eventually(lambda: len(server.processes()) == 4)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("tracker/settings.py", "SECRET_KEY = (", "SyntaxError: "),
        ("webui/urls.py", "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("tracker/env.py", "def flag(): ...", "TypeError: "),
        ("gunicorn.conf.py", "raise RuntimeError('no')", "RuntimeError: no"),
        ("tracker/front/worker.py", "raise RuntimeError('no')", "RuntimeError: no"),
        # Shows only when the web server starts, which then says more itself.
        ("tracker/front/pool.py", "Pool.__init__ = None", ") before it answered."),
    ],
)
def test_version_that_does_not_start_leaves_the_old_one_running(server, submitter, file, text, said):
    path = server.code / file
    before = path.read_text()
    running = server.processes()
    path.write_text(f"{before}\n{text}\n")
    try:
        with Load(server.address, submitter) as load:
            *others, line = server.reload()
            load.wait_for_answers(20)
    finally:
        path.write_text(before)
    assert "The reload failed, and the running version goes on: " in line
    assert said in line
    assert others == [] or file == "tracker/front/pool.py"
    assert load.failures == []
    assert set(running) == set(server.processes())


def test_first_version_that_does_not_start_ends_the_tracker(server):
    path = server.code / "tracker" / "front" / "pool.py"
    before = path.read_text()
    path.write_text(f"{before}\nPool.__init__ = None\n")
    try:
        # In another folder, which has the code that works.
        result = subprocess.run(
            server._command("serve", "--port", "0"),
            env=server.env,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    finally:
        path.write_text(before)
    assert (result.returncode, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"CommandError: The tracker did not start: the web server ended \(exit code [13]\) before it answered\.", last
    )
    # The other one in this folder goes on.
    assert server.version()


def test_works_again_after_a_failure(server):
    server.set_version("8.0")
    server.reload()
    assert server.version() == "8.0"
