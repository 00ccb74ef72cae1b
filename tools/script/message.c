/* Bytes and messages. What is in them is given by their place in the stream. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tools/script/call.h"

#define LENGTH_MAX (64 << 20)
#define VECTOR_MAX 64

void tern_script_address(struct run *run, struct script_pending *p, unsigned arg,
	const struct tern_endpoint *otherwise)
{
	const struct script_expr *expr = tern_script_arg(p, arg);
	const struct script_expr *address = tern_script_item(expr, "sin_addr");
	struct sockaddr_in *in = tern_script_lend(p, sizeof *in);
	struct tern_endpoint ep = *otherwise;
	int64_t port, family = AF_INET;
	if (tern_script_item_int(expr, "sin_port", &port))
		ep.port = (uint16_t)port;
	tern_script_item_int(expr, "sa_family", &family);
	if (address && address->kind == EXPR_STRING &&
		tern_addr_parse(address->text, &ep.addr) != 0)
		tern_script_refuse(run, "no address: %s", address->text);
	else if (address && address->kind == EXPR_INTEGER) /* INADDR_ANY */
		ep.addr = tern_addr_v4(0, 0, 0, 0);
	in->sin_family = (sa_family_t)family;
	in->sin_port = htons(ep.port);
	memcpy(&in->sin_addr, ep.addr.byte + 12, 4);
	p->call.arg[arg] = (intptr_t)in;
	p->call.arg[arg + 1] = sizeof *in;
}

static struct script_fd *stream_of(struct run *run, const struct script_pending *p)
{
	static struct script_fd none;
	int64_t number = tern_script_arg_int(run, p, 0);
	return number >= 0 && number < FDS_MAX ? &run->fd[number] : &none;
}

static uint8_t *bytes_for(struct run *run, struct script_pending *p, int64_t len)
{
	if (len < 0 || len > LENGTH_MAX) {
		tern_script_refuse(run, "a length of %jd", (intmax_t)len);
		len = 0;
	}
	p->len = (size_t)len;
	return p->bytes = tern_script_lend(p, p->len);
}

static void fill(struct run *run, struct script_pending *p)
{
	const struct script_fd *fd = stream_of(run, p);
	uint32_t place = fd->datagram ? 0 : fd->written;
	for (size_t k = 0; k < p->len; k++)
		p->bytes[k] = tern_script_byte(false, place + (uint32_t)k);
}

/* read, recv, recvfrom; write, send, sendto */
static void prepare_buffer(struct run *run, struct script_pending *p)
{
	p->call.arg[2] = (intptr_t)tern_script_arg_int(run, p, 2);
	p->call.arg[3] = (intptr_t)tern_script_arg_int(run, p, 3);
	p->call.arg[1] = (intptr_t)bytes_for(run, p, p->call.arg[2]);
	const struct script_expr *buffer = tern_script_arg(p, 1);
	if (buffer && buffer->kind == EXPR_INTEGER && buffer->value == 0)
		p->call.arg[1] = 0; /* NULL */
}

void tern_script_prepare_read(struct run *run, struct script_pending *p)
{
	prepare_buffer(run, p);
	if (p->spec->op != DRILL_RECVFROM)
		return;
	socklen_t *room = tern_script_lend(p, sizeof *room);
	*room = sizeof(struct sockaddr_in);
	p->call.arg[4] = (intptr_t)tern_script_lend(p, *room);
	p->call.arg[5] = (intptr_t)room;
}

void tern_script_prepare_write(struct run *run, struct script_pending *p)
{
	const struct script_expr *address = tern_script_arg(p, 4);
	struct tern_endpoint remote = {run->set.remote, run->set.connect_port};
	prepare_buffer(run, p);
	fill(run, p);
	/* A connection has its peer: "..." names none. */
	if (p->spec->op == DRILL_SENDTO && address &&
		(address->kind == EXPR_STRUCT || stream_of(run, p)->datagram))
		tern_script_address(run, p, 4, &remote);
}

/* [{..., 100}, {iov_base=..., iov_len=20}] */
static struct iovec *vector(struct run *run, struct script_pending *p,
	const struct script_expr *list, size_t *count)
{
	struct iovec *v = tern_script_lend(p, VECTOR_MAX * sizeof *v);
	int64_t len, sum = 0;
	*count = 0;
	for (const struct script_expr *item = list ? list->items : NULL; item; item = item->next) {
		const struct script_expr *second = item->items ? item->items->next : NULL;
		if (!second || second->kind != EXPR_INTEGER || *count == VECTOR_MAX) {
			tern_script_refuse(run, "no vector of {..., LENGTH}, or more than %d",
				VECTOR_MAX);
			return v;
		}
		len = second->value;
		v[(*count)++].iov_len = (size_t)len;
		sum += len < 0 || len > LENGTH_MAX ? LENGTH_MAX : len;
	}
	uint8_t *bytes = bytes_for(run, p, sum);
	for (size_t k = 0; k < *count; bytes += v[k++].iov_len)
		v[k].iov_base = bytes;
	return v;
}

