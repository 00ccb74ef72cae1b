/* HyStart++ (RFC 9406): the phases of the first slow start, round by round. */
#include "../support.h"
#include "transport/tcp/tcp.h"

#define MSS 1000u

struct flow {
	struct tcb tcb;
	struct tcb_side side;
};

static void begin(struct flow *f)
{
	memset(f, 0, sizeof *f);
	f->tcb.side = &f->side;
	f->tcb.mss = MSS;
	f->tcb.cwnd = 10 * MSS;
	f->tcb.ssthresh = UINT32_MAX;
	f->tcb.snd.una = seq(UINT32_MAX - 5000); /* numbers wrap on the way */
	f->tcb.snd.nxt = seq_add(f->tcb.snd.una, 10 * MSS);
	f->side.use.limited = true;
}

static void ack(struct flow *f, uint32_t rtt_ms)
{
	f->tcb.snd.una = seq_add(f->tcb.snd.una, MSS);
	struct ack_info info = {.acked = MSS,
		.flight = f->tcb.cwnd,
		.echo_rtt = rtt_ms ? rtt_ms * 1000 + 500 : 0,
		.now = 1};
	tern_cc_cubic.acked(&f->tcb, &info);
	/* What the window now lets out is sent. */
	f->tcb.snd.nxt = seq_add(f->tcb.snd.una, f->tcb.cwnd);
}

/* What one round does. */
struct round {
	uint32_t acks, grown; /* segments */
};

/* One round, as it is counted: up to the ACK of what had been sent when it began. */
static struct round turn(struct flow *f, uint32_t rtt_ms)
{
	const struct hystart *h = &f->side.cc.cubic.hystart;
	tern_seq end = h->begun ? h->round_end : f->tcb.snd.nxt;
	struct round r = {0, f->tcb.cwnd};
	for (; seq_lt(f->tcb.snd.una, end); r.acks++)
		ack(f, rtt_ms);
	r.grown = (f->tcb.cwnd - r.grown) / MSS;
	return r;
}

static bool slow_start(const struct flow *f)
{
	return f->tcb.ssthresh == UINT32_MAX;
}

static void in_full(struct flow *f, uint32_t rtt_ms)
{
	struct round r = turn(f, rtt_ms);
	assert_int_equal(r.grown, r.acks);
	assert_true(slow_start(f));
}

static void a_steady_path_lets_it_double(void **state)
{
	(void)state;
	struct flow f;
	begin(&f);
	for (unsigned i = 0; i < 10; i++)
		in_full(&f, 100);
	assert_true(f.tcb.cwnd > 7000 * MSS);
}

/* RFC 9406 4.2: RttThresh is an eighth of the last round's, within 4 and 16 ms. */
static void longer_trips_slow_it_down_and_end_it(void **state)
{
	(void)state;
	static const struct {
		uint32_t rtt, bears, minds;
	} paths[] = {{10, 13, 14}, {80, 90, 91}, {400, 415, 416}};
	for (unsigned i = 0; i < 3; i++) {
		struct flow f;
		begin(&f);
		in_full(&f, paths[i].rtt);
		in_full(&f, paths[i].rtt);
		in_full(&f, paths[i].bears);
		begin(&f);
		in_full(&f, paths[i].rtt);
		in_full(&f, paths[i].rtt);
		/* Seven more tell nothing yet; with the eighth CSS begins: a quarter. */
		struct round r = turn(&f, paths[i].minds);
		assert_int_equal(r.grown, 7 + (r.acks - 7) / 4);
		/* CSS_ROUNDS of them, the one it began in counted, and slow start is over. */
		for (unsigned k = 1; k < 5; k++) {
			assert_true(slow_start(&f));
			r = turn(&f, paths[i].minds);
			assert_in_range(r.grown, r.acks / 4 - 1, r.acks / 4 + 1);
		}
		assert_false(slow_start(&f));
		assert_int_equal(f.tcb.ssthresh, f.tcb.cwnd);
	}
}

static void what_was_only_noise_is_forgotten(void **state)
{
	(void)state;
	struct flow f;
	begin(&f);
	in_full(&f, 50);
	in_full(&f, 50);
	turn(&f, 60);
	/* Eight samples at a quarter, then in full. */
	struct round r = turn(&f, 50);
	assert_int_equal(r.grown, 7 / 4 + r.acks - 7);
	in_full(&f, 50);
}

static void few_samples_say_nothing(void **state)
{
	(void)state;
	struct flow f;
	begin(&f);
	for (unsigned i = 0; i < 8; i++) /* without any it is plain slow start */
		in_full(&f, 0);
	begin(&f);
	f.tcb.cwnd = 2 * MSS;
	f.tcb.snd.nxt = seq_add(f.tcb.snd.una, 2 * MSS);
	in_full(&f, 50);
	in_full(&f, 70);
	in_full(&f, 90);
	in_full(&f, 90);
}

/* RFC 9406 4.3: after a loss it is known where slow start ends. */
static void it_is_for_the_first_slow_start(void **state)
{
	(void)state;
	struct flow f;
	begin(&f);
	f.tcb.ssthresh = 1000 * MSS;
	for (unsigned i = 0; f.tcb.cwnd < f.tcb.ssthresh; i++) {
		struct round r = turn(&f, 50 + 20 * i);
		assert_true(r.grown == r.acks || f.tcb.cwnd >= f.tcb.ssthresh);
	}
	assert_int_equal(f.tcb.ssthresh, 1000 * MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_path_lets_it_double),
		cmocka_unit_test(longer_trips_slow_it_down_and_end_it),
		cmocka_unit_test(what_was_only_noise_is_forgotten),
		cmocka_unit_test(few_samples_say_nothing),
		cmocka_unit_test(it_is_for_the_first_slow_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
