/* The flight recorder: what it tells again is what it was told, of whom it is asked about, for as
 * long as there is room. */
#include <stdio.h>
#include <unistd.h>

#include <tern/host.h>
#include <tern/recorder.h>
#include <tern/tee.h>

#include "ladder_play.h"

static struct tern_recorder *recorder;

static void begin(size_t bytes)
{
	recorder = tern_recorder_new(&(struct tern_recorder_opts){.bytes = bytes, .seed = 1});
	assert_non_null(recorder);
	tern_recorder_interface(recorder, 1, &(struct tern_nif_opts){.name = "test"});
}

static void end(void)
{
	tern_recorder_free(recorder);
}

static uint64_t lost(void)
{
	struct tern_recorder_info info;
	tern_recorder_info(recorder, &info);
	return info.lost;
}

/* --- synthetic connections ------------------------------------------------------------------ */

/* Between 10.77.0.2:PORT, ours, and 10.77.0.1:80. */
static struct tern_endpoint end_of(bool ours, unsigned port)
{
	return (struct tern_endpoint){tern_addr_v4(10, 77, 0, ours ? 2 : 1),
		ours ? (uint16_t)port : 80};
}

static uint8_t bytes[2000];
static uint64_t now = 1000000000;

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* An Ethernet frame with a segment of len bytes in it. */
static struct tern_frame frame_of(bool ours, unsigned port, uint32_t seq, int flags, uint32_t len)
{
	static const uint8_t us[4] = {10, 77, 0, 2}, peer[4] = {10, 77, 0, 1};
	uint8_t *ip = bytes + 14, *tcp = ip + 20;
	memset(bytes, 0, 54);
	put16(bytes + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 40 + len);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, ours ? us : peer, 4);
	memcpy(ip + 16, ours ? peer : us, 4);
	put16(tcp, ours ? port : 80);
	put16(tcp + 2, ours ? 80 : port);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq & 0xffff);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
	return (struct tern_frame){.data = bytes, .len = 54 + len};
}

static void tell(unsigned port, struct tern_trace t)
{
	struct tern_trace_listener to = tern_recorder_listener(recorder);
	t.now = now;
	t.conn.local = end_of(true, port);
	t.conn.remote = end_of(false, port);
	to.see(to.context, &t);
}

static void tell_frame(enum tern_trace_kind kind, const struct tern_frame *f)
{
	struct tern_trace_listener to = tern_recorder_listener(recorder);
	struct tern_trace t = {.kind = kind, .now = now, .nif = 1, .frame = f};
	to.see(to.context, &t);
}

static struct tern_segment segment(uint32_t seq, int flags, uint32_t len)
{
	return (struct tern_segment){.seq = seq,
		.flags = (uint16_t)flags,
		.len = len,
		.window_field = 100,
		.window = 100,
		.wscale = -1};
}

static void receive(unsigned port, uint32_t seq, int flags, uint32_t len)
{
	struct tern_frame f = frame_of(false, port, seq, flags, len);
	tell_frame(TERN_TRACE_FRAME_IN, &f);
	tell(port, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_IN,
			   .nif = 1,
			   .has_conn = true,
			   .segment = segment(seq, flags, len)});
	tell_frame(TERN_TRACE_FRAME_DONE, &f);
	now += 1000;
}

static void transmit(unsigned port, uint32_t seq, int flags, uint32_t len)
{
	struct tern_frame f = frame_of(true, port, seq, flags, len);
	tell(port, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_OUT,
			   .nif = 1,
			   .has_conn = true,
			   .segment = segment(seq, flags, len)});
	tell_frame(TERN_TRACE_FRAME_OUT, &f);
	now += 1000;
}

static void tell_frame_drop(void)
{
	struct tern_trace_listener to = tern_recorder_listener(recorder);
	struct tern_trace t = {.kind = TERN_TRACE_DROP,
		.now = now,
		.nif = 1,
		.drop = TERN_DROP_TCP_SYN_BACKLOG};
	to.see(to.context, &t);
}

/* --- what comes back -------------------------------------------------------------------------- */

struct heard {
	unsigned count[TERN_TRACE_SEGMENT_SIZE + 1];
	unsigned strangers;
	unsigned port;
	uint64_t last;
	bool inside;
	uint32_t first_seq, last_seq;
	unsigned segments;
};

