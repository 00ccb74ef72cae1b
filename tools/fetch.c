/* `tern fetch`: libcurl in a thread of its own, its sockets fed by the relay. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/fetch_link.h"
#include "tools/info.h"
#include "tools/options.h"

/* Exit statuses, as tern-fetch(1) lists them. */
enum {
	FETCH_OK = 0,
	FETCH_OTHER = 1,
	FETCH_CONNECT = 3,
	FETCH_HTTP = 4,
	FETCH_TLS = 5,
	FETCH_CUT = 6,
	FETCH_WRITE = 7,
};

#define PROGRESS_AFTER_NS 2000000000u
#define PROGRESS_EVERY_NS 500000000u
#define SETTLE_MS         10000
#define OUTPUT_BUFFER     262144

struct fetch {
	struct options options;
	const char *url, *path, *cacert;
	bool insecure, quiet, info;
	const char *info_command; /* to run beside it, or NULL */
	struct fetch_links *links;
	FILE *out; /* opened when the first byte comes, so that a failure destroys nothing */
	int write_error, connect_error;
	bool opened; /* a socket, since curl was last looked at */
	uint64_t started, shown;
	bool showing;
	/* Set by curl's thread before it stops the loop. */
	bool finished;
	int status;
	char text[CURL_ERROR_SIZE];
};

enum {
	OPTION_CACERT = OPTION_OWN,
	OPTION_INFO,
};

static void help(void)
{
	printf("usage: tern fetch URL [OPTION...]\n\n"
	       "Downloads a URL over tern's TCP, to stdout unless -o says where to.\n\n"
	       "  -o, --output FILE      write to FILE\n"
	       "  -k, --insecure         do not verify the server's certificate\n"
	       "  --cacert FILE          trust these certificates\n"
	       "  -q, --quiet            no progress, no summary\n"
	       "  --info[=COMMAND]       before closing, print what tern knows of its "
	       "connections,\n"
	       "                         and run COMMAND, `ss -ti` for example\n%s\n"
	       "Exit status: 0 done, 1 tern or its device failed, 2 bad usage, 3 no connection,\n"
	       "4 HTTP error, 5 TLS failed, 6 the transfer was cut, 7 the output cannot be "
	       "written.\n",
		tern_options_help);
}

static int parse(struct fetch *f, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG,
		{"output", required_argument, NULL, 'o'}, {"insecure", no_argument, NULL, 'k'},
		{"quiet", no_argument, NULL, 'q'},
		{"cacert", required_argument, NULL, OPTION_CACERT},
		{"info", optional_argument, NULL, OPTION_INFO}, {"help", no_argument, NULL, 'h'},
		{0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "ho:kq", options, NULL)) != -1) {
		if ((rc = tern_options_take(&f->options, opt, optarg)) != 0) {
			if (rc < 0)
				return -1;
			continue;
		}
		switch (opt) {
		case 'o':
			f->path = optarg;
			break;
		case 'k':
			f->insecure = true;
			break;
		case 'q':
			f->quiet = true;
			break;
		case OPTION_CACERT:
			f->cacert = optarg;
			break;
		case OPTION_INFO:
			f->info = true;
			f->info_command = optarg;
			break;
		case 'h':
			help();
			return 0;
		default:
			return -1;
		}
	}
	if (argc - optind != 1) {
		fprintf(stderr, "fetch: wants one URL; see `tern fetch --help`\n");
		return -1;
	}
	f->url = argv[optind];
	return 1;
}

/* --- curl's callbacks, in its thread -------------------------------------------------- */

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *f = context;
	struct sockaddr_in sin;
	struct tern_endpoint to;
	if (purpose != CURLSOCKTYPE_IPCXN || address->family != AF_INET ||
		address->socktype != SOCK_STREAM)
		return CURL_SOCKET_BAD;
	memcpy(&sin, &address->addr, sizeof sin);
	const uint8_t *b = (const uint8_t *)&sin.sin_addr;
	to.addr = tern_addr_v4(b[0], b[1], b[2], b[3]);
	to.port = ntohs(sin.sin_port);
	int error, fd = tern_fetch_links_connect(f->links, &to, &error);
	if (fd >= 0) {
		f->opened = true;
		if (curl_version_info(CURLVERSION_NOW)->version_num < 0x080000)
			address->addrlen = tern_fetch_links_busy(f->links, &address->addr);
		return fd;
	}
	f->connect_error = error;
	return CURL_SOCKET_BAD;
}

