"""The commands as programs: their output, exit codes and errors. In tests/APP/ are the tests of what they do."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from projects.models import Project
from tasks import queue
from tasks.models import ClosedTask, Task
from tests.factories import ProjectFactory, TaskFactory, register
from tests.processes import PATIENCE_SECONDS, eventually
from tracker import db
from tracker.console import database_problem
from workers.models import Worker

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
NOTHING_LISTENS = "postgres://127.0.0.1:1/tracker"
NASTY = "a\x1b[31m\x07\n\u202eb\u2028\x9b"
SHOWN = r"a\x1b[31m\x07\n\u202eb\u2028\x9b"


@pytest.fixture
def environment(transactional_db, tmp_path):
    """For programs that work on the database of this test."""
    own = connection.settings_dict
    login = quote(own["USER"], safe="") + (f":{quote(own['PASSWORD'], safe='')}" if own["PASSWORD"] else "")
    place = quote(own["HOST"], safe="") + (f":{own['PORT']}" if own["PORT"] else "")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"DATABASE_URL": f"postgres://{login}@{place}/{own['NAME']}", "TRACKER_DATA_DIR": str(tmp_path)}


@pytest.fixture
def manage(environment):
    """Runs a command as a program; its output is text unless it goes elsewhere."""

    def run(*arguments, stdin="", stdout=subprocess.PIPE, **variables):
        result = subprocess.run(
            [*MANAGE, *map(_argument, arguments)],
            env=environment | variables,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        result.stdout, result.stderr = (result.stdout or b"").decode(), result.stderr.decode()
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def shell(environment):
    """Runs a line of bash in which `manage` is manage.py."""

    def run(line, **variables):
        manage = " ".join(f"'{part}'" for part in MANAGE)
        result = subprocess.run(
            ["bash", "-c", f'manage() {{ {manage} "$@"; }}; {line}'],
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert "Traceback" not in result.stderr
        return result

    return run


def _argument(value):
    return value if isinstance(value, bytes) else str(value)


def close_one(project, recipe):
    TaskFactory(project=project, recipe=recipe)
    worker = register().worker
    task = queue.lease(project=project, worker=worker)
    queue.release(worker=worker, task_id=task.id, result=queue.Result.OK, verification=0)


def every_command(project, worker, file):
    """A call of each command that prints something about these rows."""
    return {
        "create_project": ["create_project", "Ünïted"],
        "create_worker": ["create_worker", "Ünïted"],
        "grant_access": ["grant_access", worker.pk, project.pk, "--assign"],
        "submit_tasks": ["submit_tasks", project.pk, file],
        "queue_status": ["queue_status"],
        "queue_status --json": ["queue_status", "--json"],
        "export_closed": ["export_closed", project.pk],
    }


COMMANDS = list(every_command(Project(), Worker(), ""))
# A database takes its time to be created, so only some of the commands meet one without tables.
ON_AN_EMPTY_DATABASE = ["create_worker", "export_closed", "changepassword"]


@pytest.fixture
def call(transactional_db, tmp_path):
    """The arguments of a call of this command, with nasty names in the database."""
    project, worker = ProjectFactory(), register().worker
    close_one(project, f"Ü {NASTY}")
    Project.objects.filter(pk=project.pk).update(name=f"Ü {NASTY}")
    Worker.objects.filter(pk=worker.pk).update(alias=f"Ü {NASTY}")
    file = tmp_path / "tasks"
    file.write_text("a\nb\n")
    return lambda command: every_command(project, worker, file)[command]


@pytest.mark.parametrize(
    ("command", "encoding"),
    [*((command, "latin-1") for command in COMMANDS), ("queue_status", "ascii:strict"), ("export_closed", "")],
)
def test_output_is_utf8_and_harmless(manage, call, command, encoding):
    result = manage(*call(command), **({"PYTHONIOENCODING": encoding} if encoding else {"LC_ALL": "C"}))
    assert result.returncode == 0
    printed = result.stdout + result.stderr
    assert "Ü" in printed
    assert all(character.isprintable() or character == "\n" for character in printed)
    if command.startswith("create_"):
        return
    if "export" in command or "json" in command:
        (line,) = result.stdout.splitlines()
        assert f"Ü {NASTY}" in json.loads(line).values()
    else:
        assert f"Ü {SHOWN}" in result.stdout


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [*((command, "") for command in COMMANDS), ("export_closed", "1"), ("create_worker", "1")],
)
def test_full_disk(manage, call, command, unbuffered):
    with Path("/dev/full").open("wb") as full:
        result = manage(*call(command), stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert (result.returncode, result.stderr) == (1, "Can't write the output: No space left on device.\n")


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [*((command, "") for command in COMMANDS), ("export_closed", "1"), ("create_worker", "1")],
)
def test_reader_that_has_gone(manage, call, command, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        result = manage(*call(command), stdout=gone, PYTHONUNBUFFERED=unbuffered)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")


def test_reader_that_wants_only_the_beginning(shell, project):
    close_one(project, "recipe")
    one = ClosedTask.objects.values().get()
    ClosedTask.objects.bulk_create(ClosedTask(**one | {"id": 1_000_000 + n, "recipe": "x" * 1000}) for n in range(2000))
    result = shell(f"manage export_closed {project.pk} | head -1; echo ${{PIPESTATUS[0]}}")
    first, code = result.stdout.splitlines()
    assert json.loads(first)["recipe"] == "recipe"
    assert (int(code), result.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(shell, project, streams):
    assert shell(f"manage queue_status {streams}").returncode == 0
    assert shell(f"manage export_closed no-such {streams}").returncode == 1


def test_help_that_nobody_reads(shell):
    result = shell("manage submit_tasks --help | true; echo ${PIPESTATUS[0]}")
    assert (result.stdout.strip(), result.stderr) in (("0", ""), ("141", ""))


@pytest.mark.parametrize("command", [*COMMANDS, "migrate", "createsuperuser"])
def test_database_away(manage, call, command):
    arguments = call(command) if command in COMMANDS else [command]
    if command == "createsuperuser":
        arguments += ["--noinput", "--username", "name", "--email", "a@example.org"]
    result = manage(*arguments, DATABASE_URL=NOTHING_LISTENS)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "The database does not answer: " in line
    assert "Connection refused" in line


@pytest.mark.parametrize("command", ON_AN_EMPTY_DATABASE)
def test_database_without_tables(manage, environment, call, command):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {connection.settings_dict['NAME']}_empty")
    try:
        arguments = call(command) if command in COMMANDS else [command, "ada"]
        result = manage(*arguments, DATABASE_URL=environment["DATABASE_URL"] + "_empty")
        assert result.returncode == 1
        assert "has no tables yet: run `manage.py migrate` first." in result.stderr.splitlines()[-1]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {connection.settings_dict['NAME']}_empty WITH (FORCE)")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("SELECT new FROM projects_project", "The database is older than this version: run `manage.py migrate` first."),
        ("SELECT 1 FROM new", "The database has no tables yet: run `manage.py migrate` first."),
        ("SELECT 1 +", None),
    ],
)
def test_database_that_does_not_fit(statement, problem):
    with pytest.raises(ProgrammingError) as caught, transaction.atomic():
        db.one(statement)
    assert database_problem(caught.value) == problem


@pytest.fixture
def heeds_interrupts():
    """Shells let programs in the background ignore SIGINT; programs started by this test inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_interrupted(environment, project, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*MANAGE, "submit_tasks", str(project.pk), str(pipe)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            writer = []

            def is_reading():
                # Opening a pipe for writing fails until somebody reads it.
                with contextlib.suppress(OSError):
                    writer.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                return bool(writer)

            eventually(is_reading)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=PATIENCE_SECONDS) == (b"", b"")
            assert process.returncode == 128 + signal.SIGINT
            os.close(writer[0])
        finally:
            process.kill()


