#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/script/run.h"

/* How long a packet due at "*" may take. */
#define PATIENCE (3600 * SCRIPT_S)
/* The first remote port of connections that the script opens. */
#define REMOTE_PORT 50000

static void say(const struct run *run, const char *format, va_list args)
{
	if (run->line)
		fprintf(stderr, "%s:%d: ", run->script->path, run->line);
	else /* none was reached yet */
		fprintf(stderr, "%s: ", run->script->path);
	vfprintf(stderr, format, args);
	putc('\n', stderr);
}

void tern_script_fail(struct run *run, const char *format, ...)
{
	if (run->failed)
		return;
	run->failed = true;
	va_list args;
	va_start(args, format);
	say(run, format, args);
	va_end(args);
}

void tern_script_refuse(struct run *run, const char *format, ...)
{
	if (run->failed)
		return;
	run->failed = run->unfit = true;
	va_list args;
	va_start(args, format);
	say(run, format, args);
	va_end(args);
}

struct script_flow *tern_script_flow(struct run *run, uint16_t local_port, uint16_t remote_port)
{
	for (unsigned k = 0; k < run->flows; k++)
		if (run->flow[k].local_port == local_port &&
			run->flow[k].remote_port == remote_port)
			return run->current = &run->flow[k];
	if (run->flows == FLOWS_MAX) {
		tern_script_refuse(run, "more than %d connections", FLOWS_MAX);
		return run->current;
	}
	struct script_flow *flow = &run->flow[run->flows++];
	*flow = (struct script_flow){.local_port = local_port,
		.remote_port = remote_port,
		.renumbers = true};
	return run->current = flow;
}

/* The connection a packet of the script belongs to. */
static struct script_flow *choose_flow(struct run *run, const struct script_packet *p)
{
	const struct script_flow *now = run->current;
	if (now && (!p->remote_port || p->remote_port == now->remote_port) &&
		(!p->local_port || p->local_port == now->local_port))
		return run->current;
	uint16_t local = p->local_port ? p->local_port : now ? now->local_port : run->set.bind_port;
	return tern_script_flow(run, local, p->remote_port ? p->remote_port : REMOTE_PORT);
}

/* One packet of tern's, in the script's numbers where its connection is known. */
struct seen {
	struct script_packet packet;
	const uint8_t *payload;
	const char *wrong;
	struct script_flow *flow;
};

static struct script_flow *find_flow(struct run *run, const struct script_packet *p)
{
	for (unsigned k = 0; k < run->flows; k++)
		if (run->flow[k].local_port == p->local_port &&
			run->flow[k].remote_port == p->remote_port)
			return &run->flow[k];
	return NULL;
}

