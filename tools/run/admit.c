/*
 * The side of `tern up`: programs that others bring. Each has a connection at NAME.join for as long
 * as it runs; that it ends without a last word means that whoever started the program has died.
 * They are of this user, or root's; how many there may be, and how long they may take, is bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/run/join.h"
#include "tools/run/run.h"

#define MEMBERS_MAX 512
#define BACKLOG     128
#define PATIENCE_NS UINT64_C(30000000000) /* from coming to handing a listener over */

struct member {
	struct admission *admission;
	int fd;
	struct tern_watch *watch;
	pid_t pid;        /* of who came */
	uint64_t expires; /* ns; TERN_NEVER once it has a sandbox */
	struct sandbox *sandbox;
	char command[sizeof((struct join_message *)0)->text];
	struct member *next, **link;
};

struct admission {
	struct run *run;
	bool verbose;
	int fd, userns;
	bool starved; /* somebody waits for whom there was no descriptor */
	struct tern_watch *watch;
	char path[CONTROL_PATH_MAX];
	struct member *members;
	unsigned connections, programs;
};

/* --- members --------------------------------------------------------------------------- */

static void tell(const struct member *m, char sign)
{
	const struct sandbox *s = m->sandbox;
	if (!m->admission->verbose)
		return;
	fprintf(stderr, "up: %c %s (pid %d)", sign, m->command, (int)m->pid);
	if (sign == '-')
		fprintf(stderr, ": %" PRIu64 " connect, %" PRIu64 " accept, %" PRIu64 " calls",
			s->connects, s->accepts, s->calls);
	fprintf(stderr, "; programs: %u\n", m->admission->programs);
}

static void send_away(struct member *m, bool in_order)
{
	struct admission *a = m->admission;
	if (m->sandbox) {
		a->programs--;
		tell(m, '-');
		tern_sandbox_free(m->sandbox, in_order);
	}
	tern_host_unwatch(a->run->host, m->watch);
	close(m->fd);
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	a->connections--;
	free(m);
}

static void refuse_at(int fd, const char *why)
{
	struct join_message message = {.kind = JOIN_REFUSED};
	snprintf(message.text, sizeof message.text, "%s", why);
	tern_join_send(fd, &message, NULL, 0);
}

