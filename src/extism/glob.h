/* Extism's patterns for hosts: "*" any run of characters, dots included, "?" one, "[abc]", "[!abc]"
 * and "[a-z]" one of a set. Case counts. "**" is allowed as a whole only; a pattern that breaks
 * these rules means itself, literally. */
#ifndef EXTISM_GLOB_H
#define EXTISM_GLOB_H

#include "base/bytes.h"

bool glob_match(bytes pattern, bytes text);

#endif
