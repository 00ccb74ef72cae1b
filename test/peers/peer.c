/*
 * A peer on tern for test/peers/run: opens or accepts connections, sends a known pattern, checks
 * what comes against it byte by byte, and says in one line of JSON how that went.
 *
 *	peer --tap tern0 --pattern FILE --connect 10.77.0.1:9 --recv 67108864
 *
 * The other side of every conversation is test/peers/kernel.py, which takes the same words.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tern/tcp.h>
#include <unistd.h>

#include "tools/options.h"

#define SECOND    1000000000u
#define SETTLE_MS 15000

struct plan {
	struct tern_endpoint to; /* port 0: listen */
	uint16_t port;
	uint64_t send, recv; /* bytes, each connection */
	bool echo;           /* instead of send and recv: what comes goes back */
	bool after_eof;      /* send only once the peer's FIN is read */
	uint64_t stall;      /* ns without reading, from the beginning */
	uint64_t abort_at;   /* bytes received after which to abort; 0: never */
	uint64_t count, parallel;
	uint64_t limit; /* ns for all of it */
};

/* One connection. */
struct link {
	struct tern_conn conn;
	uint64_t sent, received;
	uint64_t read_from; /* when reading begins, ns; 0: it has */
	bool shut, eof;
	struct link *next; /* among the living */
	struct link **back;
};

struct peer {
	struct options options;
	struct plan plan;
	struct tern_host *host;
	struct tern_stack *stack;
	struct tern_listener listener;
	const uint8_t *pattern;
	size_t pattern_size;
	struct link *links;
	uint64_t started, first, last; /* ns: begun, connected first, done last */
	uint64_t opened, done, failed, sent, received;
	int error;  /* the last connection's end */
	bool wrong; /* a byte that is not the pattern's, or too many, or a broken stack */
};

static void complain(struct peer *p, const char *what)
{
	if (!p->wrong)
		fprintf(stderr, "peer: %s\n", what);
	p->wrong = true;
}

/* --- one connection --------------------------------------------------------------------- */

static struct link *link_new(struct peer *p)
{
	struct link *l = calloc(1, sizeof *l);
	if (!l) {
		fprintf(stderr, "peer: out of memory\n");
		exit(1);
	}
	l->read_from = p->plan.stall ? tern_host_now() + p->plan.stall : 0;
	l->next = p->links;
	l->back = &p->links;
	if (l->next)
		l->next->back = &l->next;
	p->links = l;
	p->opened++;
	return l;
}

static void link_free(struct link *l)
{
	*l->back = l->next;
	if (l->next)
		l->next->back = l->back;
	free(l);
}

/* error: 0, or why it ended. */
static void link_end(struct peer *p, struct link *l, int error)
{
	if (error == TERN_ECONNABORTED)
		tern_tcp_abort(p->stack, l->conn);
	else
		tern_tcp_close(p->stack, l->conn);
	p->done++;
	p->failed += error != 0;
	p->error = error;
	p->sent += l->sent;
	p->received += l->received;
	p->last = tern_host_now();
	link_free(l);
}

static bool matches(const struct peer *p, uint64_t at, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t from = (size_t)(at % p->pattern_size), n = p->pattern_size - from;
		n = n < len ? n : len;
		if (memcmp(p->pattern + from, data, n) != 0)
			return false;
		at += n;
		data += n;
		len -= n;
	}
	return true;
}

/* Where the pattern goes on after `at`, at most up to end. */
static struct tern_span pattern_at(const struct peer *p, uint64_t at, uint64_t end)
{
	size_t from = (size_t)(at % p->pattern_size), n = p->pattern_size - from;
	return (struct tern_span){(uint8_t *)(uintptr_t)p->pattern + from,
		end - at < n ? (size_t)(end - at) : n};
}

/* What may be sent by now: all, or with echo as much as came. */
static uint64_t sendable(const struct peer *p, const struct link *l)
{
	if (p->plan.echo)
		return l->received;
	return p->plan.after_eof && !l->eof ? 0 : p->plan.send;
}

