/*
 * Reassembly. What strangers can make us hold is bounded in bytes over all (ipfrag_high_thresh),
 * in datagrams per source (ipfrag_max_dist) and in time (ipfrag_time); when a bound is met the
 * oldest goes, since a datagram that will ever be complete is so within milliseconds.
 *
 * The outcome is that of RFC 815, but which bytes are there is a bit per eight of them, as RFC
 * 791 3.2 has it: a list of holes is as long as a sender wishes, and each fragment walks it.
 * A fragment that overlaps another condemns the datagram with all that still comes of it (RFC
 * 5722), except for one that repeats another exactly, which the network may do by itself.
 */
#include <assert.h>
#include "base/ring.h"
#include "network/ipv4.h"

#define PAYLOAD_MAX     (65535u - IPV4_HEADER_LEN)
#define BLOCKS          8192u /* of eight bytes, in 64 KiB */
#define CHUNKS          16u   /* of RING_CHUNK bytes, in 64 KiB */
#define CHUNK_BYTES     RING_CHUNK
#define EXPIRY_PER_CALL 64

struct source {
	struct tern_addr addr;
	uint32_t count;
	struct datagram *oldest, **newest;
};

struct datagram {
	struct datagram *next, **link;            /* all, oldest first */
	struct datagram *sibling, **sibling_link; /* of the same source, oldest first */
	struct source *source;
	uint64_t deadline; /* ns */
	uint16_t id;
	bool condemned; /* only remembered, to drop what is still to come */
	bool has_first; /* the fragment with offset 0: `first` and first_len are set */
	uint8_t ecn;    /* a bit per codepoint that a fragment carried */
	uint8_t chunk_count;
	uint32_t total;      /* payload bytes; 0 until the last fragment is there */
	uint32_t highest;    /* end of the farthest fragment */
	uint32_t held_count; /* blocks */
	uint32_t first_len;
	struct ipv4_packet first; /* dst and protocol are valid before it is there, too */
	uint8_t *chunk[CHUNKS];   /* NULL where nothing has come */
	uint64_t held[BLOCKS / 64];
	uint64_t begins[BLOCKS / 64]; /* blocks that a fragment begins with */
};

struct reassembly {
	struct pool datagrams, sources;
	struct htab table, source_table;
	struct siphash_key key;
	struct datagram *oldest, **newest;
	size_t bytes; /* held, by the measure of ipfrag_high_thresh */
};

static bool test(const uint64_t *bits, uint32_t k)
{
	return bits[k / 64] >> (k % 64) & 1;
}

static void set(uint64_t *bits, uint32_t k)
{
	bits[k / 64] |= (uint64_t)1 << (k % 64);
}

static struct reassembly *reassembly_of(struct ip *ip)
{
	if (ip->reassembly)
		return ip->reassembly;
	struct mem *mem = &ip->core->mem;
	struct reassembly *t = tern_mem_alloc(mem, sizeof *t, _Alignof(struct reassembly));
	if (!t)
		return NULL;
	*t = (struct reassembly){.newest = &t->oldest};
	t->key = tern_rng_key(&ip->core->rng);
	tern_pool_init(&t->datagrams, mem, sizeof(struct datagram), 14, UINT32_MAX);
	tern_pool_init(&t->sources, mem, sizeof(struct source), 12, UINT32_MAX);
	tern_htab_init(&t->table, mem);
	tern_htab_init(&t->source_table, mem);
	ip->reassembly = t;
	return t;
}

static uint32_t hash_source(const struct reassembly *t, const struct tern_addr *addr)
{
	return (uint32_t)tern_siphash13(&t->key, addr->byte, sizeof addr->byte);
}

/* What makes fragments belong together: RFC 791 3.2. */
static uint32_t hash(const struct reassembly *t, const struct tern_addr *src,
	const struct tern_addr *dst, uint8_t protocol, uint16_t id)
{
	uint8_t key[35];
	memcpy(key, src->byte, 16);
	memcpy(key + 16, dst->byte, 16);
	key[32] = protocol;
	store_be16(key + 33, id);
	return (uint32_t)tern_siphash13(&t->key, key, sizeof key);
}

static struct datagram *find(const struct reassembly *t, const struct ipv4_packet *p)
{
	const struct ip_in *in = &p->in;
	struct htab_probe probe =
		tern_htab_probe(&t->table, hash(t, &in->src, &in->dst, in->protocol, p->header.id));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct datagram *d = tern_pool_at(&t->datagrams, slot);
		if (d->id == p->header.id && d->first.in.protocol == in->protocol &&
			addr_same(&d->source->addr, &in->src) &&
			addr_same(&d->first.in.dst, &in->dst))
			return d;
	}
	return NULL;
}

