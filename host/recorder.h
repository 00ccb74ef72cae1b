/* The insides of a flight recorder: recorder.c writes them, recorder_replay.c reads them. */
#ifndef HOST_RECORDER_H
#define HOST_RECORDER_H

#include <string.h>

#include <tern/recorder.h>

enum lane {
	OPENING, /* SYNs, half-open connections, segments of none */
	NOTABLE,
	BUSY,
	LANES
};

/* Of what may come at any rate: a token bucket. */
struct ration {
	uint64_t grown_at;   /* ns: when it last grew */
	uint64_t granted_at; /* and when it was last used: what comes at once belongs together */
	uint32_t left;
};

/* The connections of one hash. */
struct bucket {
	uint64_t newest[LANES];      /* positions; 0: none */
	struct ration plain, ending; /* ending: FIN and RST */
};

/* A multiple of 8 bytes: this, the event's part of the union, a kept_frame and its bytes. */
struct record {
	uint32_t size;
	uint8_t kind; /* enum tern_trace_kind, or PAD */
	int8_t nif;
	bool has_conn, has_frame;
	uint64_t before; /* position of the older one in the chain; 0: none */
	uint64_t order, now;
	uint32_t inside; /* number of the received frame during which it happened; 0: none */
	struct tern_trace_conn conn;
};

#define PAD UINT8_MAX

struct kept_frame {
	uint32_t len, captured;
	uint16_t csum_start, csum_offset, gso_size, header_len;
};

/* Positions grow for ever; the place of one is its remainder by size. */
struct ring {
	uint8_t *bytes;
	uint64_t size, head, tail; /* tail: of the oldest record */
	uint64_t head_at;          /* the place of head */
};

struct iface {
	bool described;
	struct tern_nif_opts opts;
};

struct tern_recorder {
	uint32_t snaplen;
	struct ring ring[LANES];
	struct bucket *buckets;
	uint32_t bucket_mask;
	uint64_t key; /* of the hash: strangers must not choose whom they share a bucket with */
	uint64_t order, lost;
	const struct tern_frame *frame; /* received, under way, and not kept yet */
	int frame_nif;
	uint32_t frames;      /* received so far: the number of the one under way */
	bool receiving;       /* between FRAME_IN and FRAME_DONE */
	bool owned;           /* the frame under way concerns `owner` */
	enum lane owner_lane; /* and its segment went there */
	struct tern_trace_conn owner;
	struct record *open; /* a SEGMENT_OUT that waits for its frame */
	struct iface iface[TERN_NIF_MAX];
};

static inline uint32_t padded(size_t n)
{
	return (uint32_t)((n + 7) & ~(size_t)7);
}

static inline struct record *record_at(const struct ring *ring, uint64_t position)
{
	return (struct record *)(void *)(ring->bytes + position % ring->size);
}

/* Every bit of the result depends on every bit of x (splitmix64's last step). */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t end_hash(uint64_t key, const struct tern_endpoint *end)
{
	uint64_t half[2];
	memcpy(half, end->addr.byte, sizeof half);
	return mix(mix(mix(half[0] ^ key) ^ half[1]) ^ end->port);
}

/* The same whichever end is ours. */
static inline struct bucket *bucket_of(const struct tern_recorder *r, const struct tern_endpoint *a,
	const struct tern_endpoint *b)
{
	return &r->buckets[(end_hash(r->key, a) + end_hash(r->key, b)) & r->bucket_mask];
}

/* How much of the union an event of that kind uses. */
static inline uint32_t payload_len(const struct tern_trace *t)
{
	switch (t->kind) {
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
		return (uint32_t)(offsetof(struct tern_segment, sack) +
				  t->segment.sack_count * sizeof t->segment.sack[0]);
	case TERN_TRACE_STATE:
		return sizeof t->state;
	case TERN_TRACE_RETRANSMIT:
		return sizeof t->retransmit;
	case TERN_TRACE_WINDOW:
		return sizeof t->window;
	case TERN_TRACE_QUEUE:
		return sizeof t->queue;
	case TERN_TRACE_DROP:
		return sizeof t->drop;
	case TERN_TRACE_RTT:
		return sizeof t->rtt;
	case TERN_TRACE_CONGESTION:
		return sizeof t->congestion;
	case TERN_TRACE_TIMER:
		return sizeof t->timer;
	case TERN_TRACE_SEGMENT_SIZE:
		return sizeof t->segment_size;
	case TERN_TRACE_FRAME_IN:
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
		break;
	}
	return 0;
}

static inline struct kept_frame *frame_of(const struct record *record, const struct tern_trace *t)
{
	return (struct kept_frame *)(void *)((uint8_t *)(uintptr_t)(record + 1) +
					     padded(payload_len(t)));
}

static inline bool same_ends(const struct tern_endpoint *a, const struct tern_endpoint *b)
{
	return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

#endif
