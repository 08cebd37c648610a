/*
 * Chains: who awaits whom, and what becomes of that when somebody drives a
 * member by hand. Nothing here switches.
 */
#include "coro/switching.h"

cede_coro_t *
cede__engine_root(const cede_coro_t *co)
{
	while (co->mode == CEDE__CORO_AWAITED)
		co = co->awaiter;
	return (cede_coro_t *)co;
}

void
cede__chain_link(cede_coro_t *awaiter, cede_coro_t *child)
{
	awaiter->awaiting = cede_coro_ref(child);
	child->awaiter = awaiter;
	child->mode = CEDE__CORO_AWAITED;
}

/* The reference that the await held stays with the caller. */
void
cede__chain_unlink(cede_coro_t *awaiter, cede_coro_t *child)
{
	awaiter->awaiting = NULL;
	if (child->awaiter == awaiter)
		child->awaiter = NULL;
}

/* Makes what somebody awaits a root of its own. Row 54. */
void
cede__chain_split(cede_coro_t *root, cede_coro_t *co)
{
	co->leaf = root->leaf;
	co->mode = root->mode;
	root->leaf = co->awaiter;
	root->mode = CEDE__CORO_SPLIT;
}

/*
 * Undoes a split before its root is resumed. Where that is not possible, because
 * what the leaf awaits has ended or is executing, the await is over: returns
 * what is wrong with it, and the leaf is to be told. 0: all is whole.
 */
int
cede__chain_rejoin(cede_coro_t *root)
{
	while (root->mode == CEDE__CORO_SPLIT) {
		cede_coro_t *awaiter = root->leaf, *child = awaiter->awaiting;
		cede_coro_t *other = cede__engine_root(child);

		if (other->mode == CEDE__CORO_ACTIVE || other->mode == CEDE__CORO_CLOSED) {
			root->mode = CEDE__CORO_SUSPENDED;
			return other->mode == CEDE__CORO_CLOSED ? CEDE_EREUSED : CEDE_ERUNNING;
		}
		if (other != child)
			cede__chain_split(other, child); /* a generator that two delegate to */
		root->leaf = child->leaf;
		root->mode = child->mode;
		child->awaiter = awaiter;
		child->mode = CEDE__CORO_AWAITED;
	}
	return 0;
}

/* Ends the leaf's await of something beyond reach. Returns what that was. */
cede_coro_t *
cede__chain_break(cede_coro_t *leaf)
{
	cede_coro_t *child = leaf->awaiting;

	cede__chain_unlink(leaf, child); /* the leaf drops its reference when it goes on */
	return child;
}

/* Did an await end because a generator is exhausted? That is no error, but an end without a value. */
int
cede__chain_is_exhausted(const cede_coro_t *child, int fault)
{
	return fault == CEDE_EREUSED && child->kind == CEDE__KIND_GENERATOR;
}
