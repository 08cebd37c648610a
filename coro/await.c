/*
 * Awaiting an object of the user's: a loop in the awaiter's own frame, which
 * yields what the object yields and hands it what comes back. That the object's
 * calls are made by the awaiter, which counts as executing, is what CPython does
 * too; `is_driving` tells the engine that what is thrown in is meant for the
 * object first.
 */
#include "coro/engine.h"

/* What the object raises in place of what was thrown in gets the awaiter's context. Row 78. */
static int
raised_by_object(cede_coro_t *self, int code)
{
	if (self->handlers && self->handlers->error && cede_error_code(self->error) == code)
		cede__error_set_context(self->error, self->handlers->error);
	return code;
}

/* Lets the object clean up. What that raises takes the place of CEDE_EXIT, which keeps its error else. */
static int
close_object(cede_coro_t *self, const cede_awaitable_t *awaitable, void *object)
{
	cede_error_t *thrown = self->error;
	int r;

	if (!awaitable->close)
		return CEDE_EXIT;
	self->error = NULL;
	r = awaitable->close(object);
	if (r < 0) {
		cede_error_unref(thrown);
		return r;
	}
	cede__error_put(&self->error, thrown);
	return CEDE_EXIT;
}

/* A code was thrown into the await. 1: the object goes on, with *ret_value to yield; 0: done; or raised. */
static int
hand_in(cede_coro_t *self, const cede_awaitable_t *awaitable, void *object, int code,
	void **ret_value)
{
	if (code == CEDE_EXIT)
		return close_object(self, awaitable, object);
	return awaitable->raise ? awaitable->raise(object, code, ret_value) : code;
}

int
cede_await_object(const cede_awaitable_t *awaitable, void *object, void **ret_value)
{
	cede_coro_t *self = cede__coro_current();
	void *value = NULL;
	int r;

	if (!self)
		return CEDE_ENOTASK;
	if (!awaitable || !awaitable->send)
		return CEDE_EINVAL;
	r = awaitable->send(object, NULL, &value);
	while (r > 0) {
		void *sent = NULL;

		self->is_driving = 1;
		self->hidden = self->handlers;
		r = cede_yield(value, &sent);
		value = NULL;
		if (r == 0) {
			self->is_driving = 0;
			r = awaitable->send(object, sent, &value);
			continue;
		}
		r = hand_in(self, awaitable, object, r, &value);
		self->is_driving = 0;
		if (r < 0 && r != CEDE_STOP)
			return raised_by_object(self, r);
	}
	if (r == CEDE_STOP) { /* whoever says so: it has ended */
		cede__error_clear(self->thread);
		value = NULL;
		r = 0;
	}
	if (r == 0 && ret_value)
		*ret_value = value;
	else if (r == 0)
		cede__engine_dispose(self, value);
	return r;
}