/* A connect() shows which ports it took by its SYN, a datagram by itself. */
static struct script_flow *flow_of(struct run *run, const struct script_packet *p)
{
	bool syn = p->protocol == PROTOCOL_TCP && (p->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN;
	struct script_flow *flow = find_flow(run, p);
	if (syn && run->opening) {
		run->opening--;
		flow = tern_script_flow(run, p->local_port, p->remote_port);
		flow->renumbers = true;
	} else if (!flow && p->protocol == PROTOCOL_UDP) {
		flow = tern_script_flow(run, p->local_port, p->remote_port);
	}
	return flow;
}

static struct seen look(struct run *run, const struct drill_frame *f,
	const struct script_packet *want)
{
	struct seen s = {0};
	s.wrong = tern_script_decode(&run->set.addresses, f->data, f->len, &s.packet, &s.payload);
	s.flow = s.wrong ? find_flow(run, &s.packet) : flow_of(run, &s.packet);
	if (s.flow) {
		tern_script_learn(s.flow, &s.packet, want);
		tern_script_to_script(s.flow, &s.packet);
	}
	return s;
}

/* Leaves out what only matters when the script speaks of it. */
static const char *show(const struct run *run, const struct seen *s, char text[SCRIPT_TEXT])
{
	struct script_packet p = s->packet;
	p.has_tos = p.tos > 3; /* more than the ECN bits */
	if (p.ecn == 0 || p.has_tos)
		p.ecn = -1;
	p.local_port = 0;
	p.ttl = 0;
	if (run->flows < 2)
		p.remote_port = 0;
	return tern_script_packet_text(&p, text);
}

static void fail_unexpected(struct run *run, const struct drill_frame *f, const char *when)
{
	char text[SCRIPT_TEXT], what[128], row[SCRIPT_TEXT + 64];
	struct seen s = look(run, f, NULL);
	snprintf(what, sizeof what, "tern sent a packet that no line expects, %s%s%s", when,
		s.wrong ? ": " : "", s.wrong ? s.wrong : "");
	tern_script_fail_ladder(run, what,
		tern_script_ladder(LADDER_GOT, f->time, show(run, &s, text), row, sizeof row));
}

/* Events come in order of time, so what was sent long before this one will not be expected. */
static bool begin(struct run *run, int64_t from)
{
	run->target->advance(run, from);
	tern_script_settle(run);
	const struct drill_frame *f = run->target->held(run);
	if (!run->failed && !run->opts->lenient && f && f->time + run->set.tolerance < from)
		fail_unexpected(run, f, "before this one");
	return !run->failed;
}

static void inject(struct run *run, const struct script_packet *packet, int64_t from)
{
	char text[SCRIPT_TEXT];
	struct script_packet live = *packet;
	uint32_t place = tern_script_place(packet);
	struct script_flow *flow = choose_flow(run, packet);
	if (run->failed)
		return;
	if (packet->remote_port)
		run->current = flow;
	tern_script_note_packet(run, from, tern_script_packet_text(packet, text));
	tern_script_to_live(flow, &live);
	uint8_t *bytes = malloc(SCRIPT_PACKET_MAX);
	if (!bytes)
		abort();
	if (packet->len > SCRIPT_PACKET_MAX - 100)
		tern_script_refuse(run, "too long for a packet");
	else
		run->target->inject(run, bytes,
			tern_script_build(&run->set.addresses, &live, place, bytes),
			packet->len > run->set.mss ? run->set.mss : 0);
	free(bytes);
	tern_script_settle(run);
}

static bool foreign_bytes(const struct run *run)
{
	for (unsigned k = 0; k < FDS_MAX; k++)
		if (run->fd[k].foreign)
			return true;
	return false;
}

static bool check_payload(struct run *run, const struct seen *s)
{
	uint32_t place = tern_script_place(&s->packet);
	for (uint32_t k = 0; k < s->packet.len && !foreign_bytes(run); k++) {
		uint8_t want = tern_script_byte(false, place + k);
		if (s->payload[k] == want)
			continue;
		tern_script_fail(run,
			"byte %u of the payload is 0x%02x; that place of the stream has 0x%02x", k,
			s->payload[k], want);
		return false;
	}
	return true;
}

static void fail_packet(struct run *run, const struct script_packet *want, const struct seen *s,
	int64_t from, int64_t to, int64_t time, char *list)
{
	char packet[SCRIPT_TEXT], row[SCRIPT_TEXT + 64], rest[4 * SCRIPT_TEXT];
	int64_t nearest = time < from ? from : time > to ? to : time;
	size_t len = (size_t)snprintf(rest, sizeof rest, "%s\n",
		tern_script_ladder(LADDER_WANT, nearest, tern_script_packet_text(want, packet), row,
			sizeof row));
	len += (size_t)snprintf(rest + len, sizeof rest - len, "%s",
		tern_script_ladder(LADDER_GOT, time, show(run, s, packet), row, sizeof row));
	for (char *line; (line = strsep(&list, "\n"));)
		if (*line && len < sizeof rest)
			len += (size_t)snprintf(rest + len, sizeof rest - len, "\n    %s", line);
	tern_script_fail_ladder(run, "not the packet expected", rest);
}

/* Whether tern may send the rest of an expected packet in ones of its own: one that is larger than
 * a segment, as Linux hands it to a device that segments. */
static bool may_go_on(const struct run *run, const struct script_packet *want, const struct seen *s)
{
	uint32_t mss = s->flow && s->flow->mss ? s->flow->mss : 536;
	return !run->set.strict_segments && want->protocol == PROTOCOL_TCP &&
	       s->packet.protocol == PROTOCOL_TCP && want->len > mss && s->packet.len &&
	       s->packet.len < want->len && s->packet.seq == want->seq;
}

/* In the order of what explains most: malformed, another packet, another time, other bytes. */
static bool check_packet(struct run *run, const struct script_packet *want, const struct seen *s,
	int64_t time, int64_t from, int64_t to)
{
	char list[SCRIPT_TEXT], text[SCRIPT_TEXT];
	unsigned fields =
		tern_script_compare(want, &s->packet, run->set.tick, run->set.tolerance, list);
	if (s->wrong)
		snprintf(list, sizeof list, "%s", s->wrong);
	else if (!s->flow || (!want->remote_port && s->flow != run->current))
		snprintf(list, sizeof list, "ports: from %u to %u", s->packet.local_port,
			s->packet.remote_port);
	else if (!fields && (time < from - run->set.tolerance || time > to + run->set.tolerance))
		snprintf(list, sizeof list, "too %s by %.6f s", time < from ? "early" : "late",
			(double)(time < from ? from - time : time - to) / 1e9);
	if (*list)
		fail_packet(run, want, s, from, to, time, list);
	else if (check_payload(run, s))
		tern_script_note_packet(run, time, show(run, s, text));
	return !run->failed;
}

static struct drill_frame *receive(struct run *run, const struct script_packet *want, int64_t from,
	int64_t limit)
{
	char text[SCRIPT_TEXT], row[SCRIPT_TEXT + 64], what[80];
	struct drill_frame *f = run->target->receive(run, limit);
	tern_script_settle(run);
	if (f || run->failed)
		return f;
	snprintf(what, sizeof what, "tern did not send this packet by %.6f", (double)limit / 1e9);
	tern_script_fail_ladder(run, what,
		tern_script_ladder(LADDER_WANT, from > run->last ? from : run->last,
			tern_script_packet_text(want, text), row, sizeof row));
	return NULL;
}

/* Whether the packet's last byte is the last that the script has written. */
static bool ends_write(const struct run *run, const struct script_packet *packet)
{
	uint32_t place = packet->seq + packet->len - 1; /* the SYN has a number, too */
	for (unsigned k = 0; k < FDS_MAX; k++)
		if (run->fd[k].used && run->fd[k].written == place)
			return true;
	return false;
}

/* Checks one packet sent against what is left of the expected one; whether more must follow. */
static bool check_part(struct run *run, struct script_packet *rest, uint32_t first,
	const struct drill_frame *f, int64_t from, int64_t to)
{
	struct seen s = look(run, f, rest);
	struct script_packet part = *rest;
	bool more = may_go_on(run, rest, &s);
	if (more) {
		part.len = s.packet.len;
		part.flags &= (uint16_t)~FLAG_FIN;
		part.has_urgent = false;
	}
	/* Where Linux pushes within a write depends on how it cuts it. */
	if (more || rest->seq != first || (run->opts->lenient && !ends_write(run, &s.packet)))
		part.flags = (uint16_t)(part.flags & ~FLAG_PSH) | (s.packet.flags & FLAG_PSH);
	if (!check_packet(run, &part, &s, f->time, from, to))
		return false;
	rest->seq += part.len;
	rest->len -= part.len;
	return more;
}

/* Returns when it was sent. */
static int64_t expect(struct run *run, const struct script_packet *want, int64_t from, int64_t to)
{
	struct script_packet rest = *want;
	int64_t limit = to + run->set.tolerance, time = from;
	bool more = true;
	if (want->remote_port)
		(void)choose_flow(run, want);
	while (more && !run->failed) {
		struct drill_frame *f = receive(run, &rest, from, limit);
		if (!f)
			return from;
		time = f->time;
		more = check_part(run, &rest, want->seq, f, from, to);
		free(f);
	}
	return time;
}

/* Returns the time that events after this one count from. */
static int64_t run_packet(struct run *run, const struct script_event *event, int64_t from,
	int64_t to)
{
	if (event->packet->inbound) {
		bool good = begin(run, from);
		const struct drill_frame *f = good ? run->target->held(run) : NULL;
		/* Time is virtual, so what was sent before this packet is no answer to it. */
		if (f && !run->opts->lenient)
			fail_unexpected(run, f, "before this packet comes");
		else if (good)
			inject(run, event->packet, from);
		return from;
	}
	if (event->time.kind == TIME_ANY)
		return expect(run, event->packet, 0, run->target->now(run) + PATIENCE);
	int64_t time = expect(run, event->packet, from, to);
	return event->time.range ? time : from;
}

static void run_event(struct run *run, const struct script_event *event)
{
	int64_t base = event->time.kind == TIME_RELATIVE ? run->last : 0;
	int64_t from = base + event->time.from, to = base + event->time.to;
	run->line = event->line;
	if (event->time.kind != TIME_ANY && from < run->last) {
		tern_script_refuse(run, "%.6f is before the event above", (double)from / 1e9);
		return;
	}
	if (event->kind == EVENT_PACKET) {
		run->last = run_packet(run, event, from, to);
		return;
	}
	run->last = from;
	if (!begin(run, from))
		return;
	if (event->kind == EVENT_CALL)
		tern_script_call(run, event, from, to);
	else if (event->kind == EVENT_CODE)
		tern_script_code(run, event->code);
	else
		tern_script_command(run, event->command);
}

static void check_fault(struct run *run)
{
	const char *wrong = run->target->fault(run);
	if (wrong)
		tern_script_fail(run, "the stack finds fault with itself: %s", wrong);
}

/* Until nothing that the script started can still go wrong. */
static void finish(struct run *run)
{
	int64_t end = run->last;
	for (const struct script_pending *p = run->pending; p; p = p->next)
		if (p->to > end)
			end = p->to;
	struct drill_frame *f =
		run->failed ? NULL : run->target->receive(run, end + run->set.tolerance);
	if (f && !run->opts->lenient)
		fail_unexpected(run, f, "after the last line");
	free(f);
	run->target->advance(run, end + run->set.tolerance + 1);
	tern_script_settle(run);
	if (!run->failed && run->pending) {
		run->line = run->pending->event->line;
		tern_script_fail(run, "%s() is still blocked at the end",
			run->pending->event->call->name);
	}
}

static bool open_pcap(struct run *run)
{
	if (!run->opts->pcap)
		return true;
	run->pcap = tern_script_pcap_open(run->opts->pcap);
	if (!run->pcap)
		fprintf(stderr, "script: cannot write %s: %m\n", run->opts->pcap);
	return run->pcap;
}

static void run_events(struct run *run)
{
	for (const struct script_event *e = run->script->events; e && !run->failed; e = e->next) {
		run_event(run, e);
		check_fault(run);
	}
	finish(run);
	check_fault(run);
}

static struct run *begin_run(const struct script *script, const struct script_opts *opts)
{
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		abort();
	run->script = script;
	run->opts = opts;
	run->code_fd = -1;
	return run;
}

int tern_script_review(const struct script *script, const struct script_opts *opts)
{
	struct run *run = begin_run(script, opts);
	run->reading = true;
	bool good = tern_script_settings(run);
	for (const struct script_event *e = script->events; e && good; e = e->next) {
		run->line = e->line;
		if (e->kind == EVENT_CALL)
			tern_script_call_known(run, e->call);
		else if (e->kind == EVENT_CODE)
			tern_script_code(run, e->code);
		good = !run->failed;
	}
	free(run);
	return good ? 0 : 2;
}

int tern_script_run(const struct script *script, const struct script_opts *opts)
{
	struct run *run = begin_run(script, opts);
	run->target = opts->so ? &tern_script_library : &tern_script_builtin;
	int status = 2;
	if (open_pcap(run) && tern_script_settings(run) && run->target->open(run)) {
		run_events(run);
		status = 0;
	}
	tern_script_drop_calls(run);
	run->target->close(run);
	tern_script_tell_left_out(run);
	if (run->pcap)
		fclose(run->pcap);
	if (status == 0 && run->failed)
		status = run->unfit ? 2 : 1;
	free(run);
	return status;
}
