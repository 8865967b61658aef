"""A manager's path, from registering to deleting all tasks."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, Manager


def expect_numbers(page, **numbers):
    """Wait for the numbers on the dashboard's tiles: an answer that is on its way may be older than what was done."""
    for label, number in numbers.items():
        tile = page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{label}$")))
        expect(tile.locator("dd")).to_have_text(number, use_inner_text=True)


def test_a_managers_path(site, window, worker, scene):
    browser = window()
    page = browser.open("/accounts/register/")
    page.get_by_label("Name").fill("newcomer")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Register").click()
    # The browser itself refuses a password that is too short.
    assert page.evaluate("document.querySelector('input[name=password]').validity.tooShort")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Signed in as newcomer")).to_be_visible()

    page.get_by_role("link", name="New project").click()
    page.get_by_label("Name", exact=True).fill("Fold proteins")
    page.get_by_label("Message of the day").fill("Be kind.\n<script>alert(1)</script>")
    assert page.get_by_label("Public", exact=True).is_disabled()
    page.get_by_role("button", name="Create the project").click()
    expect(page.get_by_role("heading", name="Fold proteins")).to_be_visible()
    expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
    project = int(re.search(r"/projects/(\d+)/", page.url).group(1))

    attic = worker("attic-3")
    assert attic.get(f"/task/get/{project}")["content"]["reason"] == "no_access"
    attic.post("/project/request_access", {"project": project, "assign": True})
    page.get_by_role("link", name="Permissions").click()
    page.get_by_role("button", name="Approve attic-3").click()
    expect(page.get_by_role("button", name="Revoke the access of attic-3")).to_be_visible()

    page.get_by_role("link", name="Console").click()
    page.get_by_label("File").set_input_files(
        {"name": "tasks.txt", "mimeType": "text/plain", "buffer": b"one\ntwo\nthree\nfour\n"}
    )
    page.get_by_role("button", name="Submit the file").click()
    expect(page.get_by_text("4 tasks were submitted.")).to_be_visible()

    page.get_by_role("link", name="Dashboard").click()
    browser.drawn()
    expect_numbers(page, Ready="4", Closed="0")
    expect(page.locator("#states-text")).to_have_text("Done: 0%, Ready: 4")
    assert attic.work(project)
    task = attic.get(f"/task/get/{project}")["content"]["task"]["id"]
    browser.refresh()
    expect_numbers(page, Ready="2", Leased="1", Closed="1")
    expect(page.locator("#states-text")).to_have_text("Done: 25%, Ready: 2, Leased: 1, Closed: 1")
    expect(page.locator("#assignees-text")).to_have_text("attic-3: 1")

    attic.post("/task/release", {"task_id": task, "result": 1})
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1").get_by_text("paused")).to_be_visible()
    assert attic.get(f"/task/get/{project}")["content"]["reason"] == "project_paused"
    expect(page.locator("tr", has_text="Failures").or_(page.get_by_text("Recent failures")).first).to_be_visible()
    page.get_by_role("button", name="Resume").click()

    page.get_by_role("link", name="Reset failed tasks").click()
    expect(page.get_by_text("1 task is affected.")).to_be_visible()
    page.get_by_role("button", name="Reset failed tasks").click()
    expect(page.get_by_text("1 task was changed.")).to_be_visible()
    page.get_by_role("link", name="Delete all tasks").click()
    expect(page.get_by_text("3 tasks are affected.")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect_numbers(page, Ready="3")
    page.get_by_role("link", name="Delete all tasks").click()
    page.get_by_role("button", name="Delete all tasks").click()
    expect(page.get_by_text("3 tasks were changed.")).to_be_visible()
    assert attic.get(f"/task/get/{project}")["content"]["reason"] == "empty"

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.goto(f"/projects/{project}/edit/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_five_requests_at_once(site, window, worker, scene):
    project = Manager(site).post("/project/create", {"name": "Much asked for"})["id"]
    asking = {name: worker(name) for name in ("lab-1", "lab-2", "lab-3", "attic", "garage")}
    for one in asking.values():
        one.post("/project/request_access", {"project": project, "assign": True})

    def may_lease():
        reasons = {name: one.get(f"/task/get/{project}")["content"]["reason"] for name, one in asking.items()}
        return {name for name, reason in reasons.items() if reason != "no_access"}

    browser = window(viewport={"width": 390, "height": 844}).sign_in()
    page = browser.open(f"/projects/{project}/permissions/")
    page.get_by_label("Select attic").check()
    page.get_by_role("button", name="Reject selected").click()
    expect(page.get_by_text("1 request is rejected.")).to_be_visible()
    assert browser.overflow() == 0
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert may_lease() == set()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("1 request was rejected.")).to_be_visible()

    page.get_by_label("Search the requests").fill("lab")
    page.get_by_role("button", name="Search").click()
    page.get_by_label("All 3 that match").check()
    for name in ("lab-1", "lab-2", "lab-3"):
        expect(page.get_by_label(f"Select {name}")).to_be_checked()
        expect(page.get_by_label(f"Select {name}")).to_be_disabled()
    page.get_by_label("All 3 that match").uncheck()
    expect(page.get_by_label("Select lab-1")).to_be_enabled()
    expect(page.get_by_label("Select lab-1")).not_to_be_checked()
    page.get_by_label("All 3 that match").check()
    page.get_by_role("button", name="Approve selected").click()
    expect(page.get_by_text("3 requests are approved.")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("3 requests were approved.")).to_be_visible()
    assert may_lease() == {"lab-1", "lab-2", "lab-3"}
    page.goto(f"/projects/{project}/permissions/")
    expect(page.get_by_label("Select garage")).to_be_visible()


def test_from_a_log_entry_to_the_others_of_its_task(site, window, worker, scene):
    one, other = worker("logs much"), worker("logs little")
    entries = [
        {
            "level": "info",
            "scope": "download",
            "message": f"step {n}",
            "timestamp": 1_790_000_000 + n,
            "task_id": 4711 + n,
        }
        for n in range(3)
    ]
    assert one.post("/log/bulk", {"entries": entries})["ok"]
    assert other.post("/log/error", entries[1] | {"message": "It broke."})["ok"]
    browser = window().sign_in()
    page = browser.open("/logs/")
    page.get_by_label("Text").fill("DOWNLOAD")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#entries tr")).to_have_count(4)
    page.get_by_role("link", name="4712").first.click()
    expect(page.locator("#entries .text")).to_have_text(["It broke.", "step 1"])
    page.get_by_role("link", name="logs much").click()
    page.get_by_role("link", name="Its log").click()
    expect(page.locator("#entries .text")).to_have_text(["step 2", "step 1", "step 0"])
    browser.expected = "400"
    page.get_by_label("Task").fill("4711.5")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".message.error")).to_contain_text("task: must be a whole number")
    page.get_by_role("link", name="Show everything").first.click()
    page.wait_for_url("**/logs/")


def test_secrets(site, window, scene):
    browser = window(permissions=["clipboard-read", "clipboard-write"]).sign_in().stop_the_clock()
    page = browser.open(f"/projects/{scene['public']}/secrets/")
    expect(page.get_by_text("The secrets are hidden")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.address}/git/receivehook"
    page.get_by_role("button", name="Show the secrets").click()
    before = page.get_by_label("Webhook secret").input_value()
    page.get_by_role("button", name="Make a new webhook secret").click()
    page.get_by_role("button", name="Show the secrets").click()
    assert page.get_by_label("Webhook secret").input_value() not in ("", before)


def test_a_wrong_password(window, scene):
    browser = window()
    page = browser.open("/logs/?level=3")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The username or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/logs/?level=3")


@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
def test_the_language_is_the_browsers_until_one_is_chosen(window, scene, language):
    page = window(locale=language).open("/projects/")
    assert page.locator("html").get_attribute("lang") == language[:2]
    other = "fr" if language == "en-US" else "en"
    page.get_by_label(re.compile("Language|Langue")).select_option(other)
    page.wait_for_selector(f"html[lang={other}]")
