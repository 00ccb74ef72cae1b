/* Captures of synthetic events, read back block by block, and by tshark where there is one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tern/host.h>
#include <tern/pcapng.h>

#include "test/unit/support.h"

#define EPOCH 1700000000000000000ull
#define FIN   0x01
#define SYN   0x02
#define PSH   0x08
#define ACK   0x10

static char path[] = "/tmp/tern-pcapng-XXXXXX";
static struct tern_pcapng *capture;
static struct tern_trace_listener to;
static enum tern_tcp_state now_in;
static uint8_t frame[70000];

/* --- frames: tern is 10.77.0.2:49152, the peer 10.77.0.1:80 ------------------------------------
 */

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static uint32_t sum16(const uint8_t *data, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Builds a packet at frame; the TCP checksum is left to the device if partial. */
static struct tern_frame build(bool ours, struct tern_segment s, bool ether, bool partial)
{
	static const uint8_t us[4] = {10, 77, 0, 2}, peer[4] = {10, 77, 0, 1};
	uint32_t link = ether ? 14 : 0, len = link + 40 + s.len;
	uint8_t *ip = frame + link, *tcp = ip + 20;
	assert_true(len <= sizeof frame);
	memset(frame, 0, len);
	if (ether) {
		memcpy(frame, ours ? "\2\0\0\0\0\1\2\0\0\0\0\2" : "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
		put16(frame + 12, 0x0800);
	}
	ip[0] = 0x45;
	put16(ip + 2, 40 + s.len);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, ours ? us : peer, 4);
	memcpy(ip + 16, ours ? peer : us, 4);
	put16(ip + 10, ~sum16(ip, 20, 0) & 0xffff);
	put16(tcp, ours ? 49152 : 80);
	put16(tcp + 2, ours ? 80 : 49152);
	put32(tcp + 4, s.seq);
	put32(tcp + 8, s.ack);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)s.flags;
	put16(tcp + 14, 65535);
	for (uint32_t i = 0; i < s.len; i++)
		tcp[20 + i] = (uint8_t)i;
	uint32_t pseudo = sum16(ip + 12, 8, 6 + 20 + s.len);
	put16(tcp + 16, partial ? pseudo : ~sum16(tcp, 20 + s.len, pseudo) & 0xffff);
	struct tern_frame f = {.data = frame, .len = len, .capacity = sizeof frame};
	if (partial) {
		f.csum_start = (uint16_t)(link + 20);
		f.csum_offset = 16;
	}
	return f;
}

/* --- events -------------------------------------------------------------------------------------
 */

static void tell(struct tern_trace t, uint64_t ns)
{
	t.now = ns;
	t.conn.local = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 2), 49152};
	t.conn.remote = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 1), 80};
	t.conn.state = now_in;
	t.conn.snd_una = t.conn.snd_nxt = 1001;
	t.conn.rcv_nxt = 9001;
	to.see(to.context, &t);
}

static void tell_frame(enum tern_trace_kind kind, struct tern_frame *f, int nif, uint64_t ns)
{
	tell((struct tern_trace){.kind = kind, .nif = nif, .frame = f}, ns);
}

static void tell_segment(enum tern_trace_kind kind, struct tern_segment s, uint64_t ns)
{
	struct tern_trace t = {.kind = kind, .nif = 1, .has_conn = true};
	s.window = 65535;
	t.segment = s;
	tell(t, ns);
}

static void tell_state(enum tern_tcp_state state, enum tern_cause cause, uint64_t ns)
{
	struct tern_trace t = {.kind = TERN_TRACE_STATE, .nif = -1, .has_conn = true};
	t.state.from = now_in;
	t.state.to = state;
	t.state.cause = cause;
	now_in = state;
	tell(t, ns);
}

static void tell_drop(enum tern_drop drop, uint64_t ns)
{
	tell((struct tern_trace){.kind = TERN_TRACE_DROP, .nif = 1, .drop = drop}, ns);
}

static void send_segment(struct tern_segment s, bool partial, uint64_t ns)
{
	struct tern_frame f = build(true, s, true, partial);
	tell_segment(TERN_TRACE_SEGMENT_OUT, s, ns);
	tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, ns);
}

