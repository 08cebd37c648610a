/* Scopes, for the rest of loop/. */
#ifndef CEDE_LOOP_SCOPE_INT_H
#define CEDE_LOOP_SCOPE_INT_H

#include <cede/scope.h>

/** Makes a scope the innermost one of a task. */
void cede__scope_open(cede_scope_t *scope, cede_task_t *task);

/** Takes an open scope off its task, wherever it stands. Its timer is left alone. */
void cede__scope_take_out(cede_scope_t *scope);

/** A shield without a deadline, for waits that are known to end. In a task. */
void cede__shield_enter_unbounded(cede_scope_t *scope);

#endif
