# SPDX-License-Identifier: Apache-2.0
"""The demo's shop with the pages that the end-to-end tests need instead of its own."""
import os

from shop.settings import *  # noqa: F401,F403
from shop.settings import DATABASES

ROOT_URLCONF = "e2e_urls"
DATABASES["default"]["ATOMIC_REQUESTS"] = os.environ.get("SHOP_ATOMIC") == "1"