static const struct tern_segment syn = {.flags = SYN, .seq = 1000, .wscale = -1};
static const struct tern_segment syn_ack = {.flags = SYN | ACK,
	.seq = 9000,
	.ack = 1001,
	.wscale = -1};
static const struct tern_segment ack = {.flags = ACK, .seq = 1001, .ack = 9001, .wscale = -1};
static const struct tern_segment big = {.flags = PSH | ACK,
	.seq = 1001,
	.ack = 9001,
	.len = 60000,
	.wscale = -1};
static const struct tern_segment data = {.flags = PSH | ACK,
	.seq = 1001,
	.ack = 9001,
	.len = 101,
	.wscale = -1};

/* A connection opened, as tern tells it: three packets. */
static void tell_handshake(void)
{
	tell_state(TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE, 0);
	send_segment(syn, true, 1);
	struct tern_frame f = build(false, syn_ack, true, false);
	tell_frame(TERN_TRACE_FRAME_IN, &f, 1, 1000);
	tell_segment(TERN_TRACE_SEGMENT_IN, syn_ack, 1000);
	tell_state(TERN_TCP_ESTABLISHED, TERN_CAUSE_SYN_ACK, 1000);
	tell_frame(TERN_TRACE_FRAME_DONE, &f, 1, 1000);
	send_segment(ack, true, 2000);
}

static void tell_loopback(struct tern_frame *f, uint64_t ns)
{
	tell_frame(TERN_TRACE_FRAME_OUT, f, TERN_NIF_LOOPBACK, ns);
	tell_frame(TERN_TRACE_FRAME_IN, f, TERN_NIF_LOOPBACK, ns);
	tell_frame(TERN_TRACE_FRAME_DONE, f, TERN_NIF_LOOPBACK, ns);
}

/* --- reading back -------------------------------------------------------------------------------
 */

struct block {
	uint32_t type, iface, captured, original, flags, snaplen;
	uint16_t link;
	uint64_t time;
	uint8_t resolution;
	char name[32], comment[512];
	const uint8_t *data;
};

static uint8_t *file;
static size_t file_size;
static struct block blocks[64];
static unsigned block_count;

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, 4);
	return v;
}

static uint16_t get16(const uint8_t *at)
{
	uint16_t v;
	memcpy(&v, at, 2);
	return v;
}

static void read_option(struct block *b, uint16_t code, const uint8_t *at, uint16_t len)
{
	if (b->type == 6 && code == 1) {
		assert_true(len < sizeof b->comment);
		memcpy(b->comment, at, len);
	} else if (b->type == 6 && code == 2) {
		assert_int_equal(len, 4);
		b->flags = get32(at);
	} else if (b->type == 1 && code == 2) {
		assert_true(len < sizeof b->name);
		memcpy(b->name, at, len);
	} else if (b->type == 1 && code == 9) {
		assert_int_equal(len, 1);
		b->resolution = *at;
	}
}

static void read_options(struct block *b, const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		assert_true(end - at >= 4);
		uint16_t code = get16(at), len = get16(at + 2);
		at += 4;
		if (code == 0) {
			assert_int_equal(len, 0);
			assert_ptr_equal(at, end);
			return;
		}
		assert_true(end - at >= len);
		read_option(b, code, at, len);
		at += (len + 3) & ~3;
	}
}

static uint32_t read_block(struct block *b, const uint8_t *at, size_t left)
{
	assert_true(left >= 12);
	uint32_t len = get32(at + 4);
	assert_int_equal(len % 4, 0);
	assert_true(len <= left);
	assert_int_equal(get32(at + len - 4), len);
	*b = (struct block){.type = get32(at)};
	const uint8_t *end = at + len - 4;
	if (b->type == 0x0a0d0d0a) {
		assert_int_equal(get32(at + 8), 0x1a2b3c4d);
		assert_int_equal(get16(at + 12), 1);
		assert_int_equal(get16(at + 14), 0);
		read_options(b, at + 24, end);
	} else if (b->type == 1) {
		b->link = get16(at + 8);
		b->snaplen = get32(at + 12);
		read_options(b, at + 16, end);
	} else {
		assert_int_equal(b->type, 6);
		b->iface = get32(at + 8);
		b->time = (uint64_t)get32(at + 12) << 32 | get32(at + 16);
		b->captured = get32(at + 20);
		b->original = get32(at + 24);
		b->data = at + 28;
		read_options(b, at + 28 + ((b->captured + 3) & ~3u), end);
	}
	return len;
}

