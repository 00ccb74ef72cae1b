/* The answering side: clients of the socket in the host's loop. A client that does not read its
 * answers gets no more of them; who sends too long a line is sent away. */
#include "tools/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tern/trace.h>
#include <tern/udp.h>
#include <unistd.h>

#include "tools/control_rows.h"

#define CLIENTS 8
#define BACKLOG 64
#define LINE    4096

enum {
	PARSE_ERROR = -32700,
	INVALID_REQUEST = -32600,
	NO_METHOD = -32601,
	BAD_PARAMS = -32602,
};

struct client {
	struct tern_control *control;
	int fd; /* -1: nobody */
	struct tern_watch *watch;
	char line[LINE];
	size_t len;
	char *answer; /* what is left to be written, from `at` */
	size_t at, answer_len;
};

struct tern_control {
	struct tern_host *host;
	int fd;
	struct tern_watch *watch;
	char path[CONTROL_PATH_MAX];
	struct {
		const char *name;
		json_t *(*answer)(void *context, json_t *params);
		void *context;
	} own[CONTROL_METHODS];
	size_t own_count;
	void (*amend)(void *context, json_t *rows); /* NULL: nobody */
	void *amend_context;
	struct client client[CLIENTS];
};

/* --- methods ------------------------------------------------------------------------------- */

static json_t *version(struct tern_control *control, json_t *params)
{
	(void)control;
	(void)params;
	return json_pack("{s:i, s:i}", "protocol", CONTROL_PROTOCOL, "pid", (int)getpid());
}

static json_t *counters(struct tern_control *control, json_t *params)
{
	(void)params;
	struct tern_stack *stack = tern_host_stack(control->host);
	json_t *all = json_object();
	for (int i = 0; i < TERN_COUNTERS; i++)
		json_object_set_new(all, tern_counter_name((enum tern_counter)i),
			json_integer((json_int_t)tern_counter(stack, (enum tern_counter)i)));
	return all;
}

static json_t *drops(struct tern_control *control, json_t *params)
{
	(void)params;
	struct tern_stack *stack = tern_host_stack(control->host);
	json_t *all = json_object();
	for (int i = TERN_DROP_NONE + 1; i < TERN_DROPS; i++)
		json_object_set_new(all, tern_drop_name((enum tern_drop)i),
			json_integer((json_int_t)tern_drop_count(stack, (enum tern_drop)i)));
	return all;
}

static json_t *memory(struct tern_control *control, json_t *params)
{
	(void)params;
	struct tern_memory_info m;
	tern_memory_info(tern_host_stack(control->host), &m);
	return json_pack("{s:I, s:I, s:I, s:I, s:i, s:i}", "budget", (json_int_t)m.budget, "used",
		(json_int_t)m.used, "peak", (json_int_t)m.peak, "refused", (json_int_t)m.refused,
		"connections", (int)m.connections, "listeners", (int)m.listeners);
}

#define PAGE 500 /* connections an answer */

/* Where to go on; false for bad parameters. */
static bool take_from(json_t *params, uint32_t *cursor)
{
	json_int_t from = 0;
	if (params &&
		(json_unpack(params, "{s?I}", "from", &from) != 0 || from < 0 || from > UINT32_MAX))
		return false;
	*cursor = (uint32_t)from;
	return true;
}

static json_t *connections(struct tern_control *control, json_t *params)
{
	struct tern_stack *stack = tern_host_stack(control->host);
	struct tern_tcp_info info;
	uint32_t cursor;
	if (!take_from(params, &cursor))
		return NULL;
	json_t *list = json_array();
	bool more = true;
	for (unsigned n = 0; n < PAGE && (more = tern_tcp_each(stack, &cursor, &info)); n++)
		json_array_append_new(list, tern_control_row(&info));
	if (control->amend)
		control->amend(control->amend_context, list);
	json_t *all = json_pack("{s:o}", "connections", list);
	if (more)
		json_object_set_new(all, "next", json_integer(cursor));
	return all;
}

static json_t *udp(struct tern_control *control, json_t *params)
{
	struct tern_udp_info info;
	uint32_t cursor;
	if (!take_from(params, &cursor))
		return NULL;
	json_t *list = json_array(), *all = json_pack("{s:o}", "sockets", list);
	bool more = true;
	for (unsigned n = 0;
		n < PAGE && (more = tern_udp_each(tern_host_stack(control->host), &cursor, &info));
		n++)
		json_array_append_new(list, tern_control_udp_row(&info));
	if (more)
		json_object_set_new(all, "next", json_integer(cursor));
	return all;
}

/* Where no programs run. */
static json_t *owners(struct tern_control *control, json_t *params)
{
	(void)control;
	(void)params;
	return json_pack("{s:[]}", "owners");
}

static const struct method {
	const char *name;
	json_t *(*call)(struct tern_control *control, json_t *params); /* NULL: bad params */
} methods[] = {
	{"version", version},
	{"counters", counters},
	{"drops", drops},
	{"memory", memory},
	{"connections", connections},
	{"udp", udp},
	{"owners", owners},
};

static json_t *error(int code, const char *text)
{
	return json_pack("{s:i, s:s}", "code", code, "message", text);
}

/* Calls it; false if there is no such method. */
static bool call(struct tern_control *control, const char *name, json_t *params, json_t **result)
{
	for (size_t i = 0; i < control->own_count; i++)
		if (strcmp(control->own[i].name, name) == 0) {
			*result = control->own[i].answer(control->own[i].context, params);
			return true;
		}
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcmp(methods[i].name, name) == 0) {
			*result = methods[i].call(control, params);
			return true;
		}
	return false;
}

