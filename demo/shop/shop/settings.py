# SPDX-License-Identifier: Apache-2.0
"""An ordinary Django project. Nothing in it knows of Sonde; the database is chosen by SHOP_DB_* variables."""
import os
import sys
from pathlib import Path

env = os.environ.get

# Django takes psycopg 3 when it can be imported; make it fall back when psycopg2 is asked for.
if env("SHOP_DRIVER") == "psycopg2":
    sys.modules["psycopg"] = None

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "a demo has no secrets"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["store"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": env("SHOP_DB_NAME", "shop"),
        "USER": env("SHOP_DB_USER", "shop"),
        "HOST": env("SHOP_DB_HOST", "127.0.0.1"),
        "PORT": env("SHOP_DB_PORT", "5432"),
        "CONN_MAX_AGE": None if env("SHOP_DB_PERSISTENT") == "1" else 0,
        "OPTIONS": {"sslmode": env("SHOP_DB_SSLMODE", "prefer")},
    }
}
if env("SHOP_DB_PREPARED") == "1":
    DATABASES["default"]["OPTIONS"].update(server_side_binding=True, prepare_threshold=2)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["stderr"], "level": "CRITICAL", "propagate": False}},
}
