"""Names on the pages and in the admin: as people read them, and when they are refused."""

import pytest
from django.test import Client

from accounts.models import User
from projects.models import Project
from projects.roles import Role
from tests.factories import ProjectFactory, UserFactory, register
from webui.pages.forms.accounts import LoginForm, RegisterForm

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counters")]

PASSWORD = "correct horse"


@pytest.mark.parametrize("typed", ["René", "rené", "RENÉ", "rene\u0301", "ｒené", " René "])
def test_log_in_with_any_spelling(typed):
    User.objects.create_user("René", password=PASSWORD)
    client = Client()
    response = client.post("/accounts/login/", {"username": typed, "password": PASSWORD})
    assert response.status_code == 302
    assert client.get("/account").json()["content"]["manager"]["username"] == "René"


@pytest.mark.parametrize("form", [LoginForm, RegisterForm])
def test_phones_neither_capitalise_nor_correct_a_name(form):
    html = str(form()["username"])
    for attribute in ('autocapitalize="none"', 'autocorrect="off"', 'spellcheck="false"', 'autocomplete="username"'):
        assert attribute in html


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bｏss1", "This name is taken"),
        ("BOSS1", "This name is taken"),
        ("bоss1", "Must not mix letters of different scripts"),
        ("bo\u200bss2", "Must be one line of visible characters"),
    ],
)
def test_register(name, problem):
    UserFactory(username="boss1")
    response = Client().post("/accounts/register/", {"username": name, "password": PASSWORD})
    assert problem in response.content.decode()
    assert User.objects.count() == 1


@pytest.fixture
def settings_pages(browser, manager):
    """Posts a project's settings, unchanged but for some, to the page and to the admin."""

    def run(project, door, *, language="en", **changes):
        client = browser(manager, project, Role.EDIT)
        client.cookies["django_language"] = language
        address = f"/projects/{project.pk}/edit/" if door == "page" else f"/admin/projects/project/{project.pk}/change/"
        form = client.get(address).context["form" if door == "page" else "adminform"]
        form = form if door == "page" else form.form
        fields = {}
        for field in form:
            value = field.value()
            if value is not None and value is not False:
                # Browsers take line breaks out of a one-line field.
                fields[field.html_name] = str(value).replace("\n", "")
                fields[field.html_initial_name] = value
        return client.post(address, fields | changes)

    return run


@pytest.mark.parametrize("door", ["page", "admin"])
def test_stored_name_that_breaks_the_rules_stays_valid(settings_pages, door):
    project = ProjectFactory(name="a")
    Project.objects.update(name=" оld\u202e ", name_key="old")
    assert settings_pages(project, door, motd="new").status_code == 302
    project.refresh_from_db()
    assert (project.name, project.motd) == (" оld\u202e ", "new")


@pytest.mark.parametrize("door", ["page", "admin"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [("FOLD", "already exists"), ("gаmma", "ust not mix letters"), ("a\u2067b", "ust be one line of visible")],
)
def test_refused_project_names(settings_pages, door, name, problem):
    ProjectFactory(name="fold")
    project = ProjectFactory(name="mine")
    assert problem in settings_pages(project, door, name=name).content.decode()
    project.refresh_from_db()
    assert project.name == "mine"


@pytest.mark.parametrize("door", ["page", "admin"])
def test_rename(settings_pages, door):
    project = ProjectFactory(name="mine")
    assert settings_pages(project, door, name=" MINE two ").status_code == 302
    project.refresh_from_db()
    assert (project.name, project.name_key) == ("MINE two", "mine two")


def test_search():
    ProjectFactory(name="Café straße")
    for sought in ("cafe\u0301", "STRASSE", "ｃafé"):
        assert "Café straße" in Client().get("/projects/", {"q": sought}).content.decode()
    register("Café")
    assert "Café" in Client().get("/workers/", {"q": "cafe\u0301"}).content.decode().split("<tbody")[1]


def test_search_in_the_admin(browser, tracker_admin):
    client = browser(tracker_admin)
    ProjectFactory(name="Café straße")
    UserFactory(username="René")
    for address, sought, found in (
        ("/admin/projects/project/", "STRASSE", "Café straße"),
        ("/admin/accounts/user/", "rene\u0301", "René"),
    ):
        assert [str(row) for row in client.get(address, {"q": sought}).context["cl"].result_list] == [found]


@pytest.mark.parametrize("door", ["page", "admin"])
def test_refused_in_french(settings_pages, door):
    project = ProjectFactory(name="mine")
    page = settings_pages(project, door, language="fr", name="gаmma").content.decode()
    assert "e doit pas mêler des lettres" in page
