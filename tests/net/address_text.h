/* The text of an address, for comparing. */
#ifndef TESTS_NET_ADDRESS_TEXT_H
#define TESTS_NET_ADDRESS_TEXT_H

#include <cede/address.h>

#include <criterion/criterion.h>

/** Valid until the eighth call after it. */
static inline const char *
text_of(const cede_address_t *address)
{
	static char texts[8][CEDE_ADDRESS_TEXT_SIZE];
	static unsigned next;
	char *text = texts[next++ % 8];

	cr_assert_eq(cede_address_format(address, text, sizeof texts[0]), 0);
	return text;
}

#endif
