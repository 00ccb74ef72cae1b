/*
 * listen, accept. The accept queue is tern's: a connection leaves it when accept is answered. The
 * program's listening socket holds a token, a connection of ours to it, for each that waits, so
 * that poll and epoll report it; who takes a connection takes a token.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/errnos.h"
#include "tools/run/run.h"

#define TOKENS_MAX 4096

/* --- tokens ---------------------------------------------------------------------------- */

static bool room_for_token(struct sock *sock)
{
	if (sock->token_count < sock->token_room)
		return true;
	unsigned room = sock->token_room ? sock->token_room * 2 : 8;
	int *tokens = realloc(sock->tokens, room * sizeof *tokens);
	if (!tokens)
		return false;
	sock->tokens = tokens;
	sock->token_room = room;
	return true;
}

/* 0, or an errno: ECONNREFUSED if the program has closed it. */
static int post_token(struct sock *sock)
{
	struct sockaddr_storage to = {.ss_family = AF_UNIX};
	memcpy((char *)&to + sizeof to.ss_family, sock->name, sock->name_len);
	if (sock->token_count >= TOKENS_MAX || !room_for_token(sock))
		return EAGAIN;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to,
			       (socklen_t)(sizeof to.ss_family + sock->name_len)) == 0) {
		sock->tokens[sock->token_count++] = fd;
		return 0;
	}
	int error = errno;
	if (fd >= 0)
		close(fd);
	return error; /* EAGAIN: its queue is full, it is readable enough */
}

static void drop_token(struct sock *sock, unsigned i)
{
	close(sock->tokens[i]);
	memmove(sock->tokens + i, sock->tokens + i + 1,
		(sock->token_count - i - 1) * sizeof *sock->tokens);
	sock->token_count--;
}

/* Takes a token out of the program's listening socket. */
static void take_token(struct sock *sock, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (sock->token_count == 0)
		return;
	/* Whether it may block is the program's to say, so: only what is there. */
	if (tern_run_cookie(fd) == sock->cookie && poll(&p, 1, 0) == 1) {
		int token = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (token >= 0)
			close(token);
	}
	drop_token(sock, 0);
}

static unsigned waiting(const struct group *group)
{
	struct tern_listen_info info;
	if (tern_tcp_listen_info(run_stack(group->run), group->listener, &info) != 0)
		return group->returned_count;
	return info.queued + group->returned_count;
}

static unsigned tokens_of(const struct group *group)
{
	unsigned n = 0;
	for (const struct sock *s = group->members; s; s = s->next_member)
		n += s->token_count;
	return n;
}

/* Moves the first member to the end: the next one's turn. */
static void rotate(struct group *group)
{
	struct sock *first = group->members, **tail = &group->members;
	if (!first || !first->next_member)
		return;
	group->members = first->next_member;
	group->members->member_link = &group->members;
	while (*tail)
		tail = &(*tail)->next_member;
	*tail = first;
	first->member_link = tail;
	first->next_member = NULL;
}

/* The group may be gone afterwards, with its last member. */
static void post_tokens(struct group *group)
{
	unsigned want = waiting(group), have = tokens_of(group);
	while (have < want && group->members) {
		struct sock *member = group->members;
		bool last = !member->next_member;
		int error = post_token(member);
		if (error == ECONNREFUSED) {
			tern_sock_free(member); /* gives its tokens to the others */
			return;
		}
		if (error)
			return;
		have++;
		if (!last)
			rotate(group);
	}
}

void tern_run_check_listeners(struct run *run, uint16_t port)
{
	tern_run_hear_closed(run);
	for (struct group *g = run->groups, *next; g; g = next) {
		struct tern_endpoint at;
		next = g->next;
		if (tern_tcp_listen_endpoint(run_stack(run), g->listener, &at) != 0 ||
			at.port != port)
			continue;
		for (struct sock *s = g->members, *after; s; s = after) {
			after = s->next_member;
			if (s->watch < 0 && !tern_sock_alive(s))
				tern_sock_free(s); /* with the last, the group */
		}
	}
}

/* --- listen ---------------------------------------------------------------------------- */

static struct group *group_at(struct run *run, const struct tern_endpoint *at)
{
	for (struct group *g = run->groups; g; g = g->next) {
		struct tern_endpoint there;
		if (tern_tcp_listen_endpoint(run_stack(run), g->listener, &there) == 0 &&
			there.port == at->port &&
			memcmp(&there.addr, &at->addr, sizeof at->addr) == 0)
			return g;
	}
	return NULL;
}

static void end_group(struct group *group)
{
	for (unsigned i = 0; i < group->returned_count; i++)
		tern_tcp_abort(run_stack(group->run), group->returned[i]);
	tern_tcp_listen_close(run_stack(group->run), group->listener);
	*group->link = group->next;
	if (group->next)
		group->next->link = group->link;
	free(group->returned);
	free(group);
}

