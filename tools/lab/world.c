#include "tools/lab/lab.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_ROOM 1600
#define BEGINNING  (1000 * LAB_SEC)
#define PORT       80
#define DELAY      (10 * LAB_MS) /* one way */

/* --- memory ------------------------------------------------------------------------------ */

static void *take(void *context, size_t size, size_t align)
{
	struct lab_host *host = context;
	void *block = aligned_alloc(align, (size + align - 1) & ~(align - 1));
	host->memory += block ? size : 0;
	if (host->memory > host->memory_peak)
		host->memory_peak = host->memory;
	return block;
}

static void give(void *context, void *block, size_t size)
{
	struct lab_host *host = context;
	host->memory -= block ? size : 0;
	free(block);
}

/* --- hosts --------------------------------------------------------------------------------- */

static struct tern_addr addr_of(unsigned host)
{
	return tern_addr_v4(10, 0, 0, host == CLIENT ? 1 : 2);
}

static int make_host(struct lab *lab, unsigned which, bool ethernet)
{
	static const struct tern_impair_spec wire = {.delay = DELAY};
	struct lab_host *host = &lab->host[which];
	struct tern_config config;
	struct tern_nif_opts nif = {.mtu = 1500, .raw_ip = !ethernet};
	struct tern_addr addr = addr_of(which), any = {{0}}, gateway = addr_of(!which);
	tern_config_init(&config);
	config.allocator = (struct tern_allocator){take, give, host};
	config.seed[0] = (uint8_t)(which + 1);
	strcpy(nif.name, which == CLIENT ? "client" : "server");
	host->stack = tern_stack_new(&config, lab->now);
	host->out = tern_wire_new(&wire, which + 1);
	if (!host->stack || !host->out)
		return -1;
	host->nif = tern_nif_add(host->stack, &nif);
	if (host->nif < 0 || tern_nif_addr_add(host->stack, host->nif, &addr, 24) != 0)
		return -1;
	return tern_route_add(host->stack, &any, 0, &gateway, host->nif);
}

static int set_all(struct lab *lab, const char *setting)
{
	char why[TERN_SETTING_WHY];
	for (unsigned i = 0; i < LAB_HOSTS; i++) {
		int rc = tern_set_pair(lab->host[i].stack, setting);
		if (rc != 0) {
			tern_setting_why(setting, rc, why, sizeof why);
			fprintf(stderr, "lab: --set %s: %s\n", setting, why);
			return -1;
		}
	}
	return 0;
}

/* The ladder hears both; the capture, the server's side only: each frame once. */
static int record(struct lab *lab)
{
	static struct tern_trace_listener listener[LAB_HOSTS];
	lab->ladder = tern_ladder_new(&(struct tern_ladder_opts){.connections = 1});
	if (!lab->ladder)
		return -1;
	for (unsigned i = 0; i < LAB_HOSTS; i++)
		tern_tee_add(&lab->tee[i], tern_ladder_listener(lab->ladder));
	if (lab->opts->pcap) {
		struct tern_nif_opts nif;
		lab->pcap = tern_pcapng_open(lab->opts->pcap, NULL);
		if (!lab->pcap)
			return fprintf(stderr, "lab: %s: cannot be written\n", lab->opts->pcap), -1;
		tern_tee_add(&lab->tee[SERVER], tern_pcapng_listener(lab->pcap));
		for (int i = 0; i <= lab->host[SERVER].nif; i++)
			if (tern_nif_info(lab->host[SERVER].stack, i, &nif) == 0)
				tern_pcapng_interface(lab->pcap, i, &nif);
	}
	for (unsigned i = 0; i < LAB_HOSTS; i++) {
		listener[i] = tern_tee_listener(&lab->tee[i]);
		tern_trace_set(lab->host[i].stack, &listener[i]);
	}
	return 0;
}

int lab_open(struct lab *lab, const struct experiment *e, const struct lab_opts *opts)
{
	*lab = (struct lab){.opts = opts, .now = BEGINNING, .began = BEGINNING};
	lab_pace_begin(lab);
	if (make_host(lab, CLIENT, e->ethernet) != 0 || make_host(lab, SERVER, e->ethernet) != 0)
		return fprintf(stderr, "lab: out of memory\n"), -1;
	for (unsigned i = 0; i < opts->setting_count; i++)
		if (set_all(lab, opts->settings[i]) != 0)
			return -1;
	return record(lab);
}

