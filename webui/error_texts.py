"""Error messages that pages show, for the translation catalogue. The API speaks English; pages translate them.

Messages that contain a number or a name are not listed and stay in English, also on French pages.
"""

from django.utils.translation import gettext_noop as _

# Without the leading field name, if there is one: pages show the message at that field.
TEXTS = (
    _("You can't do this to your own account; ask another tracker admin."),
    _("Registration is closed here; ask a tracker admin for an account."),
    _("The database does not answer at the moment; try again."),
    _("The request is malformed."),
    _("The tracker is too busy for this at the moment; try again."),
    _("Too many calls are waiting already; call again without `wait`, or later."),
    _("The username or the password is wrong."),
    _("A selected row has no valid id; open the list again."),
    _("No open task of this project has this id and such a vote, unless a worker holds it at the moment."),
    _("There is no such group of failures; one is forgotten with its last attempt."),
    _("There is no such manager."),
    _("There is no such project."),
    _("There is no such thing."),
    _("There is nothing at this address; API paths have no slash at their end, and /api/docs lists them."),
    _("There is nothing at this address: it has a doubled slash; write one."),
    _("This address only accepts the form of a page; it can't be opened."),
    _("This form is malformed, or has too many fields or files; load the page again and send less at once."),
    _("This conflicts with existing data."),
    _("This is no place in the list; open the list from its beginning."),
    _("This worker has not asked for access to this project."),
    _("You are not allowed to do this."),
    _("Something went wrong here; the operator finds it in the log."),
    _('"unassigned" is reserved; choose another.'),
    _("a project can't be public and hidden at once."),
    _("a project with this name already exists; choose another."),
    _("must be at most 10,000 bytes long in UTF-8; link to a page that says more."),
    _("must be one line of visible characters, without control, format or direction characters."),
    _("must not begin or end with a blank."),
    _("must not mix letters of different scripts, such as Latin and Cyrillic, which look alike."),
    _("only a tracker admin can change whether a project is public."),
    _("this name is taken; choose another."),
)

# Messages that only API clients see.
FOR_PROGRAMS = (
    "A field is missing, of the wrong type or out of range. The message begins with its name.",
    "A task with this hash is already in the project.",
    "No project that you may know of has this repository as its git_repo; for a hidden one, the signature is wrong.",
    "Send the body as plain JSON, without a Content-Encoding.",
    "Send the headers X-Worker-ID and X-Secret of a registered worker.",
    "after: is not or no longer in the list; begin again without it.",
    "The request body ended before its announced length, came too slowly or was not properly chunked.",
    "No open task of this project has this id and such a vote, unless a worker holds it at the moment.",
    "The request body is too large.",
    "This Idempotency-Key was used for another request within the last ten minutes; use a new key for each request.",
    "This worker is paused; a tracker admin can resume it.",
    "This worker may not submit to this project; ask for SUBMIT with /project/request_access.",
    "The signature is missing; give the git host the project's webhook secret.",
    "The signature was not made with the project's webhook secret; give the git host the same secret.",
    "There is no worker with this X-Worker-ID and X-Secret.",
    "Too many calls are waiting already; call again without `wait`, or later.",
    "Too many requests; wait for rate_limit_delay seconds.",
)
