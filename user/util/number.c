/* SPDX-License-Identifier: Apache-2.0 */
#include "util/number.h"

#include <string.h>

#define DIGITS_MAX 20
#define PRECISION 17
#define FACTOR_MAX 27 /* 5^27 is the last that fits 64 bits, and 53 bits more fit 128 */

static const char pairs[] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
	"46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
	"9293949596979899";

/* Two digits at a time, to the left of end. Returns where they begin. */
static char *put_digits(char *end, uint64_t v)
{
	for (; v >= 100; v /= 100) {
		end -= 2;
		memcpy(end, pairs + 2 * (v % 100), 2);
	}
	if (v >= 10) {
		end -= 2;
		memcpy(end, pairs + 2 * v, 2);
		return end;
	}
	*--end = (char)('0' + v);
	return end;
}

static void add(struct buf *to, const char *from, const char *end)
{
	buf_add(to, bytes_of(from, (size_t)(end - from)));
}

void number_unsigned(struct buf *to, uint64_t v)
{
	char text[DIGITS_MAX], *end = text + sizeof(text);

	add(to, put_digits(end, v), end);
}

void number_signed(struct buf *to, int64_t v)
{
	char text[1 + DIGITS_MAX], *end = text + sizeof(text), *at;

	at = put_digits(end, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
	if (v < 0)
		*--at = '-';
	add(to, at, end);
}

char *number_put(char *to, uint64_t v, unsigned digits)
{
	char *at = to + digits;

	for (; at - to >= 2; v /= 100) {
		at -= 2;
		memcpy(at, pairs + 2 * (v % 100), 2);
	}
	if (at > to)
		*to = (char)('0' + v % 10);
	return to + digits;
}

/* mantissa * 2^exponent * 10^factor, rounded to the nearest integer, half to even. False: it does not fit. */
static bool scale(uint64_t mantissa, int exponent, int factor, uint64_t *ret)
{
	unsigned __int128 v = mantissa, half;
	uint64_t five = 1;
	int shift = -(exponent + factor); /* 10^n = 5^n * 2^n */

	if (factor < 0 || factor > FACTOR_MAX || shift < 1 || shift > 120)
		return false;
	for (int i = 0; i < factor; i++)
		five *= 5;
	v *= five;
	half = (unsigned __int128)1 << (shift - 1);
	*ret = (uint64_t)(v >> shift);
	v &= (half << 1) - 1;
	if (v > half || (v == half && *ret & 1))
		++*ret;
	return true;
}

/* v > 0 as PRECISION digits, the first of them standing for 10^*ret_power. False: too large or too small for this. */
static bool to_digits(double v, uint64_t *ret_digits, int *ret_power)
{
	const uint64_t low = 10000000000000000ULL; /* the first number of so many digits */
	uint64_t bits, mantissa;
	int exponent, factor;

	memcpy(&bits, &v, sizeof(bits));
	exponent = (int)(bits >> 52);
	if (exponent == 0 || exponent == 0x7ff) /* subnormal, or no number */
		return false;
	mantissa = (bits & ((1ULL << 52) - 1)) | 1ULL << 52;
	exponent -= 1075;
	/* log10(2) is 0.30103: right, or one too many */
	factor = PRECISION - 1 - ((exponent + 52) * 30103 - ((exponent + 52) < 0 ? 99999 : 0)) / 100000;
	if (!scale(mantissa, exponent, factor, ret_digits))
		return false;
	if (*ret_digits >= low * 10 && !scale(mantissa, exponent, --factor, ret_digits))
		return false;
	*ret_power = PRECISION - 1 - factor;
	return *ret_digits >= low && *ret_digits < low * 10;
}

/* A small number, in the form that %g has for it. */
static void add_small(struct buf *to, const char *digits, const char *end, int power)
{
	char text[4] = "e-";

	buf_char(to, digits[0]);
	if (end > digits + 1)
		buf_char(to, '.');
	add(to, digits + 1, end);
	add(to, text, number_put(text + 2, (uint64_t)-power, 2));
}

void number_double(struct buf *to, double v)
{
	char text[PRECISION], *end = text + sizeof(text), *point;
	uint64_t digits;
	int power;

	if (!(v > 0) || !to_digits(v, &digits, &power)) {
		buf_printf(to, "%.17g", v);
		return;
	}
	put_digits(end, digits);
	while (end > text + 1 && end[-1] == '0')
		end--;
	if (power < -4) {
		add_small(to, text, end, power);
	} else if (power < 0) {
		buf_add(to, bytes_head(BYTES_LITERAL("0.000"), (size_t)(1 - power)));
		add(to, text, end);
	} else {
		point = text + power + 1; /* before it, no zero is left out */
		add(to, text, point);
		if (end > point) {
			buf_char(to, '.');
			add(to, point, end);
		}
	}
}