/* The answer to one line. */
static json_t *answer(struct tern_control *control, const char *line, size_t len)
{
	const char *name = NULL, *version_said = "";
	json_t *id = NULL, *params = NULL, *result = NULL, *wrong = NULL;
	json_t *request = json_loadb(line, len, 0, NULL);
	if (!request)
		wrong = error(PARSE_ERROR, "not JSON");
	else if (json_unpack(request, "{s:s, s:s, s?o, s?o}", "jsonrpc", &version_said, "method",
			 &name, "id", &id, "params", &params) != 0 ||
		 strcmp(version_said, "2.0") != 0)
		wrong = error(INVALID_REQUEST, "not a request of JSON-RPC 2.0");
	else if (!call(control, name, params, &result))
		wrong = error(NO_METHOD, "no such method");
	else if (!result)
		wrong = error(BAD_PARAMS, "bad parameters");
	json_t *reply = json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id,
		result ? "result" : "error", result ? result : wrong);
	if (reply && !id)
		json_object_set_new(reply, "id", json_null());
	json_decref(request);
	return reply;
}

/* --- clients ---------------------------------------------------------------------------------- */

static void send_away(struct client *c)
{
	tern_host_unwatch(c->control->host, c->watch);
	close(c->fd);
	free(c->answer);
	*c = (struct client){.control = c->control, .fd = -1};
}

/* Writes what is left of the answer; false when the client is gone. */
static bool flush(struct client *c)
{
	while (c->answer && c->at < c->answer_len) {
		ssize_t n = send(c->fd, c->answer + c->at, c->answer_len - c->at,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			send_away(c);
			return false;
		}
		c->at += (size_t)n;
	}
	free(c->answer);
	c->answer = NULL;
	return true;
}

/* Answers the first line there is; false if there is none, or its answer has to wait. */
static bool serve_line(struct client *c)
{
	char *end = memchr(c->line, '\n', c->len);
	if (!end || c->answer)
		return false;
	size_t n = (size_t)(end - c->line);
	json_t *reply = answer(c->control, c->line, n);
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	json_decref(reply);
	memmove(c->line, end + 1, c->len - n - 1);
	c->len -= n + 1;
	if (!text) {
		send_away(c);
		return false;
	}
	c->answer_len = strlen(text);
	text[c->answer_len++] = '\n'; /* in the place of its end */
	c->answer = text;
	c->at = 0;
	return flush(c);
}

static void client_ready(void *context, uint32_t events)
{
	struct client *c = context;
	if (events & (EPOLLHUP | EPOLLERR)) {
		send_away(c);
		return;
	}
	if (!flush(c))
		return;
	while (serve_line(c))
		;
	while (c->fd >= 0 && !c->answer) {
		if (c->len == sizeof c->line) {
			send_away(c);
			return;
		}
		ssize_t n = recv(c->fd, c->line + c->len, sizeof c->line - c->len, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			send_away(c);
			return;
		}
		c->len += (size_t)n;
		while (serve_line(c))
			;
	}
}

static void knock(void *context, uint32_t events)
{
	struct tern_control *control = context;
	(void)events;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &control->client[i];
		if (c->fd >= 0)
			continue;
		c->fd = fd;
		c->watch = tern_host_watch(control->host, fd, EPOLLIN | EPOLLOUT | EPOLLET,
			client_ready, c);
		if (c->watch)
			return;
		c->fd = -1;
		break;
	}
	close(fd);
}

/* --- beginning and end --------------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* One that nobody answers at any more is in the way. */
	if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0177);
	int rc = fd >= 0 ? bind(fd, (struct sockaddr *)&at, sizeof at) : -1;
	umask(mask);
	if (rc == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

struct tern_control *tern_control_open(struct tern_host *host, const char *name, char *why,
	size_t why_size)
{
	struct tern_control *control = calloc(1, sizeof *control);
	if (!control || tern_control_path(control->path, name, "sock", why, why_size) != 0)
		goto failed;
	control->host = host;
	for (size_t i = 0; i < CLIENTS; i++)
		control->client[i] = (struct client){.control = control, .fd = -1};
	control->fd = listen_at(control->path);
	if (control->fd < 0) {
		snprintf(why, why_size, "%s: %s", control->path,
			errno == EADDRINUSE ? "a stack of that name runs" : strerror(errno));
		goto failed;
	}
	control->watch = tern_host_watch(host, control->fd, EPOLLIN, knock, control);
	if (control->watch)
		return control;
	close(control->fd);
	unlink(control->path);
	snprintf(why, why_size, "out of memory");
failed:
	free(control);
	return NULL;
}

void tern_control_method(struct tern_control *control, const char *name,
	json_t *(*answer_with)(void *context, json_t *params), void *context)
{
	control->own[control->own_count].name = name;
	control->own[control->own_count].answer = answer_with;
	control->own[control->own_count++].context = context;
}

void tern_control_amend(struct tern_control *control, void (*amend)(void *context, json_t *rows),
	void *context)
{
	control->amend = amend;
	control->amend_context = context;
}

/* What tern nstat keeps there about this stack. */
static void forget_history(struct tern_control *control)
{
	char *suffix = strrchr(control->path, '.');
	if (strlen(control->path) + strlen("counters") >= sizeof control->path)
		return;
	strcpy(suffix, ".counters");
	unlink(control->path);
	strcpy(suffix, ".drops");
	unlink(control->path);
}

void tern_control_close(struct tern_control *control)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->client[i].fd >= 0)
			send_away(&control->client[i]);
	tern_host_unwatch(control->host, control->watch);
	close(control->fd);
	unlink(control->path);
	forget_history(control);
	free(control);
}
