/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#ifndef SONDE_DROPS_H
#define SONDE_DROPS_H

/* Indices of the kernel's counters: KERNEL_<name>, in the order of drops.def. */
enum kernel_counter {
#define KERNEL_COUNTER(name, help) KERNEL_##name,
#define KERNEL_DROP(name, help) KERNEL_##name,
#define USER_COUNTER(name, help)
#define USER_DROP(name, help)
#include "drops.def"
#undef KERNEL_COUNTER
#undef KERNEL_DROP
#undef USER_COUNTER
#undef USER_DROP
	KERNEL_COUNTER_COUNT
};

/* Indices of the user-space ledger: USER_<name>. */
enum user_counter {
#define KERNEL_COUNTER(name, help)
#define KERNEL_DROP(name, help)
#define USER_COUNTER(name, help) USER_##name,
#define USER_DROP(name, help) USER_##name,
#include "drops.def"
#undef KERNEL_COUNTER
#undef KERNEL_DROP
#undef USER_COUNTER
#undef USER_DROP
	USER_COUNTER_COUNT
};

#endif