static void release_chunks(struct ip *ip, struct datagram *d)
{
	ip->reassembly->bytes -= d->chunk_count * (size_t)CHUNK_BYTES;
	for (unsigned i = 0; i < CHUNKS; i++) {
		if (d->chunk[i])
			tern_pool_put(&ip->core->chunks, d->chunk[i]);
		d->chunk[i] = NULL;
	}
	d->chunk_count = 0;
}

static void drop_source(struct reassembly *t, struct source *s)
{
	tern_htab_remove(&t->source_table, hash_source(t, &s->addr),
		tern_pool_slot(&t->sources, s));
	tern_pool_put(&t->sources, s);
	t->bytes -= sizeof *s;
}

static void discard(struct ip *ip, struct datagram *d)
{
	struct reassembly *t = ip->reassembly;
	struct source *s = d->source;
	release_chunks(ip, d);
	*d->link = d->next;
	if (d->next)
		d->next->link = d->link;
	else
		t->newest = d->link;
	*d->sibling_link = d->sibling;
	if (d->sibling)
		d->sibling->sibling_link = d->sibling_link;
	else
		s->newest = d->sibling_link;
	tern_htab_remove(&t->table,
		hash(t, &s->addr, &d->first.in.dst, d->first.in.protocol, d->id),
		tern_pool_slot(&t->datagrams, d));
	tern_pool_put(&t->datagrams, d);
	t->bytes -= sizeof *d;
	if (--s->count == 0)
		drop_source(t, s);
}

static void evict(struct ip *ip, struct datagram *d)
{
	if (!d->condemned) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		tern_core_drop(ip->core, TERN_DROP_FRAG_LIMIT);
	}
	discard(ip, d);
}

/* Makes room for bytes more, sparing one datagram; false if that cannot be. */
static bool make_room(struct ip *ip, size_t bytes, const struct datagram *spared)
{
	struct reassembly *t = ip->reassembly;
	size_t limit = (size_t)ip->core->set.ipfrag_high_thresh;
	while (t->bytes + bytes > limit) {
		struct datagram *oldest = t->oldest;
		if (oldest == spared && oldest)
			oldest = oldest->next;
		if (!oldest)
			return false;
		evict(ip, oldest);
	}
	return true;
}

static struct source *source_of(struct reassembly *t, const struct tern_addr *addr)
{
	uint32_t h = hash_source(t, addr);
	struct htab_probe probe = tern_htab_probe(&t->source_table, h);
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct source *s = tern_pool_at(&t->sources, slot);
		if (addr_same(&s->addr, addr))
			return s;
	}
	struct source *s = tern_pool_get(&t->sources);
	if (!s)
		return NULL;
	*s = (struct source){.addr = *addr, .newest = &s->oldest};
	if (tern_htab_insert(&t->source_table, h, tern_pool_slot(&t->sources, s)) != 0) {
		tern_pool_put(&t->sources, s);
		return NULL;
	}
	t->bytes += sizeof *s;
	return s;
}

static void append(struct reassembly *t, struct source *s, struct datagram *d)
{
	d->source = s;
	d->link = t->newest;
	*d->link = d;
	t->newest = &d->next;
	d->sibling_link = s->newest;
	*d->sibling_link = d;
	s->newest = &d->sibling;
	s->count++;
	t->bytes += sizeof *d;
}

static struct datagram *begin(struct ip *ip, const struct ipv4_packet *p)
{
	struct reassembly *t = ip->reassembly;
	if (!make_room(ip, sizeof(struct datagram) + sizeof(struct source) + CHUNK_BYTES, NULL))
		return NULL;
	struct source *s = source_of(t, &p->in.src);
	if (!s)
		return NULL;
	struct datagram *d = tern_pool_get(&t->datagrams);
	uint32_t h = hash(t, &p->in.src, &p->in.dst, p->in.protocol, p->header.id);
	if (d && tern_htab_insert(&t->table, h, tern_pool_slot(&t->datagrams, d)) != 0) {
		tern_pool_put(&t->datagrams, d);
		d = NULL;
	}
	if (!d) {
		if (s->count == 0)
			drop_source(t, s);
		return NULL;
	}
	*d = (struct datagram){
		.id = p->header.id,
		.deadline = ip->core->now + (uint32_t)ip->core->set.ipfrag_time * SECOND_NS,
	};
	d->first.in = p->in;
	d->first.in.data = NULL;
	append(t, s, d);
	if (s->count > (uint32_t)ip->core->set.ipfrag_max_dist)
		evict(ip, s->oldest);
	return d;
}

/* The least a first fragment must bring, so that no later one rewrites ports or flags. */
static uint32_t transport_header_min(uint8_t protocol)
{
	return protocol == IPPROTO_TCP_NUM ? 20 : 8;
}

