/*
 * What a slot holds in the differential test.
 */
#include "run_int.h"

int
any_is(struct any any)
{
	return any.co || any.gen;
}

struct any
any_ref(struct any any)
{
	if (any.co)
		cede_coro_ref(any.co);
	if (any.gen)
		cede_gen_ref(any.gen);
	return any;
}

void
any_unref(struct any any)
{
	cede_coro_unref(any.co);
	cede_gen_unref(any.gen);
}

const char *
any_name(struct any any)
{
	return any.co ? cede_coro_name(any.co) : cede_gen_name(any.gen);
}

enum cede_coro_state
any_state(struct any any)
{
	return any.co ? cede_coro_state(any.co) : cede_gen_state(any.gen);
}

const char *
any_awaiting(struct any any)
{
	cede_coro_t *co = any.co ? cede_coro_awaiting(any.co) : NULL;
	cede_gen_t *gen = any.gen ? cede_gen_delegating(any.gen) : NULL;

	return co || gen ? any_name((struct any){ co, gen }) : "-";
}

int
any_send(struct any any, void *value, void **ret_value)
{
	return any.co ? cede_coro_send(any.co, value, ret_value)
		      : cede_gen_send(any.gen, value, ret_value);
}

int
any_throw(struct any any, int code, void **ret_value)
{
	return any.co ? cede_coro_throw(any.co, code, ret_value)
		      : cede_gen_throw(any.gen, code, ret_value);
}

int
any_throw_error(struct any any, cede_error_t *error, void **ret_value)
{
	return any.co ? cede_coro_throw_error(any.co, error, ret_value)
		      : cede_gen_throw_error(any.gen, error, ret_value);
}

int
any_close(struct any any, void **ret_value)
{
	return any.co ? cede_coro_close(any.co, ret_value) : cede_gen_close(any.gen, ret_value);
}

int
any_await(struct any any, void **ret_value)
{
	return any.co ? cede_await_coro(any.co, ret_value) : cede_yield_from(any.gen, ret_value);
}
