"""POST /git/receivehook, with payloads as the git hosts document them."""

import hashlib
import hmac
import tracemalloc
from urllib.parse import quote_plus, urlencode

import orjson
import pytest

from projects import webhooks
from projects.models import Project
from tests.factories import ProjectFactory, TaskFactory
from tracker.api import body

pytestmark = pytest.mark.django_db

URL = "/git/receivehook"
SECRET = "s3cr3t"
BEFORE, AFTER = "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5"

GITHUB = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": AFTER,
    "created": False,
    "deleted": False,
    "forced": False,
    "base_ref": None,
    "compare": f"https://github.com/octocat/Hello-World/compare/{BEFORE[:12]}...{AFTER[:12]}",
    "commits": [{"id": AFTER, "message": "Übersetzt \U0001f680", "distinct": True, "added": ["x.py"]}],
    "repository": {
        "id": 186853002,
        "name": "Hello-World",
        "full_name": "octocat/Hello-World",
        "private": False,
        "default_branch": "main",
        "master_branch": "main",
    },
    "pusher": {"name": "octocat", "email": "octocat@github.com"},
}
GITEA = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": AFTER,
    "compare_url": "http://localhost:3000/gitea/webhooks/compare/a...b",
    "commits": [{"id": AFTER, "message": "Webhooks Yay!", "url": "http://localhost:3000/gitea/webhooks/commit/b"}],
    "repository": {"id": 140, "name": "Hello-World", "full_name": "octocat/Hello-World", "default_branch": "main"},
    "pusher": {"id": 1, "login": "gitea", "full_name": "Gitea"},
}
GITLAB = {
    "object_kind": "push",
    "event_name": "push",
    "before": BEFORE,
    "after": AFTER,
    "ref": "refs/heads/main",
    "ref_protected": True,
    "checkout_sha": AFTER,
    "user_name": "John Smith",
    "project_id": 15,
    "project": {"id": 15, "name": "Diaspora", "path_with_namespace": "octocat/Hello-World", "default_branch": "main"},
    "repository": {"name": "Diaspora", "url": "git@example.com:mike/diaspora.git", "visibility_level": 0},
    "total_commits_count": 4,
}


@pytest.fixture
def project():
    return ProjectFactory(git_repo="octocat/Hello-World", webhook_secret=SECRET, version="old")


def sign(raw, secret=SECRET, algorithm="sha256"):
    return hmac.new(secret.encode(), raw, getattr(hashlib, algorithm)).hexdigest()


def github(raw, **options):
    return {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={sign(raw, **options)}"}


def deliver(api, payload, headers=github, content_type="application/json"):
    raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return api.post(URL, raw, headers=headers(raw) if callable(headers) else headers, content_type=content_type)


def version():
    return Project.objects.get().version


def hub_1(raw):
    return {"X-GitHub-Event": "push", "X-Hub-Signature": f"sha1={sign(raw, algorithm='sha1')}"}


HOSTS = {
    "GitHub": (GITHUB, lambda raw: github(raw) | hub_1(raw)),
    "GitHub, old": (GITHUB, hub_1),
    "Gitea": (GITEA, lambda raw: {"X-Gitea-Event": "push", "X-Gitea-Signature": sign(raw)} | github(raw)),
    "Gogs": (GITEA, lambda raw: {"X-Gogs-Event": "push", "X-Gogs-Signature": sign(raw)}),
    "Forgejo": (GITEA, lambda raw: {"X-Forgejo-Event": "push", "X-Forgejo-Signature": sign(raw)}),
    "GitLab": (GITLAB, {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET}),
}


@pytest.mark.parametrize("host", HOSTS)
def test_it_works(api, project, worker, host):
    payload, headers = HOSTS[host]
    answer = deliver(api, payload, headers)
    assert answer.status == 200
    assert answer.content == {"updated_projects": 1}
    assert version() == AFTER


@pytest.mark.parametrize("host", HOSTS)
def test_wrong_signature(api, project, host):
    Project.objects.update(webhook_secret="another")
    payload, headers = HOSTS[host]
    assert deliver(api, payload, headers).status == 403
    assert version() == "old"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-GitHub-Event": "push"},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": "sha256=é"},
        {"X-Gitlab-Token": ""},
        lambda raw: {"X-Hub-Signature-256": f"sha256={sign(raw, algorithm='sha1')}"},
        # Only the strongest signature counts.
        lambda raw: {"X-Hub-Signature-256": "sha256=00"} | {"X-Hub-Signature": f"sha1={sign(raw, algorithm='sha1')}"},
        lambda raw: {"X-Hub-Signature-256": "sha256=00", "X-Gitlab-Token": SECRET},
    ],
)
def test_bad_signatures(api, project, headers):
    answer = deliver(api, GITHUB, headers)
    assert answer.status == 403
    assert version() == "old"