static bool malformed(const struct ipv4_packet *p)
{
	uint32_t offset = p->header.fragment_offset, len = p->in.len;
	if (len == 0 || offset + len > PAYLOAD_MAX)
		return true;
	if (p->header.more_fragments && len % 8 != 0)
		return true;
	/* RFC 1858 3.2, 4; RFC 3128. */
	if (offset == 0)
		return len < transport_header_min(p->in.protocol);
	return offset < transport_header_min(p->in.protocol);
}

static bool same_bytes(const struct datagram *d, uint32_t offset, const uint8_t *data, uint32_t len)
{
	while (len > 0) {
		uint32_t in_chunk = offset % CHUNK_BYTES;
		uint32_t n = CHUNK_BYTES - in_chunk < len ? CHUNK_BYTES - in_chunk : len;
		if (memcmp(d->chunk[offset / CHUNK_BYTES] + in_chunk, data, n) != 0)
			return false;
		offset += n;
		data += n;
		len -= n;
	}
	return true;
}

/* Whether that very fragment is here already: same place, same length, same bytes. */
static bool repeats(const struct datagram *d, const struct ipv4_packet *p)
{
	uint32_t offset = p->header.fragment_offset, len = p->in.len;
	uint32_t first = offset / 8, end = first + (len + 7) / 8;
	if (!test(d->begins, first))
		return false;
	for (uint32_t k = first; k < end; k++)
		if (!test(d->held, k) || (k > first && test(d->begins, k)))
			return false;
	bool is_last = d->total > 0 && offset + len >= d->total;
	if (is_last == p->header.more_fragments || (is_last && offset + len > d->total))
		return false;
	if (end < BLOCKS && test(d->held, end) && !test(d->begins, end))
		return false;
	return same_bytes(d, offset, p->in.data, len);
}

static bool overlaps(const struct datagram *d, const struct ipv4_packet *p)
{
	uint32_t offset = p->header.fragment_offset, end = offset + p->in.len;
	if (d->total > 0 && (end > d->total || !p->header.more_fragments))
		return true;
	if (!p->header.more_fragments && d->highest > end)
		return true;
	for (uint32_t k = offset / 8; k < (end + 7) / 8; k++)
		if (test(d->held, k))
			return true;
	return false;
}

static bool get_chunks(struct ip *ip, struct datagram *d, uint32_t from, uint32_t end)
{
	for (uint32_t i = from / CHUNK_BYTES; i <= (end - 1) / CHUNK_BYTES; i++) {
		if (d->chunk[i])
			continue;
		if (!make_room(ip, CHUNK_BYTES, d))
			return false;
		d->chunk[i] = tern_pool_get(&ip->core->chunks);
		if (!d->chunk[i])
			return false;
		d->chunk_count++;
		ip->reassembly->bytes += CHUNK_BYTES;
	}
	return true;
}

static void copy_in(struct datagram *d, uint32_t offset, const uint8_t *data, uint32_t len)
{
	while (len > 0) {
		uint32_t in_chunk = offset % CHUNK_BYTES;
		uint32_t n = CHUNK_BYTES - in_chunk < len ? CHUNK_BYTES - in_chunk : len;
		memcpy(d->chunk[offset / CHUNK_BYTES] + in_chunk, data, n);
		offset += n;
		data += n;
		len -= n;
	}
}

static void note_header(struct datagram *d, const struct ipv4_packet *p)
{
	d->ecn |= (uint8_t)(1u << (p->in.tos & ECN_MASK));
	if (p->header.fragment_offset == 0) {
		bool group = d->first.in.group;
		d->first = *p;
		d->first.raw = NULL; /* it was only lent */
		d->first.in.data = NULL;
		d->first.in.group |= group;
		d->first_len = p->in.len;
		d->has_first = true;
	}
	d->first.in.group |= p->in.group;
}

static enum tern_drop place(struct ip *ip, struct datagram *d, const struct ipv4_packet *p)
{
	uint32_t offset = p->header.fragment_offset, end = offset + p->in.len;
	if (d->condemned)
		return TERN_DROP_FRAG_OVERLAP;
	if (repeats(d, p))
		return TERN_DROP_NONE;
	if (overlaps(d, p)) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		release_chunks(ip, d);
		d->condemned = true;
		return TERN_DROP_FRAG_OVERLAP;
	}
	if (!get_chunks(ip, d, offset, end))
		return TERN_DROP_FRAG_LIMIT;
	copy_in(d, offset, p->in.data, p->in.len);
	set(d->begins, offset / 8);
	for (uint32_t k = offset / 8; k < (end + 7) / 8; k++) {
		set(d->held, k);
		d->held_count++;
	}
	if (!p->header.more_fragments)
		d->total = end;
	if (end > d->highest)
		d->highest = end;
	note_header(d, p);
	return TERN_DROP_NONE;
}

