/*
 * Only the last star ever needs to be tried again with more bytes: whatever an
 * earlier star could still give up, the later one can take as well. That is why
 * two remembered positions are enough where the obvious recursion takes a time
 * exponential in the number of stars, which a client would choose.
 */
#include "glob.h"

/*
 * Matches one byte against the set behind a '['; `*ret_end` is where the pattern
 * goes on. A set without its ']' ends with the pattern.
 */
static int
set_matches(struct bytes pattern, size_t at, unsigned char byte, size_t *ret_end)
{
	const unsigned char *p = (const unsigned char *)pattern.data;
	int is_negated = at < pattern.size && p[at] == '^';
	int is_in = 0;

	at += (size_t)is_negated;
	for (; at < pattern.size && p[at] != ']'; at++) {
		unsigned char first = p[at], last = first;

		if (first == '\\' && at + 1 < pattern.size) {
			first = last = p[++at];
		} else if (at + 2 < pattern.size && p[at + 1] == '-' && p[at + 2] != ']') {
			at += 2;
			last = p[at];
		}
		/* "[z-a]" means the same as "[a-z]". */
		is_in |= first <= last ? first <= byte && byte <= last
				       : last <= byte && byte <= first;
	}
	*ret_end = at < pattern.size ? at + 1 : at;
	return is_in != is_negated;
}

/* Matches one byte against what is at `at`, which is no star. */
static int
one_matches(struct bytes pattern, size_t at, char byte, size_t *ret_end)
{
	switch (pattern.data[at]) {
	case '?':
		*ret_end = at + 1;
		return 1;
	case '[':
		return set_matches(pattern, at + 1, (unsigned char)byte, ret_end);
	case '\\':
		if (at + 1 < pattern.size)
			at++;
		break;
	default:
		break;
	}
	*ret_end = at + 1;
	return pattern.data[at] == byte;
}

int
glob_matches(struct bytes pattern, struct bytes text)
{
	size_t p = 0, t = 0;
	size_t after_star = 0, star_took = 0; /* where to go on when a later part fails */
	int has_star = 0;

	while (t < text.size) {
		size_t end;

		if (p < pattern.size && pattern.data[p] == '*') {
			has_star = 1;
			after_star = ++p;
			star_took = t;
		} else if (p < pattern.size && one_matches(pattern, p, text.data[t], &end)) {
			p = end;
			t++;
		} else if (has_star) {
			p = after_star;
			t = ++star_took;
		} else {
			return 0;
		}
	}
	while (p < pattern.size && pattern.data[p] == '*')
		p++;
	return p == pattern.size;
}
