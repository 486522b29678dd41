/* vars.h: what a guest keeps between its calls: UTF-8 names, values of octets, one ceiling for all.
 *
 * Counted as upstream does: name, value and 48 octets for each entry; when a value is replaced, the
 * old entry still counts while the new one is weighed. */
#ifndef EXTISM_VARS_H
#define EXTISM_VARS_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct vars vars;

vars *vars_new(uint64_t max); /* max 0: every vars_set and vars_remove is refused. NULL: out of memory */
void vars_free(vars *v);      /* NULL is fine */

bytes vars_get(const vars *v, bytes name); /* len 0: absent or empty. Valid until the next change */

/* Stores a copy. WEIR_REFUSED: variables are off. WEIR_LIMIT: no room. */
weir_code vars_set(vars *v, bytes name, bytes octets, weir_error *err);
weir_code vars_remove(vars *v, bytes name, weir_error *err); /* fine when there is none */
uint64_t vars_used(const vars *v);

#endif
