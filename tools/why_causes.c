/*
 * What a row of "connections" says, in words. Each function looks at one thing that can hold a
 * connection up and adds a fact if it does; what they may look at is the row, so that a script
 * with the same row comes to the same end. A fact names the members of the row it rests on.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/why.h"

#define SECOND INT64_C(1000000) /* us */

static const char *const names[WHY_CAUSES] = {
	[WHY_DEAD] = "dead",
	[WHY_QUEUE_FULL] = "accept-queue-full",
	[WHY_QUEUE_WAITS] = "accept-queue",
	[WHY_UNACCEPTED] = "not-accepted",
	[WHY_SYN] = "syn-unanswered",
	[WHY_SYN_ACK] = "syn-ack-unanswered",
	[WHY_HANDSHAKE] = "listener-full",
	[WHY_NEIGHBOUR] = "neighbour-unknown",
	[WHY_RETRANSMIT] = "unacknowledged",
	[WHY_PEER_WINDOW] = "peer-window-closed",
	[WHY_SMALL_WINDOW] = "peer-window-small",
	[WHY_KEEPALIVE] = "keepalive-unanswered",
	[WHY_NOT_READ] = "window-closed",
	[WHY_UNREAD] = "not-read",
	[WHY_HOLE] = "segment-missing",
	[WHY_CLOSE_WAIT] = "close-wait",
	[WHY_FIN_WAIT_2] = "fin-wait-2",
	[WHY_FIN_UNACKED] = "fin-unacknowledged",
	[WHY_RECOVERING] = "recovering",
	[WHY_IN_WINDOW] = "peer-window",
	[WHY_IN_CWND] = "congestion-window",
	[WHY_NAGLE] = "nagle",
	[WHY_CORK] = "cork",
	[WHY_PACING] = "pacing",
	[WHY_DEVICE] = "device",
	[WHY_IN_FLIGHT] = "in-flight",
	[WHY_BLACK_HOLE] = "black-hole",
	[WHY_TIME_WAIT] = "time-wait",
	[WHY_LISTENING] = "listening",
	[WHY_IDLE] = "idle",
};

const char *tern_why_name(enum why_cause cause)
{
	return names[cause];
}

/* --- words ------------------------------------------------------------------------------------ */

