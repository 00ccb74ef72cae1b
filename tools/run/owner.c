/*
 * What the programs have of the connections: which process and descriptor holds each, for `tern ss
 * -p` and for opens whose descriptor has moved, and what is on its way between it and the stack.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/run/run.h"

#define PAGE 500 /* descriptors an answer, more only to finish a process */

/* The connection of a socket, by its inode: "LOCAL REMOTE", or "LOCAL *" for a listener; with "udp
 * " before it for UDP. */
struct known {
	uint32_t inode;
	char name[2 * TERN_ENDPOINT_TEXT + 4];
	UT_hash_handle hh;
};

static bool name_of(struct sock *sock, char *name, size_t size)
{
	char local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT] = "*";
	struct tern_endpoint at = sock->local;
	if (sock->group) {
		if (tern_tcp_listen_endpoint(run_stack(sock->run), sock->group->listener, &at) != 0)
			return false;
	} else if (sock->state == SOCK_CONNECTED || sock->state == SOCK_CONNECTING) {
		tern_endpoint_format(&sock->remote, remote);
	} else {
		return false;
	}
	snprintf(name, size, "%s %s", tern_endpoint_format(&at, local), remote);
	return true;
}

static struct known *know_udp(struct run *run, struct known *all)
{
	char local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT];
	struct kernel_udp u;
	tern_run_udp_rewind(run);
	while (tern_run_udp_next(run, &u)) {
		struct known *k = calloc(1, sizeof *k);
		if (!k)
			break;
		k->inode = u.inode;
		snprintf(k->name, sizeof k->name, "udp %s %s",
			tern_endpoint_format(&u.local, local),
			u.remote.port ? tern_endpoint_format(&u.remote, remote) : "*");
		HASH_ADD(hh, all, inode, sizeof k->inode, k);
	}
	return all;
}

static struct known *know(struct run *run)
{
	struct known *all = NULL;
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	{
		struct known *k = calloc(1, sizeof *k);
		if (!k || !name_of(sock, k->name, sizeof k->name)) {
			free(k);
			continue;
		}
		k->inode = sock->inode;
		HASH_ADD(hh, all, inode, sizeof k->inode, k);
	}
	return know_udp(run, all);
}

static void forget(struct known *all)
{
	struct known *k, *next;
	HASH_ITER(hh, all, k, next)
	{
		HASH_DEL(all, k);
		free(k);
	}
}

static const char *program(int pid, char name[17])
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	FILE *file = fopen(path, "re");
	if (!file || !fgets(name, 17, file))
		strcpy(name, "?");
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return name;
}

void tern_run_each_fd(pid_t tid, tern_run_visit *visit, void *context)
{
	char path[64], target[64];
	snprintf(path, sizeof path, "/proc/%d/fd", (int)tid);
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		uint32_t inode = 0;
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		if (sscanf(target, "socket:[%u]", &inode) == 1 ||
			strcmp(target, "anon_inode:[eventpoll]") == 0)
			visit(context, inode, tid, atoi(d->d_name));
	}
	if (dir)
		closedir(dir);
}

struct listing {
	struct known *all;
	json_t *owners;
};

