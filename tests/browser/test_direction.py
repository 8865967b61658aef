"""Names that run from right to left: what stands behind them stays there."""

import pytest

from tests.browser.conftest import Manager

HEBREW = "שלום עולם"


@pytest.fixture(scope="module")
def hebrew(site):
    """A project and a worker with such names; the worker asks for access."""
    return Manager(site).post("/project/create", {"name": HEBREW, "version": f"{HEBREW} 1"})["id"]


@pytest.mark.parametrize(
    ("address", "cell", "behind"),
    [
        ("/projects/{project}/permissions/", "tbody th", ".subtle"),
        ("/projects/{project}/", "h1", ".marks"),
    ],
)
def test_what_stands_behind_a_name_stays_there(window, worker, hebrew, address, cell, behind):
    asking = worker(HEBREW)
    asking.post("/project/request_access", {"project": hebrew, "assign": True})
    page = window().sign_in().open(address.format(project=hebrew))
    row = page.locator(cell).first
    name, following = row.locator("bdi").bounding_box(), row.locator(behind).first.bounding_box()
    assert name["x"] + name["width"] <= following["x"] + 1


def test_id_of_a_worker_in_the_admin(window, worker, hebrew):
    asking = worker(HEBREW)
    asking.post("/project/request_access", {"project": hebrew, "assign": True})
    page = window().sign_in().open("/admin/workers/workeraccess/?state=pending")
    shown = page.locator(".clip").filter(has_text=f"({asking.id})").first
    name, whole = shown.locator("bdi").bounding_box(), shown.bounding_box()
    # The id in parentheses is on the right.
    assert abs(name["x"] - whole["x"]) < 1


@pytest.mark.parametrize(
    ("address", "selector"), [("/logs/", "td .text"), ("/logs/", "bdi"), ("/admin/logs/logentry/", ".clip")]
)
def test_texts_are_isolated(window, scene, address, selector):
    page = window().sign_in().open(address)
    style = page.locator(selector).first.evaluate("element => getComputedStyle(element).unicodeBidi")
    assert style == "isolate"


def test_log_in_on_a_phone(window):
    field = window().open("/accounts/login/").get_by_label("Name")
    assert field.get_attribute("autocapitalize") == "none"
    assert field.get_attribute("spellcheck") == "false"