def test_signature_is_over_the_raw_bytes(api, project):
    raw = orjson.dumps(GITHUB, option=orjson.OPT_INDENT_2) + b"\n"
    assert deliver(api, raw).ok
    assert deliver(api, raw.replace(b"\n", b""), github(raw)).status == 403


def test_empty_secret_verifies_nothing(api, project):
    Project.objects.update(webhook_secret="")
    for headers in (lambda raw: github(raw, secret=""), {"X-Gitlab-Token": ""}):
        assert deliver(api, GITHUB, headers).status == 403
    assert version() == "old"


def test_form_with_json(api, project):
    raw = urlencode({"payload": orjson.dumps(GITHUB).decode()}).encode()
    assert deliver(api, raw, content_type="application/x-www-form-urlencoded").ok
    assert version() == AFTER


@pytest.mark.parametrize(
    ("branch", "ref", "default", "counts"),
    [
        ("", "refs/heads/main", "main", True),
        ("", "refs/heads/trunk", "trunk", True),
        ("", "refs/heads/main", "trunk", False),
        ("", "refs/heads/master", None, True),
        ("", "refs/heads/main", None, True),
        ("", "refs/heads/trunk", None, False),
        ("", "refs/heads/feature/main", "main", False),
        ("", "refs/heads/not-main", "main", False),
        ("", "refs/tags/main", "main", False),
        ("", "refs/heads/", "main", False),
        ("live", "refs/heads/live", "main", True),
        ("live", "refs/heads/main", "main", False),
        ("live", "refs/heads/deep/live", "main", False),
        ("deep/live", "refs/heads/deep/live", "main", True),
    ],
)
def test_only_the_production_branch_counts(api, project, branch, ref, default, counts):
    Project.objects.update(production_branch=branch)
    repository = GITHUB["repository"] | {"default_branch": default}
    answer = deliver(api, GITHUB | {"ref": ref, "repository": repository})
    assert answer.status == 200
    assert answer.content == {"updated_projects": int(counts)}
    assert version() == (AFTER if counts else "old")


@pytest.mark.parametrize("event", ["ping", "issues", "Tag Push Hook"])
def test_other_events_are_ignored(api, project, event):
    answer = deliver(api, GITHUB, lambda raw: github(raw) | {"X-GitHub-Event": event})
    assert answer.content == {"updated_projects": 0}
    assert version() == "old"


def test_deleted_branch_is_ignored(api, project):
    assert deliver(api, GITHUB | {"after": "0" * 40, "deleted": True}).content == {"updated_projects": 0}
    assert version() == "old"


def test_case_of_the_repository_does_not_matter(api, project):
    Project.objects.update(git_repo="OctoCat/hello-world")
    assert deliver(api, GITHUB).content == {"updated_projects": 1}


def test_several_projects_may_share_a_repository(api, project):
    second = ProjectFactory(git_repo="octocat/Hello-World", webhook_secret=SECRET)
    other_secret = ProjectFactory(git_repo="octocat/Hello-World", webhook_secret="other", version="old")
    other_branch = ProjectFactory(
        git_repo="octocat/Hello-World", webhook_secret=SECRET, version="old", production_branch="live"
    )
    assert deliver(api, GITHUB).content == {"updated_projects": 2}
    versions = [Project.objects.get(pk=one.pk).version for one in (project, second, other_secret, other_branch)]
    assert versions == [AFTER, AFTER, "old", "old"]


