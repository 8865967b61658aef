"""Lists refresh themselves without disturbing the reader, and their address carries what is shown."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Manager


@pytest.fixture
def ada(site, scene):
    return Manager(site)


def refreshed(page):
    """Refresh as coming back to the tab does, and wait until it is over."""
    page.evaluate(
        "window.over = new Promise((done) => document.addEventListener('refreshed', done, {once: true}));"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate("window.over")


def test_new_projects_and_numbers_appear(window, ada, worker):
    page = window().sign_in().stop_the_clock().open("/projects/")
    total = int(page.locator("#total th").inner_text().split()[0])
    made = ada.post("/project/create", {"name": "Made in the meantime", "public": True})["id"]
    refreshed(page)
    row = page.locator(f"#projects tr[data-key='{made}']")
    expect(row.locator("td").first).to_have_text("0")
    expect(page.locator("#total th")).to_have_text(f"{total + 1} projects")
    ready = int(page.locator("#total td").first.inner_text())

    feeder = worker("feeder")
    feeder.post("/project/request_access", {"project": made, "submit": True})
    ada.post(f"/project/accept_request/{made}/{feeder.id}")
    feeder.post("/task/bulk_submit", [{"project": made, "recipe": f"{n}"} for n in range(7)])
    refreshed(page)
    expect(row.locator("td").first).to_have_text("7")
    expect(page.locator("#total td").first).to_have_text(str(ready + 7))


def test_a_refresh_leaves_alone_what_the_reader_does(window, ada):
    made = [ada.post("/project/create", {"name": f"Zebra {n:02}", "public": True})["id"] for n in range(30)]
    page = window(viewport={"width": 390, "height": 600}).sign_in().stop_the_clock().open("/projects/?q=Zebra")
    page.evaluate("document.querySelector('.scroll').scrollLeft = 90")
    link = page.locator(f"#projects tr[data-key='{made[20]}'] a")
    link.focus()
    link.evaluate("element => (element.kept = true)")
    before = page.evaluate("[scrollY, document.querySelector('.scroll').scrollLeft]")
    assert before[0] > 0
    page.evaluate("getSelection().selectAllChildren(document.activeElement)")
    ada.post("/project/create", {"name": "Zebra 99", "public": True})
    refreshed(page)
    expect(page.locator("#projects tr")).to_have_count(31)
    expect(link).to_be_focused()
    # It is the same element, not a new one in its place.
    assert link.evaluate("element => element.kept")
    assert page.evaluate("String(getSelection())") == "Zebra 20"
    assert page.evaluate("[scrollY, document.querySelector('.scroll').scrollLeft]") == before

    page.locator("#q").fill("half a wo")
    refreshed(page)
    expect(page.locator("#q")).to_have_value("half a wo")
    expect(page.locator("#q")).to_be_focused()


def test_the_menu_stays_open(window, ada):
    page = window(viewport={"width": 390, "height": 800}).sign_in().stop_the_clock().open("/workers/")
    page.get_by_role("button", name="Menu").click()
    refreshed(page)
    expect(page.get_by_role("link", name="Managers")).to_be_visible()


def test_the_first_and_the_newest_row_appear(window, ada, worker):
    page = window().sign_in().stop_the_clock().open("/projects/?q=Quagga")
    expect(page.get_by_text("No project is called")).to_be_visible()
    ada.post("/project/create", {"name": "Quagga", "public": True})
    refreshed(page)
    expect(page.get_by_text("No project is called")).to_have_count(0)
    expect(page.locator("#projects tr")).to_have_count(1)

    page.goto("/workers/?sort=newest")
    worker("just arrived")
    refreshed(page)
    expect(page.locator("#workers tr").first.locator("th .alias")).to_have_text("just arrived")


def test_the_badge_is_refreshed_with_a_list(window, ada, worker):
    page = window().sign_in().stop_the_clock().open("/projects/")
    before = int(page.locator("#nouns .badge").inner_text())
    hidden = ada.post("/project/create", {"name": "Asked for"})["id"]
    worker("asks now").post("/project/request_access", {"project": hidden, "assign": True})
    refreshed(page)
    expect(page.locator("#nouns .badge")).to_have_text(str(before + 1))


@pytest.mark.parametrize("path", ["/projects/", "/workers/"])
def test_nothing_is_asked_while_the_tab_is_hidden(window, scene, path):
    browser = window().stop_the_clock()
    page = browser.open(path)

    def asked_in(seconds):
        before = len(browser.requests)
        page.clock.run_for(seconds * 1000)
        # A marker request: the timer's requests have been sent before it.
        with page.expect_request("**/?marker"):
            page.evaluate("void fetch('/?marker')")
        return [address for address in browser.requests[before:] if address.endswith(path)]

    assert asked_in(11)
    refreshed(page)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    assert not asked_in(120)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    refreshed(page)


def test_an_old_list_is_marked(window, scene):
    browser = window()
    browser.expected = "Failed to load resource"
    page = browser.stop_the_clock().open("/projects/")
    page.route("**/projects/", lambda route: route.abort())
    refreshed(page)
    expect(page.locator("#list")).to_have_class("stale")
    page.unroute("**/projects/")
    refreshed(page)
    expect(page.locator("#list")).not_to_have_class("stale")


def test_the_address_carries_the_filters(window, scene):
    page = window().sign_in().open("/projects/")
    page.get_by_label("Search projects by name").fill("render")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=render"))
    page.locator("#kind").select_option("public")
    page.wait_for_url(re.compile("kind=public"))
    page.locator("#sort").select_option("name")
    page.wait_for_url(re.compile("sort=name"))
    address = page.url
    expect(page.locator("#projects tr")).to_have_count(1)

    other = window().sign_in().open(address)
    expect(other.locator("#projects tr")).to_have_count(1)
    expect(other.locator("#kind")).to_have_value("public")
    expect(other.locator("#q")).to_have_value("render")

    page.go_back()
    page.wait_for_url(re.compile("kind=public"))
    expect(page.locator("#sort")).to_have_value("")
    page.go_back()
    page.go_back()
    expect(page.locator("#q")).to_have_value("")
    expect(page.locator("#kind")).to_have_value("")


def test_times_have_one_format(window, scene):
    """In the reader's time zone, to the second, on the pages and in the admin, in both languages."""
    for locale in ("en-US", "fr-FR"):
        browser = window(timezone_id="Asia/Tokyo", locale=locale).sign_in()
        for path in (
            "/managers/",
            "/logs/",
            "/accounts/",
            "/admin/workers/worker/",
            "/admin/logs/logentry/",
            "/admin/",
        ):
            page = browser.open(path)
            page.wait_for_selector("html:not([x-cloak])")
            times = page.locator("time")
            assert times.count(), path
            for time in times.all():
                text, moment = time.inner_text(), time.get_attribute("datetime")
                assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text), (path, text)
                assert page.evaluate(f"new Date('{text.replace(' ', 'T')}+09:00') - new Date('{moment}')") > -1000
                assert text[11:13] == f"{(int(moment[11:13]) + 9) % 24:02}"
