"""Webhooks of git hosts: GitHub, Gitea, Gogs, Forgejo and GitLab.

Nothing in the payload is trusted until the signature over its raw bytes has been verified with the webhook secret of
one of the repository's projects. Before that, the payload only selects these projects.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from projects.models import Project
from tracker.api.body import parse_json
from tracker.api.errors import BadInput, Forbidden

# Hosts sign the body with HMAC. Only the strongest signature counts; old GitHub servers send nothing but SHA-1.
_SIGNATURE_HEADERS = (
    ("X-Hub-Signature-256", "sha256"),
    ("X-Forgejo-Signature", "sha256"),
    ("X-Gitea-Signature", "sha256"),
    ("X-Gogs-Signature", "sha256"),
    ("X-Hub-Signature", "sha1"),
)
_EVENT_HEADERS = ("X-GitHub-Event", "X-Forgejo-Event", "X-Gitea-Event", "X-Gogs-Event", "X-Gitlab-Event")
_PUSH_EVENTS = ("push", "Push Hook")

_BRANCHES = "refs/heads/"
_USUAL_BRANCHES = ("master", "main")


# Signatures are checked at least so often, so that the time doesn't tell whether there are projects.
_CHECKS = 4
_NOBODYS_KEY = "no project"


class UnknownRepository(BadInput):
    """No project that you may know of has this repository as its git_repo; for a hidden one, the signature is wrong."""


class BadSignature(Forbidden):
    """The signature is missing or was not made with the project's webhook secret."""


class Push(NamedTuple):
    """The content of a payload. `branch` is None for a tag; `commit` is None when the branch was deleted."""

    repository: str
    branch: str | None
    commit: str | None
    default_branch: str | None


def receive(*, body: bytes, headers: Mapping[str, str]) -> list[Project]:
    """Set the version of the projects that a push affects, and return them: none for a tag or another branch.

    Raises BadInput, UnknownRepository and BadSignature.
    """
    push = _read(body)
    projects = list(Project.objects.filter(git_repo__iexact=push.repository).exclude(git_repo=""))
    verified = [project for project in projects if _is_signed(project.webhook_secret, body, headers)]
    for _check in range(len(projects), _CHECKS):
        _is_signed(_NOBODYS_KEY, body, headers)
    if not verified:
        # Whoever doesn't know the secret learns of a hidden project no more than of none.
        raise UnknownRepository if all(project.hidden for project in projects) else BadSignature
    if not _is_push(headers) or push.commit is None:
        return []
    concerned = [project for project in verified if push.branch in _production_branches(project, push)]
    Project.objects.filter(pk__in=[project.pk for project in concerned]).update(version=push.commit)
    return concerned


def _read(body: bytes) -> Push:
    """The push in a body: JSON, or a form with JSON in it, as GitHub can be configured to send. Raises BadInput."""
    raw: bytes | str = body
    if body.startswith(b"payload="):
        raw = parse_qs(body.decode(errors="replace"), keep_blank_values=True)["payload"][0]
    payload = parse_json(raw)
    repository = _text(payload, "project", "path_with_namespace") or _text(payload, "repository", "full_name")
    if repository is None:
        raise BadInput("repository.full_name: is missing; this is not the payload of a supported git host.")
    reference, commit = _text(payload, "ref") or "", _text(payload, "after") or ""
    return Push(
        repository=repository,
        branch=reference.removeprefix(_BRANCHES) if reference.startswith(_BRANCHES) else None,
        commit=commit if commit.strip("0") else None,
        default_branch=_text(payload, "project", "default_branch") or _text(payload, "repository", "default_branch"),
    )


def _text(payload: Any, *keys: str) -> str | None:
    """The text at a path of keys; None if it is missing, empty, too long or contains NUL."""
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload if isinstance(payload, str) and payload and "\0" not in payload and len(payload) <= 500 else None


def _is_signed(webhook_secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    # Anybody could sign with an empty secret.
    return _has_signature(webhook_secret or _NOBODYS_KEY, body, headers) and bool(webhook_secret)


def _has_signature(webhook_secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    secret = webhook_secret.encode()
    for header, algorithm in _SIGNATURE_HEADERS:
        sent = headers.get(header)
        if sent is not None:
            expected = hmac.new(secret, body, getattr(hashlib, algorithm)).hexdigest()
            return hmac.compare_digest(sent.removeprefix(f"{algorithm}=").lower().encode(), expected.encode())
    token = headers.get("X-Gitlab-Token")
    return token is not None and hmac.compare_digest(token.encode(), secret)


def _is_push(headers: Mapping[str, str]) -> bool:
    """Whether this is a push event; a request without an event header counts as one."""
    events = [headers[name] for name in _EVENT_HEADERS if name in headers]
    return not events or any(event in _PUSH_EVENTS for event in events)


def _production_branches(project: Project, push: Push) -> tuple[str, ...]:
    if project.production_branch:
        return (project.production_branch,)
    return (push.default_branch,) if push.default_branch else _USUAL_BRANCHES