def test_log_that_cannot_be_written(manage, project):
    code = r"import logging; logging.getLogger('tracker').warning('a\x1b\nb')"
    result = manage("shell", "-v0", "-c", code, LOG_FILE="/dev/full")
    assert result.returncode == 0
    printed, problem = result.stderr.splitlines()
    assert printed.endswith(r"WARNING tracker: a\x1b\nb")
    assert problem == "The log file /dev/full can't be written: OSError: No space left on device."


def test_log_entries_that_nobody_reads_end_no_program(shell):
    code = "import logging; logging.getLogger(\\'tracker\\').warning(1); print(2)"
    result = shell(f"manage shell -v0 -c $'{code}' 2>/dev/full", LOG_FILE="")
    assert result.stdout == "2\n"


# What submit_tasks reads


def test_input_that_cannot_be_read_twice(shell, project):
    result = shell(f"manage submit_tasks {project.pk} <(seq 3)")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f'Submitted 3 tasks to "{project.name}".\n'
    assert shell(f"seq 4 5 | manage submit_tasks {project.pk} /dev/stdin").returncode == 0
    assert shell(f"seq 6 7 | manage submit_tasks {project.pk} -").returncode == 0
    assert list(Task.objects.order_by("id").values_list("recipe", flat=True)) == list("1234567")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("missing\n\x1b", r"missing\n\x1b: No such file or directory."),
        (".", ".: Is a directory."),
        ("x" * 5000, ": File name too long."),
        (b"\xff", ": No such file or directory."),
        ("/dev/zero", "/dev/zero, line 1: is longer than 16777216 bytes."),
        ("/proc/self/mem", "/proc/self/mem: Input/output error."),
        (sys.executable, "line 1: "),
    ],
)
def test_unreadable_input(manage, project, file, problem):
    result = manage("submit_tasks", project.pk, file)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
    assert line.startswith("CommandError: ")
    assert not Task.objects.exists()


def test_closed_standard_input(shell, project):
    result = shell(f"manage submit_tasks {project.pk} - <&-")
    assert (result.returncode, result.stderr) == (1, "CommandError: -: standard input is closed.\n")


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "  \n\t\n"])
def test_nothing_to_submit(manage, project, content):
    result = manage("submit_tasks", project.pk, "-", stdin=content)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f'Submitted 0 tasks to "{project.name}".\n'


@pytest.mark.parametrize(
    "arguments",
    [
        *(["create_worker", b"\xff"], ["create_project", b"a\xffb"], ["export_closed", b"\xff"], ["queue_status", "x"]),
        ["createsuperuser", "--noinput", "--email", "a@example.org", "--username", b"\xff"],
        ["changepassword", b"\xff"],
    ],
)
def test_arguments_that_are_wrong(manage, arguments):
    result = manage(*arguments)
    assert result.returncode in (1, 2)
    assert "is not valid UTF-8" in result.stderr or "unrecognized arguments" in result.stderr
    assert not Worker.objects.exists()


@pytest.mark.parametrize("command", ["create_worker", "create_project", "submit_tasks", "export_closed"])
def test_names_of_the_command_line_are_shown_harmlessly(manage, command):
    result = manage(command, "\x1b[2J\u202e", *(["-"] if command == "submit_tasks" else []))
    assert (result.returncode, result.stdout) == (1, "")
    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr
