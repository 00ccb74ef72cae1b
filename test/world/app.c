/*
 * What an application does with a connection, once it has one: reads and writes as its character
 * says, checks every byte, and ends it one of many ways. Between its own moments it relies on
 * events alone, so an event that is not told leaves it waiting for ever.
 */
#include <string.h>

#include "test/world/world.h"

struct conn *app_adopt(struct world *w, struct host *h, struct tern_conn handle,
	const struct character *like)
{
	if (w->conn_count == CONNS_MAX) {
		tern_tcp_abort(h->stack, handle);
		return NULL;
	}
	struct conn *c = &w->conns[w->conn_count];
	*c = (struct conn){
		.id = w->conn_count++,
		.host = h,
		.handle = handle,
		.like = *like,
		.open = true,
		.opened_at = w->now,
		.progress_at = w->now,
		.wake = w->now,
	};
	w->conns_open++;
	w->result.connections++;
	watch_adopt(h, c);
	if (tern_tcp_set_user(h->stack, handle, c) != 0)
		world_fail(w, "connection %u: its handle is not valid at birth", c->id);
	tern_tcp_option_set(h->stack, handle, TERN_TCP_NODELAY, like->nodelay);
	tern_tcp_option_set(h->stack, handle, TERN_TCP_CORK, like->cork);
	if (like->quickack)
		tern_tcp_option_set(h->stack, handle, TERN_TCP_QUICKACK, 1);
	return c;
}

/* --- the end ------------------------------------------------------------------------------ */

/* The handle must be dead for every call from now on. */
static void check_stale(struct world *w, struct conn *c)
{
	uint8_t byte;
	if (tern_tcp_read(c->host->stack, c->handle, &byte, 1) != TERN_ESTALE ||
		tern_tcp_write(c->host->stack, c->handle, &byte, 1) != TERN_ESTALE ||
		tern_tcp_close(c->host->stack, c->handle) != TERN_ESTALE)
		world_fail(w, "connection %u: a handle that was closed still works", c->id);
}

static void let_go(struct world *w, struct conn *c)
{
	c->open = false;
	c->closed_at = w->now;
	c->wake = TERN_NEVER;
	w->conns_open--;
	watch_forget(c->host, c);
	check_stale(w, c);
}

void app_close(struct world *w, struct conn *c)
{
	world_say(w, "h%u conn %u closes: wrote %lu read %lu%s", c->host->index, c->id, c->written,
		c->taken, c->eof ? ", to the end" : "");
	c->closed = true;
	int err = tern_tcp_close(c->host->stack, c->handle);
	if (err)
		world_fail(w, "connection %u: close: %s", c->id, tern_err_text(err));
	if (c->eof && c->written == c->like.to_send)
		w->result.completed++;
	let_go(w, c);
}

void app_abort(struct world *w, struct conn *c)
{
	world_say(w, "h%u conn %u aborts", c->host->index, c->id);
	c->aborted = true;
	int err = tern_tcp_abort(c->host->stack, c->handle);
	if (err)
		world_fail(w, "connection %u: abort: %s", c->id, tern_err_text(err));
	let_go(w, c);
}

static void died(struct world *w, struct conn *c, int error)
{
	if (!c->error) {
		c->error = error;
		world_say(w, "h%u conn %u: %s", c->host->index, c->id, tern_err_text(error));
		if (error < 0 && error > -ERRORS_MAX)
			w->result.errors[-error]++;
		excuse_error(w, c, error);
	}
	if (c->open)
		app_close(w, c);
}

static void shut(struct world *w, struct conn *c)
{
	int err = tern_tcp_shutdown(c->host->stack, c->handle);
	world_say(w, "h%u conn %u shuts down after %lu: %s", c->host->index, c->id, c->written,
		tern_err_text(err));
	if (err == 0)
		c->shut = true;
	else if (err != TERN_ENOTCONN || c->connected)
		died(w, c, err);
}

/* --- reading ------------------------------------------------------------------------------- */