static void deliver(struct ip *ip, const struct datagram *d, const uint8_t *data)
{
	struct ipv4_packet p = d->first;
	p.in.data = data;
	p.in.len = d->total;
	p.in.csum_valid = false; /* no device has seen the whole */
	p.in.gso_size = 0;
	if (d->ecn >> ECN_CE & 1)
		p.in.tos |= ECN_CE;
	p.header.tos = p.in.tos;
	p.header.header_len = IPV4_HEADER_LEN;
	p.header.total_len = (uint16_t)(IPV4_HEADER_LEN + d->total);
	p.header.more_fragments = false;
	core_count(ip->core, TERN_COUNT_IpReasmOKs);
	tern_ipv4_deliver(ip, &p);
}

/* Hands the whole up; what fits one chunk goes as it lies. */
static enum tern_drop finish(struct ip *ip, struct datagram *d)
{
	/* RFC 3168 5.3: congestion must not get lost, and who knows nothing of ECN not be told. */
	if (d->ecn >> ECN_CE & 1 && d->ecn >> ECN_NOT_ECT & 1) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		return TERN_DROP_FRAG_ECN;
	}
	if (d->total <= CHUNK_BYTES) {
		deliver(ip, d, d->chunk[0]);
		return TERN_DROP_NONE;
	}
	uint8_t *whole = tern_mem_alloc(&ip->core->mem, d->total, 16);
	if (!whole) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		return TERN_DROP_FRAG_LIMIT;
	}
	for (uint32_t at = 0; at < d->total; at += CHUNK_BYTES) {
		uint32_t n = d->total - at < CHUNK_BYTES ? d->total - at : CHUNK_BYTES;
		memcpy(whole + at, d->chunk[at / CHUNK_BYTES], n);
	}
	deliver(ip, d, whole);
	tern_mem_free(&ip->core->mem, whole, d->total);
	return TERN_DROP_NONE;
}

static enum tern_drop input(struct ip *ip, const struct ipv4_packet *p)
{
	if (malformed(p)) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		return TERN_DROP_FRAG_MALFORMED;
	}
	struct reassembly *t = reassembly_of(ip);
	struct datagram *d = t ? find(t, p) : NULL;
	if (t && !d)
		d = begin(ip, p);
	if (!d) {
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		return TERN_DROP_FRAG_LIMIT;
	}
	enum tern_drop why = place(ip, d, p);
	if (!why && d->total > 0 && d->held_count == (d->total + 7) / 8) {
		why = finish(ip, d);
		discard(ip, d);
	}
	return why;
}

void tern_fragment_input(struct ip *ip, const struct ipv4_packet *p)
{
	core_count(ip->core, TERN_COUNT_IpReasmReqds);
	enum tern_drop why = input(ip, p);
	if (why)
		tern_core_drop(ip->core, why);
}

/* RFC 1122 3.3.2: the sender is told, if its first fragment is there to be quoted. */
static void time_out(struct ip *ip, struct datagram *d)
{
	if (!d->condemned) {
		core_count(ip->core, TERN_COUNT_IpReasmTimeout);
		core_count(ip->core, TERN_COUNT_IpReasmFails);
		tern_core_drop(ip->core, TERN_DROP_FRAG_TIMEOUT);
	}
	if (!d->condemned && d->has_first) {
		d->first.in.data = d->chunk[0];
		d->first.in.len = d->first_len < CHUNK_BYTES ? d->first_len : CHUNK_BYTES;
		tern_icmp_error(ip, &d->first, ICMP_TIME_EXCEEDED, ICMP_CODE_REASSEMBLY);
	}
	discard(ip, d);
}

void tern_fragment_expire(struct ip *ip)
{
	struct reassembly *t = ip->reassembly;
	for (unsigned i = 0; t && i < EXPIRY_PER_CALL; i++) {
		if (!t->oldest || t->oldest->deadline > ip->core->now)
			return;
		time_out(ip, t->oldest);
	}
}

/* Exact while ipfrag_time stays as it is, since then the oldest is the first to expire. */
uint64_t tern_fragment_deadline(const struct ip *ip)
{
	const struct reassembly *t = ip->reassembly;
	return t && t->oldest ? t->oldest->deadline : TERN_NEVER;
}

void tern_fragment_fini(struct ip *ip)
{
	struct reassembly *t = ip->reassembly;
	if (!t)
		return;
	while (t->oldest)
		discard(ip, t->oldest);
	assert(t->bytes == 0);
	tern_htab_fini(&t->table);
	tern_htab_fini(&t->source_table);
	tern_pool_fini(&t->datagrams);
	tern_pool_fini(&t->sources);
	tern_mem_free(&ip->core->mem, t, sizeof *t);
	ip->reassembly = NULL;
}
