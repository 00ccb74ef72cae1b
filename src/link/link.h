/*
 * The link layer: interfaces, Ethernet framing, ARP neighbours, and one bounded queue of finished
 * packets per interface for everything that has no connection to pull it (replies, datagrams,
 * fragments). Above it are only the ops that stack.c registers.
 */
#ifndef TERN_LINK_LINK_H
#define TERN_LINK_LINK_H

#include "base/core.h"
#include "base/htab.h"
#include "base/siphash.h"
#include "base/wheel.h"
#include "wire/ethernet.h"

#define NIF_ADDRS_MAX     4
#define NIF_QUEUE_PACKETS 512 /* at most this many packets wait on an interface */
/* Nor more bytes than this, nor than a quarter of the budget; neighbours' queues likewise. */
#define NIF_QUEUE_BYTES (4u << 20)

/* A packet on its way out, IP header first; what is in front of data is room for the link's. */
struct packet {
	struct packet *next;
	uint32_t size;  /* bytes of the whole allocation */
	uint32_t len;   /* bytes at data */
	struct mac dst; /* filled when it is queued on the interface */
	uint16_t type;  /* EtherType; ETHERTYPE_IPV4 unless the link layer says otherwise */
	uint8_t *data;
};

struct nif_addr {
	struct tern_addr addr;
	uint8_t prefix_len;    /* of the address's own family */
	uint8_t announcements; /* still to be made (RFC 5227 2.3) */
	bool defended;         /* at defended_at, ns, somebody's claim to it was answered */
	uint64_t defended_at;
};

struct nif {
	struct tern_nif_opts opts; /* mtu and mac resolved */
	bool up;
	uint8_t addr_count;
	struct nif_addr addr[NIF_ADDRS_MAX];
	uint32_t header_len; /* 14, or 0 on raw and loopback */
	struct packet *queue, **queue_tail;
	uint32_t queued;
	size_t queued_bytes;
};

struct neighbour;

/* Neighbours by usefulness, least first; within a list the one longest there first. */
enum neigh_list {
	NEIGH_LIST_FAILED,
	NEIGH_LIST_ASKED, /* INCOMPLETE */
	NEIGH_LIST_STALE,
	NEIGH_LIST_KNOWN, /* REACHABLE, DELAY, PROBE */
	NEIGH_LISTS
};

/* Whether frames can go to a next hop now. */
enum link_answer {
	LINK_READY,
	LINK_PENDING, /* asked; link_ops.neighbour_changed will be called */
	LINK_FAILED,  /* no answer lately */
};

struct link_ops {
	/* An IP packet arrived: data is what followed the link header. group: sent to a link
	 * broadcast or multicast. */
	void (*ip_input)(void *context, int nif, const struct tern_frame *frame,
		const uint8_t *data, uint32_t len, bool group);
	/* A neighbour of this interface became reachable or was given up. */
	void (*neighbour_changed)(void *context, int nif);
	/* A queued packet could not be delivered: its neighbour did not answer. */
	void (*undeliverable)(void *context, int nif, const struct packet *packet);
};

struct link {
	struct core *core;
	const struct link_ops *ops;
	void *context;
	struct nif nif[TERN_NIF_MAX];
	uint32_t nif_count;
	struct wheel wheel;          /* neighbour timers, and the two below */
	struct wheel_entry announce; /* the next announcements of our addresses */
	struct wheel_entry wake;     /* one that others wait for was evicted: they ask again */
	struct pool neighbours;
	struct htab table;
	struct {
		struct neighbour *head, **tail;
	} list[NEIGH_LISTS];
	size_t held_bytes; /* of packets in neighbours' queues */
	struct siphash_key key;
	int guest;      /* the interface of one; 0: there is none */
	uint32_t epoch; /* grows whenever an interface or address changes, or a MAC is no longer
			   sure */
};

/* Makes the loopback too: interface 0, "lo", MTU 65535, 127.0.0.1/8. */
void tern_link_init(struct link *link, struct core *core, const struct link_ops *ops,
	void *context);
void tern_link_fini(struct link *link);
int tern_link_nif_add(struct link *link, const struct tern_nif_opts *opts);
int tern_link_addr_add(struct link *link, int nif, const struct tern_addr *addr,
	unsigned prefix_len);

/* One frame from a device: Ethernet, ARP, or up to ip_input. */
void tern_link_input(struct link *link, int nif, const struct tern_frame *frame);
/* Fires neighbour timers that are due: bounded. */
void tern_link_advance(struct link *link);
/* Of timers alone: packets queued on an interface do not count. TERN_NEVER if none. */
uint64_t tern_link_deadline(const struct link *link);

/* Whether, and with which MAC, frames go to next_hop now; begins asking when it is not known. */
enum link_answer tern_link_resolve(struct link *link, int nif, const struct tern_addr *next_hop,
	struct mac *out);
/* Tells that next_hop was just heard from by a higher layer (forward progress). */
void tern_link_confirm(struct link *link, int nif, const struct tern_addr *next_hop);
/* The opposite: what is sent there stays unanswered (RFC 1122 3.3.1.4). */
void tern_link_doubt(struct link *link, int nif, const struct tern_addr *next_hop);

/* A packet with room for len bytes from IP header on; NULL when memory or the queue is short. */
struct packet *tern_link_packet(struct link *link, int nif, uint32_t len);
void tern_link_packet_free(struct link *link, struct packet *packet);
/*
 * Sends the packet to next_hop, or waits for it in the neighbour's queue; owns the packet in
 * every case. broadcast: to the link's broadcast address instead. 0, TERN_EAGAIN (queue full,
 * counted), TERN_EHOSTUNREACH.
 */
int tern_link_send(struct link *link, int nif, const struct tern_addr *next_hop, bool broadcast,
	struct packet *packet);
/* Moves the oldest queued packet into a device's frame; false when none waits. */
bool tern_link_pull(struct link *link, int nif, struct tern_frame *frame);

/* Which of the interface's addresses to use towards next_hop: one whose prefix holds it, else
 * the first; NULL if it has none. */
const struct nif_addr *tern_link_source(const struct link *link, int nif,
	const struct tern_addr *next_hop);
/* Whether the packet queue of the interface has room for n more packets of size bytes. */
bool tern_link_room(const struct link *link, int nif, uint32_t n, uint32_t size);
/* The interface that has this address, or -1. Loopback owns all of 127.0.0.0/8. */
int tern_link_nif_of(const struct link *link, const struct tern_addr *addr);

#endif