/* Reads the whole file into blocks; every byte must belong to one. */
static void read_back(void)
{
	FILE *in = fopen(path, "rb");
	assert_non_null(in);
	free(file);
	file = malloc(1 << 20);
	assert_non_null(file);
	file_size = fread(file, 1, 1 << 20, in);
	fclose(in);
	block_count = 0;
	for (size_t at = 0; at < file_size;) {
		assert_true(block_count < 64);
		at += read_block(&blocks[block_count++], file + at, file_size - at);
	}
}

static void finish(void)
{
	assert_int_equal(tern_pcapng_close(capture), 0);
	capture = NULL;
	read_back();
}

static const struct block *packet(unsigned k)
{
	for (unsigned i = 0; i < block_count; i++)
		if (blocks[i].type == 6 && k-- == 0)
			return &blocks[i];
	fail_msg("no such packet");
	return NULL;
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void begin(const struct tern_pcapng_opts *opts)
{
	capture = tern_pcapng_open(path, opts);
	assert_non_null(capture);
	to = tern_pcapng_listener(capture);
	now_in = TERN_TCP_CLOSED;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(path + sizeof path - 7, "XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	begin(&(struct tern_pcapng_opts){.epoch = EPOCH});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tern_pcapng_close(capture);
	capture = NULL;
	free(file);
	file = NULL;
	return unlink(path);
}

static void interfaces_are_described_before_their_packets(void **state)
{
	(void)state;
	tern_pcapng_interface(capture, 2, &(struct tern_nif_opts){.name = "tun0", .raw_ip = true});
	tern_pcapng_interface(capture, 1,
		&(struct tern_nif_opts){.name = "tap0", .mac = {2, 0, 0, 0, 0, 2}});
	tell_handshake();
	struct tern_frame f = build(true, ack, false, false);
	tell_loopback(&f, 3000);
	finish();
	assert_int_equal(blocks[0].type, 0x0a0d0d0a);
	assert_int_equal(blocks[1].type, 1);
	assert_string_equal(blocks[1].name, "tun0");
	assert_int_equal(blocks[1].link, 101);
	assert_string_equal(blocks[2].name, "tap0");
	assert_int_equal(blocks[2].link, 1);
	assert_int_equal(blocks[2].resolution, 9);
	assert_int_equal(packet(0)->iface, 1);
	const struct block *lo = packet(3) - 1;
	assert_string_equal(lo->name, "lo");
	assert_int_equal(lo->link, 101);
	assert_int_equal(packet(3)->iface, 2);
	assert_ptr_equal(packet(3), &blocks[block_count - 1]);
}

static void packets_carry_time_direction_and_bytes(void **state)
{
	(void)state;
	tell_handshake();
	finish();
	assert_int_equal(block_count, 5);
	assert_true(packet(0)->time == EPOCH + 1);
	assert_true(packet(1)->time == EPOCH + 1000);
	assert_int_equal(packet(0)->flags & 3, 2);
	assert_int_equal(packet(1)->flags & 3, 1);
	assert_int_equal(packet(1)->captured, 54);
	struct tern_frame f = build(false, syn_ack, true, false);
	assert_memory_equal(packet(1)->data, f.data, 54);
}

static void comments_say_what_the_state_machine_made_of_a_packet(void **state)
{
	(void)state;
	char wanted[256];
	tell_handshake();
	finish();
	snprintf(wanted, sizeof wanted, "CLOSED -> SYN_SENT (%s); sent in SYN_SENT: SYN",
		tern_cause_text(TERN_CAUSE_OPEN_ACTIVE));
	assert_string_equal(packet(0)->comment, wanted);
	snprintf(wanted, sizeof wanted, "in SYN_SENT: SYN-ACK acceptable -> ESTABLISHED (%s)",
		tern_cause_text(TERN_CAUSE_SYN_ACK));
	assert_string_equal(packet(1)->comment, wanted);
	assert_string_equal(packet(2)->comment, "sent in ESTABLISHED: ACK");
}

static void a_drop_is_commented_with_its_reason(void **state)
{
	(void)state;
	struct tern_frame f = build(false, syn, true, false);
	now_in = TERN_TCP_SYN_RECEIVED;
	tell_frame(TERN_TRACE_FRAME_IN, &f, 1, 5);
	tell_segment(TERN_TRACE_SEGMENT_IN, syn, 5);
	tell_drop(TERN_DROP_TCP_LISTEN_OVERFLOW, 5);
	tell_frame(TERN_TRACE_FRAME_DONE, &f, 1, 5);
	tell_frame(TERN_TRACE_FRAME_IN, &f, 1, 6);
	tell_drop(TERN_DROP_IP_CHECKSUM, 6);
	tell_frame(TERN_TRACE_FRAME_DONE, &f, 1, 6);
	finish();
	assert_string_equal(packet(0)->comment, "in SYN_RECEIVED: SYN, dropped: accept queue full");
	assert_string_equal(packet(1)->comment, "dropped: IP header checksum wrong");
}

static void data_is_commented_with_its_place_in_the_stream(void **state)
{
	(void)state;
	static const uint32_t seq[] = {9001, 9101, 8900, 8950};
	static const char *const wanted[] = {"in ESTABLISHED: 101 bytes; in order",
		"in ESTABLISHED: 101 bytes; out of order, 100 missing before it",
		"in ESTABLISHED: 101 bytes; already received",
		"in ESTABLISHED: 101 bytes; the first 51 bytes already received"};
	now_in = TERN_TCP_ESTABLISHED;
	for (unsigned i = 0; i < 4; i++) {
		struct tern_segment s = {.flags = ACK, .seq = seq[i], .ack = 1001, .len = 101};
		struct tern_frame f = build(false, s, true, false);
		tell_frame(TERN_TRACE_FRAME_IN, &f, 1, i);
		tell_segment(TERN_TRACE_SEGMENT_IN, s, i);
		tell_frame(TERN_TRACE_FRAME_DONE, &f, 1, i);
	}
	finish();
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(packet(i)->comment, wanted[i]);
}

static void a_retransmission_held_up_by_arp_keeps_its_comment(void **state)
{
	(void)state;
	char wanted[256];
	static const uint8_t arp[42] = {[12] = 8, [13] = 6};
	memcpy(frame, arp, sizeof arp);
	struct tern_frame f = {.data = frame, .len = sizeof arp};
	struct tern_trace t = {.kind = TERN_TRACE_RETRANSMIT, .nif = -1, .has_conn = true};
	now_in = TERN_TCP_ESTABLISHED;
	t.retransmit.reason = TERN_RTX_FAST;
	t.retransmit.seq = data.seq;
	tell(t, 1);
	tell_segment(TERN_TRACE_SEGMENT_OUT, data, 1);
	tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, 1);
	f = build(true, data, true, false);
	tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, 2);
	finish();
	assert_string_equal(packet(0)->comment, "");
	snprintf(wanted, sizeof wanted, "retransmission: %s; sent in ESTABLISHED: 101 bytes",
		tern_retransmit_text(TERN_RTX_FAST));
	assert_string_equal(packet(1)->comment, wanted);
}

