/*
 * Puts the events around a frame into words.
 *
 * Theory of operation. What comes between FRAME_IN and FRAME_DONE belongs to that frame. Reasons
 * for sending come outside of it and earlier than the frame they lead to, maybe with other
 * connections' in between, so they wait per connection (`reason`) until its SEGMENT_OUT; the text
 * then waits (`sent`) for the FRAME_OUT that carries this very segment, which ARP may hold up.
 * Both tables are small and forgetful: a text lost is a packet without comment, nothing worse.
 */
#ifndef HOST_PCAPNG_NOTE_H
#define HOST_PCAPNG_NOTE_H

#include <tern/trace.h>

#define NOTE_TEXT    384
#define NOTE_REASONS 256
#define NOTE_SENT    256

struct note_text {
	uint32_t len;
	char text[NOTE_TEXT];
};

/* What tells one sent segment from another. */
struct note_key {
	uint16_t local, remote;
	uint32_t seq;
	uint16_t flags;
	bool used;
};

struct notes {
	bool receiving; /* between FRAME_IN and FRAME_DONE */
	bool have_segment;
	struct tern_segment segment; /* of the frame being received */
	struct tern_trace_conn before;
	bool had_conn;
	enum tern_drop drop;
	struct note_text moves, facts;
	struct {
		struct tern_endpoint local, remote;
		struct note_text text;
	} reason[NOTE_REASONS];
	struct {
		struct note_key key;
		struct note_text text;
	} sent[NOTE_SENT];
	uint32_t sent_next;
};

/* Takes in any event. */
void tern_note_see(struct notes *notes, const struct tern_trace *trace);
/* At FRAME_DONE: what was made of the frame; empty if there is nothing to say. */
void tern_note_received(const struct notes *notes, struct note_text *out);
/* Adds another statement. */
void tern_note_join(struct note_text *note, const struct note_text *more);
/* At FRAME_OUT: why the frame is sent. */
void tern_note_sent(struct notes *notes, const uint8_t *data, uint32_t len, bool raw_ip,
	struct note_text *out);

#endif
