/* Scopes, for the rest of loop/. */
#ifndef CEDE_LOOP_SCOPE_INT_H
#define CEDE_LOOP_SCOPE_INT_H

#include <cede/scope.h>

/** A shield without a deadline, for waits that are known to end. In a task. */
void cede__shield_enter_unbounded(cede_scope_t *scope);

#endif
