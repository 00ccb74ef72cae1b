/*
 * The hub and the hosts' devices. Every host has one wire, towards the hub, which sends each frame
 * on to whom it is for without delay: by IP address where frames are bare, by MAC address where
 * they are Ethernet.
 */
#include <stdlib.h>
#include <string.h>

#include "test/world/world.h"

#define ETHERNET_LEN 14
#define ROUNDS_MAX   10000 /* frames a stack may have ready at one instant, in batches */

static bool cut(const struct host *h, uint64_t now)
{
	return now >= h->cut_from && now < h->cut_to;
}

static void flush(struct world *w, struct host *h)
{
	if (h->inbox.count == 0)
		return;
	unsigned n = h->inbox.count;
	h->inbox.count = 0;
	tern_input(h->stack, h->nif, h->inbox.frames, n, w->now);
}

/* What was promised in SYNs and settings: no frame larger than the receiver can take. */
static void check_size(struct world *w, const struct host *to, const struct tern_frame *f)
{
	uint32_t link = w->raw_ip ? 0 : ETHERNET_LEN;
	uint32_t len = f->gso_size ? f->gso_size + (uint32_t)f->header_len : f->len;
	if (len > link + to->opts.mtu)
		world_fail(w, "host %u was sent a frame of %u bytes, but its MTU is %u", to->index,
			len, to->opts.mtu);
}

static void receive(struct world *w, struct host *h, const struct tern_frame *f)
{
	struct inbox *in = &h->inbox;
	unsigned k = in->count;
	if (cut(h, w->now))
		return;
	if (in->room[k] < f->len) {
		free(in->data[k]);
		in->data[k] = malloc(f->len);
		in->room[k] = f->len;
	}
	memcpy(in->data[k], f->data, f->len);
	in->frames[k] = *f;
	in->frames[k].data = in->data[k];
	in->frames[k].capacity = 0;
	in->count++;
	if (in->count == in->batch)
		flush(w, h);
}

static bool is_for(const struct world *w, const struct host *h, const struct tern_frame *f)
{
	if (w->raw_ip)
		return f->len >= 20 && memcmp(f->data + 16, h->addr.byte + 12, 4) == 0;
	return f->len >= ETHERNET_LEN && memcmp(f->data, h->opts.mac, 6) == 0;
}

/* Like a switch: one host if it knows which, otherwise (Ethernet) everybody else. */
static void forward(struct world *w, struct host *from, struct tern_frame *f)
{
	if (cut(from, w->now))
		return;
	if (f->csum_start && w->finishes_csum)
		tern_frame_finish_csum(f);
	else if (f->csum_start)
		f->csum_valid = true;
	for (unsigned i = 0; i < w->hosts; i++)
		if (i != from->index && is_for(w, &w->host[i], f)) {
			check_size(w, &w->host[i], f);
			receive(w, &w->host[i], f);
			return;
		}
	for (unsigned i = 0; !w->raw_ip && i < w->hosts; i++)
		if (i != from->index)
			receive(w, &w->host[i], f);
}

void net_deliver(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		for (struct tern_frame f; tern_wire_pop(w->host[i].wire, &f, w->now);)
			forward(w, &w->host[i], &f);
	for (unsigned i = 0; i < w->hosts; i++)
		flush(w, &w->host[i]);
}

static void hash_frame(struct world *w, const struct host *h, const struct tern_frame *f)
{
	uint64_t hash = w->result.hash ^ rng_mix(w->now + h->index);
	uint32_t at = 0;
	for (; at + 8 <= f->len; at += 8) {
		uint64_t word;
		memcpy(&word, f->data + at, 8);
		hash = (hash ^ word) * 0x9ddfea08eb382d69;
		hash ^= hash >> 29;
	}
	for (; at < f->len; at++)
		hash = (hash ^ f->data[at]) * 0x9ddfea08eb382d69;
	w->result.hash = rng_mix(hash + f->len);
}

/* What a device may expect of a frame it is given. */
static void check_frame(struct world *w, const struct host *h, const struct tern_frame *f)
{
	uint32_t link = w->raw_ip ? 0 : ETHERNET_LEN;
	uint32_t len = f->gso_size ? f->gso_size + (uint32_t)f->header_len : f->len;
	if (f->len == 0 || f->len > f->capacity)
		world_fail(w, "host %u made a frame of %u bytes", h->index, f->len);
	if (len > link + h->opts.mtu)
		world_fail(w, "host %u made a frame of %u bytes with an MTU of %u", h->index, len,
			h->opts.mtu);
	if (f->gso_size && !(h->opts.offload & TERN_OFFLOAD_TSO))
		world_fail(w, "host %u made a large frame for a device that cannot cut it",
			h->index);
	if (f->csum_start && !(h->opts.offload & TERN_OFFLOAD_TX_CSUM))
		world_fail(w, "host %u left a checksum to a device that cannot finish it",
			h->index);
}

static unsigned pull(struct world *w, struct host *h, unsigned max)
{
	for (unsigned i = 0; i < max; i++)
		h->out[i] = (struct tern_frame){.data = h->out_data + i * h->room,
			.capacity = (uint32_t)h->room};
	unsigned n = tern_output(h->stack, h->nif, h->out, max, w->now);
	for (unsigned i = 0; i < n && !w->result.failed; i++) {
		check_frame(w, h, &h->out[i]);
		hash_frame(w, h, &h->out[i]);
		w->result.frames++;
		tern_wire_push(h->wire, &h->out[i], w->now);
	}
	return n;
}

static void collect(struct world *w, struct host *h)
{
	unsigned left = h->pull_max ? h->pull_max : FRAMES_MAX * ROUNDS_MAX;
	while (left && !w->result.failed) {
		unsigned max = left < FRAMES_MAX ? left : FRAMES_MAX;
		unsigned n = pull(w, h, max);
		left -= n;
		if (n < max)
			return;
	}
	if (h->pull_max)
		h->busy_until = w->now + h->pull_gap;
	else
		world_fail(w, "host %u never stops sending", h->index);
}

void net_collect(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].busy_until <= w->now)
			collect(w, &w->host[i]);
}

/* When a stack or a wire must be attended to. */
uint64_t net_deadline(const struct world *w)
{
	uint64_t soonest = TERN_NEVER;
	for (unsigned i = 0; i < w->hosts; i++) {
		const struct host *h = &w->host[i];
		uint64_t at = tern_deadline(h->stack), arrival = tern_wire_deadline(h->wire);
		if (at < h->busy_until)
			at = h->busy_until;
		if (at < soonest)
			soonest = at;
		if (arrival < soonest)
			soonest = arrival;
	}
	return soonest;
}

bool net_idle(const struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (tern_wire_in_flight(w->host[i].wire))
			return false;
	return true;
}