static void check_read(struct world *w, struct conn *c, const uint8_t *data, size_t n)
{
	const struct conn *writer = c->in ? c->in->writer : NULL;
	if (!writer) {
		world_fail(w, "connection %u: bytes arrive that nobody wrote", c->id);
		return;
	}
	size_t good = stream_verify(c->in->key, c->taken, data, n);
	if (good < n)
		world_fail(w, "connection %u: byte %lu of what connection %u wrote is wrong", c->id,
			c->taken + good, writer->id);
	c->taken += n;
	w->result.bytes_read += n;
	if (c->taken > writer->written)
		world_fail(w, "connection %u: read %lu bytes, but connection %u wrote %lu", c->id,
			c->taken, writer->id, writer->written);
}

static void check_eof(struct world *w, struct conn *c)
{
	const struct conn *writer = c->in ? c->in->writer : NULL;
	if (!writer || (!writer->shut && !writer->closed))
		world_fail(w, "connection %u: end of stream, but nobody ended it", c->id);
	else if (c->taken != writer->written)
		world_fail(w,
			"connection %u: end of stream after %lu bytes, but connection %u wrote %lu",
			c->id, c->taken, writer->id, writer->written);
	world_say(w, "h%u conn %u: end of stream at %lu", c->host->index, c->id, c->taken);
}

/* Reads by borrowing. What it cannot tell (the end, and that it waits) is left to a plain read: 0.
 */
static ptrdiff_t borrow(struct world *w, struct conn *c, size_t most)
{
	struct tern_span span[3];
	size_t total = 0;
	int n = tern_tcp_peek(c->host->stack, c->handle, span, 3);
	for (int i = 0; i < n && total < most; i++) {
		size_t take = span[i].len < most - total ? span[i].len : most - total;
		check_read(w, c, span[i].data, take);
		total += take;
	}
	if (n < 0)
		return n;
	if (total == 0)
		return 0;
	int err = tern_tcp_consume(c->host->stack, c->handle, total);
	if (err)
		world_fail(w, "connection %u: consume: %s", c->id, tern_err_text(err));
	return (ptrdiff_t)total;
}

static ptrdiff_t take(struct world *w, struct conn *c)
{
	size_t most = c->like.read_chunk;
	if (c->like.lends) {
		ptrdiff_t n = borrow(w, c, most);
		if (n > 0)
			return n;
	}
	ptrdiff_t n = tern_tcp_read(c->host->stack, c->handle, w->buffer, most);
	if (n > (ptrdiff_t)most)
		world_fail(w, "connection %u: read more than asked for", c->id);
	else if (n > 0)
		check_read(w, c, w->buffer, (size_t)n);
	return n;
}

/* Whether the reader rests now; it is woken when it is to go on. */
static bool rests(struct world *w, struct conn *c)
{
	if (c->like.stop_for && !c->stopped_until && c->taken >= c->like.stop_at) {
		c->stopped_until = w->now + c->like.stop_for;
		world_say(w, "h%u conn %u stops reading at %lu for %lu ms", c->host->index, c->id,
			c->taken, c->like.stop_for / MS);
	}
	uint64_t until = c->stopped_until > c->read_at ? c->stopped_until : c->read_at;
	if (until <= w->now)
		return false;
	if (until < c->wake)
		c->wake = until;
	return true;
}

static void read_some(struct world *w, struct conn *c)
{
	while (c->open && !c->eof && !w->result.failed && !rests(w, c)) {
		ptrdiff_t n = take(w, c);
		if (n == TERN_EAGAIN)
			return;
		c->progress_at = w->now;
		if (n == 0) {
			c->eof = true;
			c->eof_at = w->now;
			check_eof(w, c);
		} else if (n < 0) {
			died(w, c, (int)n);
		} else if (c->like.read_gap) {
			c->read_at = w->now + c->like.read_gap;
		}
	}
}

/* --- writing ------------------------------------------------------------------------------- */

static ptrdiff_t lend(struct world *w, struct conn *c, size_t len)
{
	struct tern_span span[4];
	size_t total = 0;
	int n = tern_tcp_room(c->host->stack, c->handle, len, span, 4);
	for (int i = 0; i < n && total < len; i++) {
		size_t take = span[i].len < len - total ? span[i].len : len - total;
		stream_fill(c->out->key, c->written + total, span[i].data, take);
		total += take;
	}
	if (n <= 0 || total == 0)
		return n < 0 ? n : TERN_EAGAIN;
	int err = tern_tcp_commit(c->host->stack, c->handle, total);
	if (err)
		world_fail(w, "connection %u: commit: %s", c->id, tern_err_text(err));
	return (ptrdiff_t)total;
}

