#include "host/ladder_rows.h"

#include <stdlib.h>

/* Departures are looked for this far back when they arrive. */
#define IN_FLIGHT_ROWS 256

static bool notable(const struct row *row)
{
	return row->kind != ROW_SEGMENT || row->step != STEP_NONE || row->moved || row->stray ||
	       row->segment.flags & (SYN | FIN | RST);
}

static struct row *add(struct ladder_conn *c, const struct row *row)
{
	if (c->count == c->limit) {
		c->lost_rows++;
		return NULL;
	}
	if (c->count == c->capacity) {
		uint32_t capacity = c->capacity ? c->capacity * 2 : 32;
		struct row *rows = realloc(c->rows, capacity * sizeof *rows);
		if (!rows) {
			c->lost_rows++;
			return NULL;
		}
		c->rows = rows;
		c->capacity = capacity;
	}
	c->rows[c->count] = *row;
	return &c->rows[c->count++];
}

static void widen(struct fold *f, unsigned side, uint32_t window)
{
	if (!f->window_known[side] || window < f->window[side][0])
		f->window[side][0] = window;
	if (!f->window_known[side] || window > f->window[side][1])
		f->window[side][1] = window;
	f->window_known[side] = true;
}

static void absorb(struct fold *f, const struct row *row)
{
	uint64_t at = row->at[row->from] != TERN_NEVER ? row->at[row->from] : row->at[!row->from];
	if (f->from == TERN_NEVER) {
		f->from = at;
		f->first = row->from;
	}
	f->to = at;
	f->segments[row->from]++;
	f->bytes[row->from] += row->fresh;
	widen(f, row->from, row->segment.window);
	if (row->resent)
		f->resent[row->reason]++;
	else if (row->again && !row->probe)
		f->again[row->from]++;
	if (row->dropped) {
		f->dropped++;
		f->drop = row->drop;
	}
}

/* Replaces the rows of the exchange from number keep on by their fold. */
static void fold_up(struct ladder_conn *c, uint32_t keep)
{
	struct row row = {.kind = ROW_FOLD, .at = {TERN_NEVER, TERN_NEVER}};
	row.fold.from = TERN_NEVER;
	for (uint32_t i = keep; i < c->count; i++) {
		absorb(&row.fold, &c->rows[i]);
		for (unsigned s = 0; s < 2; s++) {
			row.known[s] = c->rows[i].known[s];
			row.state[s] = c->rows[i].state[s];
		}
	}
	c->count = keep;
	c->rows[c->count++] = row;
	c->folding = true;
}

void tern_ladder_append(struct ladder_conn *c, const struct row *row)
{
	if (notable(row)) {
		add(c, row);
		c->phase = c->count;
		c->phase_length = 0;
		c->folding = false;
		return;
	}
	if (c->folding) {
		absorb(&c->rows[c->count - 1].fold, row);
		return;
	}
	/* What is notable later must find room: the last rows are kept for it. */
	bool full = c->count + 16 >= c->limit;
	if (!add(c, row))
		return;
	c->phase_length++;
	if (c->phase_length > c->fold_over)
		fold_up(c, c->phase + c->fold_over / 2);
	else if (full)
		fold_up(c, c->count - 1);
}

static bool same_segment(const struct tern_segment *a, const struct tern_segment *b)
{
	return a->seq == b->seq && a->len == b->len && a->flags == b->flags && a->ack == b->ack &&
	       a->timestamps == b->timestamps && a->tsval == b->tsval;
}

static struct row *departure(struct ladder_conn *c, const struct row *arrived)
{
	for (uint32_t back = 1; back <= c->count && back <= IN_FLIGHT_ROWS; back++) {
		struct row *row = &c->rows[c->count - back];
		if (row->kind == ROW_SEGMENT && row->from == arrived->from && !row->stray &&
			row->at[!row->from] == TERN_NEVER &&
			same_segment(&row->segment, &arrived->segment))
			return row;
	}
	return NULL;
}

void tern_ladder_arrive(struct ladder_conn *c, const struct row *arrived)
{
	unsigned to = !arrived->from;
	struct row *row = departure(c, arrived);
	if (row) {
		row->at[to] = arrived->at[to];
		row->known[to] = arrived->known[to];
		row->state[to] = arrived->state[to];
		row->dropped = arrived->dropped;
		row->drop = arrived->drop;
		if (row->step == STEP_ACK && row->dropped)
			c->established = false;
		if (arrived->moved) {
			row->moved = true;
			row->cause = arrived->cause;
		}
		return;
	}
	if (c->folding && arrived->dropped) {
		c->rows[c->count - 1].fold.dropped++;
		c->rows[c->count - 1].fold.drop = arrived->drop;
	}
	c->split |= arrived->segment.len > 0;
	if (!arrived->moved && !(arrived->segment.flags & (SYN | FIN | RST)))
		return;
	struct row stray = *arrived;
	stray.stray = true;
	tern_ladder_append(c, &stray);
}