static void hear(void *context, const struct tern_trace *t)
{
	struct heard *h = context;
	h->count[t->kind]++;
	assert_true(t->now >= h->last);
	h->last = t->now;
	if (t->kind == TERN_TRACE_FRAME_IN || t->kind == TERN_TRACE_FRAME_DONE) {
		assert_int_equal(h->inside, t->kind == TERN_TRACE_FRAME_DONE);
		h->inside = !h->inside;
	}
	if (t->conn.local.port != h->port)
		h->strangers++;
	if (t->kind != TERN_TRACE_SEGMENT_IN && t->kind != TERN_TRACE_SEGMENT_OUT)
		return;
	if (h->segments++ == 0)
		h->first_seq = t->segment.seq;
	h->last_seq = t->segment.seq;
}

static struct heard replay(unsigned port)
{
	struct heard h = {.port = port};
	struct tern_endpoint between[2] = {end_of(false, port), end_of(true, port)};
	tern_recorder_replay(recorder, between, (struct tern_trace_listener){hear, &h});
	assert_false(h.inside);
	assert_int_equal(h.strangers, 0);
	return h;
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static char *draw(struct tern_ladder *l)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	struct tern_ladder_style style = {.width = 100,
		.utf8 = TERN_LADDER_NO,
		.colour = TERN_LADDER_NO};
	assert_int_equal(tern_ladder_print(l, out, &style), 1);
	fclose(out);
	tern_ladder_free(l);
	return text;
}

static void play_all(struct play *p)
{
	play_open(p);
	play_send(p, 100, P | A, 1, 1, 500);
	play_receive(p, 150, A, 1, 501, 0, NOT, TERN_CAUSE_ACK);
	play_resend(p, 300000, TERN_RTX_TIMEOUT, 501, 1);
	play_send(p, 300000, P | A, 501, 1, 10);
	play_drop(p, 300100, P | A, 5, 511, 10, TERN_DROP_TCP_ZERO_WINDOW);
	play_state(p, 400000, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
	play_send(p, 400000, F | A, 511, 1, 0);
	play_receive(p, 400100, R | A, 1, 512, 0, TERN_TCP_CLOSED, TERN_CAUSE_RST);
}

/* The player's frames have no bytes: it is the events that count. */
static void the_ladder_of_a_replay_is_that_of_the_events(void **state)
{
	(void)state;
	struct tern_ladder *live = tern_ladder_new(NULL), *later = tern_ladder_new(NULL);
	struct tern_tee tee = {0};
	struct tern_endpoint between[2] = {play_end(false), play_end(true)};
	begin(0);
	tern_tee_add(&tee, tern_ladder_listener(live));
	tern_tee_add(&tee, tern_recorder_listener(recorder));
	struct play p = {.to = tern_tee_listener(&tee)};
	play_all(&p);
	assert_true(tern_recorder_replay(recorder, between, tern_ladder_listener(later)) > 10);
	char *one = draw(live), *other = draw(later);
	assert_string_equal(one, other);
	assert_non_null(strstr(one, "retransmission"));
	free(one);
	free(other);
	end();
}

static void segments_come_back_with_their_frames(void **state)
{
	(void)state;
	begin(0);
	receive(5000, 1, S, 0);
	transmit(5000, 9, S | A, 0);
	receive(5000, 2, A, 1000);
	transmit(5000, 10, A, 10);
	struct heard h = replay(5000);
	assert_int_equal(h.count[TERN_TRACE_FRAME_IN], 2);
	assert_int_equal(h.count[TERN_TRACE_FRAME_DONE], 2);
	assert_int_equal(h.count[TERN_TRACE_FRAME_OUT], 2);
	assert_int_equal(h.count[TERN_TRACE_SEGMENT_IN], 2);
	assert_int_equal(h.count[TERN_TRACE_SEGMENT_OUT], 2);
	assert_int_equal(h.first_seq, 1);
	assert_int_equal(h.last_seq, 10);
	assert_int_equal(replay(5001).segments, 0);
	end();
}

static void see_cut(void *context, const struct tern_trace *t)
{
	unsigned *cut = context;
	if (t->kind != TERN_TRACE_FRAME_IN)
		return;
	assert_true(t->captured == 0 || t->captured == 160);
	assert_int_equal(t->captured != 0, t->frame->len > 160);
	for (uint32_t i = 54; i < (t->captured ? t->captured : t->frame->len); i++)
		assert_int_equal(t->frame->data[i], (uint8_t)i);
	*cut += t->captured != 0;
}

static void a_frame_is_cut_at_the_snap_length(void **state)
{
	(void)state;
	struct tern_endpoint between[2] = {end_of(true, 5000), end_of(false, 5000)};
	unsigned cut = 0;
	for (uint32_t i = 54; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	begin(0);
	for (uint32_t len = 0; len < 300; len++)
		receive(5000, len, A, len);
	tern_recorder_replay(recorder, between, (struct tern_trace_listener){see_cut, &cut});
	assert_int_equal(cut, 300 - (160 - 54 + 1));
	end();
}

/* A frame that waited for ARP comes after another segment of its connection. */
static void a_frame_that_waited_is_its_connections(void **state)
{
	(void)state;
	begin(0);
	tell(5000, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_OUT,
			   .nif = 1,
			   .has_conn = true,
			   .segment = segment(1, S, 0)});
	tell(5001, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_OUT,
			   .nif = 1,
			   .has_conn = true,
			   .segment = segment(7, S, 0)});
	struct tern_frame f = frame_of(true, 5000, 1, S, 0);
	tell_frame(TERN_TRACE_FRAME_OUT, &f);
	struct heard h = replay(5000);
	assert_int_equal(h.count[TERN_TRACE_FRAME_OUT], 1);
	assert_int_equal(h.segments, 1);
	assert_int_equal(replay(5001).count[TERN_TRACE_FRAME_OUT], 0);
	end();
}

