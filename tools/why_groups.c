/* Many connections that wait for the same thing are one sentence: "1,834 connections in CLOSE_WAIT
 * held by pid 4242 (python3), the oldest for 92 s: ...". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/why.h"

#define PIDS_TOLD 4

/* What the connections are, and what that means. */
static const struct {
	const char *are, *means;
} many[WHY_CAUSES] = {
	[WHY_DEAD] = {"that are dead", "the program has still to close them"},
	[WHY_QUEUE_FULL] = {"with a full accept queue", "the program does not call accept"},
	[WHY_QUEUE_WAITS] = {"with connections to be accepted",
		"the program has still to call accept"},
	[WHY_UNACCEPTED] = {"in an accept queue", "the program has not called accept"},
	[WHY_SYN] = {"in SYN_SENT", "their SYNs are unanswered"},
	[WHY_SYN_ACK] = {"in SYN_RECEIVED", "our SYN-ACKs are unanswered"},
	[WHY_HANDSHAKE] = {"in SYN_RECEIVED", "the listener's accept queue is full"},
	[WHY_NEIGHBOUR] = {"without a way to the peer", "the next hop does not answer ARP"},
	[WHY_RETRANSMIT] = {"with unacknowledged data", "it is sent again and again in vain"},
	[WHY_PEER_WINDOW] = {"whose peer's window is closed", "the peers' programs do not read"},
	[WHY_SMALL_WINDOW] = {"whose peer's window is not worth a segment",
		"the peers' programs hardly read"},
	[WHY_KEEPALIVE] = {"whose keepalive probes are unanswered", "the peers may be gone"},
	[WHY_NOT_READ] = {"whose own window is closed", "the program does not read"},
	[WHY_UNREAD] = {"with unread bytes", "the program has not read them"},
	[WHY_HOLE] = {"with a hole in what came", "the peers have to send something again"},
	[WHY_CLOSE_WAIT] = {"in CLOSE_WAIT",
		"they got the peer's FIN and the program has not called close"},
	[WHY_FIN_WAIT_2] = {"in FIN_WAIT_2", "we have closed and the peers have not"},
	[WHY_FIN_UNACKED] = {"that we have closed", "the peers have still to acknowledge it"},
	[WHY_RECOVERING] = {"that lost something", "it is being sent again"},
	[WHY_IN_WINDOW] = {"that have filled their peer's window", "they wait for it to move"},
	[WHY_IN_CWND] = {"that have filled their congestion window",
		"they wait for acknowledgements"},
	[WHY_NAGLE] = {"held back by Nagle's algorithm", "they wait for acknowledgements"},
	[WHY_CORK] = {"held back by TCP_CORK", "for 200 ms at most"},
	[WHY_PACING] = {"that send at a pace", "they wait for their turn"},
	[WHY_DEVICE] = {"that have something to send", "the device has still to take it"},
	[WHY_IN_FLIGHT] = {"with data in flight", "it is not acknowledged yet"},
	[WHY_BLACK_HOLE] = {"whose larger segments vanish", "they send smaller ones"},
	[WHY_TIME_WAIT] = {"in TIME_WAIT", "closed in good order, out of use for a while (2 MSL)"},
	[WHY_LISTENING] = {"that nobody waits at", "they listen"},
	[WHY_IDLE] = {"that are idle", "there is nothing to send and nothing to read"},
};

const char *tern_why_holder(json_t *owners, char text[WHY_TEXT])
{
	json_t *owner;
	int64_t told[PIDS_TOLD];
	size_t i, n = 0, at = 0;
	char pids[WHY_TEXT] = "";
	json_array_foreach(owners, i, owner)
	{
		int64_t pid = row_number(owner, "pid");
		bool again = false;
		for (size_t k = 0; k < n; k++)
			again |= told[k] == pid;
		if (again || n == PIDS_TOLD)
			continue;
		at += (size_t)snprintf(pids + at, sizeof pids - at, "%s%" PRId64, n ? ", " : "",
			pid);
		told[n++] = pid;
	}
	*text = '\0';
	if (n)
		snprintf(text, WHY_TEXT, "pid%s %s (%s)", n > 1 ? "s" : "", pids,
			row_text(json_array_get(owners, 0), "program"));
	return text;
}

bool tern_why_alike(const struct why_case *a, const struct why_case *b)
{
	char one[WHY_TEXT], other[WHY_TEXT];
	const struct why_fact *f = &a->facts.fact[0], *g = &b->facts.fact[0];
	return f->cause == g->cause && f->stuck == g->stuck &&
	       strcmp(tern_why_holder(a->owners, one), tern_why_holder(b->owners, other)) == 0;
}

void tern_why_many(const struct why_case *oldest, size_t n, int64_t bytes, char says[WHY_TEXT])
{
	const struct why_fact *f = &oldest->facts.fact[0];
	bool listen = strcmp(row_text(oldest->row, "state"), "LISTEN") == 0;
	char count[WHY_WORD], when[WHY_WORD], size[WHY_WORD], who[WHY_TEXT];
	int at = snprintf(says, WHY_TEXT, "%s %s %s", tern_why_count((int64_t)n, count),
		listen ? "listeners" : "connections", many[f->cause].are);
	if (*tern_why_holder(oldest->owners, who) && at < WHY_TEXT)
		at += snprintf(says + at, WHY_TEXT - (size_t)at, " held by %.200s", who);
	if (f->age_us >= 0 && at < WHY_TEXT)
		at += snprintf(says + at, WHY_TEXT - (size_t)at, ", the oldest for %s",
			tern_why_time(f->age_us, when));
	if (bytes && at < WHY_TEXT)
		at += snprintf(says + at, WHY_TEXT - (size_t)at, ", %s in all",
			tern_why_bytes(bytes, size));
	if (at < WHY_TEXT)
		snprintf(says + at, WHY_TEXT - (size_t)at, ": %s.", many[f->cause].means);
}
