/* SPDX-License-Identifier: Apache-2.0 */
#include "util/ledger.h"

#include <stddef.h>
#include <sys/mman.h>

struct ledger *ledger_new(void)
{
	void *p = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

const struct counter_def kernel_counters[KERNEL_COUNTER_COUNT] = {
#define KERNEL_COUNTER(name, help) [KERNEL_##name] = { #name, help, 0 },
#define KERNEL_DROP(name, help) [KERNEL_##name] = { #name, help, 1 },
#define USER_COUNTER(name, help)
#define USER_DROP(name, help)
#include "drops.def"
#undef KERNEL_COUNTER
#undef KERNEL_DROP
#undef USER_COUNTER
#undef USER_DROP
};

const struct counter_def user_counters[USER_COUNTER_COUNT] = {
#define KERNEL_COUNTER(name, help)
#define KERNEL_DROP(name, help)
#define USER_COUNTER(name, help) [USER_##name] = { #name, help, 0 },
#define USER_DROP(name, help) [USER_##name] = { #name, help, 1 },
#include "drops.def"
#undef KERNEL_COUNTER
#undef KERNEL_DROP
#undef USER_COUNTER
#undef USER_DROP
};