/* No SEGMENT_IN tells of a segment with a wrong checksum. */
static void a_frame_that_was_dropped_is_found_by_its_bytes(void **state)
{
	(void)state;
	begin(0);
	struct tern_frame f = frame_of(false, 5000, 1, A, 0);
	struct tern_trace_listener to = tern_recorder_listener(recorder);
	tell_frame(TERN_TRACE_FRAME_IN, &f);
	to.see(to.context, &(struct tern_trace){.kind = TERN_TRACE_DROP,
				   .now = now,
				   .nif = 1,
				   .drop = TERN_DROP_TCP_CHECKSUM});
	tell_frame(TERN_TRACE_FRAME_DONE, &f);
	struct heard h = replay(5000);
	assert_int_equal(h.count[TERN_TRACE_FRAME_IN], 1);
	assert_int_equal(h.count[TERN_TRACE_DROP], 1);
	end();
}

static void what_is_no_tcp_is_not_kept(void **state)
{
	(void)state;
	struct tern_recorder_info info;
	begin(0);
	for (uint32_t len = 0; len < 100; len++) {
		struct tern_frame f = frame_of(false, 5000, 1, A, 0);
		bytes[14 + 9] = 17; /* UDP */
		f.len = len;
		tell_frame(TERN_TRACE_FRAME_IN, &f);
		struct tern_trace_listener to = tern_recorder_listener(recorder);
		to.see(to.context, &(struct tern_trace){.kind = TERN_TRACE_DROP,
					   .now = now,
					   .nif = 1,
					   .drop = TERN_DROP_UDP_NO_PORT});
		tell_frame(TERN_TRACE_FRAME_DONE, &f);
		tell_frame(TERN_TRACE_FRAME_OUT, &f);
	}
	tern_recorder_info(recorder, &info);
	assert_int_equal(info.recorded, 0);
	end();
}

/* The busy one has the newest of its own, and the beginning. */
static void bulk_does_not_wash_a_quiet_connection_away(void **state)
{
	(void)state;
	begin(TERN_RECORDER_BYTES_MIN);
	receive(6000, 1, S, 0);
	transmit(6000, 9, S | A, 0);
	receive(6000, 2, A, 5);
	receive(5000, 1, S, 0);
	for (uint32_t i = 0; i < 100000; i++)
		receive(5000, 2 + i, A, 1000);
	assert_true(lost() > 90000);
	assert_int_equal(replay(6000).segments, 3);
	struct heard h = replay(5000);
	assert_int_equal(h.first_seq, 1);
	assert_int_equal(h.last_seq, 100001);
	assert_true(h.segments > 100 && h.segments < 1000);
	end();
}