void tern_script_prepare_vector(struct run *run, struct script_pending *p)
{
	size_t count;
	p->call.arg[1] = (intptr_t)vector(run, p, tern_script_arg(p, 1), &count);
	const struct script_expr *said = tern_script_arg(p, 2);
	p->call.arg[2] = said->kind == EXPR_INTEGER ? (intptr_t)said->value : (intptr_t)count;
	if (p->spec->op == DRILL_WRITEV)
		fill(run, p);
}

#define CONTROL_ROOM 256

void tern_script_prepare_message(struct run *run, struct script_pending *p)
{
	const struct script_expr *expr = tern_script_arg(p, 1);
	struct msghdr *msg = tern_script_lend(p, sizeof *msg);
	p->call.arg[1] = (intptr_t)msg;
	p->call.arg[2] = (intptr_t)tern_script_arg_int(run, p, 2);
	msg->msg_iov = vector(run, p, tern_script_item(expr, "msg_iov"), &msg->msg_iovlen);
	if (p->spec->op == DRILL_SENDMSG) {
		fill(run, p);
		return;
	}
	msg->msg_name = tern_script_lend(p, sizeof(struct sockaddr_in));
	msg->msg_namelen = sizeof(struct sockaddr_in);
	msg->msg_control = tern_script_lend(p, CONTROL_ROOM);
	msg->msg_controllen = CONTROL_ROOM;
}

/* --- afterwards -------------------------------------------------------------------------- */

static void check_bytes(struct run *run, const uint8_t *bytes, int64_t len, uint32_t place)
{
	for (int64_t k = 0; k < len; k++) {
		uint8_t want = tern_script_byte(true, place + (uint32_t)k);
		if (bytes[k] == want)
			continue;
		tern_script_fail(run,
			"byte %jd read is 0x%02x; that place of the stream has 0x%02x", (intmax_t)k,
			bytes[k], want);
		return;
	}
}

static int flags_of(struct run *run, const struct script_pending *p)
{
	switch ((int)p->spec->op) {
	case DRILL_RECV:
	case DRILL_RECVFROM:
		return (int)tern_script_arg_int(run, p, 3);
	case DRILL_RECVMSG:
		return (int)tern_script_arg_int(run, p, 2);
	default:
		return 0;
	}
}

void tern_script_verify_read(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = stream_of(run, p);
	int64_t n = p->call.result;
	int flags = flags_of(run, p);
	if (n <= 0)
		return;
	if (!(flags & MSG_TRUNC) && !fd->foreign)
		check_bytes(run, p->bytes, n < (int64_t)p->len ? n : (int64_t)p->len,
			fd->datagram ? 0 : fd->read);
	if (!(flags & MSG_PEEK))
		fd->read += (uint32_t)n;
}

void tern_script_verify_write(struct run *run, struct script_pending *p)
{
	if (p->call.result > 0)
		stream_of(run, p)->written += (uint32_t)p->call.result;
}

static int64_t control_value(const struct msghdr *msg, int64_t level, int64_t type, bool *found)
{
	int value = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		if (c->cmsg_level != level || c->cmsg_type != type)
			continue;
		*found = true;
		memcpy(&value, CMSG_DATA(c), sizeof value);
	}
	return value;
}

static void check_control(struct run *run, const struct msghdr *msg, const struct script_expr *item)
{
	const struct script_expr *data = tern_script_item(item, "cmsg_data");
	int64_t level = -1, type = -1;
	bool found = false;
	tern_script_item_int(item, "cmsg_level", &level);
	tern_script_item_int(item, "cmsg_type", &type);
	int64_t got = control_value(msg, level, type, &found);
	if (!found)
		tern_script_fail(run, "recvmsg() told nothing of level %jd, type %jd",
			(intmax_t)level, (intmax_t)type);
	else if (data && data->kind == EXPR_INTEGER && data->value != got)
		tern_script_fail(run,
			"recvmsg() found another value\n    want  cmsg_data=%jd\n    got   "
			"cmsg_data=%jd",
			(intmax_t)data->value, (intmax_t)got);
}

void tern_script_verify_message(struct run *run, struct script_pending *p)
{
	const struct msghdr *msg = (const struct msghdr *)p->call.arg[1];
	const struct script_expr *expr = tern_script_arg(p, 1);
	const struct script_expr *list = tern_script_item(expr, "msg_control");
	int64_t flags;
	tern_script_verify_read(run, p);
	if (p->call.result < 0)
		return;
	if (tern_script_item_int(expr, "msg_flags", &flags) && flags != msg->msg_flags)
		tern_script_fail(run,
			"recvmsg()\n    want  msg_flags=0x%jx\n    got   msg_flags=0x%x",
			(intmax_t)flags, (unsigned)msg->msg_flags);
	for (const struct script_expr *item = list ? list->items : NULL; item; item = item->next)
		check_control(run, msg, item);
}
