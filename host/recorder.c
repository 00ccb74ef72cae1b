/*
 * Theory of operation. Three rings of records, for what anybody can cause by a SYN, for what is
 * notable, and for what only keeps a device busy; a counter of all puts records in order again.
 * Changes of state are notable always; of anything else each connection has a ration, and another
 * of FIN and RST, so that one that says little is kept whole, and of a transfer at full speed, or
 * of a flood, the most goes to the third ring. A record holds what the event says of its
 * connection, the event's own part, and, where it is about a frame, the frame's first bytes:
 * FRAME_IN and SEGMENT_IN, or SEGMENT_OUT and FRAME_OUT, share one.
 *
 * The records of one connection are a chain: each has the position of the one before it in its
 * ring, and a table, by a hash of the endpoints, that of the newest. Positions only grow, so one
 * that lies before the ring's tail was overwritten, and the chain ends there. Connections with the
 * same hash share a chain and are told apart when it is read. Nothing is searched for and nothing
 * allocated while recording.
 *
 * A received frame's bytes are not copied before it is known that a connection is concerned.
 */
#include <tern/recorder.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host/error.h"
#include "host/recorder.h"

#define BYTES_DEFAULT   (4u << 20)
#define SNAPLEN_DEFAULT 160u
#define SNAPLEN_MIN     64u
#define SNAPLEN_MAX     1024u
#define BUCKETS_MIN     256u
#define BUCKETS_MAX     65536u
#define RATION_NS       100000000u /* for one more */
#define RATION_MAX      8u
#define FIN             0x01
#define SYN             0x02
#define RST             0x04

/* --- the rings --------------------------------------------------------------------------- */

/* Room for that many bytes more. */
static void evict(struct tern_recorder *r, struct ring *ring, uint64_t need)
{
	while (ring->head + need - ring->tail > ring->size) {
		const struct record *oldest = record_at(ring, ring->tail);
		r->lost += oldest->kind != PAD;
		ring->tail += oldest->size;
	}
}

/* The place of a record of at most that size, at the head. */
static struct record *place(struct tern_recorder *r, struct ring *ring, uint32_t most)
{
	uint64_t left = ring->size - ring->head_at;
	if (left < most) {
		evict(r, ring, left);
		struct record *pad = (struct record *)(void *)(ring->bytes + ring->head_at);
		pad->size = (uint32_t)left;
		pad->kind = PAD;
		ring->head += left;
		ring->head_at = 0;
	}
	evict(r, ring, most);
	return (struct record *)(void *)(ring->bytes + ring->head_at);
}

static void advance(struct ring *ring, uint32_t size)
{
	ring->head += size;
	ring->head_at += size;
	if (ring->head_at == ring->size)
		ring->head_at = 0;
}

static enum lane ration(struct ration *of, uint64_t now)
{
	if (now - of->grown_at >= RATION_NS) {
		uint64_t more = (now - of->grown_at) / RATION_NS + of->left;
		of->left = more < RATION_MAX ? (uint32_t)more : RATION_MAX;
		of->grown_at = now;
	}
	if (of->granted_at == now)
		return NOTABLE;
	if (of->left == 0)
		return BUSY;
	of->left--;
	of->granted_at = now;
	return NOTABLE;
}

/* The lane of what may come at any rate. */
static enum lane plain_lane(const struct tern_recorder *r, const struct tern_trace_conn *conn,
	uint64_t now)
{
	return ration(&bucket_of(r, &conn->local, &conn->remote)->plain, now);
}

/* --- records ----------------------------------------------------------------------------- */

static void keep_frame(struct tern_recorder *r, struct record *record, const struct tern_trace *t,
	const struct tern_frame *frame)
{
	struct kept_frame *kept = frame_of(record, t);
	*kept = (struct kept_frame){.len = frame->len,
		.captured = frame->len < r->snaplen ? frame->len : r->snaplen,
		.csum_start = frame->csum_start,
		.csum_offset = frame->csum_offset,
		.gso_size = frame->gso_size,
		.header_len = frame->header_len};
	if (kept->captured)
		memcpy(kept + 1, frame->data, kept->captured);
	record->has_frame = true;
	record->size += (uint32_t)sizeof *kept + padded(kept->captured);
}

