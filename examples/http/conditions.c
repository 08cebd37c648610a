#include "conditions.h"

#include <stdio.h>

#include "date.h"

struct version
version_of(int64_t written_ns, uint64_t size)
{
	struct version version = { .written_s = written_ns / 1000000000 };

	snprintf(version.etag, sizeof version.etag, "\"%llx-%llx\"", (unsigned long long)size,
		(unsigned long long)written_ns);
	return version;
}

/* ---- ranges ---- */

int
range_parse(struct bytes text, int64_t size, struct range *ret_range)
{
	struct bytes unit, first_text, last_text;
	int64_t first, last;

	if (!bytes_next(&text, '=', &unit) || !bytes_equal_nocase(unit, bytes_of("bytes")))
		return 200;
	if (!memchr(text.data, '-', text.size) || memchr(text.data, ',', text.size))
		return 200;
	(void)bytes_next(&text, '-', &first_text);
	last_text = bytes_trim(text);

	if (first_text.size == 0) { /* the last so many */
		if (bytes_to_number(last_text, &last) < 0)
			return 200;
		first = last < size ? size - last : 0;
		if (last == 0 || size == 0)
			return 416;
		*ret_range = (struct range){ first, size - first };
		return 206;
	}
	if (bytes_to_number(first_text, &first) < 0)
		return 200;
	last = INT64_MAX;
	if (last_text.size > 0 && (bytes_to_number(last_text, &last) < 0 || last < first))
		return 200;
	if (first >= size)
		return 416;
	*ret_range = (struct range){ first, (last < size ? last + 1 : size) - first };
	return 206;
}

/* ---- versions ---- */

/* Is it in a list such as: "a", W/"b", "c"? A weak tag is as good, unless @is_strong. */
static int
has_etag(struct bytes list, const char *etag, int is_strong)
{
	struct bytes item;

	if (bytes_equal(list, bytes_of("*")))
		return 1;
	while (bytes_next(&list, ',', &item)) {
		if (!is_strong && item.size > 2 && memcmp(item.data, "W/", 2) == 0) {
			item.data += 2;
			item.size -= 2;
		}
		if (bytes_equal(item, bytes_of(etag)))
			return 1;
	}
	return 0;
}

/* 1: not written after that; 0: it was; -1: that is no date. */
static int
is_as_old(struct bytes date, const struct version *version)
{
	time_t time;

	return date_parse(date, &time) < 0 ? -1 : version->written_s <= time;
}

/* A part fits only to the rest of the same version. */
static int
has_same_version(struct bytes value, const struct version *version)
{
	time_t time;

	if (value.size > 1 && (value.data[0] == '"' || value.data[1] == '/'))
		return has_etag(value, version->etag, 1);
	return date_parse(value, &time) == 0 && time == version->written_s;
}

int
conditions_check(const struct request *r, const struct version *version, int64_t size,
	struct range *ret_range)
{
	struct bytes value;

	*ret_range = (struct range){ 0, size };
	if (request_field(r, "If-Match", &value)) {
		if (!has_etag(value, version->etag, 1))
			return 412;
	} else if (request_field(r, "If-Unmodified-Since", &value)) {
		if (is_as_old(value, version) == 0)
			return 412;
	}

	if (request_field(r, "If-None-Match", &value)) {
		if (has_etag(value, version->etag, 0))
			return 304;
	} else if (request_field(r, "If-Modified-Since", &value)) {
		if (is_as_old(value, version) == 1)
			return 304;
	}

	if (r->method != HTTP_GET ||
		(request_field(r, "If-Range", &value) && !has_same_version(value, version)))
		return 200;
	return request_field(r, "Range", &value) ? range_parse(value, size, ret_range) : 200;
}
