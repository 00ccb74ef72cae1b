/* The programs' UDP sockets, which are the kernel's: its own list of those in their namespace. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/run/run.h"

#define PAGE 500

/* The list has an address as the number that its bytes in memory make. */
static struct tern_endpoint endpoint(uint32_t bits, unsigned port)
{
	uint8_t a[4];
	memcpy(a, &bits, sizeof a);
	return (struct tern_endpoint){tern_addr_v4(a[0], a[1], a[2], a[3]), (uint16_t)port};
}

static bool parse(const char *line, struct kernel_udp *out)
{
	uint32_t local, remote;
	unsigned local_port, remote_port;
	if (sscanf(line,
		    "%*d: %" SCNx32 ":%x %" SCNx32 ":%x %*x %" SCNx32 ":%" SCNx32
		    " %*x:%*x %*x %*u %*d %" SCNu32,
		    &local, &local_port, &remote, &remote_port, &out->unsent, &out->unread,
		    &out->inode) != 7)
		return false;
	out->local = endpoint(local, local_port);
	out->remote = endpoint(remote, remote_port);
	return true;
}

void tern_run_udp_rewind(struct run *run)
{
	char line[256];
	if (!run->udp_list)
		return;
	rewind(run->udp_list);
	if (!fgets(line, sizeof line, run->udp_list)) /* what the columns are */
		clearerr(run->udp_list);
}

bool tern_run_udp_next(struct run *run, struct kernel_udp *out)
{
	char line[256];
	while (run->udp_list && fgets(line, sizeof line, run->udp_list))
		if (parse(line, out))
			return true;
	return false;
}

static json_t *show(const struct kernel_udp *u)
{
	char local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT];
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "netid", "udp", "state",
		u->remote.port ? "ESTABLISHED" : "UNCONN", "local",
		tern_endpoint_format(&u->local, local), "remote",
		u->remote.port ? tern_endpoint_format(&u->remote, remote) : "*", "unread",
		(json_int_t)u->unread, "unsent", (json_int_t)u->unsent, "kernel", 1);
}

json_t *tern_run_udp(void *context, json_t *params)
{
	struct run *run = context;
	struct kernel_udp u;
	int from = 0, n = 0;
	if (params && (json_unpack(params, "{s?i}", "from", &from) != 0 || from < 0))
		return NULL;
	json_t *list = json_array(), *all = json_pack("{s:o}", "sockets", list);
	tern_run_udp_rewind(run);
	for (; tern_run_udp_next(run, &u); n++) {
		if (n >= from + PAGE) {
			json_object_set_new(all, "next", json_integer(n));
			break;
		}
		if (n >= from)
			json_array_append_new(list, show(&u));
	}
	return all;
}
