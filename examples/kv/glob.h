#ifndef KV_GLOB_H
#define KV_GLOB_H

#include "bytes.h"

/**
 * Does a text match a pattern as KEYS has it? `*` any bytes, `?` one byte, `[abc]`
 * and `[a-z]` one of these, `[^abc]` one but these, `\x` the byte x itself.
 *
 * Takes time in proportion to the length of the text times that of the pattern at
 * worst, whatever the pattern.
 */
int glob_matches(struct bytes pattern, struct bytes text);

#endif