/* Of whatever kind: answered by cookies, kept half-open, dropped. */
static void a_flood_does_not_wash_a_connection_away(void **state)
{
	(void)state;
	begin(TERN_RECORDER_BYTES_MIN);
	receive(70, 1, S, 0);
	transmit(70, 9, S | A, 0);
	receive(70, 2, A, 5);
	tell(70, (struct tern_trace){.kind = TERN_TRACE_STATE,
			 .nif = -1,
			 .has_conn = true,
			 .conn.state = TERN_TCP_ESTABLISHED});
	for (unsigned i = 0; i < 30000; i++) {
		struct tern_frame f = frame_of(false, 100 + i, 1, S, 0);
		bool kept = i % 3 == 0;
		enum tern_tcp_state half = TERN_TCP_SYN_RECEIVED;
		tell_frame(TERN_TRACE_FRAME_IN, &f);
		if (i % 3 < 2)
			tell(100 + i, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_IN,
					      .nif = 1,
					      .has_conn = kept,
					      .segment = segment(1, S, 0)});
		if (kept)
			tell(100 + i, (struct tern_trace){.kind = TERN_TRACE_STATE,
					      .nif = -1,
					      .has_conn = true,
					      .conn.state = half,
					      .state = {TERN_TCP_LISTEN, half, TERN_CAUSE_SYN}});
		else
			tell_frame_drop();
		tell_frame(TERN_TRACE_FRAME_DONE, &f);
		now += 10000;
		transmit(100 + i, 9, S | A, 0);
		if (kept)
			tell(100 + i, (struct tern_trace){.kind = TERN_TRACE_RETRANSMIT,
					      .nif = -1,
					      .has_conn = true,
					      .conn.state = half});
	}
	struct heard h = replay(70);
	assert_int_equal(h.segments, 1);
	assert_int_equal(h.count[TERN_TRACE_STATE], 1);
	assert_int_equal(h.first_seq, 2);
	end();
}

/* A peer that ends its connection over and over again. */
static void neither_does_a_flood_of_resets(void **state)
{
	(void)state;
	static const int flags[] = {R, R | A, F | A, F};
	for (unsigned i = 0; i < 4; i++) {
		begin(TERN_RECORDER_BYTES_MIN);
		receive(6000, 1, A, 0);
		transmit(6000, 9, A, 5);
		for (uint32_t n = 0; n < 20000; n++)
			receive(5000, n, flags[i], 0);
		assert_int_equal(replay(6000).segments, 2);
		assert_true(replay(5000).segments > 50);
		end();
	}
}

/* Resets that answer strangers wait in a queue of the interface, and go out after one another. */
static void neither_do_answers_to_strangers(void **state)
{
	(void)state;
	begin(TERN_RECORDER_BYTES_MIN);
	receive(70, 1, A, 0);
	transmit(70, 9, A, 5);
	for (unsigned n = 100; n < 20000; n += 2) {
		struct tern_frame f;
		for (unsigned port = n; port < n + 2; port++) {
			f = frame_of(false, port, 1, A, 0);
			tell_frame(TERN_TRACE_FRAME_IN, &f);
			tell(port, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_IN,
					   .nif = 1,
					   .segment = segment(1, A, 0)});
			tell(port, (struct tern_trace){.kind = TERN_TRACE_SEGMENT_OUT,
					   .nif = 1,
					   .segment = segment(2, R, 0)});
			tell_frame(TERN_TRACE_FRAME_DONE, &f);
		}
		for (unsigned port = n; port < n + 2; port++) {
			f = frame_of(true, port, 2, R, 0);
			tell_frame(TERN_TRACE_FRAME_OUT, &f);
		}
		now += 1000000;
	}
	assert_int_equal(replay(70).segments, 2);
	end();
}

/* Endpoints of which the sums are the same, were nothing secret among them. */
static void nobody_chooses_whom_to_share_a_ration_with(void **state)
{
	(void)state;
	struct tern_trace_listener to;
	struct tern_trace t = {.kind = TERN_TRACE_SEGMENT_IN,
		.nif = 1,
		.has_conn = true,
		.segment = segment(1, A, 0)};
	uint32_t ours, peer, victim, other;
	t.conn.local = end_of(true, 6000);
	memcpy(&ours, t.conn.local.addr.byte + 12, sizeof ours);
	struct tern_endpoint quiet = end_of(false, 6000);
	memcpy(&peer, quiet.addr.byte + 12, sizeof peer);
	victim = (ours ^ peer) + ((6000u ^ 80) << 16) + 6000 + 80;
	other = ours ^ (victim - ((6000u ^ 81) << 16) - 6000 - 81);
	t.conn.remote = (struct tern_endpoint){quiet.addr, 81};
	memcpy(t.conn.remote.addr.byte + 12, &other, sizeof other);
	begin(1u << 20);
	to = tern_recorder_listener(recorder);
	for (unsigned n = 0; n < 20000; n++) {
		t.now = now += 1000000;
		to.see(to.context, &t);
		if (n % 1000 == 555)
			receive(6000, n, A, 0);
	}
	assert_int_equal(replay(6000).segments, 20);
	end();
}

