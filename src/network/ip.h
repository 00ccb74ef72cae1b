/*
 * The network layer: routes, IPv4 input checks and output, fragments, ICMP, and paths: what a
 * connection caches about where its packets go. Families other than IPv4 find their place
 * beside ipv4.c; nothing above this header knows which one it is using.
 */
#ifndef TERN_NETWORK_IP_H
#define TERN_NETWORK_IP_H

#include "link/link.h"
#include "wire/ipv4.h"

#define ROUTES_MAX  64
#define IP_PMTU_MIN 552 /* never believed below (RFC 1191 3, RFC 5927 7.2): Linux's min_pmtu */

#define IP_HEADROOM     (ETH_HEADER_LEN + IPV4_HEADER_LEN)
#define IP_ID_COUNTERS  256
#define BLACK_HOLES_MAX 64 /* paths kept for what is known of them */

struct route {
	struct tern_addr prefix, gateway;
	uint8_t prefix_len; /* in bits of the mapped form: 96 + IPv4's */
	uint8_t nif;
};

/*
 * Where packets from src to dst go: shared by all connections of that pair, counted by reference,
 * kept while referenced. Looks itself up again when the link's or the route table's epoch moves.
 */
struct path {
	uint32_t refs;
	uint32_t epoch; /* of link and routes when looked up */
	struct tern_addr src, dst, next_hop;
	uint8_t nif;
	bool routed;             /* false: no route at present */
	bool loopback;           /* dst is an address of ours: nif is TERN_NIF_LOOPBACK */
	uint32_t header_len;     /* link and IP header: where the transport's begins in a frame */
	uint32_t mtu;            /* IP bytes: the interface's, or less if the path said so */
	uint64_t mtu_expires;    /* TERN_NEVER unless the path said so (10 min, RFC 1191 6.3) */
	uint32_t black_hole_mtu; /* IP bytes that got through where more vanished; 0: none do */
	bool kept;               /* among ip.black_hole */
	uint64_t grow_at;        /* ns: when a larger packet may be tried */
	uint64_t confirmed_at;   /* ns: tern_path_confirm told the link that dst answers */
	bool mac_known;
	struct mac mac;
	/* While mac_known: link and IP header of a packet with all that varies zero, and the sum
	 * over its IP part. */
	uint8_t header[IP_HEADROOM];
	uint32_t header_sum;
	uint32_t ts_offset; /* TCP's, for this pair of hosts (RFC 7323 5.4) */
};

/* A whole datagram for us, its IP header taken off and checked. */
struct ip_in {
	int nif;
	struct tern_addr src, dst;
	uint8_t protocol, ttl, tos;
	bool group;        /* to (or from) a broadcast or multicast address, of link or network */
	bool csum_valid;   /* the device vouches for the transport checksum */
	uint16_t gso_size; /* the device joined segments of this size, or 0 */
	const uint8_t *data;
	uint32_t len;
};

/* An ICMP error about a packet that we (seem to have) sent. */
struct ip_error {
	int nif;
	struct tern_addr src, dst; /* of the packet quoted: src is ours */
	struct tern_addr from;     /* who reports */
	uint8_t protocol;
	uint8_t type, code; /* ICMPv4's */
	uint32_t mtu; /* FRAG_NEEDED: the next hop's, or guessed by RFC 1191 5 tables; else 0 */
	int err;      /* the tern_err it amounts to */
	bool hard;    /* RFC 1122 4.2.3.9: protocol, port, (frag needed is neither) */
	const uint8_t *data; /* transport bytes quoted, at least 8 */
	uint32_t len;
};

struct ip_ops {
	/* false: nobody there (the IP layer then answers protocol or port unreachable). */
	bool (*deliver)(void *context, const struct ip_in *in);
	void (*error)(void *context, const struct ip_error *error);
	void (*path_changed)(void *context, int nif); /* parked senders may try again */
};

struct ip {
	struct core *core;
	struct link *link;
	const struct ip_ops *ops;
	void *context;
	struct route route[ROUTES_MAX];
	uint32_t route_count, route_epoch;
	struct pool paths;
	struct path *black_hole[BLACK_HOLES_MAX]; /* each by a reference: outlives its users */
	uint32_t black_hole_next;                 /* the oldest of these, or a free place, modulo */
	struct htab path_table;
	struct siphash_key key;
	struct reassembly *reassembly; /* fragment.c's own, or NULL while there is none */
	struct {
		uint64_t tokens_at; /* ns; token bucket for errors sent, RFC 1812 4.3.2.8 */
		uint32_t tokens;
	} icmp;
	/* IP identification: each destination counts from a secret number of its own, in a
	 * counter it shares with few others (RFC 7739 5.3, for IPv4). */
	struct siphash_key id_key;
	uint16_t id_counter[IP_ID_COUNTERS];
};

