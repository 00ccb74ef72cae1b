/*
 * Whether a connection had a reason to fail. In a gentle world (little loss, no cut, memory enough,
 * default patience) every error an application is told must be the doing of the application at
 * the other end.
 */
#include "test/world/world.h"

/* The least tcp_fin_timeout any host is given. */
#define FIN_TIMEOUT_MIN (5 * SECOND)

static const char *excuse_of(const struct world *w, const struct conn *c, const struct conn *peer)
{
	if (c->overruled || (peer && peer->overruled))
		return "never accepted, or late";
	if (!peer)
		return NULL;
	if (peer->aborted)
		return "the other end aborted";
	if (peer->error)
		return "the other end failed first";
	if (peer->closed && c->written > peer->taken)
		return "the other end closed without reading it all";
	if (peer->closed && !peer->eof && w->now - peer->closed_at >= FIN_TIMEOUT_MIN)
		return "the other end had waited long enough for our FIN";
	return NULL;
}

static const struct conn *peer_of(const struct conn *c)
{
	if (c->in && c->in->writer)
		return c->in->writer;
	return c->out ? c->out->reader : NULL;
}

/* The reset that tells of the end may be lost, and nobody repeats it. */
bool excuse_silence(const struct world *w, const struct conn *c)
{
	return !w->gentle || excuse_of(w, c, peer_of(c));
}

void excuse_error(struct world *w, struct conn *c, int error)
{
	if (!w->gentle)
		return;
	if (!c->connected && (c->overruled || error == TERN_EHOSTUNREACH))
		return;
	const struct conn *peer = peer_of(c);
	if (excuse_of(w, c, peer))
		return;
	world_fail(w,
		"connection %u (h%u): %s, for no reason (wrote %lu of %u, read %lu%s; other end: "
		"%s)",
		c->id, c->host->index, tern_err_text(error), c->written, c->like.to_send, c->taken,
		c->eof ? " to the end" : "",
		!peer          ? "none"
		: peer->closed ? "closed"
			       : "open");
}
