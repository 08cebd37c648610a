#include "tests/support/order.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#define EVENTS_MAX 256

static char events[EVENTS_MAX][192];
static size_t event_count;

void
order_record(const char *event)
{
	cr_assert_lt(event_count, EVENTS_MAX, "too many events");
	snprintf(events[event_count++], sizeof events[0], "%s", event);
}

static void
print(const char *what, const char *const *list, size_t count)
{
	fprintf(stderr, "%s:", what);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " [%s]", list ? list[i] : events[i]);
	fputc('\n', stderr);
}

void
order_compare(const char *file, int line, const char *const *expected, size_t count)
{
	int is_same = count == event_count;

	for (size_t i = 0; is_same && i < count; i++)
		is_same = strcmp(expected[i], events[i]) == 0;
	if (!is_same) {
		print("expected", expected, expected ? count : 0);
		print("recorded", NULL, event_count);
	}
	cr_assert(is_same, "%s:%d: the order of events is another", file, line);
	event_count = 0;
}
