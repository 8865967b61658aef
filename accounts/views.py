"""The API of managers' accounts."""

from django.conf import settings
from django.contrib import auth
from django.http import HttpResponse
from rest_framework.fields import BooleanField
from rest_framework.request import Request

from accounts import services, sessions
from accounts.authentication import IsManager, IsTrackerAdmin, SessionAuthentication, manager_of, refuse_foreign_link
from accounts.models import User
from accounts.serializers import LoginRequest, ManagerContent, RegisterRequest, manager_content
from tracker.api import paging, throttle
from tracker.api.description import describe
from tracker.api.envelope import Envelope
from tracker.api.views import ApiView


class ManagerView(ApiView):
    """An API view for managers."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsManager]


class RegisterView(ApiView):
    """POST /register."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "Register a manager and log in",
        details="The first account becomes a tracker admin. A name that counts as a taken one gets 409: see Names.",
        body=RegisterRequest,
        content={"manager": ManagerContent},
        errors={409: None, 429: None},
    )
    @throttle.throttled("register", rate_setting="REGISTER_RATE")
    def post(self, request: Request) -> Envelope:
        if not settings.REGISTRATION_OPEN:
            raise sessions.RegistrationClosed
        user = services.register(**self.parsed(RegisterRequest))
        return _log_in(request, user)


class LoginView(ApiView):
    """POST /login."""

    authentication_classes = [SessionAuthentication]

    @describe("Log in", body=LoginRequest, content={"manager": ManagerContent}, errors={429: None})
    def post(self, request: Request) -> Envelope:
        fields = self.parsed(LoginRequest)
        return _log_in(request, sessions.identify(request._request, **fields))


class LogoutView(ApiView):
    """GET or POST /logout."""

    # No HEAD: it would log out.
    http_method_names = ["get", "post"]
    authentication_classes = [SessionAuthentication]

    @describe("Log out", status=204, errors={403: None})
    def post(self, request: Request) -> HttpResponse:
        auth.logout(request._request)
        return HttpResponse(status=204)

    @describe("Log out", details="Not by a link on another site.", status=204, errors={403: None})
    def get(self, request: Request) -> HttpResponse:
        refuse_foreign_link(request._request)
        auth.logout(request._request)
        return HttpResponse(status=204)


class AccountView(ApiView):
    """GET /account: who is logged in."""

    authentication_classes = [SessionAuthentication]

    @describe(
        "Who is logged in",
        content={"logged_in": BooleanField(), "manager": ManagerContent},
        refusal={"logged_in": BooleanField()},
    )
    def get(self, request: Request) -> Envelope:
        if not isinstance(request.user, User):
            return Envelope({"logged_in": False}, ok=False, message="Nobody is logged in.")
        return Envelope({"logged_in": True, "manager": manager_content(request.user)})


class ListManagersView(ManagerView):
    """GET /manager/list."""

    @describe(
        "All active managers",
        query=paging.PageQuery,
        content={"managers": ManagerContent(many=True), **paging.next_page()},
    )
    def get(self, request: Request) -> Envelope:
        active = User.objects.filter(is_active=True)
        managers, following = paging.page_by(active, key="username", **self.query(paging.PageQuery))
        return Envelope({"managers": [manager_content(manager) for manager in managers]} | following)


class PromoteView(ManagerView):
    """POST /manager/promote/:id, and /manager/demote/:id with `tracker_admin` false."""

    permission_classes = [IsTrackerAdmin]
    tracker_admin = True
    summary = "Promote a manager to tracker admin"

    @describe("{view.summary}", status=204)
    def post(self, request: Request, manager_id: int) -> HttpResponse:
        services.set_tracker_admin(by=manager_of(request), manager_id=manager_id, tracker_admin=self.tracker_admin)
        return HttpResponse(status=204)


def _log_in(request: Request, user: User) -> Envelope:
    answer = Envelope({"manager": manager_content(user)})
    sessions.begin(request._request, answer, user)
    return answer
