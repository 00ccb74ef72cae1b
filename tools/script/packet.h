/*
 * Packets between bytes and struct script_packet, with live numbers: a codec independent of the
 * core's, so that a mistake there does not hide itself. And the numbers of one connection:
 * what the script calls 1 is the initial sequence number plus 1 on the wire.
 */
#ifndef TERN_TOOLS_SCRIPT_PACKET_H
#define TERN_TOOLS_SCRIPT_PACKET_H

#include "tools/script/ast.h"

#define SCRIPT_PACKET_MAX 65535

struct script_addresses {
	uint8_t local[4], remote[4];
};

#define STAMPS_MAX 32

/* One pair of ports. */
struct script_flow {
	uint16_t local_port, remote_port;
	bool has_local, has_remote;    /* the sequence numbers below are known; until then 0 */
	bool renumbers;                /* tern's next SYN may have a new number */
	bool reset;                    /* by the remote, which may open anew with its old number */
	uint32_t local_isn, named_isn; /* on the wire, and as the script's SYN calls it */
	uint32_t remote_isn;
	uint32_t syn_isn; /* of the last SYN injected */
	uint32_t mss;     /* as it said; 0: it did not */
	bool has_stamp;
	uint32_t stamp_base; /* on the wire minus in the script, by the first TS val compared */
	unsigned stamps;
	struct {
		uint32_t script, live;
	} stamp[STAMPS_MAX]; /* the last TS vals of tern's, by their names in the script */
};

/* The byte at that place of the stream (or datagram) that flows into tern or out of it. */
uint8_t tern_script_byte(bool inbound, uint32_t place);
/* The place in the stream of a packet's first byte; p's numbers are the script's. */
uint32_t tern_script_place(const struct script_packet *p);

/* Builds a packet into out, SCRIPT_PACKET_MAX bytes. p holds live numbers, place is of its first
 * byte. Returns its length. */
uint32_t tern_script_build(const struct script_addresses *addresses, const struct script_packet *p,
	uint32_t place, uint8_t *out);
/*
 * Reads a packet tern sent, live numbers; verifies addresses, lengths and checksums. payload is
 * lent. Returns NULL, or what is wrong with it.
 */
const char *tern_script_decode(const struct script_addresses *addresses, const uint8_t *data,
	uint32_t len, struct script_packet *out, const uint8_t **payload);

/* From the script's numbers to live ones, for a packet to inject; notes its SYN. */
void tern_script_to_live(struct script_flow *flow, struct script_packet *p);
/* Notes what a packet tern sent says about its numbers; expected may be NULL. */
void tern_script_learn(struct script_flow *flow, const struct script_packet *live,
	const struct script_packet *expected);
/* From live numbers to the script's, for a packet tern sent. */
void tern_script_to_script(const struct script_flow *flow, struct script_packet *p);

/*
 * Compares a packet as the script wants it with one that was sent, both in the script's numbers.
 * tick: ns a unit of TS val lasts, 0: do not compare TS vals; tolerance: ns they may be off.
 * Returns how many fields differ and lists them in text, one a line.
 */
unsigned tern_script_compare(const struct script_packet *want, const struct script_packet *got,
	int64_t tick, int64_t tolerance, char text[SCRIPT_TEXT]);

#endif
