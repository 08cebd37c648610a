#ifndef KV_SIPHASH_H
#define KV_SIPHASH_H

#include <stdint.h>

#include "bytes.h"

/** A secret of this process: 16 bytes that clients can't guess. */
struct siphash_seed {
	uint64_t words[2];
};

/**
 * SipHash-1-3. A hash table whose keys are chosen by strangers needs a hash they
 * can't foresee, or they would choose keys that all fall into one bucket.
 */
uint64_t siphash(struct siphash_seed seed, struct bytes bytes);

#endif
