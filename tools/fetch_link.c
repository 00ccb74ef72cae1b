#include "tools/fetch_link.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <tern/relay.h>
#include <tern/tcp.h>
#include <unistd.h>

struct fetch_links {
	struct tern_host *host;
	int request[2]; /* a pipe of struct request pointers; writes that small are whole */
	int busy[2];    /* a listener whose queue is full, and what fills it */
	atomic_int error;
};

/* What curl's thread waits for; lives on its stack until `answered`. */
struct request {
	void (*call)(void *context); /* NULL: a connection is wanted */
	void *context;
	struct tern_endpoint to;
	int fd, error;
	sem_t answered;
};

/* One connection, for the relay's callbacks. */
struct link {
	struct fetch_links *links;
	struct request *request; /* NULL once answered */
	int program_end;
};

static void answer(struct link *link, int fd, int error)
{
	struct request *request = link->request;
	link->request = NULL;
	request->fd = fd;
	request->error = error;
	sem_post(&request->answered);
}

static void connected(void *context)
{
	struct link *link = context;
	answer(link, link->program_end, 0);
}

static void done(void *context, const struct tern_relay_result *result)
{
	struct link *link = context;
	if (link->request) {
		close(link->program_end);
		answer(link, -1, result->error ? result->error : TERN_ECONNABORTED);
	} else if (result->error) {
		atomic_store(&link->links->error, result->error);
	}
	free(link);
}

static void connect_link(struct link *link, int ends[2])
{
	struct tern_host *host = link->links->host;
	struct tern_relay_opts opts = {.connected = connected, .done = done, .context = link};
	struct tern_conn conn;
	int rc = tern_tcp_connect(tern_host_stack(host),
		&(struct tern_connect_opts){.remote = link->request->to}, &conn);
	link->program_end = ends[1];
	if (rc == 0 && tern_relay_start(host, conn, ends[0], &opts))
		return;
	if (rc == 0) {
		tern_tcp_abort(tern_host_stack(host), conn);
		rc = TERN_ENOMEM;
	}
	close(ends[0]);
	close(ends[1]);
	answer(link, -1, rc);
	free(link);
}

static void serve(struct fetch_links *links, struct request *request)
{
	if (request->call) {
		request->call(request->context);
		sem_post(&request->answered);
		return;
	}
	int ends[2];
	struct link *link = malloc(sizeof *link);
	if (link && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0) {
		*link = (struct link){.links = links, .request = request};
		connect_link(link, ends);
		return;
	}
	free(link);
	request->fd = -1;
	request->error = TERN_ENOMEM;
	sem_post(&request->answered);
}

static void request_ready(void *context, uint32_t events)
{
	struct fetch_links *links = context;
	struct request *request;
	(void)events;
	while (read(links->request[0], &request, sizeof request) == (ssize_t)sizeof request)
		serve(links, request);
}

/* A name is made up by the kernel (unix(7), autobind); a queue of none is full with one. */
static int make_busy(struct fetch_links *links)
{
	struct sockaddr un = {.sa_family = AF_UNIX};
	for (int i = 0; i < 2; i++)
		links->busy[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(links->busy[0], &un, sizeof un.sa_family) != 0 || listen(links->busy[0], 0) != 0)
		return -1;
	unsigned len = tern_fetch_links_busy(links, &un);
	return len ? connect(links->busy[1], &un, len) : -1;
}

unsigned tern_fetch_links_busy(const struct fetch_links *links, void *sockaddr)
{
	socklen_t len = sizeof(struct sockaddr);
	int rc = getsockname(links->busy[0], sockaddr, &len);
	return rc == 0 && len <= sizeof(struct sockaddr) ? len : 0;
}

struct fetch_links *tern_fetch_links_new(struct tern_host *host)
{
	struct fetch_links *links = calloc(1, sizeof *links);
	if (!links || pipe2(links->request, O_CLOEXEC) != 0) {
		fprintf(stderr, "fetch: %s\n", strerror(errno));
		free(links);
		return NULL;
	}
	links->host = host;
	if (fcntl(links->request[0], F_SETFL, O_NONBLOCK) == 0 && make_busy(links) == 0 &&
		tern_host_watch(host, links->request[0], EPOLLIN, request_ready, links))
		return links;
	fprintf(stderr, "fetch: cannot set up the way to libcurl: %s\n", strerror(errno));
	tern_fetch_links_free(links);
	return NULL;
}

void tern_fetch_links_free(struct fetch_links *links)
{
	close(links->request[0]);
	close(links->request[1]);
	close(links->busy[0]);
	close(links->busy[1]);
	free(links);
}

/* Hands a request over and waits for the answer. False if it could not be handed over. */
static bool ask(struct fetch_links *links, struct request *request)
{
	if (sem_init(&request->answered, 0, 0) != 0 ||
		write(links->request[1], &request, sizeof request) != (ssize_t)sizeof request)
		return false;
	while (sem_wait(&request->answered) != 0)
		;
	sem_destroy(&request->answered);
	return true;
}

int tern_fetch_links_connect(struct fetch_links *links, const struct tern_endpoint *to, int *error)
{
	struct request request = {.to = *to, .fd = -1};
	*error = TERN_ENOMEM;
	if (ask(links, &request))
		*error = request.error;
	return request.fd;
}

void tern_fetch_links_call(struct fetch_links *links, void (*call)(void *context), void *context)
{
	struct request request = {.call = call, .context = context};
	ask(links, &request);
}

int tern_fetch_links_error(struct fetch_links *links)
{
	return atomic_load(&links->error);
}