/* Appends it, if it is ours. */
static void list_it(void *context, uint32_t inode, pid_t pid, int fd)
{
	struct listing *listing = context;
	struct known *k = NULL;
	char name[17];
	HASH_FIND(hh, listing->all, &inode, sizeof inode, k);
	if (k)
		json_array_append_new(listing->owners,
			json_pack("{s:s, s:i, s:s, s:i}", "connection", k->name, "pid", pid,
				"program", program(pid, name), "fd", fd));
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All processes from that pid on, in order; the caller frees them. */
static int *processes(int from, size_t *count)
{
	DIR *dir = opendir("/proc");
	int *pids = NULL;
	size_t room = 0;
	*count = 0;
	for (struct dirent *d; dir && (d = readdir(dir));) {
		int pid = atoi(d->d_name);
		if (pid <= 0 || pid < from)
			continue;
		if (*count == room) {
			room = room ? 2 * room : 256;
			int *more = realloc(pids, room * sizeof *pids);
			if (!more)
				break;
			pids = more;
		}
		pids[(*count)++] = pid;
	}
	if (dir)
		closedir(dir);
	if (pids)
		qsort(pids, *count, sizeof *pids, by_number);
	return pids;
}

json_t *tern_run_owners(void *context, json_t *params)
{
	int from = 0;
	size_t count, i = 0;
	if (params && (json_unpack(params, "{s?i}", "from", &from) != 0 || from < 0))
		return NULL;
	int *pids = processes(from, &count);
	struct listing listing = {know(context), json_array()};
	for (; i < count && json_array_size(listing.owners) < PAGE; i++)
		tern_run_each_fd(pids[i], list_it, &listing);
	json_t *result = json_pack("{s:o}", "owners", listing.owners);
	if (i < count)
		json_object_set_new(result, "next", json_integer(pids[i]));
	forget(listing.all);
	free(pids);
	return result;
}

static void found(void *context, uint32_t inode, pid_t pid, int fd)
{
	struct run *run = context;
	struct sock *sock = NULL;
	HASH_FIND(by_inode, run->sought, &inode, sizeof inode, sock);
	int copy = sock ? tern_run_find_copy(sock, pid, fd) : -1;
	if (copy < 0)
		return;
	tern_run_established(sock, copy);
	close(copy);
}

/* At most a tenth of the time goes into it, whatever the program does with its descriptors. */
void tern_run_seek(struct run *run)
{
	uint64_t began = tern_host_now();
	size_t count;
	if (!run->sought || began < run->seek_at)
		return;
	int *pids = processes(1, &count);
	for (size_t i = 0; i < count && run->sought; i++)
		tern_run_each_fd(pids[i], found, run);
	free(pids);
	run->seek_at = tern_host_now() + 10 * (tern_host_now() - began);
}

/* --- on its way --------------------------------------------------------------------------------
 */

#define MEASURE_NS 200000000 /* pages of one answer look once */

/* A connection and the socket it is relayed to. */
struct relayed {
	struct tern_endpoint ends[2]; /* local, remote */
	struct sock *sock;
	UT_hash_handle hh;
};

static struct relayed *relayed(struct run *run)
{
	struct relayed *all = NULL;
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	{
		struct relayed *r = sock->relay ? calloc(1, sizeof *r) : NULL;
		if (!r)
			continue;
		*r = (struct relayed){.ends = {sock->local, sock->remote}, .sock = sock};
		HASH_ADD(hh, all, ends, sizeof r->ends, r);
	}
	return all;
}

static struct sock *sock_of(struct relayed *all, json_t *row)
{
	struct tern_endpoint ends[2];
	struct relayed *r = NULL;
	const char *local = "", *remote = "";
	json_unpack(row, "{s:s, s:s}", "local", &local, "remote", &remote);
	if (tern_endpoint_parse(local, &ends[0]) == 0 && tern_endpoint_parse(remote, &ends[1]) == 0)
		HASH_FIND(hh, all, ends, sizeof ends, r);
	return r ? r->sock : NULL;
}

void tern_run_amend(void *context, json_t *rows)
{
	struct run *run = context;
	struct relayed *all = relayed(run), *r, *next;
	json_t *row;
	size_t i;
	if (tern_host_now() - run->measured_at > MEASURE_NS)
		tern_sock_measure(run);
	json_array_foreach(rows, i, row)
	{
		struct sock *sock = sock_of(all, row);
		if (!sock)
			continue;
		json_object_set_new(row, "program_unread", json_integer(sock->unread));
		json_object_set_new(row, "program_unsent",
			json_integer((json_int_t)tern_relay_waiting(sock->relay)));
	}
	HASH_ITER(hh, all, r, next)
	{
		HASH_DEL(all, r);
		free(r);
	}
}