static int already_connected(void *context, curl_socket_t fd, curlsocktype purpose)
{
	(void)context;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static bool open_output(struct fetch *f)
{
	if (f->out)
		return true;
	f->out = f->path ? fopen(f->path, "wb") : stdout;
	if (f->out)
		setvbuf(f->out, NULL, _IOFBF, OUTPUT_BUFFER);
	else
		f->write_error = errno;
	return f->out != NULL;
}

static size_t write_body(char *data, size_t size, size_t n, void *context)
{
	struct fetch *f = context;
	if (!open_output(f))
		return 0;
	size_t put = fwrite(data, size, n, f->out);
	if (put != n)
		f->write_error = errno;
	return put * size;
}

static int progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
	curl_off_t up)
{
	struct fetch *f = context;
	uint64_t t = tern_host_now();
	(void)up_total;
	(void)up;
	if (t - f->started < PROGRESS_AFTER_NS || t - f->shown < PROGRESS_EVERY_NS)
		return 0;
	double seconds = (double)(t - f->started) / 1e9;
	fprintf(stderr, "\rfetch: %.1f MiB", (double)now / 1048576);
	if (total > 0)
		fprintf(stderr, " of %.1f", (double)total / 1048576);
	fprintf(stderr, ", %.1f Mbit/s ", (double)now * 8 / 1e6 / seconds);
	f->shown = t;
	f->showing = true;
	return 0;
}

/* --- the transfer --------------------------------------------------------------------- */

static void configure(struct fetch *f, CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_URL, f->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* a proxy is for the kernel's network */
	curl_easy_setopt(curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "tern");
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 262144L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, f->text);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, f);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, already_connected);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	if (f->insecure) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (f->cacert)
		curl_easy_setopt(curl, CURLOPT_CAINFO, f->cacert);
	if (!f->quiet && isatty(2)) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, f);
	}
}

static int status_of(CURLcode code)
{
	static const struct {
		CURLcode code;
		int status;
	} table[] = {
		{CURLE_OK, FETCH_OK},
		{CURLE_UNSUPPORTED_PROTOCOL, EXIT_USAGE},
		{CURLE_URL_MALFORMAT, EXIT_USAGE},
		{CURLE_COULDNT_RESOLVE_HOST, FETCH_CONNECT},
		{CURLE_COULDNT_CONNECT, FETCH_CONNECT},
		{CURLE_HTTP_RETURNED_ERROR, FETCH_HTTP},
		{CURLE_TOO_MANY_REDIRECTS, FETCH_HTTP},
		{CURLE_WEIRD_SERVER_REPLY, FETCH_HTTP},
		{CURLE_SSL_CONNECT_ERROR, FETCH_TLS},
		{CURLE_PEER_FAILED_VERIFICATION, FETCH_TLS},
		{CURLE_SSL_CACERT_BADFILE, FETCH_TLS},
		{CURLE_PARTIAL_FILE, FETCH_CUT},
		{CURLE_GOT_NOTHING, FETCH_CUT},
		{CURLE_SEND_ERROR, FETCH_CUT},
		{CURLE_RECV_ERROR, FETCH_CUT},
		{CURLE_HTTP2, FETCH_CUT},
		{CURLE_HTTP2_STREAM, FETCH_CUT},
		{CURLE_WRITE_ERROR, FETCH_WRITE},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].code == code)
			return table[i].status;
	return FETCH_OTHER;
}

/* Without a length, only the way the connection ended tells a whole body from a cut one. */
static bool cut_unnoticed(struct fetch *f, CURL *curl)
{
	curl_off_t length = -1;
	curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return length < 0 && tern_fetch_links_error(f->links) != 0;
}

static void explain(struct fetch *f, CURLcode code)
{
	char ours[80] = "";
	int error =
		f->status == FETCH_CONNECT ? f->connect_error : tern_fetch_links_error(f->links);
	if (f->status == FETCH_WRITE)
		snprintf(ours, sizeof ours, "%s", strerror(f->write_error));
	else if (error != 0 && (f->status == FETCH_CONNECT || f->status == FETCH_CUT))
		snprintf(ours, sizeof ours, "%s", tern_err_text(error));
	char theirs[CURL_ERROR_SIZE];
	snprintf(theirs, sizeof theirs, "%s", *f->text ? f->text : curl_easy_strerror(code));
	if (f->status == FETCH_WRITE)
		snprintf(f->text, sizeof f->text, "%.100s: %s",
			f->path ? f->path : "standard output", ours);
	else if (*ours)
		snprintf(f->text, sizeof f->text, "%s (%.150s)", ours, theirs);
	else
		snprintf(f->text, sizeof f->text, "%s", theirs);
}

static void summary(const struct fetch *f, CURL *curl)
{
	curl_off_t bytes = 0;
	double seconds = (double)(tern_host_now() - f->started) / 1e9;
	curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
	fprintf(stderr, "%sfetch: %" PRId64 " bytes in %.3f s, %.1f Mbit/s\n",
		f->showing ? "\r" : "", (int64_t)bytes, seconds, (double)bytes * 8 / 1e6 / seconds);
}

