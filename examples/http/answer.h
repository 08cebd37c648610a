/*
 * Answers. Small ones are gathered, so that those to a pipeline of requests go in one
 * write; large bodies are written from where they are.
 *
 *     r = answer_begin(x, 200);
 *     answer_field(x, "Content-Type", "text/plain");
 *     if (r == 0)
 *             r = answer_all(x, "hello\n", 6);
 *
 * After the fields comes one of answer_all(), answer_file(), answer_nothing(), or
 * answer_sized() or answer_chunked() with answer_write() as often as one likes and
 * answer_end(). An answer to HEAD is written by the same calls: its body is left out.
 *
 * Those that suspend return 0 or the stream's code.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "exchange.h"

/** The status line, and the fields that every answer has. */
CEDE_SUSPENDS int answer_begin(struct exchange *x, int status);

/** Adds a field. All fields of an answer have some 4,000 bytes; with more it is a 500. */
void answer_field(struct exchange *x, const char *name, const char *value);

/** The body, in one piece, and the end. */
CEDE_SUSPENDS int answer_all(struct exchange *x, const void *data, size_t size);

/** A part of a file as the body, and the end. */
CEDE_SUSPENDS int answer_file(struct exchange *x, cede_file_t *file, int64_t offset, int64_t size);

/** No body, not even an empty one: 204, 304. */
CEDE_SUSPENDS int answer_nothing(struct exchange *x);

/** The body will have so many bytes. */
int answer_sized(struct exchange *x, int64_t size);

/** The body's length is not known yet. */
int answer_chunked(struct exchange *x);

/** The next piece of the body. */
CEDE_SUSPENDS int answer_write(struct exchange *x, const void *data, size_t size);

CEDE_SUSPENDS int answer_end(struct exchange *x);

/** All of an answer: a text. */
CEDE_SUSPENDS int answer_text(struct exchange *x, int status, const char *text);

/** All of an answer: "404 Not Found". */
CEDE_SUSPENDS int answer_status(struct exchange *x, int status);

/* ---- for connection.c and exchange.c ---- */

/** Before the next answer. */
void answer_reset(struct exchange *x);

/** Forgets the present answer, of which nothing may have gone. */
void answer_take_back(struct exchange *x);

/** "100 Continue". */
CEDE_SUSPENDS int answer_go_on(struct exchange *x);

/** Writes what was gathered. */
CEDE_SUSPENDS int answer_flush(struct exchange *x);

#endif
