/*
 * The program's sockets, by their SO_COOKIE: a number of the kernel's that stays with a socket
 * whatever descriptors it has, in whichever processes. That a connected one was closed, our end of
 * the pair tells; of the others sock_diag(7) lists those that still are.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tools/run/run.h"

struct sock *tern_sock_find(struct run *run, uint64_t cookie)
{
	struct sock *sock;
	HASH_FIND(hh, run->socks, &cookie, sizeof cookie, sock);
	return sock;
}

struct sock *tern_sock_new(struct sandbox *sandbox, int fd)
{
	struct run *run = sandbox->run;
	struct sock *sock = calloc(1, sizeof *sock);
	if (!sock)
		return NULL;
	sock->run = run;
	sock->sandbox = sandbox;
	sock->cookie = tern_run_cookie(fd);
	struct stat st;
	sock->inode = fstat(fd, &st) == 0 ? (uint32_t)st.st_ino : 0;
	sock->end = sock->link = sock->watch = -1;
	HASH_ADD(hh, run->socks, cookie, sizeof sock->cookie, sock);
	return sock;
}

void tern_sock_drop_open(struct sock *sock)
{
	int end = tern_run_let_go_of_end(sock);
	if (end < 0)
		return;
	tern_host_claim(sock->run->host, sock->conn, NULL, NULL);
	tern_tcp_abort(run_stack(sock->run), sock->conn);
	close(end);
}

void tern_sock_free(struct sock *sock)
{
	while (sock->parked) { /* another thread closed it under the call */
		tern_run_answer(sock->parked->sandbox, sock->parked->id, refuse(EBADF));
		tern_sock_unpark(sock->parked);
	}
	if (sock->group)
		tern_run_listen_end(sock);
	tern_run_unwatch(sock);
	tern_sock_drop_open(sock);
	tern_port_release(&sock->hold);
	free(sock->past);
	HASH_DEL(sock->run->socks, sock);
	free(sock);
}

/* --- calls that wait ------------------------------------------------------------------- */

uint64_t tern_sock_timeout(int fd, int option)
{
	struct timeval tv = {0};
	socklen_t len = sizeof tv;
	getsockopt(fd, SOL_SOCKET, option, &tv, &len);
	uint64_t ns = (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
	return ns ? ns : TERN_NEVER;
}

struct parked *tern_sock_park(struct sock *sock, const struct call *call, uint64_t timeout)
{
	struct parked *p = calloc(1, sizeof *p), **tail = &sock->parked;
	if (!p)
		return NULL;
	*p = (struct parked){.sandbox = call->sandbox,
		.id = call->id,
		.tid = call->tid,
		.fd = (int)call->arg[0],
		.addr = call->arg[1],
		.addr_len = call->arg[2],
		.deadline = timeout == TERN_NEVER ? TERN_NEVER : tern_host_now() + timeout,
		.sock = sock};
	while (*tail)
		tail = &(*tail)->next;
	p->link = tail;
	*tail = p;
	return p;
}

void tern_sock_unpark(struct parked *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	free(p);
}

static void expire(struct sock *sock, uint64_t now)
{
	struct parked *next;
	for (struct parked *p = sock->parked; p; p = next) {
		next = p->next;
		bool late = p->deadline <= now;
		if (late)
			tern_run_answer(p->sandbox, p->id,
				refuse(sock->state == SOCK_CONNECTING ? EINPROGRESS : EAGAIN));
		if (late || !tern_run_waits(p->sandbox, p->id))
			tern_sock_unpark(p);
	}
}

void tern_sock_expire(struct run *run)
{
	uint64_t now = tern_host_now();
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	if (sock->parked)
		expire(sock, now);
}

/* --- the sweep ------------------------------------------------------------------------- */

/* About one socket, or about all: the question's number, 0 if it could not be asked. */
static uint32_t ask(int diag, const struct sock *one)
{
	static uint32_t number;
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {
		.header = {.nlmsg_len = sizeof message,
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (one ? 0 : NLM_F_DUMP)),
			.nlmsg_seq = ++number},
		.request = {.sdiag_family = AF_UNIX,
			.udiag_states = UINT32_MAX,
			.udiag_show = UDIAG_SHOW_RQLEN},
	};
	if (one) {
		message.request.udiag_ino = one->inode;
		message.request.udiag_cookie[0] = (uint32_t)one->cookie;
		message.request.udiag_cookie[1] = (uint32_t)(one->cookie >> 32);
	}
	return send(diag, &message, sizeof message, 0) == (ssize_t)sizeof message ? number : 0;
}

/* The kernel answers while it is asked, and while the last answer is read: nothing to wait for.
 * What an earlier question left is passed over. -1: there is no answer. */
static ssize_t hear(int diag, uint32_t number, char *reply, size_t room)
{
	for (;;) {
		ssize_t n = recv(diag, reply, room, MSG_DONTWAIT);
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !NLMSG_OK(h, (size_t)n))
			return -1;
		if (h->nlmsg_seq == number)
			return n;
	}
}

