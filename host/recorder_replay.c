/* Looking back: the records of one connection, in order, become events again. */
#include <stdlib.h>
#include <unistd.h>

#include "host/recorder.h"

struct found {
	const struct record **record;
	size_t count, room;
};

static bool about(const struct record *record, const struct tern_endpoint between[2])
{
	const struct tern_trace_conn *c = &record->conn;
	return (same_ends(&c->local, &between[0]) && same_ends(&c->remote, &between[1])) ||
	       (same_ends(&c->local, &between[1]) && same_ends(&c->remote, &between[0]));
}

static bool add(struct found *found, const struct record *record)
{
	if (found->count == found->room) {
		size_t room = found->room ? 2 * found->room : 256;
		const struct record **more = realloc((void *)found->record, room * sizeof *more);
		if (!more)
			return false;
		found->record = more;
		found->room = room;
	}
	found->record[found->count++] = record;
	return true;
}

static bool follow(const struct tern_recorder *r, const struct tern_endpoint between[2],
	struct found *found)
{
	const struct bucket *bucket = bucket_of(r, &between[0], &between[1]);
	for (unsigned lane = 0; lane < LANES; lane++) {
		const struct ring *ring = &r->ring[lane];
		const struct record *record;
		for (uint64_t at = bucket->newest[lane]; at && at >= ring->tail;
			at = record->before) {
			record = record_at(ring, at);
			if (about(record, between) && !add(found, record))
				return false;
		}
	}
	return true;
}

static int by_order(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;
	return (*x)->order < (*y)->order ? -1 : (*x)->order > (*y)->order;
}

/* Tells a frame: its own kind's place among the events is the caller's to know. */
static void tell_frame(const struct record *record, struct tern_trace t, enum tern_trace_kind kind,
	struct tern_trace_listener to)
{
	struct kept_frame *kept = frame_of(record, &t);
	struct tern_frame frame = {.data = (uint8_t *)(kept + 1),
		.len = kept->len,
		.capacity = kept->captured,
		.csum_start = kept->csum_start,
		.csum_offset = kept->csum_offset,
		.gso_size = kept->gso_size,
		.header_len = kept->header_len};
	t.kind = kind;
	t.has_conn = false;
	t.frame = &frame;
	t.captured = kept->captured < kept->len ? kept->captured : 0;
	to.see(to.context, &t);
}

static void tell(const struct record *record, struct tern_trace_listener to)
{
	struct tern_trace t = {.kind = (enum tern_trace_kind)record->kind,
		.now = record->now,
		.nif = record->nif,
		.has_conn = record->has_conn,
		.conn = record->conn};
	bool outward = t.kind == TERN_TRACE_SEGMENT_OUT;
	if (t.kind == TERN_TRACE_SEGMENT_IN || outward) /* says how much more there is */
		memcpy(&t.segment, record + 1, offsetof(struct tern_segment, sack));
	memcpy(&t.segment, record + 1, payload_len(&t));
	if (record->has_frame && !outward)
		tell_frame(record, t,
			t.kind == TERN_TRACE_FRAME_OUT ? TERN_TRACE_FRAME_OUT : TERN_TRACE_FRAME_IN,
			to);
	if (t.kind != TERN_TRACE_FRAME_IN && t.kind != TERN_TRACE_FRAME_OUT)
		to.see(to.context, &t);
	if (record->has_frame && outward)
		tell_frame(record, t, TERN_TRACE_FRAME_OUT, to);
}

static void end_frame(const struct record *last, struct tern_trace_listener to)
{
	struct tern_trace t = {.kind = TERN_TRACE_FRAME_DONE,
		.now = last->now,
		.nif = last->nif,
		.conn = last->conn};
	struct tern_frame none = {0};
	t.frame = &none;
	to.see(to.context, &t);
}

size_t tern_recorder_replay(const struct tern_recorder *r, const struct tern_endpoint between[2],
	struct tern_trace_listener to)
{
	struct found found = {0};
	const struct record *last = NULL; /* its frame is not done */
	if (!follow(r, between, &found))
		found.count = 0;
	if (found.count)
		qsort((void *)found.record, found.count, sizeof found.record[0], by_order);
	for (size_t i = 0; i < found.count; i++) {
		const struct record *record = found.record[i];
		if (last && record->inside != last->inside)
			end_frame(last, to);
		tell(record, to);
		last = record->inside ? record : NULL;
	}
	if (last)
		end_frame(last, to);
	free((void *)found.record);
	return found.count;
}

int64_t tern_recorder_save(const struct tern_recorder *r, const struct tern_endpoint between[2],
	int fd, const struct tern_pcapng_opts *opts)
{
	struct tern_pcapng *capture = tern_pcapng_open_fd(fd, opts);
	if (!capture) {
		close(fd);
		return -1;
	}
	for (int i = 0; i < TERN_NIF_MAX; i++)
		if (r->iface[i].described)
			tern_pcapng_interface(capture, i, &r->iface[i].opts);
	tern_recorder_replay(r, between, tern_pcapng_listener(capture));
	int64_t packets = (int64_t)tern_pcapng_packets(capture);
	return tern_pcapng_close(capture) == 0 ? packets : -1;
}