def test_a_large_push_is_hashed_for_the_oldest_projects_only(api, project, monkeypatch):
    """A stranger's 5 MB would be hashed as often as somebody has made projects with the repository."""
    younger = ProjectFactory.create_batch(6, git_repo=project.git_repo, webhook_secret=SECRET)
    monkeypatch.setattr(webhooks, "_MOST_BYTES", 5 * len(orjson.dumps(GITHUB)))
    assert deliver(api, GITHUB).content == {"updated_projects": 5}
    versions = [Project.objects.get(pk=one.pk).version for one in (project, *younger)]
    assert versions == [AFTER] * 5 + [""] * 2


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "repository.full_name"),
        (b"{}", "repository.full_name"),
        (b'{"repository": {"full_name": 5}}', "repository.full_name"),
        (b'{"repository": "x"}', "repository.full_name"),
        (b'{"repository": {"full_name": ""}}', "repository.full_name"),
        (b'{"repository": {"full_name": "a\\u0000b"}}', "repository.full_name"),
        (b'{"repository": {"full_name": "nobody/knows"}}', "No project"),
        (b"payload=", "not JSON"),
        (b"payload=%7B", "not JSON"),
        (b'{"repository": {"full_name": "%s"}}' % (b"a" * 501), "repository.full_name"),
    ],
)
def test_refuses(api, project, raw, problem):
    answer = deliver(api, raw)
    assert answer.status == 400
    assert problem in answer.message
    assert version() == "old"


def test_a_form_of_many_fields_costs_little(api, project):
    """Only the first is looked at, and its escapes are undone in parts."""
    form = b"payload=" + quote_plus(orjson.dumps(GITHUB | {"filler": "Ü%+& " * 50_000})).encode()
    tracemalloc.start()
    try:
        answer = deliver(api, form + b"&a" * 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.content == {"updated_projects": 1}
    assert version() == AFTER
    assert peak < 10 * (len(form) + 2_000_000)


@pytest.mark.parametrize("shift", range(4))
def test_no_escape_is_cut_in_two(shift):
    raw = b"x" * shift + "Ü€".encode() * 50_000
    assert body.first_field(b"payload=" + quote_plus(raw).encode() + b"&a=b") == raw
    assert body.first_field(b"payload=%" + b"%4" * 70_000 + b"%") == b"%" + b"%4" * 70_000 + b"%"


def test_one_large_form_at_a_time(api, project, settings, monkeypatch):
    settings.MAX_BODY_BYTES = 100
    monkeypatch.setattr(body, "LARGE_PARSE_SECONDS", 0.01)
    with body._large_parse:
        assert deliver(api, b"payload=" + b"%7B" * 100).status == 503


def test_projects_without_a_repository_match_nothing(api):
    ProjectFactory(git_repo="", webhook_secret=SECRET)
    assert deliver(api, GITHUB | {"repository": {"full_name": " "}}).status == 400


def test_workers_see_the_version_on_their_next_lease(api, project, worker):
    TaskFactory(project=project)
    deliver(api, GITHUB)
    answer = api.get(f"/task/get/{project.pk}", worker=worker)
    assert answer.content["task"]["project"]["version"] == AFTER


def wire(secret):
    """A secret as WSGI hands it on: the bytes of UTF-8, read as Latin-1."""
    return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret.encode().decode("latin-1")}


@pytest.mark.parametrize("secret", ["clé", "ключ", "\U0001f511 key"])
def test_token_beyond_ascii(api, project, secret):
    Project.objects.update(webhook_secret=secret)
    assert deliver(api, GITLAB, wire(secret[:-1])).status == 403
    assert deliver(api, GITLAB, wire(secret)).content == {"updated_projects": 1}
    assert version() == AFTER


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "after", [AFTER[:-1], AFTER + "0", "x" * 40, "a" * 201, "a" * 63, "000", f"{AFTER}\n", "HEAD", ""]
)
def test_after_must_be_a_full_commit_id(api, project, host, after):
    payload, headers = HOSTS[host]
    answer = deliver(api, payload | {"after": after}, headers)
    assert answer.status == 400
    assert answer.message.startswith("after: ")
    assert "40 or 64 hexadecimal digits" in answer.message
    assert version() == "old"


@pytest.mark.parametrize("after", [None, 5, ["a" * 40], {}])
def test_after_that_is_no_text(api, project, after):
    answer = deliver(api, GITHUB | {"after": after})
    assert (answer.status, answer.message[:7]) == (400, "after: ")
    assert version() == "old"


@pytest.mark.parametrize("after", ["a" * 64, AFTER.upper()])
def test_commit_ids(api, project, after):
    assert deliver(api, GITHUB | {"after": after}).content == {"updated_projects": 1}
    assert version() == after


