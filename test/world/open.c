/* Listeners, and connections being opened. */
#include "test/world/world.h"

/* Whether a listener takes everybody, always: only then is a failed open a failure. */
static bool steady(const struct world *w, const struct opening *o)
{
	const struct host *h = &w->host[o->to];
	for (unsigned i = 0; i < h->listeners; i++) {
		const struct listening *l = &h->listening[i];
		if (l->port == o->remote_port)
			return l->close_at == TERN_NEVER && l->accept_gap == 0 && l->backlog >= 64;
	}
	return false;
}

static struct tern_endpoint target(const struct world *w, const struct opening *o)
{
	struct tern_addr addr = w->host[o->to].addr;
	if (o->loopback_addr)
		addr = tern_addr_v4(127, 0, 0, 1);
	return (struct tern_endpoint){addr, o->remote_port};
}

/* A connection that is opened knows its own ISN at once, and so what it will write. */
static void claim_out(struct world *w, struct conn *c)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(c->host->stack, c->handle, &info) != 0) {
		world_fail(w, "connection %u: no info at birth", c->id);
		return;
	}
	c->out = app_claim(w, &info.local, &info.remote, info.iss);
	if (c->out && c->out->writer)
		world_fail(w, "connection %u shares its stream with another", c->id);
	if (c->out)
		c->out->writer = c;
	world_say(w, "h%u conn %u opens: %u to %u.%u", c->host->index, c->id, info.local.port,
		info.remote.addr.byte[15], info.remote.port);
}

static void open_one(struct world *w, struct opening *o)
{
	struct host *h = &w->host[o->from];
	struct tern_conn handle;
	int err = tern_tcp_connect(h->stack,
		&(struct tern_connect_opts){
			.local.port = o->local_port,
			.remote = target(w, o),
			.rcvbuf = o->like.rcvbuf,
			.sndbuf = o->like.sndbuf,
		},
		&handle);
	if (err) {
		world_say(w, "h%u cannot open: %s", h->index, tern_err_text(err));
		if (err > -ERRORS_MAX)
			w->result.errors[-err]++;
		if (w->gentle && !(o->local_port && err == TERN_EADDRINUSE))
			world_fail(w, "host %u cannot open: %s", h->index, tern_err_text(err));
		return;
	}
	struct conn *c = app_adopt(w, h, handle, &o->like);
	if (!c)
		return;
	c->active = true;
	c->overruled = o->simultaneous || o->local_port || !steady(w, o);
	if (o->like.maxseg)
		tern_tcp_option_set(h->stack, handle, TERN_TCP_MAXSEG, o->like.maxseg);
	claim_out(w, c);
}

/* --- listeners ------------------------------------------------------------------------------ */

/* A cookie is as good as its ACK: an old copy of that, come when the connection has been and gone,
 * makes another, which no client knows (RFC 4987 3.6). */
static bool is_ghost(struct world *w, struct host *h, struct tern_conn handle)
{
	struct tern_tcp_info info;
	if (tern_counter(h->stack, TERN_COUNT_TcpExtSyncookiesRecv) == 0 ||
		tern_tcp_info(h->stack, handle, &info) != 0)
		return false;
	const struct stream *out = app_claim(w, &info.local, &info.remote, info.iss);
	return out && out->writer;
}

void open_accept(struct world *w, struct host *h, struct listening *l)
{
	while (l->open && !w->result.failed) {
		struct tern_conn handle;
		if (l->accept_at != TERN_NEVER && l->accept_at > w->now)
			return;
		l->accept_at = TERN_NEVER;
		int err = tern_tcp_accept(h->stack, l->handle, &handle);
		if (err == TERN_EAGAIN)
			return;
		if (err) {
			world_fail(w, "host %u: accept: %s", h->index, tern_err_text(err));
			return;
		}
		if (is_ghost(w, h, handle)) {
			tern_tcp_abort(h->stack, handle);
			continue;
		}
		struct character like;
		plan_character(w, &w->rng, &like);
		struct conn *c = app_adopt(w, h, handle, &like);
		if (c) {
			c->overruled = l->accept_gap || l->backlog < 64;
			app_connected(w, c);
			app_act(w, c);
		}
		if (l->accept_gap)
			l->accept_at = w->now + l->accept_gap;
	}
}

static void close_listener(struct world *w, struct host *h, struct listening *l)
{
	struct tern_conn none;
	int err = tern_tcp_listen_close(h->stack, l->handle);
	if (err)
		world_fail(w, "host %u: closing a listener: %s", h->index, tern_err_text(err));
	if (tern_tcp_accept(h->stack, l->handle, &none) != TERN_ESTALE)
		world_fail(w, "host %u: a closed listener still accepts", h->index);
	world_say(w, "h%u stops listening on %u", h->index, l->port);
	l->open = false;
}

void open_close_listeners(struct world *w, struct host *h)
{
	for (unsigned i = 0; i < h->listeners; i++)
		if (h->listening[i].open)
			close_listener(w, h, &h->listening[i]);
}

static void attend(struct world *w, struct host *h, struct listening *l)
{
	if (l->open && l->close_at <= w->now)
		close_listener(w, h, l);
	if (l->open && l->accept_at <= w->now)
		open_accept(w, h, l);
}

void open_due(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		for (unsigned k = 0; k < w->host[i].listeners; k++)
			attend(w, &w->host[i], &w->host[i].listening[k]);
	while (w->opening_next < w->opening_count && w->openings[w->opening_next].at <= w->now)
		open_one(w, &w->openings[w->opening_next++]);
}

uint64_t open_deadline(const struct world *w)
{
	uint64_t soonest = TERN_NEVER;
	if (w->opening_next < w->opening_count)
		soonest = w->openings[w->opening_next].at;
	for (unsigned i = 0; i < w->hosts; i++)
		for (unsigned k = 0; k < w->host[i].listeners; k++) {
			const struct listening *l = &w->host[i].listening[k];
			uint64_t at = l->accept_at < l->close_at ? l->accept_at : l->close_at;
			if (l->open && at < soonest)
				soonest = at;
		}
	return soonest;
}