static int close_output(struct fetch *f)
{
	if (f->out && (f->path ? fclose(f->out) : fflush(f->out)) != 0 && f->write_error == 0)
		f->write_error = errno;
	f->out = NULL;
	return f->write_error;
}

static void print_info(void *context)
{
	struct fetch *f = context;
	FILE *out = f->path ? stdout : stderr;
	tern_info_print(out, tern_host_stack(f->options.tern));
	fflush(out);
}

/* While curl still holds the connections, so that both sides can be looked at. */
static void show_info(struct fetch *f)
{
	tern_fetch_links_call(f->links, print_info, f);
	if (f->info_command && system(f->info_command) != 0)
		fprintf(stderr, "fetch: --info: \"%s\" failed\n", f->info_command);
}

/*
 * curl_easy_perform, except that a socket just opened is looked at again at once: it is connected,
 * but libcurl 7.88 would sleep up to its 200 ms for rival addresses before it finds out.
 */
static CURLcode perform(struct fetch *f, CURL *curl)
{
	CURLM *multi = curl_multi_init();
	CURLMsg *message;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	int running = 1, left;
	CURLMcode rc = multi ? curl_multi_add_handle(multi, curl) : CURLM_OUT_OF_MEMORY;
	while (rc == CURLM_OK && running) {
		f->opened = false;
		rc = curl_multi_perform(multi, &running);
		if (rc == CURLM_OK && running && !f->opened)
			rc = curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	while (multi && (message = curl_multi_info_read(multi, &left)))
		code = message->data.result;
	if (f->info)
		show_info(f);
	if (multi)
		curl_multi_remove_handle(multi, curl);
	curl_multi_cleanup(multi); /* closes its connections */
	return code;
}

static void transfer(struct fetch *f, CURL *curl)
{
	configure(f, curl);
	CURLcode code = perform(f, curl);
	if (code == CURLE_OK)
		open_output(f); /* an empty body is a file, too */
	f->status = status_of(code);
	if (close_output(f) != 0)
		f->status = FETCH_WRITE;
	else if (code == CURLE_OK && cut_unnoticed(f, curl))
		f->status = FETCH_CUT;
	if (f->status != FETCH_OK)
		explain(f, code);
	else if (!f->quiet)
		summary(f, curl);
}

static void *curl_thread(void *context)
{
	struct fetch *f = context;
	CURL *curl = curl_easy_init();
	if (curl)
		transfer(f, curl);
	else
		f->status = FETCH_OTHER, strcpy(f->text, "libcurl does not start");
	curl_easy_cleanup(curl);
	f->finished = true;
	tern_host_stop(f->options.tern);
	return NULL;
}

/* Ends the program without curl's thread, which may wait for ever. */
static void give_up(struct fetch *f, int rc)
{
	int number = tern_options_signal();
	fprintf(stderr, "fetch: %s\n", rc == TERN_ECONNABORTED ? "interrupted" : tern_host_error());
	tern_options_record(&f->options, f->path ? stdout : stderr);
	_exit(number ? 128 + number : FETCH_OTHER);
}

/* The loop, until curl's thread stops it; then the goodbyes. */
static int run(struct fetch *f, struct tern_host *host)
{
	pthread_t thread;
	struct tern_event event;
	int rc = pthread_create(&thread, NULL, curl_thread, f);
	if (rc != 0)
		return fprintf(stderr, "fetch: thread: %s\n", strerror(rc)), FETCH_OTHER;
	while ((rc = tern_host_next(host, &event)) == 0)
		; /* every event is the relay's */
	if (rc != TERN_ECONNABORTED || tern_options_signal())
		give_up(f, rc);
	pthread_join(thread, NULL);
	if (f->status != FETCH_OK)
		fprintf(stderr, "%sfetch: %s: %s\n", f->showing ? "\n" : "", f->url, f->text);
	if (tern_host_settle(host, SETTLE_MS) == TERN_ETIMEDOUT)
		fprintf(stderr,
			"fetch: the peer has not acknowledged the end of every connection\n");
	return f->status;
}

int tern_command_fetch(int argc, char **argv)
{
	static struct fetch f; /* outlives main's frame if curl's thread does */
	tern_options_init(&f.options, "fetch");
	int rc = parse(&f, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	struct tern_host *host = tern_options_open(&f.options);
	f.links = host ? tern_fetch_links_new(host) : NULL;
	f.started = tern_host_now();
	rc = FETCH_OTHER;
	if (f.links) {
		tern_options_stop_on_signal(host);
		rc = run(&f, host);
	}
	if (tern_options_close(&f.options, f.path ? stdout : stderr) != 0 && rc == FETCH_OK)
		rc = FETCH_OTHER;
	if (f.links)
		tern_fetch_links_free(f.links); /* the relays told it their end */
	curl_global_cleanup();
	return rc;
}