def test_a_bad_commit_is_told_only_to_who_knows_the_secret(api, project):
    assert deliver(api, GITHUB | {"after": "x"}, lambda raw: github(raw, secret="wrong")).status == 403


def test_push_without_a_branch(api, project):
    answer = deliver(api, {key: value for key, value in GITHUB.items() if key != "ref"})
    assert (answer.status, answer.message[:5]) == (400, "ref: ")


@pytest.mark.parametrize("zeros", ["0" * 40, "0" * 64])
@pytest.mark.parametrize("host", HOSTS)
def test_deleted_branches(api, project, host, zeros):
    payload, headers = HOSTS[host]
    answer = deliver(api, payload | {"after": zeros, "deleted": True}, headers)
    assert (answer.status, answer.content) == (200, {"updated_projects": 0})
    assert answer.message == 'Ignored: the branch "main" was deleted.'
    assert version() == "old"


def named(**events):
    return lambda raw: (
        {"X-Hub-Signature-256": f"sha256={sign(raw)}"}
        | {name.replace("_", "-"): event for name, event in events.items()}
    )


@pytest.mark.parametrize(
    ("change", "headers", "message"),
    [
        ({"ref": "refs/tags/v1"}, github, 'Ignored: "refs/tags/v1" is not a branch.'),
        ({"ref": "refs/heads/dev"}, github, 'Ignored: "dev" is not the production branch (main).'),
        ({}, named(X_GitHub_Event="ping"), "The signature is right."),
        ({}, named(X_Gitea_Event="issues", X_GitHub_Event="issues"), 'Ignored: the event "issues" is not a push.'),
        ({}, named(X_Gogs_Event="release"), 'Ignored: the event "release" is not a push.'),
        ({}, named(X_Gitlab_Event="Tag Push Hook"), 'Ignored: the event "Tag Push Hook" is not a push.'),
        ({}, named(X_Event_Key="repo:push"), 'Ignored: X-Event-Key "repo:push" is no event of GitHub, Gitea, '),
        ({}, named(X_Gitee_Event="Push Hook"), 'Ignored: X-Gitee-Event "Push Hook" is no event of GitHub, Gitea, '),
        ({"ref": None, "after": None}, named(), "Ignored: this is not a push"),
    ],
)
def test_what_is_ignored_says_why(api, project, change, headers, message):
    answer = deliver(api, GITHUB | change, headers)
    assert (answer.status, answer.ok, answer.content) == (200, True, {"updated_projects": 0})
    assert answer.message.startswith(message)
    assert version() == "old"


def test_a_host_that_is_not_understood_is_told_so_by_its_signature(api, project):
    headers = lambda raw: {"X-Event-Key": "repo:push", "X-Hub-Signature": f"sha256={sign(raw)}"}  # noqa: E731
    answer = deliver(api, {"push": {"changes": []}, "repository": GITHUB["repository"]}, headers)
    assert answer.status == 200
    assert answer.message.startswith('Ignored: X-Event-Key "repo:push" is no event of GitHub, ')
    assert version() == "old"


def test_the_branches_that_would_count(api, project):
    ProjectFactory(git_repo="octocat/Hello-World", webhook_secret=SECRET, production_branch="live")
    ProjectFactory(git_repo="octocat/Hello-World", webhook_secret="another", production_branch="unknown")
    answer = deliver(api, GITHUB | {"ref": "refs/heads/dev"})
    assert answer.message == 'Ignored: "dev" is not the production branch (live or main).'


def test_a_missing_signature_is_told_from_a_wrong_one(api, project):
    assert "missing" in deliver(api, GITHUB, {"X-GitHub-Event": "push"}).message
    assert "missing" not in deliver(api, GITHUB, lambda raw: github(raw, secret="wrong")).message


@pytest.mark.parametrize("sent", ["s3cr3t\n", "\r\n s3cr3t\t", " s3cr3t ", "s3cr3t\u00a0"])
def test_a_pasted_secret_has_no_blanks_at_its_ends(api, project, tracker_admin, sent):
    url = f"/project/webhook_secret/{project.pk}"
    api.login(tracker_admin)
    assert api.post(url, {"webhook_secret": sent}).status == 200
    assert api.get(url).content == {"webhook_secret": SECRET}
    assert deliver(api, GITHUB).content == {"updated_projects": 1}
