/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/fragments.h"

void fragments_add(struct fragments *f, uint64_t exchange, uint32_t offset, struct bytes data)
{
	if (f->exchange != exchange || !f->bytes.n) {
		buf_reset(&f->bytes);
		f->exchange = exchange;
		f->offset = offset;
	}
	if (f->bytes.failed || (uint64_t)f->offset + f->bytes.n != offset || f->bytes.n + data.n > FRAGMENTS_MAX)
		return;
	buf_add(&f->bytes, data);
}

struct bytes fragments_after(const struct fragments *f, uint64_t exchange, uint32_t n)
{
	struct bytes all = buf_bytes(&f->bytes);

	if (f->exchange != exchange || f->bytes.failed || !all.n || f->offset > n)
		return (struct bytes){ 0 };
	return bytes_tail(all, n - f->offset);
}

void fragments_free(struct fragments *f)
{
	buf_free(&f->bytes);
	*f = (struct fragments){ 0 };
}
