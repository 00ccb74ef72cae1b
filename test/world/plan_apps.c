/* Draws the applications: their characters, and the connections they will open. */
#include <stdlib.h>

#include "test/world/world.h"

#define KIB 1024u

static uint32_t draw_volume(const struct world *w, struct rng *r)
{
	switch (w->theme) {
	case THEME_BULK:
		return (uint32_t)rng_spread(r, 64 * KIB, 2048 * KIB);
	case THEME_ZERO_WINDOW:
		return (uint32_t)rng_spread(r, 32 * KIB, 1024 * KIB);
	case THEME_MANY:
	case THEME_REUSE:
		return rng_percent(r, 20) ? 0 : (uint32_t)rng_spread(r, 1, 64 * KIB);
	case THEME_STORM:
	case THEME_CLOSE_RACES:
	case THEME_SIMULTANEOUS:
		return rng_percent(r, 30) ? 0 : (uint32_t)rng_spread(r, 1, 32 * KIB);
	case THEME_MIXED:
	case THEMES:
		break;
	}
	return rng_percent(r, 30) ? (uint32_t)rng_spread(r, 16 * KIB, 256 * KIB)
				  : (uint32_t)rng_spread(r, 1, 16 * KIB);
}

static void draw_pace(const struct world *w, struct rng *r, struct character *c)
{
	c->write_chunk = (uint32_t)rng_spread(r, rng_percent(r, 20) ? 1 : 512, BUFFER);
	c->read_chunk = (uint32_t)rng_spread(r, rng_percent(r, 10) ? 16 : 512, BUFFER);
	/* At most some hundred calls a direction, so that pauses stay bounded. */
	if (c->write_chunk < c->to_send / 256)
		c->write_chunk = c->to_send / 256;
	if (rng_percent(r, 20))
		c->write_gap = rng_spread(r, 10 * US, 100 * MS);
	if (rng_percent(r, 20)) {
		c->read_gap = rng_spread(r, 10 * US, 100 * MS);
		if (c->read_chunk < 512)
			c->read_chunk = 512;
	}
	if (rng_percent(r, w->theme == THEME_ZERO_WINDOW ? 70 : 5)) {
		c->stop_at = rng_percent(r, 30) ? 0 : (uint32_t)rng_spread(r, 1, 64 * KIB);
		c->stop_for = rng_spread(r, 10 * MS, 70 * SECOND);
	}
}

/* A moment that hits handshakes and closings about as often as transfers. */
static uint64_t draw_moment(struct rng *r)
{
	return rng_percent(r, 15) ? 0 : rng_spread(r, 10 * US, 3 * SECOND);
}

static void draw_ending(const struct world *w, struct rng *r, struct character *c)
{
	static const enum tern_tcp_state states[] = {TERN_TCP_SYN_SENT, TERN_TCP_SYN_RECEIVED,
		TERN_TCP_SYN_RECEIVED, TERN_TCP_ESTABLISHED, TERN_TCP_FIN_WAIT_1,
		TERN_TCP_FIN_WAIT_2, TERN_TCP_CLOSE_WAIT, TERN_TCP_CLOSING, TERN_TCP_CLOSING,
		TERN_TCP_TIME_WAIT};
	bool races = w->theme == THEME_CLOSE_RACES || w->theme == THEME_SIMULTANEOUS;
	uint64_t at = rng_below(r, 100);
	c->ending = at < 55   ? END_BOTH
		    : at < 75 ? END_AFTER_EOF
		    : at < 85 ? END_AFTER_WRITE
			      : END_SHUTDOWN;
	c->ends_after = rng_spread(r, MS, 20 * SECOND);
	c->ends_in = TERN_TCP_CLOSED;
	if (rng_percent(r, races ? 50 : 8)) {
		c->ending = (enum ending)rng_between(r, END_CLOSE, END_ABORT);
		c->ends_after = draw_moment(r);
		if (rng_percent(r, 40))
			c->ends_in = states[rng_below(r, sizeof states / sizeof states[0])];
	}
	if (rng_percent(r, 15))
		c->hold = rng_spread(r, MS, 70 * SECOND);
}

static void draw_options(struct rng *r, struct character *c)
{
	c->lends = rng_percent(r, 30);
	c->urgent = rng_percent(r, 3);
	c->early = rng_percent(r, 20);
	c->nodelay = rng_percent(r, 30);
	c->cork = rng_percent(r, 10);
	c->quickack = rng_percent(r, 15);
	if (rng_percent(r, 15))
		c->rcvbuf = (uint32_t)rng_spread(r, 4096, 256 * KIB);
	if (rng_percent(r, 15))
		c->sndbuf = (uint32_t)rng_spread(r, 4096, 256 * KIB);
	if (rng_percent(r, 8))
		c->maxseg = (uint32_t)rng_spread(r, 88, 1460);
}

