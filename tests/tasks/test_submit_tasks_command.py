"""manage.py submit_tasks."""

import io
import json
import sys

import pytest
from django.core.management import CommandError

from projects.models import RateBucket
from tasks import queue
from tasks.management.commands import submit_tasks as module
from tasks.models import Task
from tasks.serializers import hash_of
from tests.factories import ProjectFactory, TaskFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def submit(manage, project, tmp_path):
    """Runs submit_tasks on a file with this content and returns what it prints."""

    def run(content, *arguments, name="tasks.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return manage("submit_tasks", project.name, path, *arguments)

    return run


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def recipes():
    return list(Task.objects.order_by("id").values_list("recipe", flat=True))


def lines(*items):
    return "".join(json.dumps(item) + "\n" for item in items)


def test_submits_one_task_per_line(submit, project):
    assert submit("first\nsecond\nthird\n") == f'Submitted 3 tasks to "{project.name}".\n'
    assert recipes() == ["first", "second", "third"]
    task = Task.objects.order_by("id")[0]
    assert (task.project, task.hash64, task.priority, task.max_retries) == (project, None, 0, 0)
    assert (task.max_assign_time, task.verification_count, task.status) == (0, 0, 1)


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("", []),
        ("\n\n", []),
        ("a", ["a"]),
        ("a\n\nb\n", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("  a  \n\tb\n", ["  a  ", "\tb"]),
        ("Übung \U0001f680\n", ["Übung \U0001f680"]),
        ("a\u2028b\x0bc\x85d\n", ["a\u2028b\x0bc\x85d"]),
        ('{"recipe": "x"}\n', ['{"recipe": "x"}']),
        ("'); DROP TABLE tasks_task; -- %s %(x)s\n", ["'); DROP TABLE tasks_task; -- %s %(x)s"]),
        ("same\nsame\n", ["same", "same"]),
    ],
)
def test_lines(submit, content, stored):
    assert submit(content).startswith(f"Submitted {len(stored)} tasks to ")
    assert recipes() == stored


def test_options_apply_to_all_lines(submit):
    submit(
        *("a\nb\n", "--priority", "-5", "--max-retries", "2", "--max-assign-time", "60"),
        *("--verification-count", "3"),
    )
    for task in Task.objects.all():
        assert (task.priority, task.max_retries, task.max_assign_time, task.verification_count) == (-5, 2, 60, 3)


@pytest.mark.parametrize("arguments", [{"name": "tasks.jsonl"}, {"name": "TASKS.JSONL"}, {"name": "tasks"}])
def test_json_lines(submit, arguments):
    content = lines(
        {"recipe": "a\nb", "priority": 3, "hash64": 7},
        {"recipe": "c", "max_retries": 1, "max_assign_time": 5, "verification_count": 2, "unique_string": "c"},
        {"recipe": "d:", "hash_u64": 2**64 - 1, "unique_str": None},
    )
    submit(content, *(["--jsonl"] if arguments["name"] == "tasks" else []), **arguments)
    tasks = Task.objects.order_by("id")
    assert [task.recipe for task in tasks] == ["a\nb", "c", "d:"]
    assert [task.hash64 for task in tasks] == [7, hash_of("c"), -1]
    assert [task.priority for task in tasks] == [3, 0, 0]
    assert (tasks[1].max_retries, tasks[1].max_assign_time, tasks[1].verification_count) == (1, 5, 2)


def test_json_overrides_options(submit):
    submit(lines({"recipe": "a", "priority": 3}, {"recipe": "b"}), "--jsonl", "--priority", "5")
    assert list(Task.objects.order_by("id").values_list("priority", flat=True)) == [3, 5]


def test_project_in_json(submit, project):
    submit(lines({"recipe": "a", "project": project.pk}, {"recipe": "b", "project": None}), "--jsonl")
    assert recipes() == ["a", "b"]
    for other in (ProjectFactory().pk, "nonsense"):
        with pytest.raises(CommandError, match=f"line 2: project: differs from the project .* {project.pk}"):
            submit(lines({"recipe": "a"}, {"recipe": "b", "project": other}), "--jsonl")
    assert Task.objects.count() == 2


