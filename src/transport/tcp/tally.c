/* What a connection has done, for TCP_INFO: counted where it happens, in the side block. */
#include "transport/tcp/tcp.h"

void tern_tally_heard(struct tcb *tcb, const struct ip_in *in, uint32_t text)
{
	struct tally *t = &tcb->side->tally;
	uint32_t n = in->gso_size ? segments_of(text, in->gso_size) : 1;
	t->segments_in += n;
	if (text)
		t->text_segments_in += n;
}

void tern_tally_sent(struct tcb *tcb, const struct plan *plan, uint32_t mss)
{
	struct tally *t = &tcb->side->tally;
	uint32_t n = segments_of(plan->len, mss);
	t->segments_out += n;
	if (plan->len)
		t->text_segments_out += n;
	t->sent += plan->len;
	if (!plan->retransmit)
		return;
	t->resent += plan->len;
	t->resent_segments += n;
	if (plan->len)
		t->resent_text_segments += n;
}

static uint64_t in_this(const struct tcp *tcp, const struct tally *t)
{
	return tcp->core->now - t->since;
}

void tern_tally_turn(const struct tcp *tcp, struct tcb *tcb, enum standing to)
{
	struct tally *t = &tcb->side->tally;
	if (t->standing == to)
		return;
	t->spent[t->standing] += in_this(tcp, t);
	t->since = tcp->core->now;
	t->standing = (uint8_t)to;
}

static uint64_t spent_us(const struct tcp *tcp, const struct tally *t, enum standing in)
{
	return (t->spent[in] + (t->standing == in ? in_this(tcp, t) : 0)) / 1000;
}

void tern_tally_describe(const struct tcp *tcp, const struct tcb *tcb, struct tern_tcp_info *out)
{
	const struct tally *t = &tcb->side->tally;
	out->bytes_acked = t->acked;
	out->bytes_received = t->received;
	out->bytes_sent = t->sent;
	out->bytes_resent = t->resent;
	out->segments_in = t->segments_in;
	out->segments_out = t->segments_out;
	out->text_segments_in = t->text_segments_in;
	out->text_segments_out = t->text_segments_out;
	out->beyond_holes = t->beyond_holes;
	out->marked = t->marked;
	out->duplicates = t->duplicates;
	out->retransmits = t->resent_segments;
	out->text_segments_resent = t->resent_text_segments;
	out->window_limited_us = spent_us(tcp, t, STANDING_WINDOW);
	out->buffer_limited_us = spent_us(tcp, t, STANDING_BUFFER);
	out->busy_us =
		spent_us(tcp, t, STANDING_BUSY) + out->window_limited_us + out->buffer_limited_us;
	out->delivery_rate = t->rate.bytes_per_s;
	out->app_limited = t->rate.app_limited || t->rate.bytes_per_s == 0;
	out->sent_age = t->sent_at ? tcp->core->now - t->sent_at : TERN_NEVER;
	out->text_age = t->text_at ? tcp->core->now - t->text_at : TERN_NEVER;
}