static void an_unfinished_checksum_is_finished_in_the_copy_only(void **state)
{
	(void)state;
	uint8_t before[155];
	struct tern_frame f = build(true, data, true, true);
	assert_int_equal(f.len, sizeof before);
	memcpy(before, frame, sizeof before);
	tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, 1);
	assert_memory_equal(frame, before, sizeof before);
	finish();
	f = build(true, data, true, false);
	assert_memory_equal(packet(0)->data, f.data, f.len);
}

static void frames_of_64_kib_are_kept_whole(void **state)
{
	(void)state;
	struct tern_frame f = build(true, big, true, true);
	f.gso_size = 1460;
	for (unsigned i = 0; i < 10; i++)
		tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, i);
	finish();
	f = build(true, big, true, false);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(packet(i)->captured, f.len);
		assert_memory_equal(packet(i)->data, f.data, f.len);
	}
}

static void the_snap_length_cuts_packets_but_tells_their_size(void **state)
{
	(void)state;
	tern_pcapng_close(capture);
	begin(&(struct tern_pcapng_opts){.snaplen = 61, .no_comments = true});
	struct tern_frame f = build(true, data, true, true);
	tell_segment(TERN_TRACE_SEGMENT_OUT, data, 1);
	tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, 1);
	finish();
	assert_int_equal(blocks[1].snaplen, 61);
	assert_int_equal(packet(0)->captured, 61);
	assert_int_equal(packet(0)->original, f.len);
	assert_string_equal(packet(0)->comment, "");
	f = build(true, data, true, false);
	assert_memory_equal(packet(0)->data, f.data, 61);
}