@pytest.mark.parametrize("blank", ["", " ", "\t \r", "\u3000", "\x0c"])
@pytest.mark.parametrize(("name", "line"), [("x.txt", "a"), ("x.jsonl", '{"recipe": "a"}')])
def test_blank_lines_are_skipped_in_both_kinds_of_files(submit, blank, name, line):
    assert submit(f"{blank}\n{line}\n{blank}\n{line}\n{blank}", name=name).startswith("Submitted 2 tasks")
    assert recipes() == ["a", "a"]


def test_standard_input(manage, project, stdin):
    stdin(b"first\nsecond\n")
    assert manage("submit_tasks", project.pk, "-") == f'Submitted 2 tasks to "{project.name}".\n'
    assert recipes() == ["first", "second"]


def test_json_lines_from_standard_input(manage, project, stdin):
    stdin(lines({"recipe": "a", "priority": 3}).encode())
    manage("submit_tasks", project.name, "-", "--jsonl")
    assert Task.objects.get().priority == 3


def test_error_in_standard_input_names_the_line(manage, project, stdin):
    stdin(b"fine\n\xff\n")
    with pytest.raises(CommandError, match=r"^-, line 2: "):
        manage("submit_tasks", project.name, "-")
    assert not Task.objects.exists()


def test_unique_skips_existing_recipes(submit, project):
    submit("a\nb\n", "--unique")
    assert submit("b\nc\nc\n", "--unique") == f'Submitted 1 tasks to "{project.name}", 2 were there already.\n'
    assert recipes() == ["a", "b", "c"]
    assert Task.objects.order_by("id")[0].hash64 == hash_of("a")


def test_unique_agrees_with_unique_string(submit, api, submitter, project):
    submit("a\n", "--unique")
    body = {"project": project.pk, "recipe": "x", "unique_string": "a"}
    assert api.post("/task/submit", body, worker=submitter).status == 409


def test_unique_keeps_hashes_of_json_lines(submit):
    submit(lines({"recipe": "a", "hash64": 7}, {"recipe": "b"}), "--jsonl", "--unique")
    assert list(Task.objects.order_by("id").values_list("hash64", flat=True)) == [7, hash_of("b")]


def test_existing_hashes_are_skipped(submit, project):
    TaskFactory(project=project, hash64=7)
    output = submit(lines({"recipe": "a", "hash64": 7}, {"recipe": "b", "hash64": 8}), "--jsonl")
    assert output == f'Submitted 1 tasks to "{project.name}", 1 were there already.\n'


@pytest.mark.parametrize(("size", "batches"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (10_000, [5])])
def test_batches(submit, monkeypatch, size, batches):
    seen = []

    def store_many(*, tasks, **options):
        seen.append(len(tasks))
        return queue.store_many(tasks=tasks, **options)

    monkeypatch.setattr(module, "store_many", store_many)
    assert submit("a\nb\nc\nd\ne\n", "--batch", size).startswith("Submitted 5 tasks ")
    assert seen == batches
    assert recipes() == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("size", ["0", "-1", "10001"])