/* The bytes waiting in a socket of the list, if it says. */
static uint32_t queue_of(const struct nlmsghdr *h)
{
	const char *at = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct unix_diag_msg));
	const char *end = (const char *)h + h->nlmsg_len;
	while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)(const void *)at;
		if (a->nla_len < sizeof *a || end - at < a->nla_len)
			break;
		if (a->nla_type == UNIX_DIAG_RQLEN &&
			a->nla_len >= sizeof *a + sizeof(struct unix_diag_rqlen))
			return ((const struct unix_diag_rqlen *)(const void *)(a + 1))
				->udiag_rqueue;
		at += NLA_ALIGN(a->nla_len);
	}
	return 0;
}

/* Marks the sockets in one reply; false after the last, *whole telling how it ended. */
static bool mark(struct run *run, const char *reply, size_t len, bool *whole)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE) {
			*whole = true;
			return false;
		}
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return false;
		const struct unix_diag_msg *m = NLMSG_DATA(h);
		uint64_t cookie = (uint64_t)m->udiag_cookie[1] << 32 | m->udiag_cookie[0];
		struct sock *sock = tern_sock_find(run, cookie);
		if (!sock)
			continue;
		sock->seen = true;
		sock->unread = queue_of(h);
	}
	return true;
}

bool tern_sock_alive(struct sock *sock)
{
	static char reply[4096];
	int diag = sock->run->diag;
	uint32_t number = ask(diag, sock);
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
	if (!number || hear(diag, number, reply, sizeof reply) < 0 ||
		h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return true;
	int error = -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	return error != ENOENT && error != ESTALE; /* another has its inode's number */
}

/* Goes through the kernel's list; true if it came to its end. */
static bool list(struct run *run)
{
	static char reply[1 << 16];
	bool whole = false;
	uint32_t number = ask(run->diag, NULL);
	ssize_t n;
	while (number && (n = hear(run->diag, number, reply, sizeof reply)) > 0)
		if (!mark(run, reply, (size_t)n, &whole))
			break;
	return whole;
}

void tern_sock_measure(struct run *run)
{
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	sock->unread = 0;
	list(run);
	run->measured_at = tern_host_now();
}

static void end(struct run *run, uint64_t cookie)
{
	struct sock *sock = tern_sock_find(run, cookie);
	if (sock && sock->relay)
		tern_relay_abort(sock->relay); /* may free it */
	sock = tern_sock_find(run, cookie);
	if (sock)
		tern_sock_free(sock);
}

/* Frees those; one that goes may take others with it. */
static void free_those(struct run *run, bool (*goes)(struct sock *sock, struct sandbox *sandbox),
	struct sandbox *sandbox)
{
	struct sock *sock, *next;
	size_t n = 0;
	uint64_t *cookies = calloc(HASH_COUNT(run->socks) + 1u, sizeof *cookies);
	if (!cookies)
		return; /* the next sweep may have more luck */
	HASH_ITER(hh, run->socks, sock, next)
	if (goes(sock, sandbox))
		cookies[n++] = sock->cookie;
	for (size_t i = 0; i < n; i++)
		end(run, cookies[i]);
	free(cookies);
}

/* The list is not of one moment: a socket closed while it is read may hide the next. */
static bool closed(struct sock *sock, struct sandbox *sandbox)
{
	(void)sandbox;
	return !sock->seen && !tern_sock_alive(sock);
}

void tern_sock_sweep(struct run *run)
{
	struct sock *sock, *next;
	run->sweep_at = tern_host_now() + 1000000000u;
	HASH_ITER(hh, run->socks, sock, next)
	sock->seen = sock->state == SOCK_CONNECTING || sock->relay;
	if (!list(run))
		return;
	free_those(run, closed, NULL);
}

/* --- the end of a sandbox -------------------------------------------------------------- */

static bool made_in(struct sock *sock, struct sandbox *sandbox)
{
	return sock->sandbox == sandbox;
}

/* Those of the sandbox; on a socket that ends with it, everybody's. */
static void release_calls(struct sock *sock, struct sandbox *sandbox, bool reset)
{
	struct parked *next;
	for (struct parked *p = sock->parked; p; p = next) {
		next = p->next;
		if (p->sandbox != sandbox && !(reset && made_in(sock, sandbox)))
			continue;
		tern_run_answer(p->sandbox, p->id, refuse(ENETDOWN));
		tern_sock_unpark(p);
	}
}

void tern_sock_leave(struct sandbox *sandbox, bool reset)
{
	struct run *run = sandbox->run;
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	release_calls(sock, sandbox, reset);
	if (reset)
		free_those(run, made_in, sandbox);
	HASH_ITER(hh, run->socks, sock, next)
	if (sock->sandbox == sandbox)
		sock->sandbox = NULL;
}
