/* After "SipHash: a fast short-input PRF" by Aumasson and Bernstein, 2012. */
#include "siphash.h"

static uint64_t
rotate(uint64_t word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static void
mix(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* Up to 8 bytes as a little-endian number, whatever this machine's order is. */
static uint64_t
load(const char *data, size_t size)
{
	uint64_t word = 0;

	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)(unsigned char)data[i] << (8 * i);
	return word;
}

uint64_t
siphash(struct siphash_seed seed, struct bytes bytes)
{
	uint64_t v[4] = {
		seed.words[0] ^ UINT64_C(0x736f6d6570736575),
		seed.words[1] ^ UINT64_C(0x646f72616e646f6d),
		seed.words[0] ^ UINT64_C(0x6c7967656e657261),
		seed.words[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t whole = bytes.size & ~(size_t)7;
	uint64_t last = load(bytes.data + whole, bytes.size - whole) | (uint64_t)bytes.size << 56;

	for (size_t i = 0; i < whole; i += 8) {
		uint64_t word = load(bytes.data + i, 8);

		v[3] ^= word;
		mix(v);
		v[0] ^= word;
	}
	v[3] ^= last;
	mix(v);
	v[0] ^= last;

	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
