"""The embedded PostgreSQL, on servers that the tests start."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest
from django.conf import settings
from django.db import connections

from tests.processes import PATIENCE_SECONDS, eventually, gone
from tracker.postgres import base
from tracker.postgres import server as module
from tracker.postgres.server import (
    DATABASE,
    LONGEST_SOCKET_FOLDER,
    USER,
    EmbeddedServer,
    EmbeddedServerError,
    Leaving,
)

FAST = "-c fsync=off -c autovacuum=off"

# Attaches to the server in the given folder and stays until its standard input ends.
USER_PROCESS = f"""
import sys
from pathlib import Path
from tracker.postgres import server
server.STOP_SECONDS = {PATIENCE_SECONDS}
server.EmbeddedServer(Path(sys.argv[1]), options=sys.argv[2]).attach()
print("attached", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def _patient():
    """A server on a busy machine may take longer to stop than `serve` waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STOP_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a stopped server, shared by the tests: initdb takes longer than everything else."""
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"), options=FAST)
    server.attach()
    server.detach()
    return server.folder


def kill(server):
    """Kill a server that should have stopped by itself, and wait until it has ended."""
    while server.is_running():
        # None while it shuts down: the postmaster removes its pid file before it exits.
        pid = server.postmaster_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        time.sleep(0.01)


@pytest.fixture
def new_server():
    """Makes servers that are stopped after the test, however it ends."""
    made = []

    def make(folder, *, options=FAST):
        made.append(EmbeddedServer(folder, options=options))
        return made[-1]

    yield make
    for server in made:
        server.detach()
    for server in made:
        kill(server)
        if server.socket_folder.parent != server.folder:
            shutil.rmtree(server.socket_folder, ignore_errors=True)


@pytest.fixture
def server(folder, new_server):
    return new_server(folder)


@pytest.fixture
def only_version(tmp_path, new_server):
    """A server whose data is only a version file, for tests that don't start it."""
    server = new_server(tmp_path / "pg")
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("18\n")
    return server


@contextlib.contextmanager
def another_user(server):
    """Another process that is attached to the server."""
    command = [sys.executable, "-c", USER_PROCESS, str(server.folder), server.options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "attached\n"
            yield process
        finally:
            process.kill()


def connect(server):
    return psycopg2.connect(host=str(server.socket_folder), user=USER, dbname=DATABASE)


def ask(server, statement):
    with contextlib.closing(connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def mode(path):
    return path.stat().st_mode & 0o777


def test_it_works(server):
    assert (server.is_attached, server.is_running()) == (False, False)
    server.attach()
    assert (server.is_attached, server.is_running()) == (True, True)
    assert ask(server, "SHOW server_version").startswith("18.")
    assert ask(server, "SELECT current_database()") == DATABASE


def test_attaching_twice_changes_nothing(server):
    server.attach()
    pid = server.postmaster_pid()
    server.attach()
    assert server.postmaster_pid() == pid
    server.detach()
    assert not server.is_running()


def test_last_user_stops_it(server, new_server):
    second = new_server(server.folder)
    server.attach()
    second.attach()
    server.detach()
    assert (server.is_attached, second.is_running()) == (False, True)
    assert ask(second, "SELECT 1") == 1
    second.detach()
    assert not second.is_running()
    assert second.postmaster_pid() is None


def test_detaching_without_having_attached_changes_nothing(server, new_server):
    server.attach()
    new_server(server.folder).detach()
    assert server.is_running()


def test_attaches_again_after_detaching(server):
    for _ in range(2):
        server.attach()
        assert ask(server, "SELECT 1") == 1
        server.detach()
        assert not server.is_running()


def test_another_process_keeps_it_running(server):
    server.attach()
    with another_user(server) as other:
        server.detach()
        assert ask(server, "SELECT 1") == 1
        other.stdin.close()
        assert other.wait(PATIENCE_SECONDS) == 0
    assert not server.is_running()


def test_killed_user_does_not_count(server):
    with another_user(server) as other:
        server.attach()
        other.kill()
        other.wait(PATIENCE_SECONDS)
    assert ask(server, "SELECT 1") == 1
    server.detach()
    assert not server.is_running()


def test_last_user_waits_until_the_server_is_gone(server):
    server.attach()
    server.detach()
    assert not server.is_running()


def test_thread_that_waits_to_attach_gives_up_when_its_process_leaves(server):
    server.register()
    with server._starting(), ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(server.attach)
        eventually(server._in_process.locked)
        server.detach(seconds=1)
        with pytest.raises(Leaving, match="no longer uses"):
            attaching.result(PATIENCE_SECONDS)
    assert (server.is_attached, server.is_running()) == (False, False)


def test_thread_that_starts_it_gives_up_when_its_process_leaves(server, monkeypatch):
    server.register()
    # A program that takes for ever, instead of pg_ctl.
    monkeypatch.setattr(module, "binaries", lambda: server.folder)
    (server.folder / "pg_ctl").write_text("#!/bin/sh\nexec sleep 600\n")
    (server.folder / "pg_ctl").chmod(0o755)
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(server.attach)
        eventually(lambda: any("sleep" in child.name() for child in psutil.Process().children(recursive=True)))
        server.detach()
        with pytest.raises(Leaving):
            attaching.result(PATIENCE_SECONDS)
    (server.folder / "pg_ctl").unlink()
    assert not any("sleep" in child.name() for child in psutil.Process().children(recursive=True))


def test_registered_process_keeps_a_server_that_another_one_starts(server, new_server):
    server.register()
    assert not server.is_running()
    other = new_server(server.folder)
    other.attach()
    other.detach()
    assert server.is_running()
    server.detach()
    assert not server.is_running()


def test_server_that_does_not_finish_its_work_in_time_is_stopped_at_once(server, monkeypatch):
    server.attach()
    modes = []
    pg_ctl = server._pg_ctl

    def slow(action, *arguments, **options):
        modes.append(arguments[-1])
        if arguments[-1] == "immediate":
            pg_ctl(action, *arguments, **options)

    monkeypatch.setattr(server, "_pg_ctl", slow)
    monkeypatch.setattr(module, "FAST_PART", 0.005)
    server.detach()
    assert set(modes) == {"fast", "immediate"}
    assert not server.is_running()


def test_server_that_is_only_just_starting_is_stopped(server, monkeypatch):
    """Its pid file is not there yet, and pg_ctl finds no server to stop."""
    server.attach()
    pid_file, hidden = server.data / "postmaster.pid", server.data / "hidden"
    pid_file.rename(hidden)
    pg_ctl = server._pg_ctl
    calls = []

    def then_there(*arguments, **options):
        pg_ctl(*arguments, **options)
        calls.append(arguments)
        if hidden.exists():
            hidden.rename(pid_file)

    monkeypatch.setattr(server, "_pg_ctl", then_there)
    server.detach()
    assert len(calls) > 1
    assert not server.is_running()


def test_concurrent_attaches_start_one_server(server, new_server):
    servers = [server, *(new_server(server.folder) for _ in range(5))]
    log_before = server.log.read_text()
    start = threading.Barrier(len(servers))

    def attach(one):
        start.wait(PATIENCE_SECONDS)
        one.attach()
        return one.postmaster_pid()

    with ThreadPoolExecutor(len(servers)) as pool:
        assert len(set(pool.map(attach, servers))) == 1
    assert server.log.read_text().removeprefix(log_before).count("starting PostgreSQL") == 1


def test_starts_again_after_its_postmaster_was_killed(server):
    server.attach()
    ask(server, "DROP TABLE IF EXISTS kept")
    ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
    pid = server.postmaster_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not server.is_running())
    assert server.postmaster_pid() == pid
    server.attach()
    assert server.postmaster_pid() != pid
    assert ask(server, "SELECT number FROM kept") == 7
    server.detach()
    assert not server.is_running()


def test_waits_for_the_backends_of_a_killed_postmaster(server, monkeypatch):
    server.attach()
    postmaster = psutil.Process(server.postmaster_pid())
    waits = []

    class Clock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def sleep(seconds):
            """Whoever attaches has found the server neither answering nor gone."""
            waits.append(seconds)
            resume()
            time.sleep(seconds)

    def resume():
        with contextlib.suppress(psutil.NoSuchProcess):
            backend.resume()

    with contextlib.closing(connect(server)) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        # As one that is busy with a long query, it doesn't see that its postmaster is gone.
        backend.suspend()
        try:
            others = [process for process in postmaster.children() if process != backend]
            postmaster.kill()
            eventually(lambda: all(gone(process) for process in (postmaster, *others)))
            assert server.is_running()
            monkeypatch.setattr(module, "time", Clock)
            server.attach()
        finally:
            resume()
    assert waits
    eventually(lambda: gone(backend))
    assert ask(server, "SELECT 1") == 1


def test_connecting_to_one_that_accepts_no_connections_ends_in_time(server, monkeypatch):
    server.attach()
    monkeypatch.setattr(base, "embedded_server", lambda: server)
    # Not attaching, which would wait for it.
    monkeypatch.setattr(server, "_ensure_running", lambda: pytest.fail("It attaches."))
    wrapper = base.DatabaseWrapper(connections["default"].settings_dict)
    parameters = {"host": str(server.socket_folder), "user": USER, "dbname": DATABASE, "connect_timeout": 2}
    postmaster = psutil.Process(server.postmaster_pid())
    postmaster.suspend()
    try:
        with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
            wrapper.get_new_connection(parameters)
    finally:
        postmaster.resume()
    assert settings.DATABASES["default"]["OPTIONS"]["connect_timeout"] > 0


def test_pid_file_with_the_id_of_an_unrelated_process(server):
    server.attach()
    pid = server.postmaster_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not server.is_running())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        # As after a restart of the machine.
        for path in (server.data / "postmaster.pid", server.socket_folder / ".s.PGSQL.5432.lock"):
            path.write_text(path.read_text().replace(str(pid), str(stranger.pid), 1))
        assert not server.is_running()
        server.attach()
        assert ask(server, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", [None, "", "nonsense\n"])
def test_lost_pid_file_starts_no_second_server(server, new_server, content):
    server.attach()
    path, log_before = server.data / "postmaster.pid", server.log.read_text()
    kept = path.read_text()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    try:
        assert server.is_running()
        new_server(server.folder).attach()
        assert server.log.read_text() == log_before
    finally:
        path.write_text(kept)


def test_folder_with_two_names_has_one_server(server, new_server, tmp_path):
    (tmp_path / "link").symlink_to(server.folder)
    second = new_server(tmp_path / "link")
    server.attach()
    second.attach()
    assert (second.socket_folder, second.postmaster_pid()) == (server.socket_folder, server.postmaster_pid())
    server.detach()
    assert second.is_running()


def test_data_of_another_major_version(only_version):
    (only_version.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError) as caught:
        only_version.attach()
    message = str(caught.value)
    assert "\n" not in message
    assert f"The data in {only_version.data} was written by PostgreSQL 17; this tracker uses PostgreSQL 18." in message
    assert (only_version.data / "PG_VERSION").read_text() == "17\n"


def test_failure_shows_the_end_of_the_log(folder, new_server):
    server = new_server(folder, options="-c nonsense=1")
    with pytest.raises(EmbeddedServerError) as caught:
        server.attach()
    first, *tail = str(caught.value).splitlines()
    assert str(server.folder) in first
    assert "set DATABASE_URL" in first
    assert str(server.log) in first
    assert any('unrecognized configuration parameter "nonsense"' in line for line in tail)
    assert len(tail) <= module.LOG_TAIL_LINES


def test_failing_initdb_says_why(tmp_path, new_server, monkeypatch):
    monkeypatch.setattr(module, "USER", "pg_reserved")
    server = new_server(tmp_path / "pg")
    with pytest.raises(EmbeddedServerError, match="superuser name") as caught:
        server.attach()
    assert str(caught.value).startswith(f"initdb could not create {server.data}:\n")
    assert not server.data.exists()


def test_too_many_connections_count_as_an_answer(folder, new_server):
    server = new_server(folder, options=f"{FAST} -c max_connections=4 -c superuser_reserved_connections=0")
    server.attach()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.callback(connect(server).close)
        with pytest.raises(psycopg2.OperationalError, match="too many clients"):
            connect(server)
        server.attach()


def test_socket_is_beside_the_data_unless_the_path_is_too_long(tmp_path):
    room = LONGEST_SOCKET_FOLDER - len(os.fsencode(tmp_path / "x" / "socket")) + 1
    fits, too_long = EmbeddedServer(tmp_path / ("x" * room)), EmbeddedServer(tmp_path / ("x" * (room + 1)))
    assert fits.socket_folder == fits.folder / "socket"
    assert too_long.socket_folder.parent == Path(tempfile.gettempdir())
    assert too_long.socket_folder != EmbeddedServer(tmp_path / ("y" * (room + 1))).socket_folder
    assert too_long.socket_folder == EmbeddedServer(too_long.folder).socket_folder


def test_works_in_a_folder_with_a_long_name(tmp_path, folder, new_server):
    server = new_server(tmp_path / ("x" * 100))
    shutil.copytree(folder / "data", server.data)
    server.attach()
    assert ask(server, "SELECT 1") == 1
    assert mode(server.socket_folder) == 0o700
    server.detach()
    assert not server.is_running()
    assert not server.socket_folder.exists()


@pytest.mark.parametrize("name", ["it's a näme", 'a "b" $c `d` \\e'])
def test_works_in_a_folder_with_a_difficult_name(tmp_path, folder, new_server, name):
    server = new_server(tmp_path / name)
    shutil.copytree(folder / "data", server.data)
    server.attach()
    assert ask(server, "SELECT 1") == 1


def test_socket_folder_has_no_comma_in_its_path(tmp_path):
    assert "," not in str(EmbeddedServer(tmp_path / "a, b").socket_folder)


def test_nobody_else_can_enter_its_folders(server):
    server.folder.chmod(0o755)
    server.attach()
    assert [mode(path) for path in (server.folder, server.data, server.socket_folder)] == [0o700] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_refused(only_version):
    os.chown(only_version.folder, 12345, -1)
    try:
        with pytest.raises(EmbeddedServerError, match="belongs to another user: move it away or set TRACKER_DATA_DIR"):
            only_version.attach()
    finally:
        os.chown(only_version.folder, os.geteuid(), -1)


def test_does_not_listen_on_tcp(server):
    server.attach()
    postmaster = psutil.Process(server.postmaster_pid())
    assert len(postmaster.net_connections(kind="unix")) > 0
    assert postmaster.net_connections(kind="inet") == []
    assert ask(server, "SHOW listen_addresses") == ""


def test_forked_child_is_not_attached_and_leaves_the_lock_to_its_parent(server, new_server):
    server.attach()
    stay, leave = os.pipe()
    child = os.fork()
    if not child:
        os.close(leave)
        os.read(stay, 1)
        os._exit(1 if server.is_attached else 0)
    os.close(stay)
    try:
        second = new_server(server.folder)
        second.attach()
        second.detach()
        assert server.is_running()
        # While the child is alive.
        server.detach()
        assert not server.is_running()
    finally:
        os.close(leave)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_forked_child_that_attaches_counts(server):
    server.attach()
    attached, tell = os.pipe()
    stay, leave = os.pipe()
    child = os.fork()
    if not child:
        os.close(leave)
        server.attach()
        os.write(tell, b".")
        os.read(stay, 1)
        server.detach()
        os._exit(0)
    try:
        assert os.read(attached, 1) == b"."
        server.detach()
        assert ask(server, "SELECT 1") == 1
    finally:
        for end in (leave, stay, attached, tell):
            os.close(end)
        os.waitpid(child, 0)
    assert not server.is_running()


def test_interrupted_initdb_is_not_taken_for_a_database(tmp_path, new_server):
    server = new_server(tmp_path / "pg")
    command = [sys.executable, "-c", INITDB_WITHOUT_END, str(server.folder), FAST]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "initialised\n"
        process.kill()
    assert len(list(server.folder.glob("*/PG_VERSION"))) == 1
    assert not server.data.exists()
    server.attach()
    assert ask(server, "SELECT 1") == 1


INITDB_WITHOUT_END = f"""
import time
from tracker.postgres.server import EmbeddedServer
run = EmbeddedServer._run
def run_and_stay(self, program, *arguments, **options):
    run(self, program, *arguments, **options)
    print("initialised", flush=True)
    time.sleep(600)
EmbeddedServer._run = run_and_stay
{USER_PROCESS}
"""


def test_interrupted_initdb_of_a_process_with_our_id(tmp_path, new_server):
    # In a container every start has the same process id.
    server = new_server(tmp_path / "pg")
    unfinished = server.folder / f"initdb-{os.getpid()}"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server.attach()
    assert ask(server, "SELECT 1") == 1


def test_missing_package_is_reported(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedServerError, match="set the one or install the other"):
        module.binaries()


def test_root_without_user_namespaces_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="start the tracker as a normal user or set DATABASE_URL"):
        module._unprivileged()
    refusing = tmp_path / "unshare"
    refusing.write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    refusing.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="start the tracker as a normal user or set DATABASE_URL"):
        module._unprivileged()


def test_normal_user_needs_no_namespace(monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    assert module._unprivileged() == []


@pytest.fixture(scope="module")
def broken_environment(folder, tmp_path_factory):
    broken = tmp_path_factory.mktemp("broken")
    shutil.copytree(folder / "data", broken / "postgres" / "data")
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CACHE_URL")}
    return kept | {"TRACKER_DATA_DIR": str(broken), "EMBEDDED_POSTGRES_OPTIONS": "-c nonsense=1"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate"],
        ["queue_status"],
        ["createsuperuser", "--noinput", "--username", "name"],
        ["serve", "--port", "0"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_command_without_a_database_fails_with_one_line_and_the_log(broken_environment, arguments):
    result = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env=broken_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    first, *tail = result.stderr.splitlines()
    assert first.startswith("The embedded PostgreSQL in ")
    assert "set DATABASE_URL" in first
    assert 'unrecognized configuration parameter "nonsense"' in "\n".join(tail)
    assert len(tail) <= module.LOG_TAIL_LINES