static void push(struct peer *p, struct link *l)
{
	uint64_t end = sendable(p, l);
	while (l->sent < end) {
		struct tern_span span = pattern_at(p, l->sent, end);
		ptrdiff_t n = tern_tcp_write(p->stack, l->conn, span.data, span.len);
		if (n <= 0)
			return;
		l->sent += (uint64_t)n;
	}
	bool all = p->plan.echo || p->plan.after_eof ? l->eof : true;
	if (all && !l->shut)
		l->shut = tern_tcp_shutdown(p->stack, l->conn) == 0;
}

/* An echo that is not being read does not read either. */
static bool may_read(const struct peer *p, const struct link *l)
{
	return !l->eof && tern_host_now() >= l->read_from &&
	       !(p->plan.echo && l->received - l->sent > 65536);
}

/* Returns false when the connection is gone. */
static bool pull(struct peer *p, struct link *l)
{
	static uint8_t buffer[65536];
	ptrdiff_t n = TERN_EAGAIN;
	while (may_read(p, l) &&
		(n = tern_tcp_read(p->stack, l->conn, buffer, sizeof buffer)) > 0) {
		if (!matches(p, l->received, buffer, (size_t)n))
			complain(p, "a byte is not what was sent");
		l->received += (uint64_t)n;
		if (p->plan.abort_at && l->received >= p->plan.abort_at) {
			link_end(p, l, TERN_ECONNABORTED);
			return false;
		}
		if (p->plan.echo)
			push(p, l);
	}
	l->eof |= n == 0;
	return true;
}

static void move(struct peer *p, struct link *l)
{
	push(p, l);
	if (!pull(p, l))
		return;
	push(p, l);
	if (!l->eof || !l->shut)
		return;
	if (!p->plan.echo && l->received != p->plan.recv)
		complain(p, "the stream ended at the wrong byte");
	link_end(p, l, 0);
}

/* --- all of them ------------------------------------------------------------------------ */

static void open_more(struct peer *p)
{
	struct tern_connect_opts opts = {.remote = p->plan.to};
	while (p->opened < p->plan.count && p->opened - p->done < p->plan.parallel) {
		struct link *l = link_new(p);
		opts.user = l;
		int rc = tern_tcp_connect(p->stack, &opts, &l->conn);
		if (rc != 0)
			link_end(p, l, rc);
	}
}

static void accept_all(struct peer *p)
{
	struct tern_conn conn;
	while (tern_tcp_accept(p->stack, p->listener, &conn) == 0) {
		struct link *l = link_new(p);
		l->conn = conn;
		tern_tcp_set_user(p->stack, conn, l);
		if (!p->first)
			p->first = tern_host_now();
		move(p, l); /* it may have sent already */
	}
}

static void handle(struct peer *p, const struct tern_event *ev)
{
	struct link *l = ev->user;
	switch (ev->kind) {
	case TERN_EV_ACCEPT:
		accept_all(p);
		break;
	case TERN_EV_CONNECTED:
		if (!p->first)
			p->first = tern_host_now();
		move(p, l);
		break;
	case TERN_EV_READABLE:
	case TERN_EV_WRITABLE:
	case TERN_EV_EOF:
		move(p, l);
		break;
	case TERN_EV_ERROR:
		/* What came before it counts, except after a reset. */
		l->read_from = 0;
		if (pull(p, l))
			link_end(p, l, ev->error);
		break;
	case TERN_EV_NONE:
	case TERN_EV_URGENT:
	case TERN_EV_SENT:
	case TERN_EV_UDP:
		break;
	}
}

/* Sets those reading whose stall is over. */
static void wake(struct peer *p, uint64_t now)
{
	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next;
		if (l->read_from == 0 || l->read_from > now)
			continue;
		l->read_from = 0;
		move(p, l);
	}
}

static void check_stack(struct peer *p)
{
	const char *what = tern_stack_check(p->stack);
	if (what)
		complain(p, what);
}

