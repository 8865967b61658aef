"""Settings. Operators change them with environment variables; README lists them all."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from tracker import __version__, env
from webui.appearance import UNFOLD as UNFOLD

VERSION = __version__
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("TRACKER_DATA_DIR", BASE_DIR / "var")


def _stored_secret_key() -> str:
    """The key in the data folder, created on first use. Machines that share a database set SECRET_KEY instead."""
    path = DATA_DIR / "secret_key"
    try:
        return _stored_in(path)
    except OSError as error:
        raise ImproperlyConfigured(f"SECRET_KEY: {path} can't be read or created: {error.strerror}.") from error


def _stored_in(path: Path) -> str:
    if not path.exists():
        unfinished = DATA_DIR / f"secret_key.{os.getpid()}"
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(48))
        # Unlike a rename, a link doesn't replace the key of a process that was faster.
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        unfinished.unlink()
    key = path.read_text().strip()
    if not key:
        raise ImproperlyConfigured(f"SECRET_KEY: {path} is empty: remove it, or set SECRET_KEY.")
    return key


DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY") or _stored_secret_key()

# --- Addresses and host names ----------------------------------------------------------------------------------------

HOST = env.text("HOST") or "127.0.0.1"
PORT = env.whole_number("PORT", 3010, low=1, high=65535)
# Requests from this machine are always allowed.
ALLOWED_HOSTS = [*(env.listing("ALLOWED_HOSTS") or [HOST]), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.origins("TRUSTED_ORIGINS")
BEHIND_TLS = env.flag("BEHIND_TLS")
# Browsers that have been here over HTTPS refuse plain HTTP for this long.
HSTS_SECONDS = env.whole_number("HSTS_SECONDS", 7 * 86_400)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = HSTS_SECONDS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
# No script reads it: forms contain the token.
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "webui.errors.csrf_failure"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Addresses or networks of the proxies whose X-Forwarded-For is trusted.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

# --- Applications ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Before the admin, whose templates it overrides.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "webui.apps.AdminConfig",
    # Before Django's accounts, one of whose commands it replaces.
    "accounts",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tracker",
    "projects",
    "workers",
    "tasks",
    "logs",
    "webui",
]

MIDDLEWARE = [
    "tracker.api.shortcut.answer_workers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "webui.middleware.content_security_policy",
    "webui.middleware.limited_forms",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "webui.middleware.PageLocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "webui.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "webui.middleware.ErrorPages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "tracker.urls"
WSGI_APPLICATION = "tracker.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webui.navigation.page_context",
            ]
        },
    }
]

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "EXCEPTION_HANDLER": "tracker.api.errors.answer_for",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "tracker.api.openapi.EnvelopeSchema",
}

# For /api/schema and /api/docs; the sidecar package contains the files of Swagger UI.
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Task tracker",
    "DESCRIPTION": (BASE_DIR / "tracker" / "api" / "openapi.md").read_text(),
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "TAGS": [{"name": name} for name in ("tasks", "workers", "projects", "accounts", "logs", "tracker")],
    "SERVERS": [{"url": "/"}, {"url": "/api", "description": "The same API."}],
    "PREPROCESSING_HOOKS": ["tracker.api.docs.only_root_paths"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Maximum request body in bytes: for ordinary calls, for webhooks, and for bulk calls.
MAX_BODY_BYTES = env.whole_number("MAX_BODY_BYTES", 1024 * 1024, low=1024)
MAX_WEBHOOK_BODY_BYTES = env.whole_number("MAX_WEBHOOK_BODY_BYTES", 5 * 1024 * 1024, low=1024)
MAX_BULK_BODY_BYTES = env.whole_number("MAX_BULK_BODY_BYTES", 16 * 1024 * 1024, low=1024)
# Maximum bytes, in UTF-8, of a task's output, of a recipe, and of the tasks of one lease, of which one always comes.
MAX_OUTPUT_BYTES = env.whole_number("MAX_OUTPUT_BYTES", 64 * 1024, low=2)
MAX_RECIPE_BYTES = env.whole_number("MAX_RECIPE_BYTES", 256 * 1024, low=1)
MAX_BATCH_BYTES = env.whole_number("MAX_BATCH_BYTES", 16 * 1024 * 1024, low=1024)

# Django reads a form completely before a view sees it; webui.middleware.limited_forms refuses larger ones before.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BULK_BODY_BYTES

# --- The web processes -----------------------------------------------------------------------------------------------

# How long a stop may take, in seconds, whatever is under way; tracker.serve.stopping says how they are used.
STOP_SECONDS = env.whole_number("STOP_SECONDS", 10, low=5, high=3600)

WEB_PROCESSES = env.whole_number("WEB_PROCESSES", min(8, max(2, os.cpu_count() or 1)), low=1, high=256)
# Workers' calls are answered on the event loop of a process, with so many database connections; everything else in so
# many threads. Further requests wait for a thread, and are refused with 503 when WEB_QUEUE wait already or when one has
# waited for WEB_QUEUE_SECONDS.
WEB_DATABASE_CONNECTIONS = env.whole_number("WEB_DATABASE_CONNECTIONS", 4, low=1, high=1_000)
WEB_THREADS = env.whole_number("WEB_THREADS", 8, low=1, high=1_000)
WEB_QUEUE = env.whole_number("WEB_QUEUE", 256, high=1_000_000)
WEB_QUEUE_SECONDS = env.whole_number("WEB_QUEUE_SECONDS", 10, low=1, high=3600)
# Calls that may wait for a task in one process (see `wait` in /api/docs); further ones are refused with 503.
WEB_WAITING = env.whole_number("WEB_WAITING", 5_000, high=1_000_000)

# How long a client may take, in seconds: to send a request's head, to send its body (and one second more for every
# 50,000 bytes), to read a response, and between requests.
CLIENT_HEAD_SECONDS = env.whole_number("CLIENT_HEAD_SECONDS", 10, low=1, high=86_400)
CLIENT_BODY_SECONDS = env.whole_number("CLIENT_BODY_SECONDS", 10, low=1, high=86_400)
CLIENT_UNREAD_SECONDS = env.whole_number("CLIENT_UNREAD_SECONDS", 30, low=1, high=86_400)
CLIENT_IDLE_SECONDS = env.whole_number("CLIENT_IDLE_SECONDS", 30, low=1, high=86_400)
# Connections of one process, and of these from one address; behind TRUSTED_PROXIES, requests of one client at a time.
# Linux allows a process a million open files.
CLIENT_CONNECTIONS = env.whole_number("CLIENT_CONNECTIONS", 10_000, low=1, high=1_000_000)
CLIENT_CONNECTIONS_PER_ADDRESS = env.whole_number("CLIENT_CONNECTIONS_PER_ADDRESS", 4_000, low=1, high=1_000_000)

# --- Database --------------------------------------------------------------------------------------------------------

EMBEDDED_POSTGRES_FOLDER = DATA_DIR / "postgres"
# Additional command-line options for the embedded postgres program, such as "-c fsync=off" for tests.
EMBEDDED_POSTGRES_OPTIONS = env.arguments("EMBEDDED_POSTGRES_OPTIONS")

DATABASES: dict[str, Any]
DATABASE_URL = env.database_url("DATABASE_URL")
if DATABASE_URL:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
else:
    from tracker.postgres import server

    DATABASES = {
        "default": {
            "ENGINE": "tracker.postgres",
            "NAME": server.DATABASE,
            "USER": server.USER,
            "HOST": str(server.EmbeddedServer(EMBEDDED_POSTGRES_FOLDER).socket_folder),
        }
    }
# Connections stay open as long as their thread lives, and Django checks them with a query before a request uses them.
# API calls save that round trip: see tracker.db.ensure_alive.
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# As long as the event loop waits, see tracker.front.connection. Without it, the threads of a web process would all come
# to wait for a database that accepts no connections, for as long as it doesn't.
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counters shared by all processes and machines, mostly of requests per address.
CACHE_URL = env.redis_url("CACHE_URL")
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}
        if CACHE_URL
        else {"BACKEND": "tracker.cache.DatabaseCounters"}
    )
}

# --- Accounts --------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    # First: the others' work grows with the length.
    {"NAME": "accounts.passwords.MaximumLengthValidator"},
    *(
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in (
            "UserAttributeSimilarityValidator",
            "MinimumLengthValidator",
            "CommonPasswordValidator",
            "NumericPasswordValidator",
        )
    ),
]
SESSION_ENGINE = "accounts.session_store"
# API paths have no trailing slash; these are pages.
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/projects/"
REGISTRATION_OPEN = env.flag("REGISTRATION_OPEN", default=True)
# guardian: no anonymous user. Its generic tables of object permissions are replaced by those in projects.models.
ANONYMOUS_USER_NAME = None

# --- Limits and upkeep -----------------------------------------------------------------------------------------------

# Rates in django-ratelimit's format, per address; empty means no limit. Logins are counted per name as well.
LOGIN_RATE = env.rate("LOGIN_RATE", "20/m")
LOGIN_NAME_RATE = env.rate("LOGIN_NAME_RATE", "200/m")
REGISTER_RATE = env.rate("REGISTER_RATE", "20/h")
WORKER_CREATE_RATE = env.rate("WORKER_CREATE_RATE", "100/h")
WORKER_CREATE_DAILY_RATE = env.rate("WORKER_CREATE_DAILY_RATE", "1000/d")
# Log entries per worker, and their bytes (8 MiB a minute).
LOG_RATE = env.rate("LOG_RATE", "1000/m")
LOG_BYTES_RATE = env.rate("LOG_BYTES_RATE", "8388608/m")
# Seconds that a worker should wait after "No task available".
EMPTY_RETRY_AFTER = env.whole_number("EMPTY_RETRY_AFTER", 2, low=1, high=86_400)

# How often the scheduler takes a snapshot of each project's task counts, and how long snapshots are kept.
SNAPSHOT_SECONDS = env.whole_number("SNAPSHOT_SECONDS", 120, low=1, high=31_536_000)
SNAPSHOT_KEEP_HOURS = env.whole_number("SNAPSHOT_KEEP_HOURS", 400, low=1, high=876_000)

LEVELS = ("fatal", "panic", "error", "warn", "info", "debug", "trace")
# The levels of worker log entries that are stored in the database, and for how many days.
LOG_KEEP_LEVELS = env.choices("LOG_KEEP_LEVELS", "error,warn,info", allowed=LEVELS)
LOG_KEEP_DAYS = env.whole_number("LOG_KEEP_DAYS", 30, low=1, high=36500)
LOGS_PUBLIC = env.flag("LOGS_PUBLIC")

# --- Static files ----------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "webui" / "assets"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if DEBUG or "pytest" in sys.modules:
    STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "webui" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- Logging ---------------------------------------------------------------------------------------------------------

# One JSON line per entry: workers' log entries (logger worker_log) and the tracker's own errors. Empty: no file.
LOG_FILE = env.file("LOG_FILE", DATA_DIR / "tracker.log")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "tracker.serve.jsonlog.JsonFormatter"},
        "plain": {
            "()": "tracker.serve.jsonlog.PlainFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain"},
        "file": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console", "file"], "level": "WARNING"},
    "loggers": {
        # Replaces Django's default handlers, which are for DEBUG and for mail to admins.
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # Clients are told what they did wrong; 4xx responses are of no interest to the operator.
        "django.request": {"level": "ERROR"},
        # Wrong hosts, too many fields, forms without a token, forged cookies: a stranger could fill the log with them.
        "django.security": {"level": "CRITICAL"},
        "tracker": {"level": "INFO"},
        "worker_log": {"handlers": ["file"], "level": 1, "propagate": False},
    },
}
if LOG_FILE:
    LOGGING["handlers"]["file"] = {
        "class": "tracker.serve.jsonlog.SharedFileHandler",
        "filename": LOG_FILE,
        "formatter": "json",
        "delay": True,
    }
