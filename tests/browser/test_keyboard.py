"""The keyboard: going places, searching, and the dialog that tells the keys, on the pages and in the admin."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

HALVES = ("/projects/", "/admin/tasks/task/")


def opened(browser, path):
    page = browser.open(path)
    page.wait_for_selector("html:not([x-cloak])")
    return page


@pytest.mark.parametrize("path", HALVES)
@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("p", "/projects/"),
        ("t", "/admin/tasks/task/"),
        ("w", "/workers/"),
        ("r", "/admin/workers/workeraccess/"),
        ("l", "/logs/"),
        ("m", "/managers/"),
    ],
)
def test_going_places(window, scene, path, key, place):
    page = opened(window().sign_in(), f"{path}?q=nothing")
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_url(re.compile(f"{re.escape(place)}$"))


@pytest.mark.parametrize("path", HALVES)
def test_searching(window, scene, path):
    page = opened(window().sign_in(), path)
    page.keyboard.press("/")
    field = page.locator("[role=search] input:not([type=hidden])")
    expect(field).to_be_focused()
    # From now on, keys are text.
    page.keyboard.type("g w/?")
    expect(field).to_have_value("g w/?")
    assert page.url.endswith(path)
    expect(page.locator("#keys")).to_be_hidden()


@pytest.mark.parametrize("path", ["/projects/", "/managers/", "/accounts/", "/admin/", "/admin/logs/logentry/"])
def test_the_dialog_of_the_keys(window, scene, path):
    page = opened(window().sign_in(), path)
    dialog = page.get_by_role("dialog", name="Keyboard")
    opener = page.get_by_role("button", name="Keyboard")
    opener.focus()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Requests")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    # The focus stays inside, and other keys do nothing.
    for _turn in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.keyboard.press("/")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    opener.click()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    opener.click()
    page.mouse.click(5, 5)
    expect(dialog).to_be_hidden()
    assert page.url.endswith(path)


def test_keys_of_the_browser_are_left_alone(window, scene):
    page = opened(window().sign_in(), "/projects/")
    page.keyboard.press("g")
    page.keyboard.press("Control+l")
    page.keyboard.press("x")
    page.keyboard.press("w")
    page.locator("#sort").focus()
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(page.locator("#sort")).to_be_focused()
    expect(page.locator("#keys")).to_be_hidden()
    assert page.url.endswith("/projects/")


def test_a_sequence_ends_by_itself(window, scene):
    browser = window().sign_in().stop_the_clock()
    page = opened(browser, "/projects/")
    page.keyboard.press("g")
    page.clock.run_for(1600)
    page.keyboard.press("w")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert page.url.endswith("/projects/")


def test_visitors_go_only_where_they_may(window, scene):
    page = opened(window(), "/projects/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).not_to_contain_text("Managers")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/workers/")