static void run(struct peer *p)
{
	uint64_t end = p->started + p->plan.limit, turns = 0;
	struct tern_event ev;
	while (p->done < p->plan.count && !p->wrong) {
		uint64_t now = tern_host_now();
		if (p->plan.to.port)
			open_more(p);
		if (p->plan.stall)
			wake(p, now);
		uint64_t most = p->plan.stall ? SECOND / 10 : SECOND;
		int rc = tern_host_wait(p->host, &ev, most);
		if (rc == 0)
			handle(p, &ev);
		else if (rc != TERN_ETIMEDOUT)
			complain(p, rc == TERN_ECONNABORTED ? "interrupted" : tern_host_error());
		if (now >= end)
			complain(p, "time is up");
		if (++turns % 4096 == 0)
			check_stack(p);
	}
}

/* --- beginning and end ------------------------------------------------------------------ */

enum {
	OPTION_CONNECT = OPTION_OWN,
	OPTION_LISTEN,
	OPTION_PATTERN,
	OPTION_SEND,
	OPTION_RECV,
	OPTION_ECHO,
	OPTION_AFTER_EOF,
	OPTION_STALL,
	OPTION_ABORT_AT,
	OPTION_COUNT,
	OPTION_PARALLEL,
	OPTION_LIMIT,
};

static int take_number(struct peer *p, int opt, const char *value)
{
	const struct {
		int opt;
		uint64_t *to, unit;
	} table[] = {
		{OPTION_SEND, &p->plan.send, 1},
		{OPTION_RECV, &p->plan.recv, 1},
		{OPTION_STALL, &p->plan.stall, SECOND},
		{OPTION_ABORT_AT, &p->plan.abort_at, 1},
		{OPTION_COUNT, &p->plan.count, 1},
		{OPTION_PARALLEL, &p->plan.parallel, 1},
		{OPTION_LIMIT, &p->plan.limit, SECOND},
	};
	uint64_t n = 0;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (table[i].opt != opt)
			continue;
		int rc = tern_options_number(&p->options, "number", value, 0,
			UINT64_MAX / table[i].unit, &n);
		*table[i].to = n * table[i].unit;
		return rc;
	}
	return -1;
}

static int open_pattern(struct peer *p, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return fprintf(stderr, "peer: %s: %s\n", path, strerror(errno)), -1;
	p->pattern_size = (size_t)st.st_size;
	p->pattern = mmap(NULL, p->pattern_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return p->pattern == MAP_FAILED ? -1 : 1;
}

static int take(struct peer *p, int opt, const char *value)
{
	uint64_t n = 0;
	int rc = tern_options_take(&p->options, opt, value);
	if (rc != 0)
		return rc;
	switch (opt) {
	case OPTION_CONNECT:
		return tern_endpoint_parse(value, &p->plan.to) == 0 ? 1 : -1;
	case OPTION_LISTEN:
		rc = tern_options_number(&p->options, "--listen", value, 1, 65535, &n);
		p->plan.port = (uint16_t)n;
		return rc;
	case OPTION_PATTERN:
		return open_pattern(p, value);
	case OPTION_ECHO:
		p->plan.echo = true;
		return 1;
	case OPTION_AFTER_EOF:
		p->plan.after_eof = true;
		return 1;
	default:
		return take_number(p, opt, value);
	}
}

static int parse(struct peer *p, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG,
		{"connect", required_argument, NULL, OPTION_CONNECT},
		{"listen", required_argument, NULL, OPTION_LISTEN},
		{"pattern", required_argument, NULL, OPTION_PATTERN},
		{"send", required_argument, NULL, OPTION_SEND},
		{"recv", required_argument, NULL, OPTION_RECV},
		{"echo", no_argument, NULL, OPTION_ECHO},
		{"after-eof", no_argument, NULL, OPTION_AFTER_EOF},
		{"stall", required_argument, NULL, OPTION_STALL},
		{"abort-at", required_argument, NULL, OPTION_ABORT_AT},
		{"count", required_argument, NULL, OPTION_COUNT},
		{"parallel", required_argument, NULL, OPTION_PARALLEL},
		{"limit", required_argument, NULL, OPTION_LIMIT}, {0}};
	int opt;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (take(p, opt, optarg) < 0)
			return -1;
	bool connects = p->plan.to.port != 0, listens = p->plan.port != 0;
	return optind == argc && p->pattern && connects != listens ? 0 : -1;
}