static unsigned failures;

static void count_failure(void *context, const char *text)
{
	(void)context;
	assert_string_equal(text, strerror(EFBIG));
	failures++;
}

static void a_full_disk_is_told_once_and_leaves_whole_blocks(void **state)
{
	(void)state;
	struct rlimit old, small = {300000, 300000};
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	tern_pcapng_close(capture);
	begin(&(struct tern_pcapng_opts){.failed = count_failure});
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	failures = 0;
	struct tern_frame f = build(true, big, true, true);
	for (unsigned i = 0; i < 30; i++)
		tell_frame(TERN_TRACE_FRAME_OUT, &f, 1, i);
	int closed = tern_pcapng_close(capture);
	capture = NULL;
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, handler);
	assert_int_equal(closed, -1);
	assert_non_null(strstr(tern_host_error(), strerror(EFBIG)));
	assert_int_equal(failures, 1);
	read_back();
	assert_true(file_size > 0 && file_size <= 300000);
}

static void a_file_that_cannot_be_created_is_an_error_with_its_name(void **state)
{
	(void)state;
	assert_null(tern_pcapng_open("/nonexistent/a.pcapng", NULL));
	assert_non_null(strstr(tern_host_error(), "/nonexistent/a.pcapng"));
	assert_null(tern_pcapng_open("/dev/full", NULL));
	assert_non_null(strstr(tern_host_error(), strerror(ENOSPC)));
}

/* Runs tshark on the file; returns its output, or NULL where there is none. */
static char *tshark(const char *arguments)
{
	char command[512], *text = calloc(1, 65536);
	if (system("command -v tshark >/dev/null 2>&1") != 0) {
		free(text);
		return NULL;
	}
	snprintf(command, sizeof command,
		"timeout 60 tshark -r %s -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE %s "
		"2>/dev/null",
		path, arguments);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	size_t n = fread(text, 1, 65535, out);
	text[n] = '\0';
	assert_int_equal(pclose(out), 0);
	return text;
}

static void tshark_finds_no_fault_and_reads_the_comments(void **state)
{
	(void)state;
	tell_handshake();
	send_segment(big, true, 3000);
	struct tern_frame f = build(false, ack, false, false);
	tell_loopback(&f, 4000);
	finish();
	char *bad = tshark("-Y '_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == "
			   "0 || _ws.short'");
	if (!bad)
		skip();
	assert_string_equal(bad, "");
	free(bad);
	char *good = tshark("-T fields -e tcp.checksum.status -e frame.len -e frame.comment");
	assert_non_null(strstr(good, "1\t54\tin SYN_SENT: SYN-ACK acceptable -> ESTABLISHED"));
	assert_non_null(strstr(good, "1\t60054\tsent in ESTABLISHED: 60000 bytes"));
	free(good);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(interfaces_are_described_before_their_packets),
		TEST(packets_carry_time_direction_and_bytes),
		TEST(comments_say_what_the_state_machine_made_of_a_packet),
		TEST(a_drop_is_commented_with_its_reason),
		TEST(data_is_commented_with_its_place_in_the_stream),
		TEST(a_retransmission_held_up_by_arp_keeps_its_comment),
		TEST(an_unfinished_checksum_is_finished_in_the_copy_only),
		TEST(frames_of_64_kib_are_kept_whole),
		TEST(the_snap_length_cuts_packets_but_tells_their_size),
		TEST(a_full_disk_is_told_once_and_leaves_whole_blocks),
		TEST(a_file_that_cannot_be_created_is_an_error_with_its_name),
		TEST(tshark_finds_no_fault_and_reads_the_comments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
