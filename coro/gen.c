/*
 * Generators: the engine's verbs with the few answers that differ. An exhausted
 * generator is asked before the engine is, which would call it reused.
 */
#include <cede/gen.h>

#include "coro/engine.h"

struct cede_gen {
	cede_coro_t coro;
};

int
cede_gen_create_at(cede_gen_t **ret_gen, cede_fn *fn, void *arg, const cede_coro_options_t *options,
	const char *site)
{
	cede_coro_t *co;
	int r;

	if (!ret_gen)
		return CEDE_EINVAL;
	r = cede__coro_create(&co, CEDE__KIND_GENERATOR, fn, arg, options, site);
	if (r == 0)
		*ret_gen = cede__container_of(co, cede_gen_t, coro);
	return r;
}

int(cede_gen_create)(cede_gen_t **ret_gen, cede_fn *fn, void *arg,
	const cede_coro_options_t *options)
{
	return cede_gen_create_at(ret_gen, fn, arg, options, NULL);
}

int
cede_gen_send(cede_gen_t *gen, void *value, void **ret_value)
{
	if (cede__unlikely(gen->coro.mode == CEDE__CORO_CLOSED)) {
		if (ret_value)
			*ret_value = NULL;
		return 0;
	}
	return cede_coro_send(&gen->coro, value, ret_value);
}

int
cede_gen_next(cede_gen_t *gen, void **ret_value)
{
	return cede_gen_send(gen, NULL, ret_value);
}

int
cede_gen_throw(cede_gen_t *gen, int code, void **ret_value)
{
	return cede__engine_throw(&gen->coro, code, NULL, ret_value);
}

int
cede_gen_throw_error(cede_gen_t *gen, cede_error_t *error, void **ret_value)
{
	return cede__engine_throw(&gen->coro, cede_error_code(error), error, ret_value);
}

int
cede_gen_close(cede_gen_t *gen, void **ret_value)
{
	return cede__engine_close(&gen->coro, ret_value);
}

cede_gen_t *
cede_gen_ref(cede_gen_t *gen)
{
	cede_coro_ref(&gen->coro);
	return gen;
}

cede_gen_t *
cede_gen_unref(cede_gen_t *gen)
{
	if (gen)
		cede_coro_unref(&gen->coro);
	return NULL;
}

enum cede_coro_state
cede_gen_state(const cede_gen_t *gen)
{
	return cede_coro_state(&gen->coro);
}

cede_gen_t *
cede_gen_delegating(const cede_gen_t *gen)
{
	cede_coro_t *inner = cede_coro_awaiting(&gen->coro);

	return inner ? cede__container_of(inner, cede_gen_t, coro) : NULL;
}

const char *
cede_gen_name(const cede_gen_t *gen)
{
	return cede_coro_name(&gen->coro);
}

int
cede_gen_set_name(cede_gen_t *gen, const char *name)
{
	return cede_coro_set_name(&gen->coro, name);
}

int
cede_yield_from(cede_gen_t *inner, void **ret_value)
{
	const cede_coro_t *self = cede__coro_current();

	if (!self)
		return CEDE_ENOTASK;
	if (!inner || self->kind != CEDE__KIND_GENERATOR)
		return CEDE_EINVAL;
	return cede__engine_delegate(&inner->coro, ret_value);
}
