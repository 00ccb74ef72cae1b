/* `tern serve`: libmicrohttpd's threads speak HTTP on socket pairs; the relay joins each to a
 * connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <tern/relay.h>
#include <tern/tcp.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/options.h"
#include "tools/serve_http.h"

#define BACKLOG              1023
#define CONNECTIONS_MAX      65536
#define IDLE_TIMEOUT_S       75
#define SETTLE_MS            5000
#define HTTP_THREADS         2
#define HTTP_MEMORY_PER_CONN 16384

struct serve {
	struct options options;
	const char *path;
	uint16_t port;
	uint64_t once; /* connections after which to end; 0: never */
	bool quiet;
	struct serve_files files;
	struct tern_host *host;
	struct MHD_Daemon *daemon;
	struct tern_listener listener;
	uint64_t accepted, ended, failed, sent;
};

enum {
	OPTION_PORT = OPTION_OWN,
	OPTION_ONCE,
};

static void help(void)
{
	printf("usage: tern serve DIR [OPTION...]\n\n"
	       "Serves the files in DIR by HTTP over tern's TCP, until SIGINT or SIGTERM.\n\n"
	       "  --port N               port (80)\n"
	       "  --once[=N]             end after N connections (1)\n"
	       "  -v, --verbose          a line per request on stderr\n"
	       "  -q, --quiet            say nothing\n%s",
		tern_options_help);
}

static int take(struct serve *s, int opt, const char *value)
{
	uint64_t n = 1;
	int rc = tern_options_take(&s->options, opt, value);
	if (rc != 0)
		return rc;
	switch (opt) {
	case OPTION_PORT:
		rc = tern_options_number(&s->options, "--port", value, 1, 65535, &n);
		s->port = (uint16_t)n;
		return rc;
	case OPTION_ONCE:
		rc = value ? tern_options_number(&s->options, "--once", value, 1, UINT64_MAX, &n)
			   : 1;
		s->once = n;
		return rc;
	case 'v':
		s->files.log = true;
		return 1;
	case 'q':
		s->quiet = true;
		return 1;
	case 'h':
		help();
		return 0;
	default:
		return -1;
	}
}

static int parse(struct serve *s, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG,
		{"port", required_argument, NULL, OPTION_PORT},
		{"once", optional_argument, NULL, OPTION_ONCE}, {"verbose", no_argument, NULL, 'v'},
		{"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "hvq", options, NULL)) != -1)
		if ((rc = take(s, opt, optarg)) <= 0)
			return rc;
	if (argc - optind != 1) {
		fprintf(stderr, "serve: wants one directory; see `tern serve --help`\n");
		return -1;
	}
	s->path = argv[optind];
	return 1;
}

/* --- connections ---------------------------------------------------------------------- */

static void relay_done(void *context, const struct tern_relay_result *result)
{
	struct serve *s = context;
	s->ended++;
	s->failed += result->error != 0;
	s->sent += result->from_fd;
	if (s->once && s->ended >= s->once)
		tern_host_stop(s->host);
}

static struct sockaddr_in peer_of(const struct tern_tcp_info *info)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(info->remote.port)};
	memcpy(&sin.sin_addr, info->remote.addr.byte + 12, 4);
	return sin;
}

/* Gives one end of a pair to the HTTP library (which closes it even on failure), one to a relay. */
static int hand_over(struct serve *s, struct tern_conn conn)
{
	struct tern_tcp_info info;
	int ends[2];
	if (tern_tcp_info(tern_host_stack(s->host), conn, &info) != 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	struct sockaddr_in peer = peer_of(&info);
	struct tern_relay_opts opts = {.done = relay_done, .context = s};
	if (!tern_relay_start(s->host, conn, ends[0], &opts)) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	/* On failure the relay sees its end closed, and closes the connection. */
	MHD_add_connection(s->daemon, ends[1], (const struct sockaddr *)&peer, sizeof peer);
	return 0;
}

static void accept_all(struct serve *s)
{
	struct tern_conn conn;
	while (tern_tcp_accept(tern_host_stack(s->host), s->listener, &conn) == 0) {
		s->accepted++;
		if (hand_over(s, conn) == 0)
			continue;
		tern_tcp_abort(tern_host_stack(s->host), conn);
		s->failed++;
	}
}

/* --- beginning and end ------------------------------------------------------------------ */

/* Three descriptors a connection: as many as we may have. */
static void raise_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_files(struct serve *s)
{
	s->files.root = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->files.root < 0)
		fprintf(stderr, "serve: %s: %s\n", s->path, strerror(errno));
	return s->files.root < 0 ? -1 : 0;
}

static int start_http(struct serve *s)
{
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
					     MHD_USE_ITC,
		0, NULL, NULL, tern_serve_answer, &s->files, MHD_OPTION_THREAD_POOL_SIZE,
		(unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_PER_CONN, MHD_OPTION_END);
	if (!s->daemon)
		fprintf(stderr, "serve: libmicrohttpd does not start\n");
	return s->daemon ? 0 : -1;
}

static int start_listening(struct serve *s)
{
	struct tern_listen_opts opts = {.backlog = BACKLOG, .local.port = s->port};
	struct tern_endpoint at = {.port = s->port};
	char text[TERN_ENDPOINT_TEXT];
	int rc = tern_tcp_listen(tern_host_stack(s->host), &opts, &s->listener);
	if (rc != 0)
		return fprintf(stderr, "serve: port %u: %s\n", s->port, tern_err_text(rc)), -1;
	tern_nif_addr(tern_host_stack(s->host), tern_host_nif(s->host), &at.addr);
	if (!s->quiet)
		printf("serve: %s at http://%s/\n", s->path, tern_endpoint_format(&at, text));
	fflush(stdout); /* scripts wait for this line */
	return 0;
}

/* No new connections; those there are get what is under way and a FIN. */
static void stop_serving(struct serve *s)
{
	tern_tcp_listen_close(tern_host_stack(s->host), s->listener);
	MHD_stop_daemon(s->daemon); /* closes its ends; the relays take it from there */
	s->daemon = NULL;
	if (tern_host_settle(s->host, SETTLE_MS) == TERN_ETIMEDOUT && !s->quiet)
		fprintf(stderr,
			"serve: some peers have not acknowledged the end of their connections\n");
	if (!s->quiet)
		printf("serve: %" PRIu64 " connections, %llu requests, %" PRIu64 " bytes, %" PRIu64
		       " failed\n",
			s->accepted, atomic_load(&s->files.requests), s->sent, s->failed);
}

static int run(struct serve *s)
{
	struct tern_event event;
	int rc;
	tern_options_stop_on_signal(s->host);
	while ((rc = tern_host_next(s->host, &event)) == 0)
		if (event.kind == TERN_EV_ACCEPT)
			accept_all(s);
	if (rc != TERN_ECONNABORTED)
		fprintf(stderr, "serve: %s\n", tern_host_error());
	stop_serving(s);
	return rc == TERN_ECONNABORTED ? 0 : 1;
}

int tern_command_serve(int argc, char **argv)
{
	struct serve s = {.port = 80, .files.root = -1};
	tern_options_init(&s.options, "serve");
	int rc = parse(&s, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	raise_limits();
	rc = 1;
	if (open_files(&s) == 0 && (s.host = tern_options_open(&s.options)) &&
		start_http(&s) == 0 && start_listening(&s) == 0)
		rc = run(&s);
	if (s.daemon)
		MHD_stop_daemon(s.daemon);
	if (tern_options_close(&s.options, stdout) != 0 && rc == 0)
		rc = 1;
	if (s.files.root >= 0)
		close(s.files.root);
	return rc;
}
