#include "test/unit/support.h"

#include "base/siphash.h"

static const struct siphash_key counting_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void the_papers_example_comes_out(void **state)
{
	(void)state;
	uint8_t message[15];
	for (unsigned i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)i;
	assert_int_equal(tern_siphash24(&counting_key, message, 15), 0xa129ca6149be45e5);
}

static void the_empty_message_has_its_known_hash(void **state)
{
	(void)state;
	assert_int_equal(tern_siphash24(&counting_key, "", 0), 0x726fdb47dd0e0e31);
}

/* An independent way to write it: bytes one by one into a block, the state in an array. */
static uint64_t turn(uint64_t x, int n)
{
	return (x << n) | (x >> (64 - n));
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
	v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
}

static uint64_t oracle(const struct siphash_key *key, const uint8_t *data, size_t len, int c, int d)
{
	uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573};
	const size_t padded = len / 8 * 8 + 8;
	uint64_t word = 0;
	for (size_t i = 0; i < padded; i++) {
		uint64_t byte = i < len ? data[i] : i + 1 == padded ? len & 0xff : 0;
		word |= byte << 8 * (i % 8);
		if (i % 8 != 7)
			continue;
		v[3] ^= word;
		for (int k = 0; k < c; k++)
			sip_round(v);
		v[0] ^= word;
		word = 0;
	}
	v[2] ^= 0xff;
	for (int k = 0; k < d; k++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void both_variants_agree_with_the_definition_at_every_length(void **state)
{
	(void)state;
	struct test_rand r = {3};
	uint8_t data[300];
	for (size_t len = 0; len < sizeof data; len++) {
		const struct siphash_key key = {test_rand_u64(&r), test_rand_u64(&r)};
		test_rand_fill(&r, data, sizeof data);
		/* The end of the buffer, so that the sanitizer sees a read beyond it. */
		const uint8_t *at = data + sizeof data - len;
		assert_int_equal(tern_siphash24(&key, at, len), oracle(&key, at, len, 2, 4));
		assert_int_equal(tern_siphash13(&key, at, len), oracle(&key, at, len, 1, 3));
	}
}

static void every_bit_of_key_and_message_matters(void **state)
{
	(void)state;
	uint8_t message[20] = {0};
	struct siphash_key key = counting_key;
	const uint64_t hash24 = tern_siphash24(&key, message, sizeof message);
	const uint64_t hash13 = tern_siphash13(&key, message, sizeof message);
	for (unsigned bit = 0; bit < 8 * sizeof message; bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(tern_siphash24(&key, message, sizeof message), hash24);
		assert_int_not_equal(tern_siphash13(&key, message, sizeof message), hash13);
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (unsigned bit = 0; bit < 128; bit++) {
		uint64_t *word = bit < 64 ? &key.k0 : &key.k1;
		*word ^= 1ull << bit % 64;
		assert_int_not_equal(tern_siphash24(&key, message, sizeof message), hash24);
		assert_int_not_equal(tern_siphash13(&key, message, sizeof message), hash13);
		*word ^= 1ull << bit % 64;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_papers_example_comes_out),
		cmocka_unit_test(the_empty_message_has_its_known_hash),
		cmocka_unit_test(both_variants_agree_with_the_definition_at_every_length),
		cmocka_unit_test(every_bit_of_key_and_message_matters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
