#include "bytes.h"

#include <strings.h>

int
bytes_equal_nocase(struct bytes a, struct bytes b)
{
	return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct bytes
bytes_trim(struct bytes text)
{
	while (text.size > 0 && is_blank(text.data[0])) {
		text.data++;
		text.size--;
	}
	while (text.size > 0 && is_blank(text.data[text.size - 1]))
		text.size--;
	return text;
}

int
bytes_next(struct bytes *list, char separator, struct bytes *ret_item)
{
	const char *end;
	size_t size;

	if (list->size == 0)
		return 0;
	end = memchr(list->data, separator, list->size);
	size = end ? (size_t)(end - list->data) : list->size;
	*ret_item = bytes_trim((struct bytes){ list->data, size });
	size += end != NULL;
	list->data += size;
	list->size -= size;
	return 1;
}

int
bytes_to_number(struct bytes text, int64_t *ret_number)
{
	int64_t number = 0;

	if (text.size == 0)
		return -1;
	for (size_t i = 0; i < text.size; i++) {
		const char c = text.data[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, c - '0', &number))
			return -1;
	}
	*ret_number = number;
	return 0;
}