void lab_shut(struct lab *lab)
{
	for (unsigned i = 0; i < LAB_HOSTS; i++) {
		if (lab->host[i].stack)
			tern_stack_free(lab->host[i].stack);
		if (lab->host[i].out)
			tern_wire_free(lab->host[i].out);
	}
	if (lab->ladder)
		tern_ladder_free(lab->ladder);
	if (lab->pcap)
		tern_pcapng_close(lab->pcap);
}

static bool given(const struct lab *lab, const char *name)
{
	size_t n = strlen(name);
	for (unsigned i = 0; i < lab->opts->setting_count; i++)
		if (strncmp(lab->opts->settings[i], name, n) == 0 &&
			lab->opts->settings[i][n] == '=')
			return true;
	return false;
}

void lab_set(struct lab *lab, unsigned host, const char *name, int64_t value)
{
	if (!given(lab, name) && tern_set(lab->host[host].stack, name, value) != 0)
		lab->broken = true;
}

int64_t lab_get(const struct lab *lab, unsigned host, const char *name)
{
	int64_t value = 0;
	tern_get(lab->host[host].stack, name, &value);
	return value;
}

/* --- time ------------------------------------------------------------------------------------ */

static bool pull(struct lab *lab, unsigned which)
{
	struct lab_host *host = &lab->host[which];
	uint8_t bytes[FRAME_ROOM];
	struct tern_frame frame = {.data = bytes, .capacity = sizeof bytes};
	if (tern_output(host->stack, host->nif, &frame, 1, lab->now) == 0)
		return false;
	host->sent++;
	if (!lab->eat || !lab->eat(lab, which, &frame))
		tern_wire_push(host->out, &frame, lab->now);
	return true;
}

static bool deliver(struct lab *lab, unsigned from)
{
	struct lab_host *to = &lab->host[!from];
	struct tern_frame frame;
	if (!tern_wire_pop(lab->host[from].out, &frame, lab->now))
		return false;
	tern_input(to->stack, to->nif, &frame, 1, lab->now);
	if (lab->react)
		lab->react(lab, !from);
	return true;
}

static uint64_t soonest(const struct lab *lab)
{
	uint64_t at = TERN_NEVER;
	for (unsigned i = 0; i < LAB_HOSTS; i++) {
		uint64_t stack = tern_deadline(lab->host[i].stack);
		uint64_t wire = tern_wire_deadline(lab->host[i].out);
		at = stack < at ? stack : at;
		at = wire < at ? wire : at;
	}
	return at;
}

static void settle(struct lab *lab)
{
	bool busy = true;
	while (busy) {
		busy = false;
		for (unsigned i = 0; i < LAB_HOSTS; i++) {
			tern_input(lab->host[i].stack, lab->host[i].nif, NULL, 0, lab->now);
			while (deliver(lab, i))
				busy = true;
			while (pull(lab, i))
				busy = true;
		}
	}
}

void lab_run(struct lab *lab, uint64_t ns)
{
	uint64_t end = lab->now + ns;
	settle(lab);
	for (uint64_t next; (next = soonest(lab)) <= end;) {
		lab->now = next > lab->now ? next : lab->now + 1;
		settle(lab);
	}
	lab->now = end;
	settle(lab);
}

uint64_t lab_now(const struct lab *lab)
{
	return lab->now - lab->began;
}

/* --- what people do ------------------------------------------------------------------------- */

void lab_listen(struct lab *lab, unsigned backlog)
{
	struct tern_listen_opts opts = {.local.port = PORT, .backlog = backlog};
	if (tern_tcp_listen(lab->host[SERVER].stack, &opts, &lab->listener) != 0)
		lab->broken = true;
}

struct tern_conn lab_connect(struct lab *lab)
{
	struct tern_connect_opts opts = {.remote = {addr_of(SERVER), PORT}};
	struct tern_conn conn = {0};
	if (tern_tcp_connect(lab->host[CLIENT].stack, &opts, &conn) != 0)
		lab->broken = true;
	return conn;
}

