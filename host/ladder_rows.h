/*
 * What a ladder remembers of a connection.
 *
 * Theory of operation. ladder.c turns events into rows: a segment's row is open from its SEGMENT
 * event until its frame is done, and takes in what happens meanwhile; then it is committed.
 * ladder_steps.c names the row's step in the connection's life from the history of SYN, FIN and
 * their acknowledgements alone, and infers the state of a side that is not in the stream.
 * ladder_rows.c appends the row, folds long exchanges of data as they grow, and finds the row of
 * a segment that now arrives at a side that is in the stream. ladder_text.c and ladder_draw.c
 * put rows into words and lines.
 *
 * Sides are 0, drawn left, the one that opened or was heard first, and 1.
 */
#ifndef HOST_LADDER_ROWS_H
#define HOST_LADDER_ROWS_H

#include <tern/ladder.h>

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20

enum step {
	STEP_NONE,
	STEP_SYN,
	STEP_SYN_ACK,
	STEP_ACK,
	STEP_SYN_CROSSED, /* simultaneous open (RFC 9293 figure 7) */
	STEP_SYN_ACK_CROSSED,
	STEP_FIN,
	STEP_FIN_ACKED,
	STEP_FIN_TOO, /* the other side's FIN, after it acknowledged the first */
	STEP_FIN_ACK, /* the other side's FIN and that acknowledgement in one */
	STEP_LAST_ACK,
	STEP_FIN_CROSSED, /* simultaneous close (RFC 9293 figure 13) */
	STEP_FIN_CROSSED_ACKED,
	STEP_REFUSED,
	STEP_RESET,
	STEPS
};

enum row_kind {
	ROW_SEGMENT,
	ROW_STATE, /* a state changed without a segment */
	ROW_FOLD,
};

/* Many segments as one row. [side]: sent by it. */
struct fold {
	uint64_t from, to; /* ns, as the sender or tern saw it */
	uint8_t first;     /* who sent the first */
	uint64_t bytes[2]; /* of the stream, each once */
	uint32_t segments[2];
	uint32_t resent[TERN_RTX_REASONS];
	uint32_t again[2]; /* not new, and for no reason known */
	uint32_t dropped;
	enum tern_drop drop;   /* the latest */
	uint32_t window[2][2]; /* offered by: smallest, largest */
	bool window_known[2];
};

struct row {
	enum row_kind kind;
	enum step step;
	uint8_t from;  /* the sender; or whose state changed */
	bool repeated; /* this step was taken before */
	bool stray;    /* arrived, and its departure is not at hand: a duplicate */
	bool again;    /* starts before the end of what was sent */
	bool dropped;
	bool resent;
	bool probe;
	bool moved;                        /* a state changed: cause */
	bool known[2];                     /* state */
	enum tern_tcp_state state[2], was; /* ROW_STATE: was, before */
	enum tern_drop drop;
	enum tern_cause cause;
	enum tern_retransmit_reason reason;
	uint32_t count; /* of timeouts in a row */
	uint32_t fresh; /* bytes never sent before */
	uint64_t at[2]; /* ns; TERN_NEVER: not known */
	union {
		struct tern_segment segment;
		struct fold fold;
	};
};

struct side {
	struct tern_endpoint endpoint;
	bool seen; /* in the stream: its states and times are true */
	bool known;
	enum tern_tcp_state state;
	bool syn, syn_ack, fin, fin_acked;
	bool based; /* isn and high are known */
	uint32_t isn;
	uint32_t fin_end; /* the number after its FIN */
	uint32_t high;    /* the number after the last it sent */
	/* What was told before the segment it leads to. */
	struct {
		bool set;
		uint64_t at;
		enum tern_tcp_state from, to;
		enum tern_cause cause;
	} moved;
	struct {
		bool set;
		uint32_t seq, count;
		enum tern_retransmit_reason reason;
	} resend;
	bool probe;
};

struct ladder_conn {
	struct side side[2];
	bool opened;      /* a SYN was seen: side 0 is the client */
	bool established; /* the third handshake was seen */
	bool crossed_open, crossed_close;
	uint8_t closer;    /* who sent FIN first */
	uint32_t taken[2]; /* by each side; bit k: enum step k */
	uint64_t origin;   /* ns: the first segment */
	uint64_t rtt;      /* shortest seen, ns; TERN_NEVER: none */
	bool open;         /* `current` takes in events */
	bool arriving;     /* current is at its receiver, which is in the stream as the sender is */
	struct row current;
	struct row *rows;
	uint32_t count, capacity, limit;
	uint32_t phase, phase_length; /* the exchange under way: its first row, its segments */
	uint32_t fold_over;
	bool split;         /* data arrives in other pieces than it left in */
	bool folding;       /* the last row is its fold */
	uint64_t lost_rows; /* not kept: too many */
};

static inline int32_t ladder_ahead(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* The segment acknowledges the other side's FIN. */
static inline bool ladder_acks(const struct tern_segment *s, uint32_t end)
{
	return s->flags & ACK && ladder_ahead(s->ack, end) >= 0;
}

/* ladder_steps.c: names the open row's step, and what it says of a side not in the stream. */
void tern_ladder_name(struct ladder_conn *c, struct row *row);
void tern_ladder_infer(struct ladder_conn *c, struct row *row);

/* ladder_rows.c */
void tern_ladder_append(struct ladder_conn *c, const struct row *row);
/* The current row arrives at the other side: completes the row of its departure. */
void tern_ladder_arrive(struct ladder_conn *c, const struct row *row);

/* ladder_text.c */
struct words { /* each to be kept on one line */
	unsigned count;
	char text[24][64];
};
struct lines {
	unsigned count;
	char text[10][256];
};
struct speech {
	bool utf8;
	const struct ladder_conn *conn;
};
/* "client" */
const char *tern_ladder_role(const struct ladder_conn *c, unsigned side);
/* Whether the row's segment is known not to have arrived. */
bool tern_ladder_lost(const struct ladder_conn *c, const struct row *row);
/* Adds the name of the row's step; nothing if it has none. */
void tern_ladder_say_step(const struct speech *speech, const struct row *row, struct lines *out);
/* Adds what the arrow says, then what stands below it. */
void tern_ladder_say_segment(const struct speech *speech, const struct row *row, struct words *head,
	struct words *below);
void tern_ladder_say_notes(const struct speech *speech, const struct row *row, struct lines *out);
void tern_ladder_say_move(const struct speech *speech, const struct row *row, struct lines *out);
void tern_ladder_say_fold(const struct speech *speech, const struct row *row, struct lines *out);
/* 1,234,567 */
char *tern_ladder_number(uint64_t n, char text[32]);

#endif
