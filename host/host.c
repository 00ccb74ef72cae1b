#include "host/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <tern/relay.h>
#include <unistd.h>

#include "host/error.h"

static int make_stack(struct tern_host *host, const struct tern_host_opts *opts)
{
	struct tern_config config;
	tern_config_init(&config);
	config.allocator = tern_heap_allocator(&host->heap);
	if (opts->budget)
		config.budget = opts->budget;
	if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
		return tern_error_set("getrandom: %s", strerror(errno));
	host->stack = tern_stack_new(&config, tern_host_now());
	if (!host->stack)
		return tern_error_set("the stack cannot be made with a budget of %zu bytes",
			config.budget);
	if (opts->trace.see)
		tern_trace_set(host->stack, &opts->trace);
	if (opts->configure && opts->configure(opts->configure_context, host->stack) != 0)
		return -1;
	return 0;
}

static int add_gateway(struct tern_host *host, const char *gateway)
{
	static const struct tern_addr any;
	struct tern_addr addr;
	if (tern_addr_parse(gateway, &addr) != 0)
		return tern_error_set("gateway %s: not an address", gateway);
	int rc = tern_route_add(host->stack, &any, 0, &addr, host->port[0].nif);
	return rc == 0 ? 0 : tern_error_set("gateway %s: %s", gateway, tern_err_text(rc));
}

/* A MAC that stays the same from run to run, so that neighbours' caches stay true. */
static void make_mac(const struct tern_addr *addr, uint8_t mac[6])
{
	static const uint8_t none[6];
	if (memcmp(mac, none, 6) != 0)
		return;
	mac[0] = 0x02; /* locally administered, unicast */
	mac[1] = 0x74;
	memcpy(mac + 2, addr->byte + 12, 4);
}

/* Puts a device on an interface of the stack; cidr NULL: a guest's, without an address. */
static int add_interface(struct tern_host *host, struct port *port, const char *cidr)
{
	const struct tern_device *device = port->device;
	struct tern_addr addr;
	unsigned prefix_len;
	struct tern_nif_opts nif = {.mtu = device->mtu,
		.offload = device->offload,
		.raw_ip = device->raw_ip,
		.guest = !cidr};
	memcpy(nif.name, device->name, sizeof nif.name);
	memcpy(nif.mac, device->mac, sizeof nif.mac);
	if (cidr && tern_cidr_parse(cidr, &addr, &prefix_len) != 0)
		return tern_error_set("%s: not an address like 10.77.0.2/24", cidr);
	if (cidr)
		make_mac(&addr, nif.mac);
	port->nif = tern_nif_add(host->stack, &nif);
	if (port->nif < 0)
		return tern_error_set("%s: %s", device->name, tern_err_text(port->nif));
	int rc = cidr ? tern_nif_addr_add(host->stack, port->nif, &addr, prefix_len) : 0;
	return rc == 0 ? 0 : tern_error_set("%s: %s", cidr, tern_err_text(rc));
}

static int make_buffers(struct tern_host *host, struct port *port)
{
	port->room = (tern_nif_frame_room(host->stack, port->nif) + 63) & ~(size_t)63;
	port->buffers = malloc(port->room * HOST_BATCH);
	port->first = port->count = HOST_BATCH; /* none is lent yet */
	return port->buffers ? 0 : tern_error_set("out of memory");
}

/* Takes the device, also when it fails. */
static int add_port(struct tern_host *host, struct tern_device *device, const char *cidr)
{
	struct port *port = &host->port[host->ports++];
	*port = (struct port){.device = device, .nif = TERN_NIF_LOOPBACK};
	if ((device && add_interface(host, port, cidr) != 0) || make_buffers(host, port) != 0)
		return -1;
	if (!device)
		return 0;
	port->watch.fd = device->fd;
	return tern_loop_add(host, &port->watch, EPOLLIN);
}

