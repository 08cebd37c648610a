/*
 * Order of events: record them as they happen, compare at the end.
 *
 *     order_record("parent spawned");
 *     …
 *     order_expect("parent spawned", "child ran");
 */
#ifndef TESTS_SUPPORT_ORDER_H
#define TESTS_SUPPORT_ORDER_H

#include <stddef.h>

/** Remembers an event. The text is copied. */
void order_record(const char *event);

/** Fails the test with both lists unless exactly these events were recorded; forgets them. */
#define order_expect(...) \
	order_compare(__FILE__, __LINE__, (const char *const[]){ __VA_ARGS__ }, \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

/** Fails the test if anything was recorded. */
#define order_expect_nothing() order_compare(__FILE__, __LINE__, NULL, 0)

void order_compare(const char *file, int line, const char *const *expected, size_t count);

#endif
