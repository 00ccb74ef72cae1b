/* Draws a world from its seed: what kind it is, its wires, and who connects to whom, and when. */
#include <string.h>

#include "test/world/world.h"

#define KIB 1024u

static enum theme draw_theme(struct rng *r)
{
	static const uint8_t weight[THEMES] = {
		[THEME_BULK] = 22,
		[THEME_MANY] = 18,
		[THEME_STORM] = 8,
		[THEME_CLOSE_RACES] = 18,
		[THEME_SIMULTANEOUS] = 10,
		[THEME_ZERO_WINDOW] = 8,
		[THEME_REUSE] = 4,
		[THEME_MIXED] = 12,
	};
	uint64_t at = rng_below(r, 100);
	for (unsigned t = 0; t < THEMES; t++) {
		if (at < weight[t])
			return (enum theme)t;
		at -= weight[t];
	}
	return THEME_MIXED;
}

/* --- time: clocks, timestamps and ticks of 2^16 ns all wrap somewhere ------------------------- */

static uint64_t draw_start(struct rng *r)
{
	static const uint64_t units[] = {1, US, 4 * US, MS, 65536, SECOND / 1000 * 10};
	if (rng_percent(r, 20))
		return 0;
	if (rng_percent(r, 40))
		return rng_below(r, UINT64_C(1) << 52);
	uint64_t unit = units[rng_below(r, sizeof units / sizeof units[0])];
	uint64_t wrap = UINT64_C(1) << (rng_percent(r, 50) ? 31 : 32);
	uint64_t at = wrap * unit, early = rng_spread(r, 1, 20 * SECOND);
	return at > early ? at - early : 0;
}

/* --- wires --------------------------------------------------------------------------- */

static double some(struct rng *r, unsigned percent, double most)
{
	return rng_percent(r, percent) ? rng_unit(r) * most : 0;
}

static void draw_wire(struct world *w, struct rng *r, struct tern_impair_spec *s, uint32_t mtu)
{
	*s = (struct tern_impair_spec){0};
	if (rng_percent(r, 12))
		return; /* a wire that does nothing: large frames pass whole */
	s->loss = some(r, 50, w->gentle ? 0.01 : rng_percent(r, 15) ? 0.25 : 0.05);
	s->duplicate = some(r, 25, 0.05);
	s->mark = some(r, 25, 0.2);
	s->corrupt = w->clean ? 0 : some(r, 60, 0.02);
	s->reorder = some(r, 30, 0.2);
	if (!w->gentle && rng_percent(r, 15)) {
		s->burst_enter = rng_unit(r) * 0.02;
		s->burst_leave = 0.1 + rng_unit(r) * 0.5;
		s->burst_loss = 0.2 + rng_unit(r) * 0.8;
	}
	if (rng_percent(r, 80))
		s->delay = rng_spread(r, 10 * US, 200 * MS);
	if (rng_percent(r, 30))
		s->jitter = rng_spread(r, US, s->delay / 2 + 2 * US);
	if (s->reorder > 0 && rng_percent(r, 50))
		s->reorder_gap = rng_spread(r, 10 * US, 50 * MS);
	/* A queue must not hold a segment for anything near the MSL: 20 ms a frame, 400 ms in all.
	 */
	if (rng_percent(r, 50)) {
		s->rate = rng_spread(r, (uint64_t)mtu * 400, UINT64_C(10000000000));
		uint64_t slots = s->rate * 400 / 1000 / 8 / mtu;
		s->queue = (uint32_t)rng_spread(r, 4, slots < 4 ? 4 : slots > 1000 ? 1000 : slots);
	}
}

static void draw_host(struct world *w, struct rng *r, struct host *h)
{
	static const uint32_t mtus[] = {576, 1280, 1500, 1500, 1500, 1500, 9000, 65535};
	h->opts.mtu = mtus[rng_below(r, 8)];
	if (rng_percent(r, 10))
		h->opts.mtu = (uint32_t)rng_spread(r, 576, 65535);
	h->opts.raw_ip = w->raw_ip;
	if (rng_percent(r, 50))
		h->opts.offload |= TERN_OFFLOAD_TX_CSUM;
	if (rng_percent(r, 30))
		h->opts.offload |= TERN_OFFLOAD_TX_CSUM | TERN_OFFLOAD_TSO;
	draw_wire(w, r, &h->spec, h->opts.mtu);
	h->inbox.batch = (unsigned)rng_spread(r, 1, FRAMES_MAX);
	if (rng_percent(r, 25)) {
		h->pull_max = (unsigned)rng_spread(r, 1, 16);
		h->pull_gap = rng_spread(r, US, MS);
	}
	h->cut_from = h->refuse_from = TERN_NEVER;
	if (w->gentle)
		return;
	if (rng_percent(r, 20)) {
		h->cut_from = w->start + rng_spread(r, MS, 20 * SECOND);
		h->cut_to = rng_percent(r, 25) ? TERN_NEVER
					       : h->cut_from + rng_spread(r, 10 * MS, 200 * SECOND);
	}
	if (rng_percent(r, 12)) {
		h->refuse_from = w->start + rng_spread(r, US, 10 * SECOND);
		h->refuse_to = h->refuse_from + rng_spread(r, MS, 30 * SECOND);
		h->refuse_one_in = (uint32_t)rng_spread(r, 1, 64);
	}
}

static void draw_listeners(struct world *w, struct rng *r, struct host *h)
{
	h->listeners = (unsigned)rng_between(r, 1, LISTENERS_MAX);
	for (unsigned i = 0; i < h->listeners; i++) {
		struct listening *l = &h->listening[i];
		l->port = (uint16_t)(7000 + i);
		l->backlog = rng_percent(r, 60) ? 128 : (unsigned)rng_below(r, 16);
		if (w->theme == THEME_STORM)
			l->backlog = (unsigned)rng_below(r, 10);
		l->close_at = l->accept_at = TERN_NEVER;
		if (i > 0 && rng_percent(r, 30))
			l->close_at = w->start + rng_spread(r, MS, 10 * SECOND);
		if (rng_percent(r, w->theme == THEME_STORM ? 50 : 10))
			l->accept_gap = rng_spread(r, 10 * US, 2 * SECOND);
	}
}

void plan_world(struct world *w)
{
	struct rng r = {rng_mix(w->seed)};
	w->theme = draw_theme(&r);
	w->gentle = rng_percent(&r, 45);
	w->clean = w->gentle || rng_percent(&r, 50);
	w->raw_ip = rng_percent(&r, 60);
	w->finishes_csum = rng_percent(&r, 50);
	w->hosts = rng_percent(&r, 70) ? 2 : (unsigned)rng_between(&r, 3, HOSTS_MAX);
	w->start = w->now = draw_start(&r);
	w->rng.state = rng_draw(&r);
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		h->world = w;
		h->index = i;
		h->addr = tern_addr_v4(10, 9, 0, (uint8_t)(i + 1));
		draw_host(w, &r, h);
		draw_listeners(w, &r, h);
	}
	plan_openings(w, &r);
}
