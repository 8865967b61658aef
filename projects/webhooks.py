"""Webhooks of git hosts: GitHub, Gitea, Gogs, Forgejo and GitLab.

Nothing in the payload is trusted until the signature over its raw bytes has been verified with the webhook secret of
one of the repository's projects. Before that, the payload only selects these projects.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from projects.models import Project
from tracker.api.body import first_field, parse_json
from tracker.api.errors import BadInput, Forbidden, InvalidField
from tracker.api.fields import quoted, shown

# Hosts sign the body with HMAC. Only the strongest signature counts; old GitHub servers send nothing but SHA-1.
_SIGNATURE_HEADERS = (
    ("X-Hub-Signature-256", "sha256"),
    ("X-Forgejo-Signature", "sha256"),
    ("X-Gitea-Signature", "sha256"),
    ("X-Gogs-Signature", "sha256"),
    ("X-Hub-Signature", "sha1"),
)
_TOKEN_HEADER = "X-Gitlab-Token"  # noqa: S105
_EVENT_HEADERS = ("X-GitHub-Event", "X-Forgejo-Event", "X-Gitea-Event", "X-Gogs-Event", "X-Gitlab-Event")
_PUSH_EVENTS = ("push", "Push Hook")
# How other hosts name the event, for example Bitbucket.
_FOREIGN_EVENT = re.compile(r"x-event-key|x-[a-z]+-event", re.IGNORECASE)
HOSTS = "GitHub, Gitea, Gogs, Forgejo and GitLab"

_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_BRANCHES = "refs/heads/"
_USUAL_BRANCHES = ("master", "main")


# Signatures are checked at least so often, so that the time doesn't tell whether there are projects.
_CHECKS = 4
_NOBODYS_KEY = "no project"
# How much is hashed for one push, once for each project with its repository: about half a second's work. An ordinary
# push has some ten kilobytes.
_MOST_BYTES = 512 * 1024 * 1024

_LONGEST_REPOSITORY = 500


class UnknownRepository(BadInput):
    """No project that you may know of has this repository as its git_repo; for a hidden one, the signature is wrong."""


class BadSignature(Forbidden):
    """The signature was not made with the project's webhook secret; give the git host the same secret."""


class NoSignature(Forbidden):
    """The signature is missing; give the git host the project's webhook secret."""


class Push(NamedTuple):
    """The content of a payload, unchecked but for `repository`; None for what it doesn't have."""

    repository: str
    reference: str | None
    after: str | None
    default_branch: str | None

    @property
    def branch(self) -> str | None:
        """None for a tag."""
        reference = self.reference or ""
        return reference.removeprefix(_BRANCHES) if reference.startswith(_BRANCHES) else None


class Received(NamedTuple):
    """The projects whose version was set; the message says why there are none."""

    projects: list[Project]
    message: str | None = None


