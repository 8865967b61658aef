"""A real browser on a real server. Skipped where Debian's chromium is not installed."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.db import connections
from playwright.sync_api import expect, sync_playwright

from tests.flows.server import Server
from tests.processes import PATIENCE_SECONDS

CHROMIUM = shutil.which("chromium")
PASSWORD = "correct horse battery"
TRACEBACK = "Traceback:\n" + "\n".join(f"  line {n} " + "of a long text " * 9 for n in range(20))

# Playwright's own is 5 seconds.
expect.set_options(timeout=PATIENCE_SECONDS * 1000)

# Playwright's event loop runs in this thread, so Django takes every database access for one in async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(
                pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
            )


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Iterator[Server]:
    """A running tracker without limits on attempts; its first account is tracker admin `ada`."""
    limits = dict.fromkeys(("WORKER_CREATE_RATE", "REGISTER_RATE", "LOGIN_RATE"), "")
    server = Server(tmp_path_factory.mktemp("site"), **limits).start()
    register(server, "ada")
    yield server
    assert server.stop() == 0


def register(server: Server, username: str) -> None:
    answer = requests.post(
        f"{server.address}/register", json={"username": username, "password": PASSWORD}, timeout=PATIENCE_SECONDS
    )
    assert answer.status_code in (200, 409)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    with sync_playwright() as playwright:
        # As root, chromium refuses to start with its sandbox.
        options = ["--no-sandbox"] if sys.platform == "linux" and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()
        # While playwright's loop runs, this thread uses its own database connections, which nothing else closes.
        connections.close_all()


class Browser:
    """A window. It records faults: errors in the console, and requests to other hosts."""

    def __init__(self, chromium, site, **options):
        self.site = site
        self.context = chromium.new_context(base_url=site.address, **options)
        self.context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.expected = ""
        self.requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message):
        if message.type in ("error", "warning") and not (self.expected and re.search(self.expected, message.text)):
            self.faults.append(f"{message.type} on {self.page.url}: {message.text}")

    def _request(self, request):
        self.requests.append(request.url)
        if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(self.site.address):
            self.faults.append(f"request to {request.url}")

    def sign_in(self, username="ada"):
        answer = self.context.request.post("/login", data={"username": username, "password": PASSWORD})
        assert answer.status == 200, answer.text()
        return self

    def stop_the_clock(self):
        """For the scripts of pages, whose timers then wait for `page.clock.run_for`."""
        self.page.clock.install(time=0)
        self.page.clock.pause_at(1000)
        return self

    def open(self, path):
        self.page.goto(path)
        return self.page

    def drawn(self):
        """Wait until the charts are drawn."""
        # Wait for a selector: wait_for_function would evaluate code in the page, which its policy forbids.
        self.page.wait_for_selector("html[data-drawn]")

    def refresh(self):
        """Refresh the numbers, as coming back to the tab does."""
        before = self.page.evaluate("Number(document.documentElement.dataset.drawn || 0)")
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        # The page's own timer may have refreshed them once more.
        self.page.wait_for_selector(f"html[data-drawn='{before + 1}'], html[data-drawn='{before + 2}']")

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def window(chromium, site):
    """Opens windows; at the end, none of them may have recorded a fault."""
    opened = []

    def open_window(**options):
        opened.append(Browser(chromium, site, **options))
        return opened[-1]

    yield open_window
    for one in opened:
        one.context.close()
    assert [fault for one in opened for fault in one.faults] == []


class Worker:
    """A worker over HTTP."""

    def __init__(self, site, alias):
        self.address = site.address
        body = {"alias": alias}
        worker = requests.post(f"{self.address}/worker/create", json=body, timeout=30).json()["content"]["worker"]
        self.id = worker["id"]
        self.headers = {"X-Worker-ID": str(worker["id"]), "X-Secret": worker["secret"]}

    def get(self, path):
        return requests.get(f"{self.address}{path}", headers=self.headers, timeout=30).json()

    def post(self, path, body):
        return requests.post(f"{self.address}{path}", json=body, headers=self.headers, timeout=30).json()

    def work(self, project):
        """Lease a task and report it done; whether there was one."""
        answer = self.get(f"/task/get/{project}")
        if not answer["ok"]:
            return False
        return self.post("/task/release", {"task_id": answer["content"]["task"]["id"], "result": 0})["ok"]


@pytest.fixture
def worker(site):
    return lambda alias: Worker(site, alias)


class Manager:
    """A manager that uses the API, to set up the scene."""

    def __init__(self, site, username="ada"):
        self.address = site.address
        self.session = requests.Session()
        self.post("/login", {"username": username, "password": PASSWORD})

    def get(self, path):
        answer = self.session.get(f"{self.address}{path}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["content"]

    def post(self, path, body=None):
        answer = self.session.post(f"{self.address}{path}", json=body or {}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json().get("content", {})


@pytest.fixture(scope="session")
def scene(site):
    """One project of each kind with something in it: `{"public": id, "private": id, "hidden": id}`."""
    ada = Manager(site)
    long_name = "A project with a very long name that goes on " * 3
    long_motd = "\n".join(f"line {n} of a long message" for n in range(20))
    ids = {
        "public": ada.post(
            "/project/create", {"name": "Render frames", "public": True, "motd": "Hello", "version": "v1"}
        ),
        "private": ada.post("/project/create", {"name": long_name[:120], "motd": long_motd}),
        "hidden": ada.post("/project/create", {"name": "Nobody knows", "hidden": True}),
    }
    ids = {kind: content["id"] for kind, content in ids.items()}
    submitter = Worker(site, "submitter <b>")
    asking = Worker(site, "asks " + "for a very long time " * 8)
    for kind in ("public", "private"):
        submitter.post("/project/request_access", {"project": ids[kind], "submit": True})
        ada.post(f"/project/accept_request/{ids[kind]}/{submitter.id}")
        tasks = [{"project": ids[kind], "recipe": f"<b>frame {n}</b> " + "x" * 300} for n in range(5)]
        submitter.post("/task/bulk_submit", tasks)
        submitter.work(ids[kind])
        failed = submitter.get(f"/task/get/{ids[kind]}")["content"]["task"]["id"]
        report = {"task_id": failed, "result": 1, "message": TRACEBACK, "output": {"log": "x" * 500}}
        submitter.post("/task/release", report)
        submitter.get(f"/task/get/{ids[kind]}")
    asking.post("/project/request_access", {"project": ids["private"], "assign": True})
    submitter.post("/log/error", {"scope": "render", "message": TRACEBACK, "timestamp": 1_790_000_000})
    ids["failure"] = ada.get(f"/project/failures/{ids['public']}")["failures"][0]["fingerprint"]
    site.manage("shell", "-v0", "-c", "from tasks.queue.upkeep import take_snapshots; take_snapshots()")
    return ids
