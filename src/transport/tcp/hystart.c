/*
 * HyStart++ (RFC 9406): when the RTTs of a round of the first slow start are longer than those of
 * the round before, a queue is building up. Then growth is a quarter as fast (CSS) for a few
 * rounds; if RTTs shrink again it was noise, else slow start is over, before anything is lost.
 */
#include "transport/tcp/cc.h"

#define MIN_RTT_THRESH     4000u  /* us */
#define MAX_RTT_THRESH     16000u /* us */
#define MIN_RTT_DIVISOR    8
#define N_RTT_SAMPLE       8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS         5

static void begin_round(const struct tcb *tcb, struct hystart *h)
{
	h->begun = true;
	h->round_end = tcb->snd.nxt;
	h->last_min = h->round_min;
	h->round_min = 0;
	h->samples = 0;
}

static void sample(struct hystart *h, const struct ack_info *ack)
{
	uint32_t us = ack->rtt ? (uint32_t)(ack->rtt / 1000) : ack->echo_rtt;
	if (us == 0)
		return;
	if (h->round_min == 0 || us < h->round_min)
		h->round_min = us;
	if (h->samples < UINT8_MAX)
		h->samples++;
}

/* RFC 9406 4.2: enough samples, and even the best of them is late. */
static bool delay_grows(const struct hystart *h)
{
	uint32_t thresh = h->last_min / MIN_RTT_DIVISOR;
	if (h->samples < N_RTT_SAMPLE || h->last_min == 0)
		return false;
	if (thresh < MIN_RTT_THRESH)
		thresh = MIN_RTT_THRESH;
	return h->round_min >= h->last_min + at_most(thresh, MAX_RTT_THRESH);
}

uint32_t tern_hystart_divisor(const struct hystart *h)
{
	return h->baseline ? CSS_GROWTH_DIVISOR : 1;
}

uint32_t tern_hystart_acked(struct tcb *tcb, struct hystart *h, const struct ack_info *ack)
{
	bool round_over = h->begun && seq_geq(tcb->snd.una, h->round_end);
	sample(h, ack);
	if (h->baseline && h->samples >= N_RTT_SAMPLE && h->round_min < h->baseline)
		h->baseline = 0; /* it was not congestion: slow start goes on */
	if (!h->baseline && delay_grows(h)) {
		h->baseline = h->round_min;
		h->css_rounds = 0;
	}
	if (round_over && h->baseline && ++h->css_rounds == CSS_ROUNDS)
		tcb->ssthresh = tcb->cwnd;
	if (round_over || !h->begun)
		begin_round(tcb, h);
	return tern_hystart_divisor(h);
}