def test_batch_size_out_of_range(submit, size):
    with pytest.raises(CommandError, match="--batch: must be a whole number from 1 to 10000"):
        submit("a\n", f"--batch={size}")
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("content", "name", "line", "problem"),
    [
        (b"a\nb\xff\n", "x.txt", 2, "is not valid UTF-8: byte 2 is 0xff"),
        ("a".encode("utf-16"), "x.txt", 1, "is not valid UTF-8"),
        (b'{"recipe": "\xe9"}\n', "x.jsonl", 1, "is not valid UTF-8: byte 13 is 0xe9"),
        (b"\x7fELF\x02\0\n", "x.txt", 1, "recipe: .*U\\+0000"),
        (b'\n{"recipe": "a", "prioritty": 1}\n', "x.jsonl", 2, '"prioritty" is no key of /task/submit; .* priority, '),
        (b'{"recipe": "a", "\\u001b\\n": 1}\n', "x.jsonl", 1, r'"\\x1b\\n" is no key'),
        (b'{"recipe": "a", "priority": 1, "priority": 2}\n', "x.jsonl", 1, '"priority" is there twice'),
        (b'{"recipe": "a", "prior\\u0069ty": 1, "priority": 2}\n', "x.jsonl", 1, '"priority" is there twice'),
        (b'{"recipe": "a", "hash64": 1, "hash_u64": 2}\n', "x.jsonl", 1, "hash64: differs from hash_u64"),
        (b'{"recipe": ' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}", "x.jsonl", 1, "recipe: must be text"),
        (b"a\n\nb\0c\n", "x.txt", 3, "recipe: .*U\\+0000"),
        (b'{"recipe": "a"}\n{"recipe"\n', "x.jsonl", 2, "is not JSON: .*at character"),
        (b'{"recipe": "a"}\n["b"]\n', "x.jsonl", 2, "is not a JSON object"),
        (b'{"recipe": "a"}\n7\n', "x.jsonl", 2, "is not a JSON object"),
        (b'{"recipe": "a"}\n{}\n', "x.jsonl", 2, "recipe: is missing"),
        (b'{"recipe": ""}\n', "x.jsonl", 1, "recipe: must not be empty"),
        (b'{"recipe": "a", "priority": "high"}\n', "x.jsonl", 1, "priority: "),
        (b'\n{"recipe": "a", "priority": 99999}\n', "x.jsonl", 2, "priority: "),
        (b'{"recipe": "a", "hash64": 1, "unique_string": "a"}\n', "x.jsonl", 1, "unique_string: "),
    ],
)
def test_error_names_the_line_and_stores_nothing(submit, content, name, line, problem):
    with pytest.raises(CommandError, match=f"{name}, line {line}: .*{problem}") as caught:
        submit(content, "--batch", "1", name=name)
    assert "\n" not in str(caught.value)
    assert not Task.objects.exists()


def test_recipes_are_bounded(submit, settings):
    settings.MAX_RECIPE_BYTES = 10
    for name, line in (("a.txt", "x" * 11), ("a.jsonl", '{"recipe": "xxxxxxxxxxx"}')):
        with pytest.raises(CommandError, match="line 1: recipe: must be at most 10 bytes"):
            submit(line, name=name)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "argument", ["--priority=40000", "--max-retries=-1", f"--max-assign-time={2**31}", "--verification-count=-1"]
)
def test_option_out_of_range(submit, argument):
    with pytest.raises(CommandError, match=f"^{argument.split('=')[0]}: must be a whole"):
        submit("a\n", argument)
    assert not Task.objects.exists()


def test_rate_limit_does_not_apply(manage, tmp_path):
    project = ProjectFactory(submit_rate=0.001)
    (tmp_path / "tasks").write_text("a\nb\nc\n")
    for _ in range(2):
        manage("submit_tasks", project.name, tmp_path / "tasks", "--batch", "1")
    assert Task.objects.count() == 6
    assert not RateBucket.objects.exists()


@pytest.mark.parametrize(("name", "problem"), [("missing", "No such file or directory"), ("", "Is a directory")])
def test_unreadable_file(manage, project, tmp_path, name, problem):
    with pytest.raises(CommandError, match=f"{problem}.$") as caught:
        manage("submit_tasks", project.name, tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_unknown_project(manage, tmp_path):
    (tmp_path / "tasks").write_text("a\n")
    with pytest.raises(CommandError, match='There is no project with the name or id "no such"'):
        manage("submit_tasks", "no such", tmp_path / "tasks")


def test_progress_is_drawn_on_a_terminal_only(submit, capsys, monkeypatch):
    submit("a\n")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert submit("a\n").startswith("Submitted 1 tasks ")
    output, drawn = capsys.readouterr()
    assert output == ""
    assert "1/1" in drawn


def test_progress_of_a_project_with_brackets_in_its_name(manage, tmp_path, monkeypatch):
    project = ProjectFactory(name="[/b]")
    (tmp_path / "tasks").write_text("a\n")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert manage("submit_tasks", project.name, tmp_path / "tasks").startswith("Submitted 1 tasks ")
