#include "tools/script/packet.h"

/* tern's stamp by the name the script gave it when it was seen, else by distance from the first. */
static uint32_t stamp_to_live(const struct script_flow *flow, uint32_t stamp)
{
	for (unsigned k = flow->stamps; k > 0 && k + STAMPS_MAX > flow->stamps; k--)
		if (flow->stamp[(k - 1) % STAMPS_MAX].script == stamp)
			return flow->stamp[(k - 1) % STAMPS_MAX].live;
	return stamp + flow->stamp_base;
}

static void options_to_live(const struct script_flow *flow, struct script_packet *p)
{
	for (unsigned k = 0; k < p->options; k++) {
		struct script_option *option = &p->option[k];
		for (unsigned b = 0; b < option->blocks; b++) {
			option->sack[b].lo += flow->local_isn;
			option->sack[b].hi += flow->local_isn;
		}
		if (option->kind == OPTION_TIMESTAMP && p->flags & FLAG_ACK)
			option->ecr = stamp_to_live(flow, option->ecr);
	}
}

static uint32_t mss_of(const struct script_packet *p)
{
	for (unsigned k = 0; k < p->options; k++)
		if (p->option[k].kind == OPTION_MSS)
			return p->option[k].value;
	return 0;
}

/* As in packetdrill, a SYN's own numbers are absolute and all others count from it. */
void tern_script_to_live(struct script_flow *flow, struct script_packet *p)
{
	p->local_port = flow->local_port;
	p->remote_port = flow->remote_port;
	p->quote_seq += flow->local_isn;
	if (p->protocol != PROTOCOL_TCP)
		return;
	options_to_live(flow, p);
	if (p->flags & FLAG_SYN) {
		flow->renumbers |= p->seq != flow->syn_isn || !flow->has_local || flow->reset;
		flow->reset = false;
		flow->syn_isn = p->seq;
		flow->mss = mss_of(p);
		if (!flow->has_remote)
			flow->remote_isn = p->seq;
		flow->has_remote = true;
		if (p->has_ack)
			p->ack += flow->local_isn - flow->named_isn;
		return;
	}
	flow->reset |= p->flags & FLAG_RST;
	p->seq += flow->remote_isn;
	if (p->has_ack)
		p->ack += flow->local_isn;
}

static const struct script_option *find_stamp(const struct script_packet *p)
{
	for (unsigned k = 0; k < p->options; k++)
		if (p->option[k].kind == OPTION_TIMESTAMP)
			return &p->option[k];
	return NULL;
}

static void learn_stamp(struct script_flow *flow, const struct script_packet *live,
	const struct script_packet *expected)
{
	const struct script_option *seen = find_stamp(live), *named = find_stamp(expected);
	if (!seen || !named || named->any_value)
		return;
	if (!flow->has_stamp)
		flow->stamp_base = seen->value - named->value;
	flow->has_stamp = true;
	unsigned slot = flow->stamps++ % STAMPS_MAX;
	flow->stamp[slot].script = named->value;
	flow->stamp[slot].live = seen->value;
}

void tern_script_learn(struct script_flow *flow, const struct script_packet *live,
	const struct script_packet *expected)
{
	if (live->protocol != PROTOCOL_TCP)
		return;
	if (live->flags & FLAG_SYN && flow->renumbers) {
		flow->local_isn = live->seq;
		flow->named_isn = expected && expected->flags & FLAG_SYN ? expected->seq : 0;
		flow->has_local = true;
		flow->renumbers = false;
		flow->has_stamp = false;
		if (live->has_ack && live->ack == flow->syn_isn + 1)
			flow->remote_isn = flow->syn_isn;
	}
	if (expected)
		learn_stamp(flow, live, expected);
}

static void options_to_script(const struct script_flow *flow, struct script_packet *p)
{
	for (unsigned k = 0; k < p->options; k++) {
		struct script_option *option = &p->option[k];
		for (unsigned b = 0; b < option->blocks; b++) {
			option->sack[b].lo -= flow->remote_isn;
			option->sack[b].hi -= flow->remote_isn;
		}
		if (option->kind == OPTION_TIMESTAMP && flow->has_stamp)
			option->value -= flow->stamp_base;
	}
}

void tern_script_to_script(const struct script_flow *flow, struct script_packet *p)
{
	if (p->protocol != PROTOCOL_TCP)
		return;
	options_to_script(flow, p);
	p->seq -= flow->local_isn;
	if (p->flags & FLAG_SYN)
		p->seq += flow->named_isn;
	else if (p->has_ack)
		p->ack -= flow->remote_isn;
}