static int make_loop(struct tern_host *host)
{
	host->epoll = epoll_create1(EPOLL_CLOEXEC);
	host->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (host->epoll < 0 || host->stop_fd < 0)
		return tern_error_set("epoll, eventfd: %s", strerror(errno));
	host->stop_watch.fd = host->stop_fd;
	return tern_loop_add(host, &host->stop_watch, EPOLLIN);
}

struct tern_host *tern_host_open_on(struct tern_device *device, const char *cidr,
	const struct tern_host_opts *opts)
{
	static const struct tern_host_opts none;
	if (!opts)
		opts = &none;
	struct tern_host *host = calloc(1, sizeof *host);
	if (!host) {
		tern_device_close(device);
		tern_error_set("out of memory");
		return NULL;
	}
	host->epoll = host->stop_fd = -1;
	bool begun = make_stack(host, opts) == 0 && make_loop(host) == 0;
	if (!begun)
		tern_device_close(device);
	if (begun && add_port(host, device, cidr ? cidr : "(none)") == 0 &&
		(!opts->gateway || add_gateway(host, opts->gateway) == 0))
		return host;
	tern_host_close(host);
	return NULL;
}

int tern_host_add_guest(struct tern_host *host, struct tern_device *device)
{
	if (host->ports == HOST_PORTS) {
		tern_device_close(device);
		return tern_error_set("there is a guest already");
	}
	return add_port(host, device, NULL);
}

struct tern_host *tern_host_open(const char *spec, const char *cidr,
	const struct tern_host_opts *opts)
{
	static const struct tern_host_opts none;
	struct tern_impair_spec impair;
	char why[128];
	if (!opts)
		opts = &none;
	if (!spec)
		return tern_host_open_on(NULL, NULL, opts);
	if (opts->impair && tern_impair_parse(opts->impair, &impair, why, sizeof why) != 0) {
		tern_error_set("impair: %s", why);
		return NULL;
	}
	struct tern_device *device = tern_device_open(spec, &opts->device);
	if (device && opts->impair)
		device = tern_impaired_open(device, &impair, &impair, opts->impair_seed);
	return device ? tern_host_open_on(device, cidr, opts) : NULL;
}

static void free_watches(struct tern_watch *watch)
{
	while (watch) {
		struct tern_watch *next = watch->next;
		free(watch);
		watch = next;
	}
}

void tern_host_close(struct tern_host *host)
{
	if (!host)
		return;
	while (host->relays)
		tern_relay_abort(host->relays);
	if (host->stack)
		tern_stack_free(host->stack);
	tern_heap_fini(&host->heap);
	for (unsigned i = 0; i < host->ports; i++) {
		tern_device_close(host->port[i].device);
		free(host->port[i].buffers);
	}
	if (host->epoll >= 0)
		close(host->epoll);
	if (host->stop_fd >= 0)
		close(host->stop_fd);
	free_watches(host->watches);
	free_watches(host->graveyard);
	free(host->claims);
	free(host);
}

struct tern_stack *tern_host_stack(struct tern_host *host)
{
	return host->stack;
}

struct tern_device *tern_host_device(struct tern_host *host)
{
	return host->port[0].device;
}

int tern_host_nif(const struct tern_host *host)
{
	return host->port[0].nif;
}

static bool grow_claims(struct tern_host *host, uint32_t slot)
{
	uint64_t size = host->claims_size ? host->claims_size : 64;
	while (size <= slot)
		size *= 2;
	struct claim *claims = realloc(host->claims, size * sizeof *claims);
	if (!claims)
		return false;
	memset(claims + host->claims_size, 0, (size - host->claims_size) * sizeof *claims);
	host->claims = claims;
	host->claims_size = (uint32_t)size;
	return true;
}

int tern_host_claim(struct tern_host *host, struct tern_conn conn,
	void (*see)(void *context, const struct tern_event *event), void *context)
{
	if (conn.slot >= host->claims_size && !grow_claims(host, conn.slot))
		return TERN_ENOMEM;
	host->claims[conn.slot] = (struct claim){conn.generation, see, context};
	return 0;
}