void lab_establish(struct lab *lab)
{
	lab_listen(lab, 8);
	lab->conn[CLIENT] = lab_connect(lab);
	lab_run(lab, 100 * LAB_MS);
	if (tern_tcp_accept(lab->host[SERVER].stack, lab->listener, &lab->conn[SERVER]) != 0)
		lab->broken = true;
}

void lab_write(struct lab *lab, unsigned host, size_t n)
{
	static uint8_t bytes[1 << 20];
	ptrdiff_t put = tern_tcp_write(lab->host[host].stack, lab->conn[host], bytes,
		n < sizeof bytes ? n : sizeof bytes);
	(void)put; /* what there is room for */
}

size_t lab_read(struct lab *lab, unsigned host)
{
	static uint8_t bytes[1 << 16];
	size_t got = 0;
	ptrdiff_t n;
	while ((n = tern_tcp_read(lab->host[host].stack, lab->conn[host], bytes, sizeof bytes)) > 0)
		got += (size_t)n;
	return got;
}

struct tern_tcp_info lab_info(const struct lab *lab, unsigned host)
{
	struct tern_tcp_info info = {.state = TERN_TCP_CLOSED};
	tern_tcp_info(lab->host[host].stack, lab->conn[host], &info);
	return info;
}

/* Also of a connection that its program has let go: there is only one. */
enum tern_tcp_state lab_state(const struct lab *lab, unsigned host)
{
	struct tern_tcp_info info = lab_info(lab, host);
	uint32_t cursor = 0;
	if (info.state == TERN_TCP_CLOSED)
		while (tern_tcp_each(lab->host[host].stack, &cursor, &info))
			if (info.state != TERN_TCP_LISTEN)
				return info.state;
	return info.state == TERN_TCP_LISTEN ? TERN_TCP_CLOSED : info.state;
}

static struct tern_listen_info listening(const struct lab *lab)
{
	struct tern_listen_info info = {0};
	tern_tcp_listen_info(lab->host[SERVER].stack, lab->listener, &info);
	return info;
}

uint32_t lab_half_open(const struct lab *lab)
{
	return listening(lab).half_open;
}

uint32_t lab_queued(const struct lab *lab)
{
	return listening(lab).queued;
}

uint64_t lab_count(const struct lab *lab, unsigned host, enum tern_counter which)
{
	return tern_counter(lab->host[host].stack, which);
}

uint64_t lab_drops(const struct lab *lab, unsigned host, enum tern_drop why)
{
	return tern_drop_count(lab->host[host].stack, why);
}

int lab_error(struct lab *lab, unsigned host)
{
	return lab_info(lab, host).error;
}

/* --- bytes ---------------------------------------------------------------------------------- */

static uint32_t sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	return s;
}

static void put_sum(uint8_t *at, uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	at[0] = (uint8_t)(~s >> 8);
	at[1] = (uint8_t)~s;
}

void lab_spoof_syn(struct lab *lab, uint32_t number)
{
	uint8_t p[44] = {0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 198, 18, 0, 0, 10, 0, 0,
		2, /* IP */
		0, 0, 0, PORT, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, LAB_SYN, 0xff, 0xff, 0, 0, 0, 0, 2, 4,
		5, 0xb4};
	uint32_t port = 1024 + (number >> 16), host = number & 0xffff;
	p[14] = (uint8_t)(host >> 8);
	p[15] = (uint8_t)host;
	p[20] = (uint8_t)(port >> 8);
	p[21] = (uint8_t)port;
	memcpy(p + 24, &number, 4);
	put_sum(p + 10, sum(p, 20));
	put_sum(p + 36, sum(p + 12, 8) + 6 + 24 + sum(p + 20, 24));
	struct tern_frame frame = {.data = p, .len = sizeof p};
	tern_input(lab->host[SERVER].stack, lab->host[SERVER].nif, &frame, 1, lab->now);
}

int lab_flags(const struct tern_frame *frame)
{
	if (frame->len < 40 || frame->data[9] != 6)
		return -1;
	return frame->data[33] & 0x3f;
}