void tern_run_listen_end(struct sock *sock)
{
	struct group *group = sock->group;
	if (!group)
		return;
	while (sock->token_count)
		drop_token(sock, sock->token_count - 1);
	free(sock->tokens);
	sock->tokens = NULL;
	sock->token_room = 0;
	sock->group = NULL;
	*sock->member_link = sock->next_member;
	if (sock->next_member)
		sock->next_member->member_link = sock->member_link;
	while (sock->parked) {
		tern_run_answer(sock->parked->sandbox, sock->parked->id, refuse(EINVAL));
		tern_sock_unpark(sock->parked);
	}
	if (group->members)
		post_tokens(group);
	else
		end_group(group);
}

static int new_group(struct sock *sock, unsigned backlog)
{
	struct run *run = sock->run;
	struct group *group = calloc(1, sizeof *group);
	if (!group)
		return ENOMEM;
	struct tern_listen_opts opts = {.local = sock->local,
		.backlog = backlog,
		.user = group,
		.rcvbuf = tern_run_wish(sock, TERN_TCP_RCVBUF),
		.sndbuf = tern_run_wish(sock, TERN_TCP_SNDBUF)};
	int rc = tern_tcp_listen(run_stack(run), &opts, &group->listener);
	if (rc != 0) {
		free(group);
		return tern_errno_of(rc);
	}
	group->run = run;
	group->next = run->groups;
	group->link = &run->groups;
	if (group->next)
		group->next->link = &group->next;
	run->groups = group;
	sock->group = group;
	tern_run_apply_to_listener(sock);
	return 0;
}

static void enter_group(struct sock *sock, struct group *group)
{
	sock->group = group;
	sock->next_member = group->members;
	sock->member_link = &group->members;
	if (sock->next_member)
		sock->next_member->member_link = &sock->next_member;
	group->members = sock;
}

/* The program's socket gets a name that tokens can connect to. */
static int name_it(struct sock *sock, int fd)
{
	struct sockaddr_storage name = {.ss_family = AF_UNIX};
	socklen_t len = sizeof name;
	if (bind(fd, (struct sockaddr *)&name, sizeof name.ss_family) != 0)
		return errno;
	if (getsockname(fd, (struct sockaddr *)&name, &len) != 0 ||
		len - sizeof name.ss_family > sizeof sock->name)
		return ENOBUFS;
	sock->name_len = (unsigned)(len - sizeof name.ss_family);
	memcpy(sock->name, (char *)&name + sizeof name.ss_family, sock->name_len);
	return 0;
}

static int name_and_listen(struct sock *sock, int fd)
{
	int error = 0;
	if (sock->name_len == 0)
		error = sock->run->folder >= 0 ? tern_run_watch(sock, fd) : name_it(sock, fd);
	if (!error && listen(fd, TOKENS_MAX) != 0)
		error = errno;
	return error;
}

/* A listening port is shared only with others of SO_REUSEPORT. */
static int take_port(struct sock *sock, struct call *call)
{
	static const struct tern_endpoint any;
	struct tern_endpoint at = any;
	if (!sock->hold.held) {
		at.addr = tern_addr_v4(0, 0, 0, 0);
		int error = tern_port_bind(sock, &at, call);
		if (error)
			return error;
	}
	sock->hold.listening = true;
	return 0;
}

/* As Linux: a negative one is a huge one. */
static uint32_t backlog_of(int backlog)
{
	return backlog < 0 ? UINT16_MAX : (uint32_t)backlog;
}

struct verdict tern_run_listen(struct call *call)
{
	struct sock *sock = call->sock;
	int backlog = (int)call->arg[1];
	if (sock->state == SOCK_LISTENING && sock->group) {
		tern_tcp_listen_backlog(run_stack(sock->run), sock->group->listener,
			backlog_of(backlog));
		return returns(0);
	}
	if (sock->state != SOCK_FRESH && sock->state != SOCK_LISTENING)
		return refuse(EINVAL);
	int error = take_port(sock, call);
	if (!error)
		error = name_and_listen(sock, call->fd);
	if (error)
		return refuse(error);
	struct tern_addr any4 = tern_addr_v4(0, 0, 0, 0);
	struct tern_endpoint at = sock->local;
	if (memcmp(&at.addr, &any4, sizeof any4) == 0)
		memset(&at.addr, 0, sizeof at.addr);
	struct group *group = sock->hold.reuse_port ? group_at(sock->run, &at) : NULL;
	struct tern_endpoint shown = sock->local;
	sock->local = at;
	if (!group)
		error = new_group(sock, backlog_of(backlog));
	sock->local = shown;
	if (error) {
		sock->hold.listening = false;
		return refuse(error);
	}
	sock->state = SOCK_LISTENING;
	enter_group(sock, group ? group : sock->group);
	if (group)
		post_tokens(group);
	return returns(0);
}

