/*
 * What the files of run_c.c share.
 */
#ifndef TESTS_DIFFERENTIAL_RUN_INT_H
#define TESTS_DIFFERENTIAL_RUN_INT_H

#include <cede/coro.h>
#include <cede/error.h>
#include <cede/gen.h>

#define STEPS_MAX 300 /* of one program; what would come then is left out */
#define SLOTS_MAX 128 /* arguments are characters, and index tables as they are */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* run_errors.c */

/** The code of a kind of error. */
int code_of(char kind);

/** Does `except` of that kind catch the code? */
int catches(char kind, int code);

/** Prints an error with its chain, and ends the line. */
void say_error(const cede_error_t *error);

/** A code was received: the error behind it is made now, if there is none. Returns it. */
int seen(int code);

/** Errors are numbered. Owned. */
cede_error_t *new_error(char kind);
int raise_new(char kind);

/** NULL: from the error that is kept in that place. */
int raise_from(char kind, cede_error_t *cause);
int raise_from_kept(char kind, char where);

/** Puts an error into a place, unless raising it again could make a cycle of causes. */
void keep(char where, cede_error_t *error);

/** The kept error, or a new one where there is none that may be raised. Owned. */
cede_error_t *kept_or_new(char where);
int raise_kept(char where);

/** The end of a program. */
void forget_errors(void);

/* run_any.c: what a slot holds */

/** A coroutine, a generator, or nothing. */
struct any {
	cede_coro_t *co;
	cede_gen_t *gen;
};

int any_is(struct any any);
struct any any_ref(struct any any);
void any_unref(struct any any);
const char *any_name(struct any any);
enum cede_coro_state any_state(struct any any);

/** The name of what it awaits, "-" for nothing. */
const char *any_awaiting(struct any any);

int any_send(struct any any, void *value, void **ret_value);
int any_throw(struct any any, int code, void **ret_value);
int any_throw_error(struct any any, cede_error_t *error, void **ret_value);
int any_close(struct any any, void **ret_value);

/** Awaits a coroutine, or delegates to a generator. */
int any_await(struct any any, void **ret_value);

#endif