/* Whatever a command is called, it is shown as one line of printable ASCII. */
static void take_name(struct member *m, const char *text)
{
	strcpy(m->command, text);
	for (char *p = m->command; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static void take_listener(struct member *m, const struct join_message *message, int listener)
{
	m->sandbox = tern_sandbox_new(m->admission->run, listener);
	if (!m->sandbox) {
		refuse_at(m->fd, errno == ENOTTY ? "that is no filter" : strerror(errno));
		send_away(m, false);
		return;
	}
	m->sandbox->shared = true;
	m->expires = TERN_NEVER;
	take_name(m, message->text);
	m->admission->programs++;
	tell(m, '+');
	if (!tern_join_send(m->fd, &(struct join_message){.kind = JOIN_GO}, NULL, 0))
		send_away(m, false);
}

static void say_goodbye(struct member *m)
{
	struct join_message counts = {.kind = JOIN_COUNTS,
		.calls = m->sandbox->calls,
		.connects = m->sandbox->connects,
		.accepts = m->sandbox->accepts};
	int fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
	send_away(m, true);
	if (fd < 0)
		return;
	tern_join_send(fd, &counts, NULL, 0);
	close(fd);
}

static void hear(struct member *m, const struct join_message *message, int fds[JOIN_FDS_MAX])
{
	if (message->kind == JOIN_LISTENER && !m->sandbox && fds[0] >= 0) {
		take_listener(m, message, fds[0]);
		fds[0] = -1;
	} else if (message->kind == JOIN_ENDED && m->sandbox) {
		say_goodbye(m);
	} else {
		send_away(m, false);
	}
	for (unsigned i = 0; i < JOIN_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void ready(void *context, uint32_t events)
{
	struct join_message message;
	int fds[JOIN_FDS_MAX];
	(void)events;
	if (tern_join_recv(((struct member *)context)->fd, &message, fds))
		hear(context, &message, fds);
	else if (errno != EAGAIN)
		send_away(context, false);
}

/* --- coming ---------------------------------------------------------------------------- */

/* NULL, or why not. */
static const char *unwelcome(const struct admission *a, int fd, struct ucred *who)
{
	socklen_t len = sizeof *who;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &len) != 0)
		return strerror(errno);
	if (who->uid != geteuid() && who->uid != 0)
		return "it is another user's";
	if (who->pid == 0)
		return "it is in a PID namespace that does not show your processes";
	if (a->connections == MEMBERS_MAX)
		return "too many programs are on it";
	return NULL;
}

static struct member *enlist(struct admission *a, int fd, pid_t pid)
{
	struct member *m = calloc(1, sizeof *m);
	if (!m)
		return NULL;
	m->watch = tern_host_watch(a->run->host, fd, EPOLLIN, ready, m);
	if (!m->watch) {
		free(m);
		return NULL;
	}
	m->admission = a;
	m->fd = fd;
	m->pid = pid;
	m->expires = tern_host_now() + PATIENCE_NS;
	m->next = a->members;
	m->link = &a->members;
	if (m->next)
		m->next->link = &m->next;
	a->members = m;
	a->connections++;
	return m;
}

/* False if nobody is there, or cannot be let in for want of a descriptor. */
static bool answer_door(struct admission *a)
{
	struct ucred who;
	int fds[] = {a->userns, a->run->netns};
	int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	a->starved = fd < 0 && (errno == EMFILE || errno == ENFILE);
	if (fd < 0)
		return false;
	const char *why = unwelcome(a, fd, &who);
	struct member *m = why ? NULL : enlist(a, fd, who.pid);
	if (!m) {
		refuse_at(fd, why ? why : "out of memory");
		close(fd);
	} else if (!tern_join_send(fd, &(struct join_message){.kind = JOIN_WELCOME}, fds, 2)) {
		send_away(m, false);
	}
	return true;
}

static void knock(void *context, uint32_t events)
{
	(void)events;
	while (answer_door(context))
		;
}

void tern_admission_expire(struct admission *a)
{
	uint64_t now = tern_host_now();
	struct member *next;
	if (a->starved)
		knock(a, 0);
	for (struct member *m = a->members; m; m = next) {
		next = m->next;
		if (m->expires <= now)
			send_away(m, false);
	}
}

/* --- beginning and end ----------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	unlink(path); /* a killed stack's: this one has the name, it has NAME.sock */
	mode_t mask = umask(0177);
	int rc = bind(fd, (struct sockaddr *)&at, sizeof at);
	umask(mask);
	if (rc == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

struct admission *tern_admission_open(struct run *run, bool verbose)
{
	char why[200] = "out of memory";
	struct admission *a = calloc(1, sizeof *a);
	if (!a || tern_control_path(a->path, run->options.name, "join", why, sizeof why) != 0)
		goto failed;
	a->run = run;
	a->verbose = verbose;
	tern_sandbox_share();
	a->userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	a->fd = listen_at(a->path);
	if (a->userns >= 0 && a->fd >= 0 &&
		(a->watch = tern_host_watch(run->host, a->fd, EPOLLIN | EPOLLET, knock, a)))
		return a;
	snprintf(why, sizeof why, "%s: %s", a->path, strerror(errno));
failed:
	fprintf(stderr, "up: %s\n", why);
	free(a);
	return NULL;
}

unsigned tern_admission_count(const struct admission *a)
{
	return a->programs;
}

json_t *tern_admission_list(void *context, json_t *params)
{
	const struct admission *a = context;
	json_t *list = json_array();
	(void)params;
	for (const struct member *m = a->members; m; m = m->next)
		if (m->sandbox)
			json_array_append_new(list,
				json_pack("{s:s, s:i, s:I, s:I, s:I}", "command", m->command, "pid",
					(int)m->pid, "calls", (json_int_t)m->sandbox->calls,
					"connects", (json_int_t)m->sandbox->connects, "accepts",
					(json_int_t)m->sandbox->accepts));
	return json_pack("{s:o}", "programs", list);
}

void tern_admission_close(struct admission *a)
{
	while (a->members)
		send_away(a->members, false);
	tern_host_unwatch(a->run->host, a->watch);
	close(a->fd);
	close(a->userns);
	unlink(a->path);
	free(a);
}
