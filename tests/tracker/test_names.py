"""What a name may be, and which names count as the same."""

import logging
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from accounts.models import User
from projects.lookup import NoSuchProject, project_named
from projects.models import Project
from projects.services import NameTaken, update_project
from tests.factories import ProjectFactory, UserFactory
from tracker.names import BLANK_ENDS, MIXED_SCRIPTS, NOT_VISIBLE, key_of, normalized, problem_with


@pytest.mark.parametrize(
    "name",
    [
        *("boss1", "Übung", "rené", "rene\u0301", "Ελένη", "Ольга Ёлкина", "नमस्ते १", "עברית", "العربية ٣", "ไทย"),
        *(
            "東京 Tokyo カー",
            "ひらがな",
            "한국 abc",
            "注音ㄅ",
            "mine①",
            "H₂O",
            "v2.0 (new)",
            "\U0001f680",
            "☃",
            "x" * 200,
        ),
        *("O'Brien", "<b>", "--", "7", "ＡＢＣ", "Ⅷ", "ʻokina", "々", "naïve", "Đorđe", "ß", "🦊 fox"),
        *("⚙\ufe0f worker", "🖥\ufe0f", "☀\ufe0e"),
    ],
)
def test_names(name):
    assert problem_with(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "\t", "a\nb", "a\rb", "a\x1bb", "a\x07", "\x7f", "a\x85b", "a\x9bb", "\0"),
        # Direction and other format characters, line separators, a soft hyphen.
        *(
            "a\u202eb",
            "a\u2066b",
            "\u2069",
            "\u200f",
            "\u061c",
            "a\u200bb",
            "a\u200db",
            "\ufeffa",
            "a\u2028b",
            "so\xadft",
        ),
        # Invisible letters and marks: fillers, a joiner, variation selectors, tags; a mark without a letter.
        *(
            "\u3164",
            "\uffa0",
            "\u2800",
            "a\u034fb",
            "a\ufe0f",
            "⚙\ufe0f\ufe0f",
            "a\U000e0100",
            "a\U000e0041",
            "\u0301",
            "\u115f",
        ),
        # Private, unassigned, and bytes of an argument that are not UTF-8.
        *("a\ue000", "a\U000f0000", "\u0378", "a\udcff"),
    ],
)
def test_what_is_not_visible(name):
    assert problem_with(name) == NOT_VISIBLE


@pytest.mark.parametrize("name", [" a", "a ", "a\u00a0", "\u3000a"])
def test_blanks_at_the_ends(name):
    assert problem_with(name) == BLANK_ENDS


@pytest.mark.parametrize(
    "name", ["аdmin", "admіn", "pаypal", "bοss", "Αdmin", "boss১", "abcԁ", "оsа", "ᎪBC", "漢字д", "カΩ", "ひ한", "10µm"]
)
def test_letters_of_different_scripts(name):
    assert problem_with(name) == MIXED_SCRIPTS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("boss", "BOSS"), ("boss", "bｏss"), ("rené", "rene\u0301"), ("groß", "GROSS"), ("Σας", "σασ")),
        *(("my project", "my  project"), ("my project", " my\u00a0project "), ("boss", "bo\u200bss"), ("ſam", "sam")),
        *(("роса", "poca"), ("ΑΒΕ", "ABE"), ("сё", "cë"), ("bi\u0307ll", "bill"), ("ﬁx", "fix"), ("ɡo", "go")),
        *(("ꓐꓳꓢꓢ", "boss"), ("ᎪᎠᎷ", "adm"), ("ᴀdmiɴ", "admin"), ("ոօս", "nou")),
        ("⚙\ufe0f", "⚙"),
    ],
)
def test_names_that_count_as_the_same(one, other):
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(("one", "other"), [("rene", "rené"), ("boss1", "boss2"), ("a b", "ab"), ("a-b", "a_b")])
def test_names_that_differ(one, other):
    assert key_of(one) != key_of(other)


def test_a_key_is_its_own_key():
    for name in ("groß", "İx", "ﷺ", "ΐ", "Ǆ", "ｶﾞ", "сё", "ŉ"):
        assert key_of(key_of(name)) == key_of(name)


# Accents in the wrong order: sorting these, as NFKC does, would take minutes.
ACCENTS = "a" + "\u0301" * 200_000 + "\u0316" * 200_000


def test_long_text_is_not_normalized():
    assert normalized(ACCENTS) == ACCENTS
    assert key_of(ACCENTS) == ""
    # As long as a name can be that is typed with accents of their own.
    assert normalized("e\u0301" * 500) == key_of("E\u0301" * 500) == "é" * 500