/* --- accept ---------------------------------------------------------------------------- */

static int next_connection(struct group *group, struct tern_conn *conn)
{
	if (group->returned_count == 0)
		return tern_tcp_accept(run_stack(group->run), group->listener, conn);
	*conn = group->returned[0];
	memmove(group->returned, group->returned + 1,
		--group->returned_count * sizeof *group->returned);
	return 0;
}

static void put_back(struct group *group, struct tern_conn conn)
{
	struct tern_conn *more =
		realloc(group->returned, (group->returned_count + 1) * sizeof *more);
	if (!more) {
		tern_tcp_abort(run_stack(group->run), conn);
		return;
	}
	group->returned = more;
	memmove(more + 1, more, group->returned_count++ * sizeof *more);
	more[0] = conn;
}

/* The socket that accept returns, and our end of it, with the byte that stays. */
static struct sock *make_pair(struct sandbox *sandbox, int ends[2], bool nonblock)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return NULL;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	tern_run_widen(ends[1]);
	if (nonblock)
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
	struct sock *sock =
		send(ends[1], "", 1, MSG_NOSIGNAL) == 1 ? tern_sock_new(sandbox, ends[1]) : NULL;
	if (!sock) {
		close(ends[0]);
		close(ends[1]);
	}
	return sock;
}

static int install(struct group *group, const struct parked *p, struct tern_conn conn)
{
	struct run *run = group->run;
	struct tern_tcp_info info;
	int ends[2], error = 0;
	struct sock *child = make_pair(p->sandbox, ends, p->flags & SOCK_NONBLOCK);
	if (!child)
		return ENOBUFS;
	tern_tcp_info(run_stack(run), conn, &info);
	child->conn = conn;
	child->local = info.local;
	child->remote = info.remote;
	child->told = true;
	child->wishes = p->sock->wishes;
	tern_run_apply_to_end(child, ends[1]);
	if (p->addr)
		error = tern_run_write_addr(p->tid, &info.remote, p->addr, p->addr_len);
	if (!error)
		error = tern_run_give(p->sandbox, p->id, ends[1], p->flags & SOCK_CLOEXEC);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		tern_sock_free(child);
		return error;
	}
	p->sandbox->accepts++;
	tern_run_apply_wishes(child);
	if (tern_run_join(child, ends[0]) != 0) { /* the program has it: it will see a reset */
		tern_tcp_abort(run_stack(run), conn);
		close(ends[0]);
	}
	return 0;
}

/* Answers an accept, if a connection waits; fd: the listening socket. False: none waits. */
static bool complete(struct parked *p, int fd)
{
	struct group *group = p->sock->group;
	struct tern_conn conn;
	if (!tern_run_waits(p->sandbox, p->id))
		return true; /* the caller has gone; nothing was taken */
	if (next_connection(group, &conn) != 0)
		return false;
	int error = install(group, p, conn);
	if (error) {
		put_back(group, conn);
		tern_run_answer(p->sandbox, p->id, refuse(error));
		return true;
	}
	take_token(p->sock, fd);
	return true;
}

struct verdict tern_run_accept(struct call *call)
{
	struct sock *sock = call->sock;
	int flags = call->nr == SYS_accept4 ? (int)call->arg[3] : 0;
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return refuse(EINVAL);
	if (sock->state != SOCK_LISTENING || !sock->group)
		return refuse(EINVAL);
	while (sock->token_count && tokens_of(sock->group) > waiting(sock->group))
		take_token(sock, call->fd); /* of connections that were reset meanwhile */
	struct parked *p = tern_sock_park(sock, call, tern_sock_timeout(call->fd, SO_RCVTIMEO));
	if (!p)
		return refuse(ENOMEM);
	p->flags = flags;
	if (complete(p, call->fd)) {
		tern_sock_unpark(p);
		return (struct verdict){ANSWER_DONE, 0};
	}
	if (!(fcntl(call->fd, F_GETFL) & O_NONBLOCK))
		return (struct verdict){ANSWER_PARKED, 0};
	tern_sock_unpark(p);
	return refuse(EAGAIN);
}

/* Answers the oldest accept that waits in this group; false if there is none. */
static bool serve_parked(struct group *group)
{
	for (struct sock *s = group->members; s; s = s->next_member)
		while (s->parked) {
			struct parked *p = s->parked;
			bool stale = !tern_run_waits(p->sandbox, p->id);
			int fd = stale ? -1 : tern_run_dup(p->sandbox, p->id, p->tid, p->fd);
			bool done = stale || complete(p, fd);
			if (fd >= 0)
				close(fd);
			if (!done)
				return false;
			tern_sock_unpark(p);
			if (!stale)
				return true;
		}
	return false;
}

void tern_run_arrived(struct group *group)
{
	while (waiting(group) && serve_parked(group))
		;
	post_tokens(group);
}
