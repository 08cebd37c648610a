#include "date.h"

#include <stdio.h>

/* strftime() and strptime() would write and read in the language of the user. */
static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void
date_format(time_t time, char text[DATE_SIZE])
{
	struct tm t;

	gmtime_r(&time, &t);
	snprintf(text, DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		day_names + 3 * t.tm_wday, (unsigned)t.tm_mday % 100, month_names + 3 * t.tm_mon,
		(unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100,
		(unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
}

/* 0 to 11; -1. */
static int
month_of(const char *name)
{
	for (int i = 0; i < 12; i++)
		if (memcmp(name, month_names + 3 * i, 3) == 0)
			return i;
	return -1;
}

/* A year of two digits is never more than 50 years ahead (RFC 9110, 5.6.7). */
static int
full_year(int year)
{
	const time_t now = time(NULL);
	struct tm t;
	int this_year;

	gmtime_r(&now, &t);
	this_year = t.tm_year + 1900;
	year += this_year - this_year % 100;
	return year > this_year + 50 ? year - 100 : year;
}

static int
to_time(struct tm *t, const char *month, time_t *ret_time)
{
	t->tm_mon = month_of(month);
	if (t->tm_mon < 0 || t->tm_mday < 1 || t->tm_mday > 31 || t->tm_hour < 0 ||
		t->tm_hour > 23 || t->tm_min < 0 || t->tm_min > 59 || t->tm_sec < 0 ||
		t->tm_sec > 60)
		return -1;
	t->tm_year -= 1900;
	*ret_time = timegm(t);
	return 0;
}

int
date_parse(struct bytes bytes, time_t *ret_time)
{
	char text[40], month[4];
	struct tm t = { 0 };
	int end = 0;

	if (bytes.size >= sizeof text || memchr(bytes.data, 0, bytes.size))
		return -1;
	memcpy(text, bytes.data, bytes.size);
	text[bytes.size] = '\0';

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &t.tm_mday, month,
		    &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec, &end) == 6 &&
		(size_t)end == bytes.size)
		return to_time(&t, month, ret_time);

	/* Sunday, 06-Nov-94 08:49:37 GMT */
	if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &t.tm_mday, month,
		    &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec, &end) == 6 &&
		(size_t)end == bytes.size) {
		t.tm_year = full_year(t.tm_year);
		return to_time(&t, month, ret_time);
	}

	/* Sun Nov  6 08:49:37 1994 */
	if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &t.tm_mday,
		    &t.tm_hour, &t.tm_min, &t.tm_sec, &t.tm_year, &end) == 6 &&
		(size_t)end == bytes.size)
		return to_time(&t, month, ret_time);
	return -1;
}