static int listen_here(struct peer *p)
{
	struct tern_listen_opts opts = {.local.port = p->plan.port, .backlog = 1023};
	int rc = tern_tcp_listen(p->stack, &opts, &p->listener);
	if (rc != 0)
		return fprintf(stderr, "peer: listen: %s\n", tern_err_text(rc)), -1;
	fprintf(stderr, "ready\n"); /* the runner waits for this line */
	return 0;
}

/* The goodbyes; then nothing of what the connections held may be left. */
static void settle(struct peer *p)
{
	struct tern_memory_info memory;
	if (tern_host_settle(p->host, SETTLE_MS) == TERN_ETIMEDOUT && p->failed == 0)
		complain(p, "the peer has not acknowledged the end of every connection");
	check_stack(p);
	tern_memory_info(p->stack, &memory);
	if (p->done == p->opened && memory.chunks != 0 && p->failed == 0)
		complain(p, "buffers are held though every connection has ended");
}

/* What the connections still there have done so far counts, too. */
static void add_living(struct peer *p)
{
	for (const struct link *l = p->links; l; l = l->next) {
		p->sent += l->sent;
		p->received += l->received;
		p->last = tern_host_now();
	}
}

static void report(const struct peer *p)
{
	printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"sent\": %" PRIu64
	       ", \"received\": %" PRIu64 ", \"seconds\": %.6f, \"elapsed\": %.6f"
	       ", \"error\": \"%s\", \"retransmitted\": %" PRIu64 ", \"timeouts\": %" PRIu64
	       ", \"bad_checksums\": %" PRIu64 ", \"probes\": %" PRIu64 ", \"marked\": %" PRIu64
	       ", \"echoed\": %" PRIu64 ", \"right\": %s}\n",
		p->done, p->failed, p->sent, p->received,
		p->first ? (double)(p->last - p->first) / 1e9 : 0,
		(double)(p->last - p->started) / 1e9, p->error ? tern_err_name(p->error) : "",
		tern_counter(p->stack, TERN_COUNT_TcpRetransSegs),
		tern_counter(p->stack, TERN_COUNT_TcpExtTCPTimeouts),
		tern_counter(p->stack, TERN_COUNT_TcpInCsumErrors),
		tern_counter(p->stack, TERN_COUNT_TcpExtTCPWinProbe),
		tern_counter(p->stack, TERN_COUNT_IpExtInCEPkts),
		tern_counter(p->stack, TERN_COUNT_TcpExtTCPDeliveredCE),
		p->wrong ? "false" : "true");
}

int main(int argc, char **argv)
{
	static struct peer p = {.plan = {.count = 1, .parallel = 1, .limit = 60ull * SECOND}};
	tern_options_init(&p.options, "peer");
	if (parse(&p, argc, argv) != 0) {
		fprintf(stderr, "usage: peer --pattern FILE --connect ADDRESS:PORT|--listen PORT "
				"[OPTION...]\n");
		return 2;
	}
	p.host = tern_options_open(&p.options);
	if (!p.host)
		return 1;
	p.stack = tern_host_stack(p.host);
	p.started = tern_host_now();
	p.last = p.started;
	if (p.plan.port && listen_here(&p) != 0)
		return 1;
	tern_options_stop_on_signal(p.host);
	run(&p);
	add_living(&p);
	settle(&p);
	report(&p);
	return tern_options_close(&p.options, stdout) != 0 || p.wrong;
}
