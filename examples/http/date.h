/*
 * Dates as HTTP writes them (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
 */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <time.h>

#include "bytes.h"

/** With the 0 behind it. */
#define DATE_SIZE 30

/** Writes a date of the years 0 to 9999. */
void date_format(time_t time, char text[DATE_SIZE]);

/** Reads a date, also in the two forms that are out of date. 0; -1: it is none. */
int date_parse(struct bytes text, time_t *ret_time);

#endif
