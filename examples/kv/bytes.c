#include "bytes.h"

#include <limits.h>
#include <strings.h>

int
bytes_is(struct bytes text, const char *word)
{
	return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

int
bytes_to_integer(struct bytes text, long long *ret_number)
{
	int is_negative = text.size > 1 && text.data[0] == '-';
	size_t i = (size_t)is_negative;
	long long number = 0;

	if (text.size == 0)
		return -1;
	if (text.data[i] == '0' && text.size > 1)
		return -1; /* "007" and "-0" */

	/* Counted downwards: LLONG_MIN has no positive twin. */
	for (; i < text.size; i++) {
		int digit = text.data[i] - '0';

		if (digit < 0 || digit > 9)
			return -1;
		if (number < (LLONG_MIN + digit) / 10)
			return -1;
		number = number * 10 - digit;
	}
	if (!is_negative && number == LLONG_MIN)
		return -1;

	*ret_number = is_negative ? number : -number;
	return 0;
}

size_t
bytes_from_integer(long long number, char *text)
{
	unsigned long long rest = number < 0 ? 0 - (unsigned long long)number
					     : (unsigned long long)number;
	char digits[BYTES_INTEGER_MAX];
	size_t first = sizeof digits;

	do {
		digits[--first] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (number < 0)
		digits[--first] = '-';

	memcpy(text, digits + first, sizeof digits - first);
	return sizeof digits - first;
}