@pytest.mark.timeout(20)
@pytest.mark.django_db
def test_long_text_at_the_doors(api, manager, counters):
    assert api.post("/login", {"username": ACCENTS, "password": "x" * 8}).status == 403
    assert api.post("/register", {"username": ACCENTS, "password": "correct horse"}).status == 400
    assert api.post("/worker/create", {"alias": ACCENTS}).status == 400
    client = Client()
    assert client.post("/accounts/login/", {"username": ACCENTS, "password": "x" * 8}).status_code == 200
    client.force_login(manager)
    assert client.post("/projects/new/", {"name": ACCENTS}).status_code == 400
    assert client.get("/admin/projects/project/", {"q": ACCENTS[150_000:250_000]}).status_code == 200


@pytest.fixture
def keyless(db):
    """Rows as they were before the keys: some names count as the same."""
    for number, name in enumerate(("boss1", "bｏss1", "poca", "роса", "ada")):
        row = UserFactory(username=f"manager{number}")
        User.objects.filter(pk=row.pk).update(username=name, username_key=None)
        project = ProjectFactory(name=f"project {number}")
        Project.objects.filter(pk=project.pk).update(name=name, name_key=None)


def test_migration_keeps_rows_whose_names_count_as_the_same(keyless, caplog):
    with caplog.at_level(logging.WARNING, "tracker.names"), connection.schema_editor() as editor:
        import_module("accounts.migrations.0004_username_keys").give_keys(apps, editor)
        import_module("projects.migrations.0006_name_keys").give_keys(apps, editor)
    ids = dict(User.objects.values_list("username", "pk"))
    assert dict(User.objects.values_list("username", "username_key")) == {
        "boss1": "boss1",
        "bｏss1": f"boss1\n{ids['bｏss1']}",
        "poca": "poca",
        "роса": f"poca\n{ids['роса']}",
        "ada": "ada",
    }
    told = [record.getMessage() for record in caplog.records]
    assert f'The name of manager {ids["bｏss1"]}, "bｏss1", is like an older one; it is kept.' in told
    assert len(told) == 4
    for name, pk in ids.items():
        assert User.objects.called(name).pk == pk
        assert project_named(name).name == name
    assert project_named("BOSS1").name == "boss1"


def test_row_with_a_suffix_is_edited_and_renamed(keyless, tracker_admin):
    with connection.schema_editor() as editor:
        import_module("projects.migrations.0006_name_keys").give_keys(apps, editor)
    project = Project.objects.get(name="bｏss1")
    project.priority = 3
    project.save()
    update_project(manager=tracker_admin, project=project, name="bｏss1", motd="new")
    project.refresh_from_db()
    assert (project.priority, project.motd, project.name_key) == (3, "new", f"boss1\n{project.pk}")
    with pytest.raises(NameTaken):
        update_project(manager=tracker_admin, project=project, name="ADA")
    update_project(manager=tracker_admin, project=project, name="Another")
    assert project_named("ANOTHER") == project


def test_stored_name_that_breaks_the_rules_stays_valid(api, tracker_admin):
    project = ProjectFactory(name="a")
    Project.objects.update(name=" оld\u202e ", name_key="old")
    body = {"name": " оld\u202e ", "motd": "new"}
    assert api.login(tracker_admin).post(f"/project/update/{project.pk}", body).status == 200
    project.refresh_from_db()
    assert (project.name, project.motd) == (" оld\u202e ", "new")


@pytest.mark.django_db
def test_a_projects_name_as_people_read_it(api, tracker_admin):
    project = ProjectFactory(name="Fold H₂O")
    assert project_named("fold h2o") == project
    assert project_named("FOLD  H₂O") == project
    with pytest.raises(NoSuchProject):
        project_named("fold")
    api.login(tracker_admin)
    assert api.post("/project/create", {"name": "ＦＯＬＤ h2o"}).status == 409
    other = ProjectFactory()
    assert api.post(f"/project/update/{other.pk}", {"name": "fold h2o"}).status == 409
    assert api.post(f"/project/update/{project.pk}", {"name": "fold h2o"}).status == 200
    assert project_named("FOLD H₂O").name == "fold h2o"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["a\u202eb", "a\nb", " a", "a ", "gаmma", "\u200b"])
def test_refused_names_of_projects(api, tracker_admin, name):
    api.login(tracker_admin)
    created = api.post("/project/create", {"name": name})
    assert created.status == 400
    assert created.message.startswith("name: must ")
    assert not Project.objects.exists()
    project = ProjectFactory()
    assert api.post(f"/project/update/{project.pk}", {"name": name}).status == 400
    assert Project.objects.get() == project


@pytest.mark.django_db
def test_name_saved_by_itself():
    project, user = ProjectFactory(name="first"), UserFactory(username="first")
    project.name, user.username = "Second", "Second"
    project.save(update_fields=["name"])
    user.save(update_fields=["username"])
    assert project_named("second") == project
    assert User.objects.called("second") == user