static void a_ring_that_has_gone_round_tells_only_what_is_there(void **state)
{
	(void)state;
	struct test_rand r = {1};
	for (unsigned seed = 0; seed < 20; seed++) {
		begin(TERN_RECORDER_BYTES_MIN + 8 * test_rand_below(&r, 1000));
		for (unsigned i = 0; i < 5000; i++) {
			unsigned port = 5000 + test_rand_below(&r, 400);
			int flags = test_rand_one_in(&r, 3) ? S : A;
			uint32_t len = test_rand_below(&r, 1500);
			now += test_rand_below(&r, 50000000);
			(test_rand_one_in(&r, 2) ? receive : transmit)(port, i, flags, len);
			if (test_rand_one_in(&r, 20))
				tell(port, (struct tern_trace){.kind = TERN_TRACE_STATE,
						   .nif = -1,
						   .has_conn = true});
			if (test_rand_one_in(&r, 10))
				replay(port);
		}
		unsigned kept = 0;
		for (unsigned port = 5000; port < 5400; port++)
			kept += replay(port).segments;
		assert_true(kept > 60 && kept < 1000 && lost() > 3000);
		end();
	}
}

static void a_capture_is_made_of_it(void **state)
{
	(void)state;
	char path[] = "/tmp/tern-recorder-XXXXXX", command[200], line[300];
	struct tern_endpoint between[2] = {end_of(true, 5000), end_of(false, 5000)};
	begin(0);
	receive(5000, 1, S, 0);
	transmit(5000, 9, S | A, 0);
	receive(5000, 2, A, 1000);
	int fd = mkstemp(path);
	assert_int_equal(tern_recorder_save(recorder, between, fd, NULL), 3);
	snprintf(command, sizeof command,
		"tshark -r %s -T fields -e frame.len -e frame.cap_len -e tcp.len 2>/dev/null",
		path);
	FILE *tshark = popen(command, "r");
	for (unsigned i = 0; tshark && fgets(line, sizeof line, tshark); i++)
		assert_string_equal(line, i < 2 ? "54\t54\t0\n" : "1054\t160\t1000\n");
	if (tshark)
		pclose(tshark);
	assert_int_equal(tern_recorder_save(recorder, between, -1, NULL), -1);
	assert_true(*tern_host_error());
	unlink(path);
	end();
}

static void sizes_out_of_range_are_refused(void **state)
{
	(void)state;
	static const struct tern_recorder_opts bad[] = {{.bytes = 1},
		{.bytes = TERN_RECORDER_BYTES_MIN - 1},
		{.bytes = (size_t)TERN_RECORDER_BYTES_MAX + 1}, {.snaplen = 63}, {.snaplen = 1025}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(tern_recorder_new(&bad[i]));
		assert_non_null(strstr(tern_host_error(), "out of range"));
	}
	tern_recorder_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ladder_of_a_replay_is_that_of_the_events),
		cmocka_unit_test(segments_come_back_with_their_frames),
		cmocka_unit_test(a_frame_is_cut_at_the_snap_length),
		cmocka_unit_test(a_frame_that_waited_is_its_connections),
		cmocka_unit_test(a_frame_that_was_dropped_is_found_by_its_bytes),
		cmocka_unit_test(what_is_no_tcp_is_not_kept),
		cmocka_unit_test(bulk_does_not_wash_a_quiet_connection_away),
		cmocka_unit_test(a_flood_does_not_wash_a_connection_away),
		cmocka_unit_test(neither_does_a_flood_of_resets),
		cmocka_unit_test(neither_do_answers_to_strangers),
		cmocka_unit_test(nobody_chooses_whom_to_share_a_ration_with),
		cmocka_unit_test(a_ring_that_has_gone_round_tells_only_what_is_there),
		cmocka_unit_test(a_capture_is_made_of_it),
		cmocka_unit_test(sizes_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
