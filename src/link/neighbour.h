/*
 * Neighbours: which MAC a next hop has, and what waits for it. The states are those of RFC
 * 4861 7.3.2, as Linux uses them for ARP as well; only link/ sees this.
 *
 *	INCOMPLETE  asked, once a second; packets wait
 *	REACHABLE   answered, or confirmed by a higher layer, lately
 *	STALE       a MAC that nobody has vouched for lately; used, but the first use begins DELAY
 *	DELAY       in use: a higher layer has five seconds to confirm it
 *	PROBE       asked again by unicast, once a second (RFC 1122 2.3.2.1); still used
 *	FAILED      did not answer; remembered briefly so that senders are told
 */
#ifndef TERN_LINK_NEIGHBOUR_H
#define TERN_LINK_NEIGHBOUR_H

#include "link/link.h"
#include "wire/addr.h"

#define SECOND_NS         1000000000ull
#define NEIGH_RETRY_NS    SECOND_NS       /* between two requests (RFC 1122 2.3.2.1) */
#define NEIGH_FAILED_NS   (1 * SECOND_NS) /* FAILED is remembered */
#define NEIGH_DELAY_NS    (5 * SECOND_NS) /* RFC 4861 DELAY_FIRST_PROBE_TIME */
#define NEIGH_UNICAST_MAX 3               /* probes before everybody is asked */
#define NEIGH_WAKE_NS     SECOND_NS
#define ARP_ANNOUNCE_NUM  2                /* RFC 5227 1.1 */
#define ARP_ANNOUNCE_NS   (2 * SECOND_NS)  /* RFC 5227 1.1 ANNOUNCE_INTERVAL */
#define ARP_DEFEND_NS     (10 * SECOND_NS) /* RFC 5227 1.1 DEFEND_INTERVAL */

enum neigh_state {
	NEIGH_INCOMPLETE,
	NEIGH_REACHABLE,
	NEIGH_STALE,
	NEIGH_DELAY,
	NEIGH_PROBE,
	NEIGH_FAILED,
};

struct neighbour {
	struct wheel_entry timer;       /* first: the wheel hands it back */
	struct neighbour *next, **link; /* in the list of its usefulness */
	struct tern_addr addr;
	struct mac mac; /* known unless INCOMPLETE or FAILED */
	uint8_t nif;
	uint8_t state;
	uint8_t list;
	uint8_t asked;          /* requests sent since the state was entered */
	uint32_t queued;        /* only while INCOMPLETE */
	uint64_t trusted_until; /* ns; REACHABLE */
	struct packet *queue, **queue_tail;
};

void tern_neigh_init(struct link *link);
void tern_neigh_fini(struct link *link);
/* As tern_link_resolve, on an interface that has neighbours. */
enum link_answer tern_neigh_resolve(struct link *link, int nif, const struct tern_addr *addr,
	struct mac *out);
/* Queues the packet behind an address for which tern_neigh_resolve just said LINK_PENDING. */
int tern_neigh_hold(struct link *link, int nif, const struct tern_addr *addr,
	struct packet *packet);
void tern_neigh_confirm(struct link *link, int nif, const struct tern_addr *addr);
/* Who sends to it gets no answer: it is asked whether it is still there. */
void tern_neigh_doubt(struct link *link, int nif, const struct tern_addr *addr);
/* The timer of a neighbour has fired. */
void tern_neigh_expired(struct link *link, struct neighbour *n);

/* A reply, sent to us alone. False if nobody had asked. */
bool tern_neigh_answered(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac);
/* A request to us: its sender is worth knowing, we are about to talk. */
void tern_neigh_heard(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac);
/* An announcement: believed only so far that a neighbour we know otherwise is probed. */
void tern_neigh_announced(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac);

/* An ARP packet arrived; dst is the frame's destination. */
void tern_arp_input(struct link *link, int nif, struct reader *r, const struct mac *dst);
/* Asks for target: by broadcast, or of the one station in `whom`. */
void tern_arp_ask(struct link *link, int nif, const struct tern_addr *target,
	const struct mac *whom);
/* Announces an address just added, and arms the next. */
void tern_arp_announce_begin(struct link *link, int nif, struct nif_addr *a);
/* link->announce has fired. */
void tern_arp_announce_again(struct link *link);

/* Puts a packet, whose dst and type are set, on the interface's queue. 0 or TERN_EAGAIN. */
int tern_link_enqueue(struct link *link, int nif, struct packet *packet);
/* Bytes that queues of packets may hold, each kind for itself. */
size_t tern_link_queue_limit(const struct link *link);

static inline bool nif_addr_holds(const struct nif_addr *a, uint32_t bits)
{
	return ((addr_v4_bits(&a->addr) ^ bits) & v4_mask(a->prefix_len)) == 0;
}

#endif
