"""A visitor's path, and the pages on a phone, in both themes, and without scripts."""

import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Manager
from tests.processes import eventually

PAGES = (
    "/projects/",
    "/projects/?q=nothing-like-it",
    "/projects/{public}/",
    "/projects/{private}/",
    "/projects/{public}/start/",
    "/projects/{public}/failures/",
    "/projects/{public}/failures/{failure}/",
    "/projects/{public}/failures/{failure}/priority/",
    "/projects/{private}/permissions/",
    "/projects/{public}/secrets/",
    "/projects/{public}/console/",
    "/projects/{public}/edit/",
    "/projects/{public}/hard-reset/",
    "/projects/new/",
    "/failures/",
    "/workers/",
    "/logs/",
    "/logs/?level=3&worker=submitter+%3Cb%3E&task=7&q=line",
    "/managers/",
    "/accounts/",
)
FOR_NOBODY = ("/accounts/login/", "/accounts/register/", "/projects/999999/")


def test_a_visitors_path(window, scene):
    browser = window()
    page = browser.open("/")
    assert page.url.endswith("/projects/")
    assert page.get_by_text("Nobody knows").count() == 0
    page.get_by_label("Search projects by name").fill("render")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Render frames").click()
    browser.drawn()
    expect(page.locator("#timeline canvas")).to_be_visible()
    assert page.get_by_role("button", name="Pause").count() == 0
    assert page.get_by_text("Recent failures").count() == 0
    # The chart's numbers as a table, for readers who don't see the chart.
    page.get_by_text("The same data as a table").first.click()
    cells = page.locator("#timeline-table tbody tr").first.locator("td").all_inner_texts()
    assert cells[0] == "2"
    page.get_by_text("The same data as a table").last.click()
    cells = page.locator("#ended-table tbody tr").locator("td").all_inner_texts()
    assert sum(int(closed) for closed in cells[::3]) == 1
    expect(page.locator("#ended-text")).to_have_text("Closed: 1, Failed attempts: 1, Expired leases: 0")
    page.get_by_role("link", name="Week").click()
    page.wait_for_url("**range=week**")
    browser.drawn()


def test_the_worker_that_getting_started_shows_works(site, window, worker, scene):
    project = Manager(site).post("/project/create", {"name": "To start with", "public": True})["id"]
    page = window().sign_in().open(f"/projects/{project}/console/")
    page.get_by_label("Recipe", exact=True).fill("from the console")
    with page.expect_navigation():
        page.get_by_role("button", name="Submit the task").click()
    page.goto(f"/projects/{project}/start/")
    program = page.locator("#python-worker").inner_text()
    process = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "doing from the console\n"
        eventually(lambda: page.request.get(f"/projects/{project}/numbers/").json()["now"]["closed"] == 1)
    finally:
        process.kill()
        process.communicate()


def test_numbers_are_refreshed_only_while_the_tab_is_visible(window, scene):
    browser = window().stop_the_clock()
    page = browser.open(f"/projects/{scene['public']}/")
    browser.drawn()

    def asked_in(seconds):
        before = len(browser.requests)
        page.clock.run_for(seconds * 1000)
        # A marker request: the timer's requests have been sent before it.
        with page.expect_request("**/?marker"):
            page.evaluate("void fetch('/?marker')")
        return [address for address in browser.requests[before:] if not address.endswith("/?marker")]

    assert asked_in(11)
    # Wait until that refresh is over before the tab is hidden.
    page.wait_for_selector("html[data-drawn='2']")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    assert not asked_in(120)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    browser.refresh()


def test_numbers_that_can_not_be_loaded(window, scene):
    browser = window()
    browser.expected = "Failed to load resource"
    page = browser.open(f"/projects/{scene['public']}/")
    browser.drawn()
    page.route("**/projects/**", lambda route: route.abort())
    browser.refresh()
    page.wait_for_selector("#tiles.stale")
    page.wait_for_selector("#timeline.stale[data-state=drawn]")
    page.unroute("**/projects/**")
    browser.refresh()
    page.wait_for_selector("#timeline:not(.stale)")
    assert page.locator(".stale").count() == 0


@pytest.mark.parametrize("address", [*PAGES, *FOR_NOBODY])
def test_nothing_is_wider_than_a_phone(window, scene, address):
    browser = window(viewport={"width": 390, "height": 844})
    if address in FOR_NOBODY:
        browser.expected = "404"
    else:
        browser.sign_in()
    browser.open(address.format(**scene))
    assert browser.overflow() == 0