/* Rounded, to tenths of a second where that may matter. */
const char *tern_why_time(int64_t us, char text[WHY_WORD])
{
	int64_t tenths = (us + SECOND / 20) / (SECOND / 10), s = (us + SECOND / 2) / SECOND;
	if (us < 0)
		snprintf(text, WHY_WORD, "some time");
	else if (us == 0)
		snprintf(text, WHY_WORD, "less than a second");
	else if (us < 1000)
		snprintf(text, WHY_WORD, "%" PRId64 " us", us);
	else if (tenths < 10)
		snprintf(text, WHY_WORD, "%" PRId64 " ms", us / 1000);
	else if (tenths < 100 && tenths % 10)
		snprintf(text, WHY_WORD, "%" PRId64 ".%" PRId64 " s", tenths / 10, tenths % 10);
	else if (s < 120)
		snprintf(text, WHY_WORD, "%" PRId64 " s", s);
	else if (s < 7200)
		snprintf(text, WHY_WORD, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else
		snprintf(text, WHY_WORD, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
	return text;
}

const char *tern_why_count(int64_t n, char text[WHY_WORD])
{
	char plain[24], *at = text;
	int len = snprintf(plain, sizeof plain, "%" PRId64, n);
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = plain[i];
	}
	*at = '\0';
	return text;
}

const char *tern_why_bytes(int64_t n, char text[WHY_WORD])
{
	char count[WHY_WORD];
	const char *form = n % 1024 == 0 ? "%.0f %s" : "%.1f %s";
	if (n < 10240)
		snprintf(text, WHY_WORD, "%s byte%s", tern_why_count(n, count), n == 1 ? "" : "s");
	else if (n < 1 << 20)
		snprintf(text, WHY_WORD, form, (double)n / 1024, "KiB");
	else
		snprintf(text, WHY_WORD, "%.1f MiB", (double)n / (1 << 20));
	return text;
}

/* The arguments of a sentence, each with room of its own. */
#define TIME(us)      tern_why_time(us, (char[WHY_WORD]){0})
#define COUNT(n)      tern_why_count(n, (char[WHY_WORD]){0})
#define BYTES(n)      tern_why_bytes(n, (char[WHY_WORD]){0})
#define EVIDENCE(...) ((const char *const[WHY_EVIDENCE]){__VA_ARGS__})

/* --- facts ------------------------------------------------------------------------------------ */

struct case_of {
	json_t *row, *listener;
	const char *state;
	struct why_facts *out;
};

static struct why_fact *fact(const struct case_of *c, enum why_cause cause,
	const char *const evidence[WHY_EVIDENCE], const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static struct why_fact *fact(const struct case_of *c, enum why_cause cause,
	const char *const evidence[WHY_EVIDENCE], const char *format, ...)
{
	va_list args;
	/* The last is overwritten by what comes after it: there are never that many. */
	if (c->out->count == WHY_FACTS)
		c->out->count--;
	struct why_fact *f = &c->out->fact[c->out->count++];
	*f = (struct why_fact){.cause = cause, .age_us = -1};
	memcpy(f->evidence, evidence, sizeof f->evidence);
	va_start(args, format);
	vsnprintf(f->says, sizeof f->says, format, args);
	va_end(args);
	return f;
}

/* Since when; and whether that is long. */
static void since(struct why_fact *f, int64_t us)
{
	f->age_us = us;
	f->stuck = us >= SECOND;
}

static int64_t get(const struct case_of *c, const char *name)
{
	return row_number(c->row, name);
}

static int64_t age(const struct case_of *c, const char *name)
{
	return row_has(c->row, name) ? get(c, name) : -1;
}

static int64_t state_age(const struct case_of *c)
{
	return get(c, "state_s") * SECOND;
}

static bool in(const struct case_of *c, const char *state)
{
	return strcmp(c->state, state) == 0;
}

static bool held_by(const struct case_of *c, const char *what)
{
	return strcmp(row_text(c->row, "held_by"), what) == 0;
}

/* Until what it waits for next. */
static int64_t left(const struct case_of *c)
{
	return row_number(json_object_get(c->row, "timer"), "left_us");
}

/* "retry 3 of 5 in 4 s" */
static const char *next_retry(const struct case_of *c, char text[WHY_TEXT])
{
	int64_t done = get(c, "timeouts"), most = get(c, "retries_max");
	if (most && done >= most)
		snprintf(text, WHY_TEXT, "all %" PRId64 " retries are done, given up in %s", most,
			TIME(left(c)));
	else if (most)
		snprintf(text, WHY_TEXT, "retry %" PRId64 " of %" PRId64 " in %s", done + 1, most,
			TIME(left(c)));
	else
		snprintf(text, WHY_TEXT, "retry %" PRId64 " in %s", done + 1, TIME(left(c)));
	return text;
}

/* --- listeners ----------------------------------------------------------------------------------
 */

static void explain_listener(const struct case_of *c)
{
	int64_t waiting = get(c, "waiting"), backlog = get(c, "backlog");
	const char *are = waiting == 1 ? "connection waits" : "connections wait";
	if (waiting > backlog) {
		struct why_fact *f = fact(c, WHY_QUEUE_FULL,
			EVIDENCE("waiting", "backlog", "full_s", "waiting_s"),
			"The accept queue has been full for %s: %s %s (backlog %s), the first for "
			"%s. "
			"Who knocks now is not let in until the program calls accept.",
			TIME(get(c, "full_s") * SECOND), COUNT(waiting), are, COUNT(backlog),
			TIME(get(c, "waiting_s") * SECOND));
		since(f, get(c, "full_s") * SECOND);
		f->stuck = true;
	} else if (waiting) {
		struct why_fact *f = fact(c, WHY_QUEUE_WAITS,
			EVIDENCE("waiting", "backlog", "waiting_s"),
			"%s %s for the program to call accept, the first for %s; there is room "
			"for %s more.",
			COUNT(waiting), are, TIME(get(c, "waiting_s") * SECOND),
			COUNT(backlog + 1 - waiting));
		since(f, get(c, "waiting_s") * SECOND);
	} else {
		fact(c, WHY_LISTENING, EVIDENCE("waiting", "backlog"),
			"It listens, and nobody waits to be accepted.");
	}
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void explain_open(const struct case_of *c)
{
	char retry[WHY_TEXT];
	bool syn = in(c, "SYN_SENT");
	if ((!syn && !in(c, "SYN_RECEIVED")) || held_by(c, "neighbour"))
		return;
	struct why_fact *f = fact(c, syn ? WHY_SYN : WHY_SYN_ACK,
		EVIDENCE("state_s", "timeouts", "retries_max", "timer"),
		"%s unanswered for %s: %s.", syn ? "SYN" : "SYN-ACK", TIME(state_age(c)),
		next_retry(c, retry));
	since(f, state_age(c));
	f->stuck |= get(c, "timeouts") > 0;
	if (syn || !c->listener ||
		row_number(c->listener, "waiting") <= row_number(c->listener, "backlog"))
		return;
	f = fact(c, WHY_HANDSHAKE, EVIDENCE("state_s", "timeouts"),
		"Its listener's accept queue is full (%s wait, backlog %s): an ACK that completes "
		"the handshake is not taken before the program calls accept.",
		COUNT(row_number(c->listener, "waiting")),
		COUNT(row_number(c->listener, "backlog")));
	since(f, state_age(c));
}

static void explain_unaccepted(const struct case_of *c)
{
	if (!row_flag(c->row, "unaccepted") || in(c, "SYN_RECEIVED"))
		return;
	since(fact(c, WHY_UNACCEPTED, EVIDENCE("unaccepted", "state_s", "unread"),
		      "It is established and has waited in its listener's accept queue for %s: the "
		      "program has not called accept.",
		      TIME(state_age(c))),
		state_age(c));
}

/* --- sending ------------------------------------------------------------------------------------
 */

static void explain_neighbour(const struct case_of *c)
{
	if (!held_by(c, "neighbour"))
		return;
	since(fact(c, WHY_NEIGHBOUR, EVIDENCE("held_by", "remote", "state_s"),
		      "The next hop on the way to %s has not answered ARP: nothing can be sent.",
		      row_text(c->row, "remote")),
		state_age(c));
}

/* ICMP's word for it, a sentence; empty if there is none. */
static const char *soft_error(const struct case_of *c, char text[WHY_TEXT])
{
	const char *error = row_text(c->row, "soft_error");
	text[0] = '\0';
	if (*error)
		snprintf(text, WHY_TEXT, " The network says: %s.", error);
	return text;
}

static void explain_retransmit(const struct case_of *c)
{
	char retry[WHY_TEXT], network[WHY_TEXT];
	bool opening = in(c, "SYN_SENT") || in(c, "SYN_RECEIVED");
	if (opening || get(c, "unacked") == 0 || get(c, "timeouts") == 0)
		return;
	struct why_fact *f = fact(c, WHY_RETRANSMIT,
		EVIDENCE("unacked", "unsent", "stalled_us", "timeouts", "retries_max", "rto_us",
			"timer", "heard_us", "soft_error"),
		"%s%s unacknowledged for %s: sent again %s time%s in a row in vain, %s. The peer "
		"was last heard %s ago.%s",
		BYTES(get(c, "unacked")), row_flag(c->row, "shut") ? ", our FIN counted," : "",
		TIME(age(c, "stalled_us")), COUNT(get(c, "timeouts")),
		get(c, "timeouts") == 1 ? "" : "s", next_retry(c, retry), TIME(age(c, "heard_us")),
		soft_error(c, network));
	since(f, age(c, "stalled_us"));
	f->stuck = true;
	f->bytes = get(c, "unacked");
}

/* What the probes of a closed window came to. */
static const char *probes(const struct case_of *c, char text[WHY_TEXT])
{
	int64_t sent = get(c, "timeouts"), vain = get(c, "unanswered");
	if (sent == 0)
		snprintf(text, WHY_TEXT, "the first probe in %s", TIME(left(c)));
	else if (vain == 0)
		snprintf(text, WHY_TEXT, "its TCP answers our probes (%s so far), the next in %s",
			COUNT(sent), TIME(left(c)));
	else
		snprintf(text, WHY_TEXT, "%s probe%s unanswered, the next in %s", COUNT(vain),
			vain == 1 ? "" : "s", TIME(left(c)));
	return text;
}

static void explain_peer_window(const struct case_of *c)
{
	char said[WHY_TEXT], when[WHY_TEXT] = "is closed";
	int64_t window = get(c, "snd_wnd"), waiting = row_unsent(c->row);
	if (!held_by(c, "window"))
		return;
	if (window == 0) {
		if (row_has(c->row, "stalled_us"))
			snprintf(when, sizeof when, "has been closed for %s",
				TIME(age(c, "stalled_us")));
		struct why_fact *f = fact(c, WHY_PEER_WINDOW,
			EVIDENCE("snd_wnd", "unsent", "program_unsent", "stalled_us", "timeouts",
				"unanswered", "timer", "heard_us"),
			"The peer's window %s: its program does not read. %s wait%s to be "
			"sent; %s.",
			when, waiting ? BYTES(waiting) : "Our FIN", waiting > 1 ? "" : "s",
			probes(c, said));
		since(f, age(c, "stalled_us"));
		f->bytes = waiting;
	} else if (get(c, "unacked")) {
		fact(c, WHY_IN_WINDOW, EVIDENCE("snd_wnd", "unacked", "unsent", "rtt_us"),
			"All of the peer's window is in flight (%s of %s): %s wait until it "
			"acknowledges or opens it.",
			BYTES(get(c, "unacked")), BYTES(window), BYTES(waiting))
			->bytes = waiting;
	} else {
		struct why_fact *f = fact(c, WHY_SMALL_WINDOW,
			EVIDENCE("snd_wnd", "mss", "unsent", "timer"),
			"The peer offers %s only, which is not worth a segment (%s): %s wait for "
			"it to read more; sent all the same in %s.",
			BYTES(window), BYTES(get(c, "mss")), BYTES(waiting), TIME(left(c)));
		since(f, age(c, "stalled_us"));
		f->bytes = waiting;
	}
}

static void explain_keepalive(const struct case_of *c)
{
	int64_t vain = get(c, "keepalive_probes");
	if (vain == 0)
		return;
	since(fact(c, WHY_KEEPALIVE,
		      EVIDENCE("keepalive_probes", "keepalive_probes_max", "heard_us", "timer"),
		      "%s of %s keepalive probes unanswered: the peer was last heard %s ago. %s in "
		      "%s.",
		      COUNT(vain), COUNT(get(c, "keepalive_probes_max")), TIME(age(c, "heard_us")),
		      vain < get(c, "keepalive_probes_max") ? "The next goes" : "It is given up",
		      TIME(left(c))),
		age(c, "heard_us"));
}

/* What is in the way of bytes that will go by themselves before long. */
static void explain_sending(const struct case_of *c)
{
	int64_t waiting = row_unsent(c->row);
	char far[WHY_TEXT] = "";
	if (get(c, "rtt_us"))
		snprintf(far, sizeof far, ", a round trip away (%s)", TIME(get(c, "rtt_us")));
	if (held_by(c, "cwnd"))
		fact(c, WHY_IN_CWND, EVIDENCE("cwnd", "ssthresh", "unacked", "unsent", "rtt_us"),
			"The congestion window (%s) is all in flight: %s wait for "
			"acknowledgements%s.",
			BYTES(get(c, "cwnd")), BYTES(waiting), far);
	else if (held_by(c, "nagle"))
		fact(c, WHY_NAGLE, EVIDENCE("held_by", "unsent", "unacked", "mss"),
			"Nagle's algorithm holds %s back, less than a segment (%s), until the %s "
			"in flight are acknowledged; TCP_NODELAY would send at once.",
			BYTES(waiting), BYTES(get(c, "mss")), BYTES(get(c, "unacked")));
	else if (held_by(c, "cork"))
		fact(c, WHY_CORK, EVIDENCE("held_by", "unsent", "mss", "timer"),
			"TCP_CORK holds %s back: for a full segment (%s), for the cork to be "
			"pulled, or for 200 ms.",
			BYTES(waiting), BYTES(get(c, "mss")));
	else if (held_by(c, "pacing"))
		fact(c, WHY_PACING, EVIDENCE("held_by", "unsent", "cwnd", "rtt_us"),
			"Pacing spreads the congestion window (%s) over a round trip (%s): %s wait "
			"for their turn.",
			BYTES(get(c, "cwnd")), TIME(get(c, "rtt_us")), BYTES(waiting));
	else if (held_by(c, "device"))
		fact(c, WHY_DEVICE, EVIDENCE("held_by", "unsent"),
			"%s may be sent and wait for the device to take them.", BYTES(waiting));
}

static void explain_in_flight(const struct case_of *c)
{
	int64_t unacked = get(c, "unacked");
	if (in(c, "SYN_SENT") || in(c, "SYN_RECEIVED") || unacked == 0 || get(c, "timeouts"))
		return;
	if (row_flag(c->row, "recovering"))
		fact(c, WHY_RECOVERING, EVIDENCE("recovering", "unacked", "retransmits", "cwnd"),
			"Something was lost: what is missing is being sent again, %s in flight.",
			BYTES(unacked));
	else if (!row_has(c->row, "held_by"))
		fact(c, WHY_IN_FLIGHT, EVIDENCE("unacked", "rtt_us", "timer"),
			"%s in flight and not acknowledged yet; sent again in %s if nothing comes.",
			BYTES(unacked), TIME(left(c)));
}

/* Not in the way by itself, but why it is slower than it was. */
static void explain_size(const struct case_of *c)
{
	if (get(c, "mss_before") == 0 || (get(c, "unacked") == 0 && row_unsent(c->row) == 0))
		return;
	fact(c, WHY_BLACK_HOLE, EVIDENCE("mss", "mss_before", "path_mtu", "retransmits"),
		"Segments are %s, not %s any more: larger ones went unanswered, and no router on "
		"the path (MTU %s) has said why.",
		BYTES(get(c, "mss")), BYTES(get(c, "mss_before")), COUNT(get(c, "path_mtu")));
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static void explain_unread(const struct case_of *c)
{
	int64_t unread = row_unread(c->row), ours = get(c, "rcv_wnd");
	char when[WHY_TEXT] = "";
	if (unread == 0 || row_flag(c->row, "unaccepted"))
		return;
	/* What went on to the program's own socket came no later than the peer was last heard. */
	bool exact = row_has(c->row, "unread_us");
	int64_t us = exact ? age(c, "unread_us") : age(c, "heard_us");
	if (us >= 0)
		snprintf(when, sizeof when, " for %s%s", exact ? "" : "at least ", TIME(us));
	bool closed = ours < get(c, "mss") && get(c, "unread");
	struct why_fact *f = fact(c, closed ? WHY_NOT_READ : WHY_UNREAD,
		EVIDENCE("unread", "program_unread", "rcvbuf", "rcv_wnd", "unread_us", "heard_us"),
		closed ? "The program has not read %s%s: the receive buffer is full and our window "
			 "closed (%s), so that the peer may send no more."
		       : "The program has not read %s%s; our window is open still (%s).",
		BYTES(unread), when, BYTES(ours));
	since(f, us);
	f->bytes = unread;
}

static void explain_hole(const struct case_of *c)
{
	int64_t beyond = get(c, "out_of_order");
	if (beyond == 0)
		return;
	struct why_fact *f = fact(c, WHY_HOLE, EVIDENCE("out_of_order", "heard_us"),
		"A segment is missing: %s that came after it wait until the peer sends it again. "
		"It was last heard %s ago.",
		BYTES(beyond), TIME(age(c, "heard_us")));
	since(f, age(c, "heard_us"));
	f->bytes = beyond;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void explain_fin_wait_2(const struct case_of *c)
{
	struct why_fact *f;
	if (row_flag(c->row, "orphan"))
		f = fact(c, WHY_FIN_WAIT_2, EVIDENCE("state_s", "orphan", "timer"),
			"The program has closed it and the peer has acknowledged that, but for %s "
			"has not closed its own side: given up in %s.",
			TIME(state_age(c)), TIME(left(c)));
	else
		f = fact(c, WHY_FIN_WAIT_2, EVIDENCE("state_s", "orphan", "heard_us"),
			"The program has shut down its side and the peer has acknowledged that, "
			"but for %s has not closed its own: the program may read on, and waits as "
			"long as it likes.",
			TIME(state_age(c)));
	since(f, state_age(c));
}

static void explain_close(const struct case_of *c)
{
	if (in(c, "CLOSE_WAIT")) {
		since(fact(c, WHY_CLOSE_WAIT, EVIDENCE("state_s", "unread", "program_unread"),
			      "The peer has closed (its FIN came %s ago) and the program has not: "
			      "it has not called close.",
			      TIME(state_age(c))),
			state_age(c));
	} else if (in(c, "FIN_WAIT_2")) {
		explain_fin_wait_2(c);
	} else if (in(c, "FIN_WAIT_1") || in(c, "CLOSING") || in(c, "LAST_ACK")) {
		since(fact(c, WHY_FIN_UNACKED, EVIDENCE("state_s", "unsent", "unacked", "orphan"),
			      "%s %s ago: it ends when the peer has acknowledged our FIN and all "
			      "before it.",
			      in(c, "FIN_WAIT_1") ? "We closed" : "Both sides have closed, ours",
			      TIME(state_age(c))),
			state_age(c));
	} else if (in(c, "TIME_WAIT")) {
		fact(c, WHY_TIME_WAIT, EVIDENCE("timer"),
			"Both sides have closed in good order: the pair of endpoints stays out of "
			"use for %s more (2 MSL).",
			TIME(left(c)));
	}
}

static void explain_dead(const struct case_of *c)
{
	if (!in(c, "CLOSED"))
		return;
	const char *error = row_text(c->row, "error");
	since(fact(c, WHY_DEAD, EVIDENCE("error", "state_s", "unread"),
		      "It has been dead for %s (%s), and the program has still to close it.",
		      TIME(state_age(c)), *error ? error : "in good order"),
		state_age(c));
}

static void explain_idle(const struct case_of *c)
{
	char heard[WHY_TEXT] = "nothing has come for more than a second";
	if (row_has(c->row, "heard_us"))
		snprintf(heard, sizeof heard, "the peer was last heard %s ago",
			TIME(age(c, "heard_us")));
	fact(c, WHY_IDLE, EVIDENCE("unread", "unsent", "unacked", "heard_us", "timer"),
		"Nothing to send and nothing to read: %s.", heard)
		->age_us = age(c, "heard_us");
}

/* --- all ----------------------------------------------------------------------------------------
 */

static void (*const looks[])(const struct case_of *) = {
	explain_dead,
	explain_open,
	explain_unaccepted,
	explain_neighbour,
	explain_retransmit,
	explain_peer_window,
	explain_keepalive,
	explain_unread,
	explain_hole,
	explain_close,
	explain_sending,
	explain_in_flight,
	explain_size,
};

/* What is stuck first. */
static void order(struct why_facts *facts)
{
	for (unsigned i = 1; i < facts->count; i++)
		for (unsigned k = i; k > 0; k--) {
			struct why_fact *a = &facts->fact[k - 1], *b = &facts->fact[k];
			if (a->stuck > b->stuck || (a->stuck == b->stuck && a->cause <= b->cause))
				break;
			struct why_fact swapped = *a;
			*a = *b;
			*b = swapped;
		}
}

void tern_why_explain(json_t *row, json_t *listener, struct why_facts *out)
{
	struct case_of c = {row, listener, row_text(row, "state"), out};
	out->count = 0;
	if (in(&c, "LISTEN")) {
		explain_listener(&c);
		return;
	}
	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
		looks[i](&c);
	if (out->count == 0)
		explain_idle(&c);
	order(out);
}
