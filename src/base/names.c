/* Names and texts of counters, drops, causes and the like, from their tables. */
#include "base/core.h"

static const char *pick(const char *const *table, size_t count, unsigned which,
	const char *otherwise)
{
	return which < count ? table[which] : otherwise;
}

#define PICK(table, which, otherwise)                                                              \
	pick(table, sizeof(table) / sizeof *(table), (unsigned)(which), otherwise)

static const char *const counter_names[] = {
#define TERN_COUNTER(name, text) #name,
#include <tern/counters.def>
#undef TERN_COUNTER
};

static const char *const counter_texts[] = {
#define TERN_COUNTER(name, text) text,
#include <tern/counters.def>
#undef TERN_COUNTER
};

static const char *const drop_names[] = {
#define TERN_DROP(name, text) #name,
#include <tern/drops.def>
#undef TERN_DROP
};

static const char *const drop_texts[] = {
#define TERN_DROP(name, text) text,
#include <tern/drops.def>
#undef TERN_DROP
};

static const char *const cause_texts[TERN_CAUSES] = {
	[TERN_CAUSE_OPEN_ACTIVE] = "the program connects",
	[TERN_CAUSE_OPEN_PASSIVE] = "the program listens",
	[TERN_CAUSE_SYN] = "SYN arrived",
	[TERN_CAUSE_COOKIE] = "SYN cookie came back",
	[TERN_CAUSE_SYN_ACK] = "SYN-ACK arrived",
	[TERN_CAUSE_ACK] = "ACK arrived",
	[TERN_CAUSE_FIN] = "FIN arrived",
	[TERN_CAUSE_FIN_ACK] = "FIN-ACK arrived",
	[TERN_CAUSE_CLOSE] = "the program closes",
	[TERN_CAUSE_ABORT] = "the program aborts",
	[TERN_CAUSE_RST] = "RST arrived",
	[TERN_CAUSE_TIMEOUT] = "retransmissions were in vain",
	[TERN_CAUSE_2MSL] = "2 MSL have passed",
	[TERN_CAUSE_FIN_TIMEOUT] = "no FIN came in time",
	[TERN_CAUSE_UNREACHABLE] = "the peer cannot be reached",
	[TERN_CAUSE_REUSED] = "a new SYN takes the pair over",
	[TERN_CAUSE_DATA_AFTER_CLOSE] = "data came after the program closed",
};

static const char *const retransmit_texts[TERN_RTX_REASONS] = {
	[TERN_RTX_TIMEOUT] = "timeout",
	[TERN_RTX_FAST] = "three duplicate ACKs",
	[TERN_RTX_PARTIAL_ACK] = "partial ACK",
	[TERN_RTX_AFTER_TIMEOUT] = "going on after a timeout",
	[TERN_RTX_SYN] = "SYN unanswered",
	[TERN_RTX_SYN_ACK] = "SYN-ACK unanswered",
	[TERN_RTX_PMTU] = "smaller path",
	[TERN_RTX_RACK] = "later data has arrived (RACK)",
	[TERN_RTX_PROBE] = "tail loss probe",
};

static const char *const timer_texts[TERN_TIMERS] = {
	[TERN_TIMER_RETRANSMIT] = "retransmission",
	[TERN_TIMER_PERSIST] = "persist",
	[TERN_TIMER_DELAYED_ACK] = "delayed ACK",
	[TERN_TIMER_TIME_WAIT] = "TIME_WAIT",
	[TERN_TIMER_FIN_WAIT_2] = "FIN_WAIT_2",
	[TERN_TIMER_REORDERING] = "reordering",
	[TERN_TIMER_LOSS_PROBE] = "loss probe",
};

const char *tern_counter_name(enum tern_counter which)
{
	return PICK(counter_names, which, NULL);
}

const char *tern_counter_text(enum tern_counter which)
{
	return PICK(counter_texts, which, NULL);
}

const char *tern_drop_name(enum tern_drop drop)
{
	return PICK(drop_names, drop, "?");
}

const char *tern_drop_text(enum tern_drop drop)
{
	return PICK(drop_texts, drop, "?");
}

const char *tern_cause_text(enum tern_cause cause)
{
	return PICK(cause_texts, cause, "?");
}

const char *tern_retransmit_text(enum tern_retransmit_reason reason)
{
	return PICK(retransmit_texts, reason, "?");
}

bool tern_retransmit_fast(enum tern_retransmit_reason reason)
{
	return reason == TERN_RTX_FAST || reason == TERN_RTX_PARTIAL_ACK || reason == TERN_RTX_RACK;
}

const char *tern_timer_text(enum tern_timer timer)
{
	return PICK(timer_texts, timer, "?");
}
