#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/script/run.h"

/* How long a packet due at "*" may take. */
#define PATIENCE (3600 * SCRIPT_S)
/* The first remote port of connections that the script opens. */
#define REMOTE_PORT 50000

static void print(const struct run *run, const char *format, va_list args)
{
	fprintf(stderr, "%s:%d: ", run->script->path, run->line);
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
	print(run, format, args);
	va_end(args);
}

void tern_script_tell(struct run *run, const char *format, ...)
{
	if (!run->opts->verbose)
		return;
	va_list args;
	va_start(args, format);
	printf("%9.6f ", (double)run->now / 1e9);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

struct script_flow *tern_script_flow(struct run *run, uint16_t local_port, uint16_t remote_port)
{
	for (unsigned k = 0; k < run->flows; k++)
		if (run->flow[k].local_port == local_port &&
			run->flow[k].remote_port == remote_port)
			return run->current = &run->flow[k];
	if (run->flows == FLOWS_MAX) {
		tern_script_fail(run, "more than %d connections", FLOWS_MAX);
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
	if (run->current && (!p->remote_port || p->remote_port == run->current->remote_port))
		return run->current;
	uint16_t local = run->current ? run->current->local_port : run->set.bind_port;
	return tern_script_flow(run, local, p->remote_port ? p->remote_port : REMOTE_PORT);
}

/* One packet of tern's, in the script's numbers where its connection is known. */
struct seen {
	struct script_packet packet;
	const uint8_t *payload;
	const char *wrong;
	const struct script_flow *flow;
};

static struct seen look(struct run *run, const struct script_frame *f,
	const struct script_packet *want)
{
	struct seen s = {0};
	s.wrong = tern_script_decode(&run->set.addresses, f->data, f->len, &s.packet, &s.payload);
	for (unsigned k = 0; k < run->flows; k++) {
		struct script_flow *flow = &run->flow[k];
		if (flow->local_port != s.packet.local_port ||
			flow->remote_port != s.packet.remote_port)
			continue;
		s.flow = flow;
		tern_script_learn(flow, &s.packet, want);
		tern_script_to_script(flow, &s.packet);
	}
	return s;
}

/* Leaves out what only matters when the script speaks of it. */
static const char *show(const struct run *run, const struct seen *s, char text[SCRIPT_TEXT])
{
	struct script_packet p = s->packet;
	if (p.ecn == 0)
		p.ecn = -1;
	if (run->flows < 2)
		p.remote_port = 0;
	return tern_script_packet_text(&p, text);
}

static void fail_unexpected(struct run *run, const char *when)
{
	char text[SCRIPT_TEXT];
	struct seen s = look(run, run->sent, NULL);
	tern_script_fail(run, "tern sent a packet that no line expects, %s\n    got   %.6f  %s%s%s",
		when, (double)run->sent->time / 1e9, show(run, &s, text), s.wrong ? "\n    " : "",
		s.wrong ? s.wrong : "");
}

/* Events come in order of time, so what was sent long before this one will not be expected. */
static bool begin(struct run *run, int64_t from)
{
	tern_script_advance(run, from);
	if (!run->failed && run->sent && run->sent->time + run->set.tolerance < from)
		fail_unexpected(run, "before this one");
	return !run->failed;
}

static void inject(struct run *run, const struct script_packet *packet)
{
	char text[SCRIPT_TEXT];
	struct script_packet live = *packet;
	uint32_t place = tern_script_place(packet);
	struct script_flow *flow = choose_flow(run, packet);
	if (run->failed)
		return;
	if (packet->remote_port)
		run->current = flow;
	tern_script_tell(run, "%s", tern_script_packet_text(packet, text));
	tern_script_to_live(flow, &live);
	uint8_t *bytes = malloc(SCRIPT_PACKET_MAX);
	if (!bytes)
		abort();
	if (packet->len > SCRIPT_PACKET_MAX - 100)
		tern_script_fail(run, "too long for a packet");
	else
		tern_script_inject(run, bytes,
			tern_script_build(&run->set.addresses, &live, place, bytes));
	free(bytes);
}

static bool check_payload(struct run *run, const struct seen *s)
{
	uint32_t place = tern_script_place(&s->packet);
	for (uint32_t k = 0; k < s->packet.len; k++) {
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
	int64_t from, int64_t time, char *list)
{
	char wanted[SCRIPT_TEXT], got[SCRIPT_TEXT], indented[2 * SCRIPT_TEXT];
	size_t len = 0;
	for (char *line; (line = strsep(&list, "\n"));)
		if (*line && len < sizeof indented)
			len += (size_t)snprintf(indented + len, sizeof indented - len, "\n    %s",
				line);
	tern_script_fail(run, "not the packet expected\n    want  %.6f  %s\n    got   %.6f  %s%s",
		(double)from / 1e9, tern_script_packet_text(want, wanted), (double)time / 1e9,
		show(run, s, got), indented);
}

/* In the order of what explains most: malformed, another packet, another time, other bytes. */
static void check_packet(struct run *run, const struct script_packet *want,
	const struct script_frame *f, int64_t from, int64_t to)
{
	char list[SCRIPT_TEXT], text[SCRIPT_TEXT];
	struct seen s = look(run, f, want);
	unsigned fields =
		tern_script_compare(want, &s.packet, run->set.tick, run->set.tolerance, list);
	if (s.wrong)
		snprintf(list, sizeof list, "%s", s.wrong);
	else if (!s.flow || (!want->remote_port && s.flow != run->current))
		snprintf(list, sizeof list, "ports: from %u to %u", s.packet.local_port,
			s.packet.remote_port);
	else if (!fields &&
		 (f->time < from - run->set.tolerance || f->time > to + run->set.tolerance))
		snprintf(list, sizeof list, "too %s by %.6f s", f->time < from ? "early" : "late",
			(double)(f->time < from ? from - f->time : f->time - to) / 1e9);
	if (*list)
		fail_packet(run, want, &s, from, f->time, list);
	else if (check_payload(run, &s))
		tern_script_tell(run, "%s", show(run, &s, text));
}

/* Returns when it was sent. */
static int64_t expect(struct run *run, const struct script_packet *want, int64_t from, int64_t to)
{
	char text[SCRIPT_TEXT];
	int64_t limit = to + run->set.tolerance;
	if (want->remote_port)
		(void)choose_flow(run, want);
	while (!run->sent && !run->failed && tern_script_step(run, limit))
		;
	if (run->failed)
		return run->now;
	struct script_frame *f = tern_script_take(run);
	if (!f) {
		tern_script_fail(run, "tern did not send this packet by %.6f\n    want  %.6f  %s",
			(double)limit / 1e9, (double)from / 1e9,
			tern_script_packet_text(want, text));
		return run->now;
	}
	int64_t time = f->time;
	check_packet(run, want, f, from, to);
	free(f);
	return time;
}

/* Returns the time that events after this one count from. */
static int64_t run_packet(struct run *run, const struct script_event *event, int64_t from,
	int64_t to)
{
	if (event->packet->inbound) {
		bool good = begin(run, from);
		/* Time is virtual, so what was sent before this packet is no answer to it. */
		if (good && run->sent)
			fail_unexpected(run, "before this packet comes");
		else if (good)
			inject(run, event->packet);
		return from;
	}
	if (event->time.kind == TIME_ANY)
		return expect(run, event->packet, 0, run->now + PATIENCE);
	int64_t time = expect(run, event->packet, from, to);
	return event->time.range ? time : from;
}

static void run_event(struct run *run, const struct script_event *event)
{
	int64_t base = event->time.kind == TIME_RELATIVE ? run->last : 0;
	int64_t from = base + event->time.from, to = base + event->time.to;
	run->line = event->line;
	if (event->time.kind != TIME_ANY && from < run->last) {
		tern_script_fail(run, "%.6f is before the event above", (double)from / 1e9);
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
	else
		tern_script_command(run, event->command);
}

/* Until nothing that the script started can still go wrong. */
static void finish(struct run *run)
{
	int64_t end = run->last;
	for (unsigned k = 0; k < run->calls; k++)
		if (run->pending[k].to > end)
			end = run->pending[k].to;
	tern_script_advance(run, end + run->set.tolerance);
	if (!run->failed && run->calls) {
		run->line = run->pending[0].event->line;
		tern_script_fail(run, "%s() is still blocked at the end",
			run->pending[0].event->call->name);
	}
	if (!run->failed && run->sent)
		fail_unexpected(run, "after the last line");
}

static bool open_pcap(struct run *run)
{
	if (!run->opts->pcap)
		return true;
	run->pcap = tern_script_pcap_open(run->opts->pcap);
	if (!run->pcap)
		fprintf(stderr, "tern script: cannot write %s: %m\n", run->opts->pcap);
	return run->pcap;
}

int tern_script_run(const struct script *script, const struct script_opts *opts)
{
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		abort();
	run->script = script;
	run->opts = opts;
	int status = 2;
	if (open_pcap(run) && tern_script_settings(run) && tern_script_open(run)) {
		tern_script_pump(run);
		for (const struct script_event *e = script->events; e && !run->failed; e = e->next)
			run_event(run, e);
		finish(run);
		status = 0;
	}
	tern_script_close(run);
	if (status == 0 && run->failed)
		status = 1;
	free(run);
	return status;
}