def receive(*, body: bytes, headers: Mapping[str, str]) -> Received:
    """Set the version of the projects that a push affects: none for a tag or another branch.

    Raises BadInput, UnknownRepository, BadSignature and NoSignature.
    """
    push = _read(body)
    # Without their texts, which may be long. The oldest: nobody can crowd out a project by making others like it.
    columns = Project.objects.only("hidden", "production_branch", "webhook_secret")
    found = columns.filter(git_repo__iexact=push.repository).exclude(git_repo="").order_by("pk")
    projects = list(found[: max(_CHECKS, _MOST_BYTES // max(1, len(body)))])
    verified = [project for project in projects if _is_signed(project.webhook_secret, body, headers)]
    for _check in range(len(projects), _CHECKS):
        _is_signed(_NOBODYS_KEY, body, headers)
    if not verified:
        # Whoever doesn't know the secret learns of a hidden project no more than of none.
        if all(project.hidden for project in projects):
            raise UnknownRepository
        raise BadSignature if _has_any_signature(headers) else NoSignature
    why_not = _other_event(push, headers)
    if why_not is not None:
        return Received([], why_not)
    commit = _commit(push)
    if push.branch is None:
        return Received([], f"Ignored: {quoted(push.reference or '')} is not a branch.")
    if commit is None:
        return Received([], f"Ignored: the branch {quoted(push.branch)} was deleted.")
    concerned = [project for project in verified if push.branch in _production_branches(project, push)]
    if not concerned:
        expected = sorted({name for project in verified for name in _production_branches(project, push)})
        return Received([], f"Ignored: {quoted(push.branch)} is not the production branch ({' or '.join(expected)}).")
    Project.objects.filter(pk__in=[project.pk for project in concerned]).update(version=commit)
    return Received(concerned)


def _read(body: bytes) -> Push:
    """The push in a body: JSON, or a form with JSON in it, as GitHub can be configured to send. Raises BadInput."""
    payload = parse_json(first_field(body) if body.startswith(b"payload=") else body)
    repository = _text(payload, "project", "path_with_namespace") or _text(payload, "repository", "full_name")
    if repository is None or "\0" in repository or len(repository) > _LONGEST_REPOSITORY:
        problem = "is missing" if repository is None else "is no repository's name"
        raise BadInput(f"repository.full_name: {problem}; this is not the payload of {HOSTS.replace(' and ', ' or ')}.")
    return Push(
        repository=repository,
        reference=_text(payload, "ref"),
        after=_text(payload, "after"),
        default_branch=_text(payload, "project", "default_branch") or _text(payload, "repository", "default_branch"),
    )


def _text(payload: Any, *keys: str) -> str | None:
    """The text at a path of keys; None if it is missing or empty."""
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload if isinstance(payload, str) and payload else None


def _commit(push: Push) -> str | None:
    """The commit that was pushed; None when the branch was deleted. Raises InvalidField."""
    if push.reference is None:
        raise InvalidField("ref", "is missing; a push names its branch there.")
    if push.after is None or _COMMIT.fullmatch(push.after) is None:
        found = "is missing;" if push.after is None else f"{shown(push.after)} is no commit;"
        raise InvalidField("after", f"{found} it must be the full commit id, 40 or 64 hexadecimal digits.")
    return push.after if push.after.strip("0") else None


def _other_event(push: Push, headers: Mapping[str, str]) -> str | None:
    """What to answer to a request that is no push; None for a push, and for a payload like one without any event."""
    events = [headers[name] for name in _EVENT_HEADERS if name in headers]
    if any(event in _PUSH_EVENTS for event in events):
        return None
    if "ping" in events:
        return "The signature is right. Pushes to the production branch will set the version."
    if events:
        return f"Ignored: the event {quoted(events[0])} is not a push."
    for name, value in headers.items():
        if _FOREIGN_EVENT.fullmatch(name):
            return f"Ignored: {name} {quoted(value)} is no event of {HOSTS.replace(' and ', ' or ')}."
    if push.reference is None and push.after is None:
        return f"Ignored: this is not a push as {HOSTS} send it; it has neither ref nor after."
    return None


def _is_signed(webhook_secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    # Anybody could sign with an empty secret.
    return _has_signature(webhook_secret or _NOBODYS_KEY, body, headers) and bool(webhook_secret)


def _has_signature(webhook_secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    secret = webhook_secret.encode()
    for header, algorithm in _SIGNATURE_HEADERS:
        sent = headers.get(header)
        if sent is not None:
            if sent.startswith("sha256="):
                # Some hosts send it in the header that GitHub has for SHA-1.
                algorithm = "sha256"
            expected = hmac.new(secret, body, getattr(hashlib, algorithm)).hexdigest()
            return hmac.compare_digest(sent.removeprefix(f"{algorithm}=").lower().encode(), expected.encode())
    token = headers.get(_TOKEN_HEADER)
    return token is not None and hmac.compare_digest(_sent_bytes(token), secret)


def _sent_bytes(value: str) -> bytes:
    """A header's bytes: WSGI decodes them as Latin-1, whatever the client meant."""
    return value.encode("latin-1", errors="backslashreplace")


def _has_any_signature(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name) for name in (*(name for name, _ in _SIGNATURE_HEADERS), _TOKEN_HEADER))


def _production_branches(project: Project, push: Push) -> tuple[str, ...]:
    if project.production_branch:
        return (project.production_branch,)
    return (push.default_branch,) if push.default_branch else _USUAL_BRANCHES