void plan_character(struct world *w, struct rng *r, struct character *c)
{
	*c = (struct character){0};
	c->to_send = draw_volume(w, r);
	if (rng_percent(r, 25))
		c->to_send = 0;
	draw_pace(w, r, c);
	draw_ending(w, r, c);
	draw_options(r, c);
	c->patience = w->gentle ? 600 * SECOND : rng_spread(r, 60 * SECOND, 1500 * SECOND);
}

/* --- openings ----------------------------------------------------------------------------------
 */

static struct opening *new_opening(struct world *w, struct rng *r, uint64_t at)
{
	if (w->opening_count == OPENINGS_MAX)
		return &w->openings[OPENINGS_MAX - 1];
	struct opening *o = &w->openings[w->opening_count++];
	*o = (struct opening){.at = at};
	o->from = (uint8_t)rng_below(r, w->hosts);
	o->to = (uint8_t)((o->from + rng_between(r, 1, w->hosts - 1)) % w->hosts);
	o->remote_port = (uint16_t)(7000 + rng_below(r, w->host[o->to].listeners));
	plan_character(w, r, &o->like);
	return o;
}

static void plain(struct world *w, struct rng *r, uint64_t at)
{
	struct opening *o = new_opening(w, r, at);
	if (rng_percent(r, 4))
		o->remote_port = 9; /* nobody listens there */
	if (rng_percent(r, 4)) {
		o->to = o->from;
		o->remote_port = 7000;
		o->loopback_addr = rng_percent(r, 50);
	}
}

static void simultaneous(struct world *w, struct rng *r, uint64_t at, unsigned k)
{
	struct opening *a = new_opening(w, r, at), *b = new_opening(w, r, at);
	if (a == b)
		return;
	if (rng_percent(r, 30))
		b->at += rng_below(r, w->host[a->from].spec.delay + 1);
	b->from = a->to;
	b->to = a->from;
	a->local_port = b->remote_port = (uint16_t)(20000 + k);
	b->local_port = a->remote_port = (uint16_t)(30000 + k);
	a->simultaneous = b->simultaneous = true;
	if (rng_percent(r, 50)) {
		a->like.ending = rng_percent(r, 70) ? END_CLOSE : END_SHUTDOWN;
		a->like.ends_in = TERN_TCP_SYN_RECEIVED;
	}
}

static void reuse(struct world *w, struct rng *r, uint64_t at)
{
	struct opening *o = new_opening(w, r, at);
	o->from = 0;
	o->to = 1;
	o->remote_port = 7000;
	o->local_port = (uint16_t)(25000 + rng_below(r, 3));
}

static int by_time(const void *a, const void *b)
{
	const struct opening *x = a, *y = b;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void many(struct world *w, struct rng *r, unsigned n, uint64_t within)
{
	for (unsigned i = 0; i < n; i++)
		plain(w, r, w->start + rng_below(r, within + 1));
}

void plan_openings(struct world *w, struct rng *r)
{
	uint64_t within = rng_percent(r, 20) ? 0 : rng_spread(r, MS, 5 * SECOND);
	switch (w->theme) {
	case THEME_BULK:
	case THEME_ZERO_WINDOW:
		many(w, r, (unsigned)rng_spread(r, 1, 6), within);
		break;
	case THEME_MANY:
	case THEME_CLOSE_RACES:
		many(w, r, (unsigned)rng_between(r, 8, 40), within);
		break;
	case THEME_STORM:
		many(w, r, (unsigned)rng_between(r, 30, 120), within / 10);
		break;
	case THEME_SIMULTANEOUS:
		for (unsigned k = 0, n = (unsigned)rng_between(r, 4, 16); k < n; k++)
			simultaneous(w, r, w->start + rng_below(r, within + 1), k);
		break;
	case THEME_REUSE:
		for (unsigned k = 0, n = (unsigned)rng_between(r, 10, 30); k < n; k++)
			reuse(w, r, w->start + rng_below(r, 20 * within + 1));
		break;
	case THEME_MIXED:
	case THEMES:
		many(w, r, (unsigned)rng_between(r, 3, 15), within);
		simultaneous(w, r, w->start + rng_below(r, within + 1), 0);
		break;
	}
	qsort(w->openings, w->opening_count, sizeof w->openings[0], by_time);
}