static ptrdiff_t give(struct world *w, struct conn *c, size_t len)
{
	if (c->like.lends) {
		ptrdiff_t n = lend(w, c, len);
		if (n != TERN_EAGAIN)
			return n;
	}
	stream_fill(c->out->key, c->written, w->buffer, len);
	if (c->like.urgent && rng_percent(&w->rng, 20))
		return tern_tcp_write_urgent(c->host->stack, c->handle, w->buffer, len);
	return tern_tcp_write(c->host->stack, c->handle, w->buffer, len);
}

static void write_some(struct world *w, struct conn *c)
{
	while (!c->shut && c->written < c->like.to_send && !w->result.failed) {
		if (c->write_at > w->now) {
			if (c->write_at < c->wake)
				c->wake = c->write_at;
			return;
		}
		size_t len = c->like.to_send - c->written;
		if (len > c->like.write_chunk)
			len = c->like.write_chunk;
		ptrdiff_t n = give(w, c, len);
		if (n == TERN_EAGAIN || (n == TERN_ENOTCONN && !c->connected))
			return;
		if (n > (ptrdiff_t)len || n == 0)
			world_fail(w, "connection %u: write of %zu took %td", c->id, len, n);
		if (n < 0) {
			died(w, c, (int)n);
			return;
		}
		c->written += (uint64_t)n;
		c->progress_at = w->now;
		if (c->like.write_gap)
			c->write_at = w->now + c->like.write_gap;
	}
}

/* --- ending -------------------------------------------------------------------------------- */

static bool moment_has_come(struct world *w, struct conn *c)
{
	if (c->like.ends_in != TERN_TCP_CLOSED)
		return c->state_seen;
	uint64_t at = c->opened_at + c->like.ends_after;
	if (at > w->now && at < c->wake)
		c->wake = at;
	return at <= w->now;
}

/* The endings that do not wait for the data. */
static void end_by_clock(struct world *w, struct conn *c)
{
	switch (c->like.ending) {
	case END_CLOSE:
		if (moment_has_come(w, c))
			app_close(w, c);
		break;
	case END_ABORT:
		if (moment_has_come(w, c))
			app_abort(w, c);
		break;
	case END_SHUTDOWN:
		if (!c->shut && moment_has_come(w, c))
			shut(w, c);
		break;
	case END_BOTH:
	case END_AFTER_EOF:
	case END_AFTER_WRITE:
		break;
	}
}

static bool may_shut(struct world *w, struct conn *c)
{
	if (c->written < c->like.to_send)
		return false;
	switch (c->like.ending) {
	case END_BOTH:
		return true;
	case END_AFTER_EOF:
		return c->eof || moment_has_come(w, c);
	case END_SHUTDOWN:
	case END_CLOSE:
	case END_ABORT:
		return c->eof || c->like.ends_in >= TERN_TCP_FIN_WAIT_1;
	case END_AFTER_WRITE:
		break;
	}
	return false;
}

static void end_by_data(struct world *w, struct conn *c)
{
	if (c->like.ending == END_AFTER_WRITE && c->written == c->like.to_send) {
		app_close(w, c);
		return;
	}
	if (c->eof && c->eof_at + c->like.hold > w->now) {
		if (c->eof_at + c->like.hold < c->wake)
			c->wake = c->eof_at + c->like.hold;
		return;
	}
	if (!c->shut && may_shut(w, c))
		shut(w, c);
	bool waits = c->like.ending == END_ABORT && c->like.ends_in != TERN_TCP_CLOSED;
	if (c->open && c->eof && c->shut && !waits)
		app_close(w, c);
}

