"""manage.py create_project."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from projects.models import Project
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def create_project():
    """Runs the command and returns what it prints."""

    def run(*arguments):
        output = StringIO()
        call_command("create_project", *arguments, stdout=output)
        return output.getvalue()

    return run


def test_it_works(create_project):
    output = create_project("first project")
    project = Project.objects.get()
    assert output == f'Created project {project.pk} "first project".\n'
    assert (project.public, project.hidden, project.paused) == (False, False, False)
    assert (project.priority, project.assign_rate, project.submit_rate, project.chain) == (0, 0, 0, None)
    assert (project.lease_seconds, project.max_lease_seconds, project.retention_days) == (3600, 86_400, 7)
    assert (project.clone_url, project.git_repo, project.version, project.motd) == ("", "", "", "")
    assert project.secret == "{}"
    assert len(project.webhook_secret) > 30


def test_all_options(create_project):
    chain = ProjectFactory(name="next")
    create_project(
        *("whole", "--public", "--paused", "--priority", "5", "--clone-url", "https://x/y.git", "--git-repo", "x/y"),
        *("--code-version", "abc", "--motd", "Hello\nthere", "--chain", "next", "--assign-rate", "0.5"),
        *("--submit-rate", "20", "--lease-seconds", "60", "--max-lease-seconds", "90", "--retention-days", "0"),
    )
    project = Project.objects.get(name="whole")
    assert (project.public, project.hidden, project.paused, project.priority) == (True, False, True, 5)
    assert (project.clone_url, project.git_repo, project.version) == ("https://x/y.git", "x/y", "abc")
    assert (project.motd, project.chain) == ("Hello\nthere", chain)
    assert (project.assign_rate, project.submit_rate) == (0.5, 20)
    assert (project.lease_seconds, project.max_lease_seconds, project.retention_days) == (60, 90, 0)


def test_hidden(create_project):
    create_project("secluded", "--hidden")
    assert (Project.objects.get().public, Project.objects.get().hidden) == (False, True)


def test_public_and_hidden_exclude_each_other(create_project):
    with pytest.raises(CommandError, match="not allowed with"):
        create_project("both", "--public", "--hidden")
    assert not Project.objects.exists()


def test_chain_by_id(create_project):
    chain = ProjectFactory()
    create_project("first", "--chain", str(chain.pk))
    assert Project.objects.get(name="first").chain == chain


@pytest.mark.parametrize("chain", ["no such", "999999", "9" * 30, ""])
def test_chain_to_an_unknown_project(create_project, chain):
    with pytest.raises(CommandError, match=f'There is no project with the name or id "{chain}"'):
        create_project("first", "--chain", chain)
    assert not Project.objects.exists()


def test_taken_name(create_project, project):
    with pytest.raises(CommandError, match="a project with this name already exists"):
        create_project(project.name)
    assert Project.objects.count() == 1


def test_webhook_secrets_differ(create_project):
    create_project("a")
    create_project("b")
    assert len(set(Project.objects.values_list("webhook_secret", flat=True))) == 2


@pytest.mark.parametrize("name", ["x" * 200, "Übung \U0001f680", "<b>", "7", "--", "'; --"])
def test_names(create_project, name):
    create_project("--public", "--", name)
    assert Project.objects.get().name == name


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([""], "name: "),
        (["x" * 201], "name: .*200"),
        (["x", "--priority", "-1"], "priority: "),
        (["x", "--priority", str(2**31)], "priority: "),
        (["x", "--retention-days", "-1"], "retention_days: "),
        (["x", "--lease-seconds", "-1"], "lease_seconds: "),
        (["x", "--lease-seconds", str(2**31)], "lease_seconds: "),
        (["x", "--assign-rate", "-1"], "assign_rate: "),
        (["x", "--assign-rate", "nan"], "assign_rate: "),
        (["x", "--submit-rate", "inf"], "submit_rate: "),
        (["x", "--clone-url", "x" * 2001], "clone_url: "),
        (["x", "--priority", "high"], "argument --priority: invalid int value"),
        (["x", "--unknown"], "unrecognized arguments"),
        ([], "the following arguments are required: name"),
        (["x", "--lease-seconds", "0"], "lease_seconds: "),
        (["x", "--max-lease-seconds", "0"], "max_lease_seconds: "),
    ],
)
def test_refuses(create_project, arguments, problem):
    with pytest.raises(CommandError, match=problem) as caught:
        create_project(*arguments)
    assert "\n" not in str(caught.value)
    assert not Project.objects.exists()