/* Writes an event to the chain of the connection in conn, with its frame if there is one. */
static struct record *write_record(struct tern_recorder *r, const struct tern_trace *t,
	const struct tern_trace_conn *conn, enum lane lane, const struct tern_frame *frame)
{
	struct ring *ring = &r->ring[lane];
	uint32_t payload = payload_len(t);
	uint32_t size = (uint32_t)sizeof(struct record) + padded(payload);
	struct record *record =
		place(r, ring, size + (uint32_t)sizeof(struct kept_frame) + padded(r->snaplen));
	uint64_t *newest = &bucket_of(r, &conn->local, &conn->remote)->newest[lane];
	record->size = size;
	record->kind = (uint8_t)t->kind;
	record->nif = (int8_t)t->nif;
	record->has_conn = t->has_conn;
	record->has_frame = false;
	record->before = *newest;
	record->order = ++r->order;
	record->now = t->now;
	record->inside = r->receiving ? r->frames : 0;
	record->conn = *conn;
	memcpy(record + 1, &t->segment, payload);
	if (frame)
		keep_frame(r, record, t, frame);
	*newest = ring->head;
	advance(ring, record->size);
	return record;
}

/* --- frames ------------------------------------------------------------------------------- */

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static bool is_raw(const struct tern_recorder *r, int nif)
{
	return nif == TERN_NIF_LOOPBACK || r->iface[nif].opts.raw_ip;
}

static void read_ends(const uint8_t *ip, const uint8_t *tcp, struct tern_endpoint *src,
	struct tern_endpoint *dst)
{
	if (ip[0] >> 4 == 4) {
		src->addr = tern_addr_v4(ip[12], ip[13], ip[14], ip[15]);
		dst->addr = tern_addr_v4(ip[16], ip[17], ip[18], ip[19]);
	} else {
		memcpy(src->addr.byte, ip + 8, 16);
		memcpy(dst->addr.byte, ip + 24, 16);
	}
	src->port = (uint16_t)be16(tcp);
	dst->port = (uint16_t)be16(tcp + 2);
}

/* The TCP header of an unfragmented packet, with its endpoints; NULL if there is none. */
static const uint8_t *find_tcp(const struct tern_recorder *r, const struct tern_frame *frame,
	int nif, struct tern_endpoint *src, struct tern_endpoint *dst)
{
	uint32_t ip = is_raw(r, nif) ? 0 : 14, at;
	const uint8_t *data = frame->data;
	if (frame->len < ip + 40 || (ip && be16(data + 12) != 0x0800 && be16(data + 12) != 0x86dd))
		return NULL;
	if (data[ip] >> 4 == 4 && data[ip + 9] == 6 && !(be16(data + ip + 6) & 0x1fff))
		at = ip + (data[ip] & 15u) * 4;
	else if (data[ip] >> 4 == 6 && data[ip + 6] == 6)
		at = ip + 40;
	else
		return NULL;
	if (frame->len < at + 20)
		return NULL;
	read_ends(data + ip, data + at, src, dst);
	return data + at;
}

static enum lane by_flags(const struct tern_recorder *r, unsigned flags,
	const struct tern_trace_conn *conn, uint64_t now)
{
	struct bucket *b = bucket_of(r, &conn->local, &conn->remote);
	if (flags & SYN)
		return OPENING;
	return ration(flags & (FIN | RST) ? &b->ending : &b->plain, now);
}

/* Whether the last that was told of these ends was of an opening, or of no connection. */
static bool is_opening(const struct tern_recorder *r, const struct tern_trace_conn *conn)
{
	const struct bucket *b = bucket_of(r, &conn->local, &conn->remote);
	uint64_t last = 0, order[LANES] = {0};
	for (unsigned lane = 0; lane < LANES; lane++) {
		uint64_t at = b->newest[lane];
		if (at && at >= r->ring[lane].tail)
			order[lane] = record_at(&r->ring[lane], at)->order;
		last = order[lane] > last ? order[lane] : last;
	}
	return last && last == order[OPENING];
}