static void run_out_of_patience(struct world *w, struct conn *c)
{
	uint64_t at = c->progress_at + c->like.patience;
	if (at > w->now) {
		if (at < c->wake)
			c->wake = at;
		return;
	}
	struct tern_tcp_info info = {0};
	tern_tcp_info(c->host->stack, c->handle, &info);
	if (!excuse_silence(w, c) && c->like.ends_in == TERN_TCP_CLOSED)
		world_fail(w,
			"connection %u (h%u, %s): nothing moved for %lu s: wrote %lu of %u%s, read "
			"%lu%s, "
			"unacked %u unsent %u unread %u window %u",
			c->id, c->host->index, tern_tcp_state_name(info.state),
			c->like.patience / SECOND, c->written, c->like.to_send,
			c->shut ? " and shut" : "", c->taken, c->eof ? " to the end" : "",
			info.unacked, info.unsent, info.unread, info.snd_wnd);
	app_abort(w, c);
}

void app_act(struct world *w, struct conn *c)
{
	c->wake = TERN_NEVER;
	end_by_clock(w, c);
	if (c->open && c->connected)
		read_some(w, c);
	if (c->open && (c->connected || c->like.early) && c->out)
		write_some(w, c);
	if (c->open && c->connected)
		end_by_data(w, c);
	if (c->open)
		run_out_of_patience(w, c);
}

/* --- events -------------------------------------------------------------------------------- */

struct stream *app_claim(struct world *w, const struct tern_endpoint *from,
	const struct tern_endpoint *to, uint32_t isn)
{
	struct stream *s = stream_find(w, stream_key(from, to, isn));
	if (!s)
		world_fail(w, "the world has too many streams");
	return s;
}

/* Both ISNs are known: from here on it is known who writes to whom. */
void app_connected(struct world *w, struct conn *c)
{
	struct tern_tcp_info info;
	int err = tern_tcp_info(c->host->stack, c->handle, &info);
	if (err) {
		world_fail(w, "connection %u: info: %s", c->id, tern_err_text(err));
		return;
	}
	c->connected = true;
	c->out = app_claim(w, &info.local, &info.remote, info.iss);
	c->in = app_claim(w, &info.remote, &info.local, info.irs);
	if (!c->out || !c->in)
		return;
	if ((c->out->writer && c->out->writer != c) || c->in->reader)
		world_fail(w, "connection %u shares its stream with another", c->id);
	c->out->writer = c;
	c->in->reader = c;
	world_say(w, "h%u conn %u up: %u to %u.%u, sends %u, ending %d, iss %u irs %u",
		c->host->index, c->id, info.local.port, info.remote.addr.byte[15], info.remote.port,
		c->like.to_send, (int)c->like.ending, info.iss, info.irs);
}

static struct conn *owner(struct world *w, struct host *h, const struct tern_event *ev)
{
	struct conn *c = ev->user;
	if (!c || c->host != h || !c->open || c->handle.slot != ev->conn.slot ||
		c->handle.generation != ev->conn.generation) {
		world_fail(w, "host %u: event %d for a handle that nobody holds", h->index,
			ev->kind);
		return NULL;
	}
	return c;
}

static void conn_event(struct world *w, struct conn *c, const struct tern_event *ev)
{
	c->progress_at = w->now;
	if (ev->kind == TERN_EV_ERROR) {
		/* What came before an error is still read first (tcp.h). */
		c->stopped_until = c->read_at = 0;
		c->like.stop_for = c->like.read_gap = 0;
		if (c->connected)
			read_some(w, c);
		if (c->open)
			died(w, c, ev->error);
		return;
	}
	if (ev->kind == TERN_EV_SENT && !c->shut)
		world_fail(w, "connection %u: all is sent, but it goes on", c->id);
	if (ev->kind == TERN_EV_CONNECTED && (c->connected || !c->active))
		world_fail(w, "connection %u: connected twice", c->id);
	else if (ev->kind == TERN_EV_CONNECTED)
		app_connected(w, c);
	if (c->open)
		app_act(w, c);
}

void app_event(struct world *w, struct host *h, const struct tern_event *ev)
{
	w->result.events[ev->kind]++;
	if (ev->kind == TERN_EV_ACCEPT) {
		struct listening *l = ev->user;
		if (!l || !l->open)
			world_fail(w, "host %u: an event for a listener that is closed", h->index);
		else
			open_accept(w, h, l);
		return;
	}
	struct conn *c = owner(w, h, ev);
	if (c)
		conn_event(w, c, ev);
}
