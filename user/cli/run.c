/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "keeper/keeper.h"
#include "util/log.h"

int cli_run(int argc, char **argv)
{
	struct config *cfg;
	int status;

	if (!cli_begin(COMMAND_RUN, argc, argv, NULL, &cfg, NULL, &status))
		return status;
	if (cfg->disabled) {
		log_info("nothing is observed: it is disabled (OTEL_SDK_DISABLED, or disabled in the YAML file)");
		status = 0;
	} else if (!cli_privileged()) {
		status = EXIT_KERNEL;
	} else {
		status = keeper_run(cfg);
	}
	config_free(cfg);
	return status;
}
