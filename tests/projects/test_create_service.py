"""projects.services.create_project."""

import math

import pytest
from django.core.exceptions import ValidationError

from projects.models import Project
from projects.services import NameTaken, create_project

pytestmark = pytest.mark.django_db


def test_it_works():
    chain = create_project(name="next")
    project = create_project(
        name="My project",
        priority=5,
        clone_url="http://github.com/test/test",
        git_repo="test/test",
        version="1.0",
        motd="hello",
        public=True,
        paused=True,
        chain=chain,
        assign_rate=2.5,
        submit_rate=0.1,
        lease_seconds=60,
        retention_days=0,
    )
    stored = Project.objects.get(name="My project")
    assert stored == project
    assert (stored.priority, stored.clone_url, stored.git_repo) == (5, "http://github.com/test/test", "test/test")
    assert (stored.version, stored.motd, stored.public, stored.hidden) == ("1.0", "hello", True, False)
    assert (stored.paused, stored.chain, stored.assign_rate, stored.submit_rate) == (True, chain, 2.5, 0.1)
    assert (stored.lease_seconds, stored.retention_days) == (60, 0)


def test_defaults():
    create_project(name="a")
    project = Project.objects.get()
    assert (project.public, project.hidden, project.paused, project.chain) == (False, False, False, None)
    assert (project.assign_rate, project.submit_rate, project.lease_seconds, project.retention_days) == (0, 0, 3600, 7)
    assert project.secret == "{}"


def test_webhook_secrets_are_random():
    first, second = create_project(name="a"), create_project(name="b")
    assert first.webhook_secret != second.webhook_secret
    assert len(first.webhook_secret) >= 32


def test_name_is_stored_as_sent():
    create_project(name="Übung  <b> H₂O \U0001f680")
    assert Project.objects.get().name == "Übung  <b> H₂O \U0001f680"


def test_taken_name():
    first = create_project(name="a", priority=1)
    with pytest.raises(NameTaken) as caught:
        create_project(name="a", priority=2)
    assert caught.value.status == 409
    assert Project.objects.get() == first
    assert Project.objects.get().priority == 1


@pytest.mark.parametrize("name", ["FOLD PROTEINS", "fold  proteins", "ｆold proteins", "fold\u00a0proteins"])
def test_name_that_counts_as_a_taken_one(name):
    create_project(name="Fold proteins")
    with pytest.raises(NameTaken):
        create_project(name=name)
    assert Project.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("priority", -1),
        ("priority", 2**31),
        ("priority", "many"),
        ("clone_url", "x" * 2001),
        ("git_repo", "x" * 501),
        ("version", "x" * 201),
        ("assign_rate", -0.1),
        ("assign_rate", math.nan),
        ("assign_rate", math.inf),
        ("submit_rate", -1),
        ("submit_rate", math.nan),
        ("lease_seconds", -1),
        ("lease_seconds", 2**31),
        ("retention_days", -1),
    ],
)
def test_refuses_a_setting(field, value):
    with pytest.raises(ValidationError) as caught:
        create_project(**{"name": "a", field: value})
    assert list(caught.value.message_dict) == [field]
    assert not Project.objects.exists()


def test_refuses_an_empty_lease():
    with pytest.raises(ValidationError) as caught:
        create_project(name="a", lease_seconds=0)
    assert list(caught.value.message_dict) == ["lease_seconds"]


def test_refuses_public_and_hidden_at_once():
    with pytest.raises(ValidationError):
        create_project(name="a", public=True, hidden=True)


def test_unknown_setting():
    with pytest.raises(TypeError):
        create_project(name="a", colour="green")


@pytest.mark.django_db(transaction=True)
def test_racing_creations_of_one_name(racing):
    outcomes = racing([lambda: create_project(name="a")] * 4)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NameTaken"] * 3 + ["Project"]
    assert Project.objects.count() == 1
