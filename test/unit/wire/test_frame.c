#include "packets.h"
#include <tern/frame.h>
#include "wire/tcp.h"
#include "wire/udp.h"

#define TRANSPORT (ETH + IPV4_HEADER_LEN)

/* Whether the transport checksum of an Ethernet frame, of either protocol, is right. */
static bool is_sealed(const uint8_t *data, size_t len)
{
	struct reader r = reader(data + ETH, len - ETH);
	struct ipv4_header h;
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
	uint32_t left = (uint32_t)reader_left(&r);
	uint64_t sum = tern_pseudo_sum(&h.src, &h.dst, h.protocol, left);
	return csum_finish(sum + tern_csum_portable()->sum(r.at, left)) == 0;
}

static struct tern_frame unfinished(const struct bytes *b, uint16_t start, uint16_t offset)
{
	return (struct tern_frame){.data = b->data,
		.len = (uint32_t)b->len,
		.capacity = (uint32_t)b->len,
		.csum_start = start,
		.csum_offset = offset};
}

/* MUST-2. */
static void what_linux_left_to_its_device_is_finished(void **state)
{
	(void)state;
	const char *real[] = {REAL_UNFINISHED_TCP, REAL_UNFINISHED_UDP};
	const uint16_t offset[] = {16, 6};
	for (size_t i = 0; i < 2; i++) {
		struct bytes b = bytes_hex(real[i], 0);
		assert_false(is_sealed(b.data, b.len));
		struct tern_frame f = unfinished(&b, TRANSPORT, offset[i]);
		assert_true(tern_frame_finish_csum(&f));
		assert_int_equal(f.csum_start, 0);
		assert_true(is_sealed(b.data, b.len));
		bytes_free(&b);
	}
}

static void a_finished_frame_is_left_as_it_is(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_DATA, 0);
	struct bytes before = bytes_of(b.data, b.len);
	struct tern_frame f = unfinished(&b, 0, 16);
	assert_true(tern_frame_finish_csum(&f));
	assert_memory_equal(b.data, before.data, b.len);
	bytes_free(&before);
	bytes_free(&b);
}

/* Finishes the checksum of 18 bytes that sum to all ones, its field at offset; returns the field.
 */
static uint16_t finish_zero(uint16_t offset)
{
	uint8_t bytes[20] = {0, 0, 0xff, 0xf0, 0x00, 0x0f};
	struct bytes b = bytes_of(bytes, sizeof bytes);
	struct tern_frame f = unfinished(&b, 2, offset);
	store_be16(b.data + 2 + offset, 0);
	assert_true(tern_frame_finish_csum(&f));
	uint16_t field = load_be16(b.data + 2 + offset);
	bytes_free(&b);
	return field;
}

static void a_checksum_of_zero_becomes_all_ones_in_udp_alone(void **state)
{
	(void)state;
	assert_int_equal(finish_zero(6), 0xffff);
	assert_int_equal(finish_zero(16), 0);
}

static void every_start_and_offset_stays_within_the_frame(void **state)
{
	(void)state;
	uint8_t zeros[40] = {0};
	for (unsigned start = 1; start < 45; start++)
		for (unsigned offset = 0; offset < 45; offset++) {
			struct bytes b = bytes_of(zeros, sizeof zeros);
			struct tern_frame f = unfinished(&b, (uint16_t)start, (uint16_t)offset);
			bool fits = start + offset + 2 <= sizeof zeros;
			assert_int_equal(tern_frame_finish_csum(&f), fits);
			if (!fits) {
				assert_int_equal(f.csum_start, start);
				assert_memory_equal(b.data, zeros, sizeof zeros);
			}
			bytes_free(&b);
		}
}

static void the_largest_start_and_offset_do_not_wrap(void **state)
{
	(void)state;
	struct bytes b = bytes_of((uint8_t[64]){0}, 64);
	const uint16_t far[] = {0, 1, 62, 63, 64, 65, 0x7fff, 0x8000, 0xfffe, 0xffff};
	for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
		struct tern_frame f = unfinished(&b, 0xffff, far[i]);
		assert_false(tern_frame_finish_csum(&f));
		f = unfinished(&b, 63, far[i]);
		assert_false(tern_frame_finish_csum(&f));
	}
	bytes_free(&b);
}

static void an_empty_frame_is_left_alone(void **state)
{
	(void)state;
	struct tern_frame f = {.csum_start = 1};
	assert_false(tern_frame_finish_csum(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_linux_left_to_its_device_is_finished),
		cmocka_unit_test(a_finished_frame_is_left_as_it_is),
		cmocka_unit_test(a_checksum_of_zero_becomes_all_ones_in_udp_alone),
		cmocka_unit_test(every_start_and_offset_stays_within_the_frame),
		cmocka_unit_test(the_largest_start_and_offset_do_not_wrap),
		cmocka_unit_test(an_empty_frame_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