/* A frame that goes out is that of the segment just told, or one that waited meanwhile. */
static void frame_out(struct tern_recorder *r, const struct tern_trace *t)
{
	struct record *open = r->open;
	struct tern_trace_conn conn = {0};
	const uint8_t *tcp = NULL;
	r->open = NULL;
	if (t->nif >= 0 && t->nif < TERN_NIF_MAX)
		tcp = find_tcp(r, t->frame, t->nif, &conn.local, &conn.remote);
	if (!tcp)
		return;
	struct tern_trace segment = {.kind = TERN_TRACE_SEGMENT_OUT};
	uint32_t seq = be16(tcp + 4) << 16 | be16(tcp + 6);
	if (open) {
		memcpy(&segment.segment, open + 1, offsetof(struct tern_segment, sack));
		if (segment.segment.seq == seq && same_ends(&open->conn.local, &conn.local) &&
			same_ends(&open->conn.remote, &conn.remote)) {
			struct ring *ring = &r->ring[r->owner_lane];
			uint32_t before = open->size;
			keep_frame(r, open, &segment, t->frame);
			advance(ring, open->size - before);
			return;
		}
	}
	enum lane lane = is_opening(r, &conn) ? OPENING : by_flags(r, tcp[13], &conn, t->now);
	write_record(r, t, &conn, lane, t->frame);
}

/* The frame under way concerns that connection. */
static void own(struct tern_recorder *r, const struct tern_trace_conn *conn, enum lane lane)
{
	r->owned = true;
	r->owner = *conn;
	r->owner_lane = lane;
}

/* What a received frame did other than bring a segment, or before it: an ICMP error that ends a
 * connection, a wrong checksum. */
static bool adopt_frame(struct tern_recorder *r, const struct tern_trace *t)
{
	struct tern_trace frame = {.kind = TERN_TRACE_FRAME_IN, .now = t->now, .nif = r->frame_nif};
	struct tern_trace_conn conn = t->conn;
	if (r->owned || !r->frame)
		return r->owned;
	if (conn.remote.port == 0 &&
		!find_tcp(r, r->frame, r->frame_nif, &conn.remote, &conn.local))
		return false;
	own(r, &conn, t->has_conn ? plain_lane(r, &conn, t->now) : OPENING);
	write_record(r, &frame, &conn, r->owner_lane, r->frame);
	r->frame = NULL;
	return true;
}

/* --- events -------------------------------------------------------------------------------- */

static enum lane lane_of(const struct tern_recorder *r, const struct tern_trace *t)
{
	return t->has_conn ? by_flags(r, t->segment.flags, &t->conn, t->now) : OPENING;
}

static void segment(struct tern_recorder *r, const struct tern_trace *t)
{
	enum lane lane = lane_of(r, t);
	if (t->kind == TERN_TRACE_SEGMENT_OUT) {
		r->open = write_record(r, t, &t->conn, lane, NULL);
		r->owner_lane = lane;
		return;
	}
	own(r, &t->conn, lane);
	write_record(r, t, &t->conn, lane, r->frame);
	r->frame = NULL;
}

/* Whether an event that is about no frame and no segment is worth its room. */
static bool telling(const struct tern_recorder *r, const struct tern_trace *t)
{
	bool plain = !r->receiving || (r->owned && r->owner_lane == BUSY);
	switch (t->kind) {
	case TERN_TRACE_TIMER:
		return t->timer.fired;
	case TERN_TRACE_WINDOW:
		return t->window.peer == 0 || !plain;
	case TERN_TRACE_RTT:
	case TERN_TRACE_QUEUE:
		return !plain;
	case TERN_TRACE_STATE:
	case TERN_TRACE_RETRANSMIT:
	case TERN_TRACE_DROP:
	case TERN_TRACE_CONGESTION:
	case TERN_TRACE_SEGMENT_SIZE:
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
	case TERN_TRACE_FRAME_IN:
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
		break;
	}
	return true;
}

static bool half_open(const struct tern_trace *t)
{
	return t->conn.state == TERN_TCP_SYN_RECEIVED ||
	       (t->kind == TERN_TRACE_STATE && t->state.from == TERN_TCP_SYN_RECEIVED &&
		       t->state.to == TERN_TCP_CLOSED);
}

static void other(struct tern_recorder *r, const struct tern_trace *t)
{
	if (!telling(r, t))
		return;
	const struct tern_trace_conn *conn = &t->conn;
	if (r->receiving && adopt_frame(r, t) && (!t->has_conn || conn->remote.port == 0))
		conn = &r->owner;
	if (conn->remote.port == 0) /* a listener's own, or no TCP */
		return;
	enum lane lane = OPENING;
	if (!half_open(t) && !(r->receiving && r->owned && r->owner_lane == OPENING))
		lane = t->kind == TERN_TRACE_STATE ? NOTABLE : plain_lane(r, conn, t->now);
	write_record(r, t, conn, lane, NULL);
}

