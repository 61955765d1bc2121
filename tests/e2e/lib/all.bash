# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
E2E_LIB=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/e2e/lib/common.bash
source "$E2E_LIB/common.bash"
# shellcheck source=tests/e2e/lib/postgres.bash
source "$E2E_LIB/postgres.bash"
# shellcheck source=tests/e2e/lib/mysql.bash
source "$E2E_LIB/mysql.bash"
# shellcheck source=tests/e2e/lib/shop.bash
source "$E2E_LIB/shop.bash"
# shellcheck source=tests/e2e/lib/load.bash
source "$E2E_LIB/load.bash"
# shellcheck source=tests/e2e/lib/sonde.bash
source "$E2E_LIB/sonde.bash"
# shellcheck source=tests/e2e/lib/nginx.bash
source "$E2E_LIB/nginx.bash"
# shellcheck source=tests/e2e/lib/jaeger.bash
source "$E2E_LIB/jaeger.bash"
# shellcheck source=tests/e2e/lib/drivers.bash
source "$E2E_LIB/drivers.bash"
# shellcheck source=tests/e2e/lib/services.bash
source "$E2E_LIB/services.bash"
# shellcheck source=tests/e2e/lib/canary.bash
source "$E2E_LIB/canary.bash"
