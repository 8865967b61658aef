"""Pages to sign in and register, and for the manager's own account."""

from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services, sessions
from tracker.api import throttle
from tracker.api.errors import ApiError, RateLimited
from webui.errors import error_response
from webui.pages.common import blame, require_login
from webui.pages.forms.accounts import LoginForm, PasswordForm, RegisterForm


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """/accounts/login/. Counts attempts together with POST /login."""
    if request.user.is_authenticated:
        return HttpResponseRedirect(_after_login(request))
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = sessions.identify(request, **form.cleaned_data)
        except RateLimited:
            raise
        except ApiError as error:
            blame(form, error)
        else:
            response = HttpResponseRedirect(_after_login(request))
            sessions.begin(request, response, user)
            return response
    return render(request, "accounts/login.html", {"form": form, "next": _next(request)})


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """/accounts/register/. Counts attempts together with POST /register."""
    if not settings.REGISTRATION_OPEN:
        return error_response(request, sessions.RegistrationClosed())
    form = RegisterForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            throttle.count_address(request, group="register", rate=settings.REGISTER_RATE)
            user = services.register(**form.cleaned_data)
        except RateLimited:
            raise
        except ApiError as error:
            blame(form, error)
        else:
            response = HttpResponseRedirect(_after_login(request))
            sessions.begin(request, response, user)
            if user.is_superuser:
                messages.success(request, _("Welcome. This is the first account, so you are a tracker admin."))
            return response
    return render(request, "accounts/register.html", {"form": form, "next": _next(request)})


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """/accounts/logout/."""
    auth.logout(request)
    return HttpResponseRedirect(settings.LOGOUT_REDIRECT_URL)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """/accounts/: the manager's own account, and changing the password."""
    manager = require_login(request)
    form = PasswordForm(manager, request.POST or None)
    if request.method == "POST":
        # The old password can be guessed here as well as on the login form.
        sessions.count_attempt(request, manager.username)
    if request.method == "POST" and form.is_valid():
        form.save()
        response = HttpResponseRedirect("/accounts/")
        sessions.go_on(request, response, manager)
        messages.success(request, _("The password was changed. Other sessions were signed out."))
        return response
    return render(request, "accounts/account.html", {"form": form})


def _next(request: HttpRequest) -> str:
    """The page that the visitor wanted to open, if it is on this site; otherwise empty."""
    target = str(request.POST.get("next") or request.GET.get("next") or "")
    is_here = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_here else ""


def _after_login(request: HttpRequest) -> str:
    return _next(request) or str(settings.LOGIN_REDIRECT_URL)