static void see(void *context, const struct tern_trace *t)
{
	struct tern_recorder *r = context;
	switch (t->kind) {
	case TERN_TRACE_FRAME_IN:
		r->open = NULL;
		r->frame = t->nif >= 0 && t->nif < TERN_NIF_MAX ? t->frame : NULL;
		r->frame_nif = t->nif;
		r->receiving = true;
		r->owned = false;
		r->frames = r->frames == UINT32_MAX ? 1 : r->frames + 1;
		return;
	case TERN_TRACE_FRAME_DONE:
		r->receiving = false;
		r->frame = NULL;
		return;
	case TERN_TRACE_FRAME_OUT:
		frame_out(r, t);
		return;
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
		segment(r, t);
		return;
	case TERN_TRACE_STATE:
	case TERN_TRACE_RETRANSMIT:
	case TERN_TRACE_WINDOW:
	case TERN_TRACE_QUEUE:
	case TERN_TRACE_DROP:
	case TERN_TRACE_RTT:
	case TERN_TRACE_CONGESTION:
	case TERN_TRACE_TIMER:
	case TERN_TRACE_SEGMENT_SIZE:
		r->open = NULL;
		other(r, t);
		return;
	}
}

struct tern_trace_listener tern_recorder_listener(struct tern_recorder *r)
{
	return (struct tern_trace_listener){see, r};
}

void tern_recorder_info(const struct tern_recorder *r, struct tern_recorder_info *out)
{
	*out = (struct tern_recorder_info){.recorded = r->order, .lost = r->lost};
	for (unsigned lane = 0; lane < LANES; lane++)
		out->bytes += r->ring[lane].size;
}

/* --- beginning and end ---------------------------------------------------------------------- */

void tern_recorder_interface(struct tern_recorder *r, int nif, const struct tern_nif_opts *opts)
{
	if (nif >= 0 && nif < TERN_NIF_MAX)
		r->iface[nif] = (struct iface){true, *opts};
}

/* Position 0 is none, so the first is that of the second time round. */
static bool make_ring(struct ring *ring, size_t size)
{
	ring->bytes = malloc(size);
	ring->size = ring->head = ring->tail = size;
	return ring->bytes;
}

static bool make_index(struct tern_recorder *r, size_t bytes, uint64_t seed)
{
	uint32_t buckets = BUCKETS_MIN;
	while (buckets < bytes / 512 && buckets < BUCKETS_MAX)
		buckets *= 2;
	r->bucket_mask = buckets - 1;
	r->key = seed;
	if (seed == 0 && getrandom(&r->key, sizeof r->key, 0) != (ssize_t)sizeof r->key)
		return false;
	r->buckets = calloc(buckets, sizeof *r->buckets);
	return r->buckets;
}

struct tern_recorder *tern_recorder_new(const struct tern_recorder_opts *opts)
{
	size_t bytes = opts && opts->bytes ? opts->bytes : BYTES_DEFAULT;
	uint32_t snaplen = opts && opts->snaplen ? opts->snaplen : SNAPLEN_DEFAULT;
	if (bytes < TERN_RECORDER_BYTES_MIN || bytes > TERN_RECORDER_BYTES_MAX ||
		snaplen < SNAPLEN_MIN || snaplen > SNAPLEN_MAX) {
		tern_error_set("recorder: %zu bytes, %u of a frame: out of range", bytes, snaplen);
		return NULL;
	}
	struct tern_recorder *r = calloc(1, sizeof *r);
	size_t quarter = bytes / 4 & ~(size_t)7;
	if (r && make_ring(&r->ring[OPENING], quarter) && make_ring(&r->ring[NOTABLE], quarter) &&
		make_ring(&r->ring[BUSY], (bytes - 2 * quarter) & ~(size_t)7) &&
		make_index(r, bytes, opts ? opts->seed : 0)) {
		r->snaplen = snaplen;
		return r;
	}
	tern_error_set("recorder: %s", strerror(errno));
	tern_recorder_free(r);
	return NULL;
}

void tern_recorder_free(struct tern_recorder *r)
{
	if (!r)
		return;
	for (unsigned lane = 0; lane < LANES; lane++)
		free(r->ring[lane].bytes);
	free(r->buckets);
	free(r);
}