void tern_ip_init(struct ip *ip, struct core *core, struct link *link, const struct ip_ops *ops,
	void *context);
void tern_ip_fini(struct ip *ip);
int tern_ip_route_add(struct ip *ip, const struct tern_addr *prefix, unsigned prefix_len,
	const struct tern_addr *gateway, int nif);
/* The link's upcalls, to be registered by stack.c with the struct ip as context. */
extern const struct link_ops tern_ip_link_ops;
/* IP packets of a device, also those the loopback feeds back. */
void tern_ip_input(struct ip *ip, int nif, const struct tern_frame *frame, const uint8_t *data,
	uint32_t len, bool group);
void tern_ip_advance(struct ip *ip);
uint64_t tern_ip_deadline(const struct ip *ip);

/*
 * The path from src (unspecified: chosen) to dst, with a reference taken; NULL and *err
 * (TERN_ENETUNREACH, TERN_EADDRNOTAVAIL when src is not ours, TERN_ENOMEM).
 */
struct path *tern_path_get(struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst,
	int *err);
void tern_path_put(struct ip *ip, struct path *path);
/* Whether a frame can be sent on it now. Cheap when nothing changed. LINK_FAILED also without a
 * route. */
enum link_answer tern_path_ready(struct ip *ip, struct path *path);
/* The peer answered over this path: its next hop is alive (RFC 1122 2.3.2.1 (4)). Told on
 * once in a few seconds. */
void tern_path_confirm(struct ip *ip, struct path *path);
/* It does not answer: negative advice (RFC 1122 4.2.3.5). */
void tern_path_doubt(struct ip *ip, struct path *path);
/* The MTU in force (after expiry of a learnt one). */
uint32_t tern_path_mtu(struct ip *ip, struct path *path);
/* Learns a smaller MTU from an ICMP error that the transport believes; floor IP_PMTU_MIN. */
void tern_path_too_big(struct ip *ip, struct path *path, uint32_t mtu);
/*
 * A black hole (RFC 2923 2.1): packets of more than mtu IP bytes vanish, and no router says so; for
 * wait ns no larger one is to be tried. Raised to IP_PMTU_MIN. The last BLACK_HOLES_MAX such paths
 * are remembered when nobody uses them any more, too.
 */
void tern_path_black_hole(struct ip *ip, struct path *path, uint32_t mtu, uint64_t wait);
/* A packet of mtu IP bytes got through: the next size up may be tried at once. */
void tern_path_black_hole_passed(struct ip *ip, struct path *path, uint32_t mtu);
/* IP bytes known to get through; 0: no black hole is known. */
uint32_t tern_path_black_hole_mtu(const struct path *path);
/* Whether a larger packet may be tried. */
bool tern_path_may_grow(const struct ip *ip, const struct path *path);

struct ip_out {
	uint8_t protocol, tos;
	uint8_t ttl; /* 0: the default */
	bool dont_fragment;
	uint32_t len; /* transport header and data; may exceed the MTU with gso */
};
/*
 * Writes link and IP headers before a transport segment already in the frame at
 * path->header_len, and sets frame->len. The path must be LINK_READY. Counts.
 */
void tern_path_emit(struct ip *ip, struct path *path, struct tern_frame *frame,
	const struct ip_out *out);

/*
 * Sends a datagram that no connection pulls: head and body are copied, fragmented if they must
 * be, and queued. src unspecified: chosen. 0, TERN_ENETUNREACH, TERN_EMSGSIZE (dont_fragment, or
 * over 65,515), TERN_EAGAIN, TERN_ENOMEM, TERN_EHOSTUNREACH (the
 * neighbour did not answer lately), TERN_EADDRNOTAVAIL (src is not ours), TERN_EACCES (broadcast
 * without allow_broadcast).
 */
struct ip_datagram {
	struct tern_addr src, dst;
	struct ip_out out; /* len is set by the callee */
	bool allow_broadcast;
	const void *head;
	uint32_t head_len;
	const void *body;
	uint32_t body_len;
};
int tern_ip_send(struct ip *ip, const struct ip_datagram *d);
/* The source address a datagram to dst would carry. 0 or TERN_ENETUNREACH. */
int tern_ip_source(struct ip *ip, const struct tern_addr *dst, struct tern_addr *src);
/* Whether packets to dst can go now; LINK_PENDING: path_changed will be called. */
enum link_answer tern_ip_ready(struct ip *ip, const struct tern_addr *dst);
/* The interface that leads to dst; -1: none does. */
int tern_ip_nif(struct ip *ip, const struct tern_addr *dst);
bool tern_ip_is_ours(const struct ip *ip, const struct tern_addr *addr);
/* Limited, subnet or all-zero broadcast of any interface, or multicast. */
bool tern_ip_is_group(const struct ip *ip, const struct tern_addr *addr);

#endif