def test_the_menu_on_a_phone(window, scene):
    page = window(viewport={"width": 390, "height": 844}).open("/projects/")
    link = page.get_by_role("link", name="Workers")
    assert not link.is_visible()
    page.get_by_role("button", name="Menu").click()
    link.click()
    page.wait_for_url("**/workers/")


def brightness(page):
    """The brightness of the page's background, 0 to 255."""
    script = """() => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
        canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).reduce((a, b) => a + b) / 3;
    }"""
    return page.evaluate(script)


def test_light_and_dark(window, scene):
    page = window(color_scheme="dark").open("/projects/")
    assert brightness(page) < 60
    page.get_by_label("Theme").select_option("light")
    assert brightness(page) > 200
    page.reload()
    assert brightness(page) > 200
    page.get_by_label("Theme").select_option("auto")
    assert brightness(page) < 60
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 200


def test_the_admin_has_the_theme_that_was_chosen_on_a_page(window, scene):
    browser = window(color_scheme="light").sign_in()
    page = browser.open("/projects/")
    page.get_by_label("Theme").select_option("dark")
    page.goto("/admin/")
    page.wait_for_selector("html.dark")


def test_the_api_is_described_and_can_be_tried(window, scene):
    browser = window()
    page = browser.open("/api/docs")
    page.get_by_text("Report a leased task", exact=True).wait_for()
    page.locator("#operations-worker-stats-worker_stats, #operations-tasks-worker_stats").get_by_role(
        "button"
    ).first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table").get_by_text("submitter").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_description_of_the_api_is_in_the_frame(window, scene, width, scheme):
    browser = window(viewport={"width": width, "height": 800}, color_scheme=scheme).sign_in()
    page = browser.open("/api/docs")
    page.get_by_text("Report a leased task", exact=True).wait_for()
    assert browser.overflow() <= 0
    assert page.locator("html.dark-mode").count() == (scheme == "dark")
    if width == 390:
        page.get_by_role("button", name="Menu").click()
    page.get_by_label("Theme").select_option("light")
    assert page.locator("html.dark-mode").count() == 0
    page.get_by_role("link", name="Failures", exact=True).click()
    page.wait_for_url("**/failures/")


def test_a_long_name_widens_no_page(site, window, worker):
    ada = Manager(site)
    project = ada.post("/project/create", {"name": "N" * 120, "public": True})["id"]
    long, other = worker("X" * 120), worker("other")
    other.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{other.id}")
    tasks = [{"project": project, "recipe": "R" * 500, "unique_string": str(n)} for n in range(3)]
    other.post("/task/bulk_submit", tasks)
    leased = [long.get(f"/task/get/{project}")["content"]["task"]["id"] for _ in range(3)]
    long.post("/task/release", {"task_id": leased[0], "result": 1, "message": "M" * 500})
    long.post("/task/release", {"task_id": leased[1], "result": 0, "output": "O" * 500})
    long.post("/log/error", {"scope": "S" * 90, "message": "L" * 500, "timestamp": 1_790_000_000})
    (failure,) = ada.get(f"/project/failures/{project}")["failures"]
    home = f"/projects/{project}/"
    paths = [home, *(f"{home}{part}/" for part in ("tasks", "results", "failures", "workers"))]
    paths += [f"{home}failures/{failure['fingerprint']}/", *(f"/tasks/{task}/" for task in leased)]
    paths += [f"/workers/{long.id}/", "/logs/", "/admin/", f"/admin/tasks/task/{leased[2]}/change/"]
    for width in (1280, 390):
        browser = window(viewport={"width": width, "height": 800}).sign_in()
        for path in paths:
            page = browser.open(path)
            if path == home:
                browser.drawn()
            assert browser.overflow() <= 0, (path, width)
        page.goto("/admin/")
        assert page.get_by_role("link", name="LLLLL").bounding_box()["x"] < width - 100


def test_without_scripts(window, scene):
    browser = window(java_script_enabled=False)
    page = browser.open(f"/projects/{scene['public']}/")
    assert page.locator(".tile").first.locator("dd").inner_text() == "2"
    page.get_by_role("link", name="Workers").click()
    expect(page.get_by_role("row", name="submitter")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", [*PAGES, *FOR_NOBODY])
def test_accessibility(window, scene, address, scheme):
    browser = window(color_scheme=scheme)
    if address in FOR_NOBODY:
        browser.expected = "404"
    else:
        browser.sign_in()
    page = browser.open(address.format(**scene))
    if page.locator("#timeline").count():
        browser.drawn()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
