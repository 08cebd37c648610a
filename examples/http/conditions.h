/*
 * What a request says about the version of a file that the client has, and about the
 * part that it wants (RFC 9110, 13 and 14).
 */
#ifndef HTTP_CONDITIONS_H
#define HTTP_CONDITIONS_H

#include "request.h"

/** What identifies a version of a file. */
struct version {
	char etag[48]; /* "\"1f-16a3b…\"" */
	int64_t written_s;
};

/** Bytes of a file. */
struct range {
	int64_t offset, size;
};

/** The version of a file that was last written at that time, and has so many bytes. */
struct version version_of(int64_t written_ns, uint64_t size);

/**
 * What to answer a GET or HEAD with.
 *
 * @param ret_range  the part of the file that the answer has
 * @return 200: all of it; 206: the part that was asked for; 304: the client has it;
 *   412: it wants another version; 416: there is no such part
 */
int conditions_check(const struct request *request, const struct version *version, int64_t size,
	struct range *ret_range);

/**
 * One range of bytes: "bytes=0-99", "bytes=100-", "bytes=-100".
 *
 * @return 206; 416: there are no such bytes; 200: it is none, or many, and is ignored, as
 *   whoever sends files may (RFC 9110, 14.2)
 */
int range_parse(struct bytes text, int64_t size, struct range *ret_range);

#endif
