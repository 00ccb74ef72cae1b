#include "test/unit/support.h"

#include <poll.h>
#include <tern/device.h>
#include <tern/host.h>

static void frames_cross_a_pair_with_their_marks(void **state)
{
	(void)state;
	struct tern_device *ends[2];
	static uint8_t data[65000];
	struct test_rand rand = {1};
	test_rand_fill(&rand, data, sizeof data);
	struct tern_frame out[2] = {{.data = data, .len = 60, .csum_valid = true},
		{.data = data,
			.len = sizeof data,
			.csum_start = 34,
			.csum_offset = 16,
			.gso_size = 1448,
			.header_len = 66}};
	struct tern_frame in[8];
	assert_int_equal(tern_pair_open(ends, 1500), 0);
	assert_int_equal(tern_device_recv(ends[1], in, 8, 0), 0);
	assert_int_equal(tern_device_send(ends[0], out, 2, 0), 2);
	assert_int_equal(tern_device_recv(ends[1], in, 8, 0), 2);
	assert_int_equal(in[0].len, 60);
	assert_true(in[0].csum_valid);
	assert_int_equal(in[0].csum_start, 0);
	assert_int_equal(in[1].len, sizeof data);
	assert_memory_equal(in[1].data, data, sizeof data);
	assert_int_equal(in[1].csum_start, 34);
	assert_int_equal(in[1].csum_offset, 16);
	assert_int_equal(in[1].gso_size, 1448);
	assert_int_equal(in[1].header_len, 66);
	tern_device_close(ends[0]);
	tern_device_close(ends[1]);
}

static void a_full_pair_says_so_and_when_it_has_room_again(void **state)
{
	(void)state;
	struct tern_device *ends[2];
	uint8_t data[1500] = {0};
	struct tern_frame frame = {.data = data, .len = sizeof data}, in[64];
	int sent = 0, received = 0, n;
	assert_int_equal(tern_pair_open(ends, 1500), 0);
	while (tern_device_send(ends[0], &frame, 1, 0) == 1)
		assert_true(++sent < 100000);
	assert_true(sent > 10);
	struct pollfd p = {.fd = ends[0]->fd, .events = POLLOUT};
	assert_int_equal(poll(&p, 1, 0), 0);
	while ((n = tern_device_recv(ends[1], in, 64, 0)) > 0)
		received += n;
	assert_int_equal(received, sent);
	assert_int_equal(poll(&p, 1, 0), 1);
	tern_device_close(ends[0]);
	tern_device_close(ends[1]);
}

static void a_pair_whose_other_end_is_closed_is_broken(void **state)
{
	(void)state;
	struct tern_device *ends[2];
	uint8_t data[60] = {0};
	struct tern_frame frame = {.data = data, .len = sizeof data}, in[4];
	assert_int_equal(tern_pair_open(ends, 1500), 0);
	tern_device_close(ends[1]);
	assert_true(tern_device_recv(ends[0], in, 4, 0) < 0);
	assert_true(tern_device_send(ends[0], &frame, 1, 0) < 0);
	tern_device_close(ends[0]);
}

static void an_impaired_device_delays_each_way_by_its_own_spec(void **state)
{
	(void)state;
	struct tern_device *ends[2], *device;
	struct tern_impair_spec in = {.delay = 1000}, out = {.delay = 5000};
	uint8_t data[60] = {7};
	struct tern_frame frame = {.data = data, .len = sizeof data}, got[4];
	assert_int_equal(tern_pair_open(ends, 1500), 0);
	device = tern_impaired_open(ends[0], &in, &out, 1);
	assert_non_null(device);
	assert_int_equal(tern_device_deadline(device), TERN_NEVER);
	assert_int_equal(tern_device_send(ends[1], &frame, 1, 0), 1);
	assert_int_equal(tern_device_recv(device, got, 4, 100), 0);
	assert_int_equal(tern_device_deadline(device), 1100);
	assert_int_equal(tern_device_recv(device, got, 4, 1100), 1);
	assert_int_equal(got[0].data[0], 7);
	assert_int_equal(tern_device_send(device, &frame, 1, 2000), 1);
	assert_int_equal(tern_device_recv(ends[1], got, 4, 2000), 0);
	assert_int_equal(tern_device_deadline(device), 7000);
	assert_int_equal(tern_device_recv(device, got, 4, 7000), 0); /* moves it along */
	assert_int_equal(tern_device_recv(ends[1], got, 4, 7000), 1);
	struct tern_wire_stats s_in, s_out;
	assert_true(tern_impaired_stats(device, &s_in, &s_out));
	assert_int_equal(s_in.delivered, 1);
	assert_int_equal(s_out.delivered, 1);
	assert_false(tern_impaired_stats(ends[1], &s_in, NULL));
	tern_device_close(device);
	tern_device_close(ends[1]);
}

static void an_impaired_device_holds_what_a_full_one_refuses(void **state)
{
	(void)state;
	struct tern_device *ends[2], *device;
	struct tern_impair_spec none = {0};
	uint8_t data[1500] = {0};
	struct tern_frame frame = {.data = data, .len = sizeof data}, got[64];
	assert_int_equal(tern_pair_open(ends, 1500), 0);
	device = tern_impaired_open(ends[0], &none, &none, 1);
	assert_non_null(device);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(tern_device_send(device, &frame, 1, 0), 1);
	int received = 0, n;
	uint64_t now = 0;
	do {
		now = tern_device_deadline(device) == TERN_NEVER ? now
								 : tern_device_deadline(device);
		assert_int_equal(tern_device_recv(device, got, 64, now), 0);
		received += n = tern_device_recv(ends[1], got, 64, now);
	} while (n > 0);
	assert_int_equal(received, 2000);
	tern_device_close(device);
	tern_device_close(ends[1]);
}

static void a_bad_device_name_is_an_error_with_a_sentence(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "tap", "tap:", "eth:x", "tap:a-name-of-sixteen",
		"tap:x@", "tap:x@/no/such/ns"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_null(tern_device_open(bad[i], NULL));
		assert_true(strlen(tern_host_error()) > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_cross_a_pair_with_their_marks),
		cmocka_unit_test(a_full_pair_says_so_and_when_it_has_room_again),
		cmocka_unit_test(a_pair_whose_other_end_is_closed_is_broken),
		cmocka_unit_test(an_impaired_device_delays_each_way_by_its_own_spec),
		cmocka_unit_test(an_impaired_device_holds_what_a_full_one_refuses),
		cmocka_unit_test(a_bad_device_name_is_an_error_with_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
