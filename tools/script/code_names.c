/* What names stand for in %{ }%: fields of tcp_info and sk_meminfo, constants, variables. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/script/code.h"

#define FIELD(name)                                                                                \
	{                                                                                          \
		"tcpi_" #name, offsetof(struct tcp_info, tcpi_##name),                             \
			sizeof(((struct tcp_info *)0)->tcpi_##name)                                \
	}
static const struct {
	const char *name;
	size_t offset, size;
} fields[] = {
	FIELD(state),
	FIELD(ca_state),
	FIELD(retransmits),
	FIELD(probes),
	FIELD(backoff),
	FIELD(options),
	FIELD(rto),
	FIELD(ato),
	FIELD(snd_mss),
	FIELD(rcv_mss),
	FIELD(unacked),
	FIELD(sacked),
	FIELD(lost),
	FIELD(retrans),
	FIELD(fackets),
	FIELD(last_data_sent),
	FIELD(last_ack_sent),
	FIELD(last_data_recv),
	FIELD(last_ack_recv),
	FIELD(pmtu),
	FIELD(rcv_ssthresh),
	FIELD(rtt),
	FIELD(rttvar),
	FIELD(snd_ssthresh),
	FIELD(snd_cwnd),
	FIELD(advmss),
	FIELD(reordering),
	FIELD(rcv_rtt),
	FIELD(rcv_space),
	FIELD(total_retrans),
	FIELD(pacing_rate),
	FIELD(max_pacing_rate),
	FIELD(bytes_acked),
	FIELD(bytes_received),
	FIELD(segs_out),
	FIELD(segs_in),
	FIELD(notsent_bytes),
	FIELD(min_rtt),
	FIELD(data_segs_in),
	FIELD(data_segs_out),
	FIELD(delivery_rate),
	FIELD(busy_time),
	FIELD(rwnd_limited),
	FIELD(sndbuf_limited),
	FIELD(delivered),
	FIELD(delivered_ce),
	FIELD(bytes_sent),
	FIELD(bytes_retrans),
	FIELD(dsack_dups),
	FIELD(reord_seen),
	FIELD(rcv_ooopack),
	FIELD(snd_wnd),
};

static const struct {
	const char *name;
	int64_t value;
} constants[] = {
	{"TCP_ESTABLISHED", 1},
	{"TCP_SYN_SENT", 2},
	{"TCP_SYN_RECV", 3},
	{"TCP_FIN_WAIT1", 4},
	{"TCP_FIN_WAIT2", 5},
	{"TCP_TIME_WAIT", 6},
	{"TCP_CLOSE", 7},
	{"TCP_CLOSE_WAIT", 8},
	{"TCP_LAST_ACK", 9},
	{"TCP_LISTEN", 10},
	{"TCP_CLOSING", 11},
	{"TCP_CA_Open", TCP_CA_Open},
	{"TCP_CA_Disorder", TCP_CA_Disorder},
	{"TCP_CA_CWR", TCP_CA_CWR},
	{"TCP_CA_Recovery", TCP_CA_Recovery},
	{"TCP_CA_Loss", TCP_CA_Loss},
	{"TCPI_OPT_TIMESTAMPS", TCPI_OPT_TIMESTAMPS},
	{"TCPI_OPT_SACK", TCPI_OPT_SACK},
	{"TCPI_OPT_WSCALE", TCPI_OPT_WSCALE},
	{"TCPI_OPT_ECN", TCPI_OPT_ECN},
	{"TCPI_OPT_ECN_SEEN", TCPI_OPT_ECN_SEEN},
	{"TCPI_OPT_SYN_DATA", TCPI_OPT_SYN_DATA},
	{"TCP_INFINITE_SSTHRESH", 0x7fffffff},
	{"True", 1},
	{"False", 0},
	{"None", 0},
};

static const struct {
	const char *name;
	unsigned index;
} memories[] = {
	{"SK_MEMINFO_RMEM_ALLOC", SK_MEMINFO_RMEM_ALLOC},
	{"SK_MEMINFO_RCVBUF", SK_MEMINFO_RCVBUF},
	{"SK_MEMINFO_WMEM_ALLOC", SK_MEMINFO_WMEM_ALLOC},
	{"SK_MEMINFO_SNDBUF", SK_MEMINFO_SNDBUF},
	{"SK_MEMINFO_FWD_ALLOC", SK_MEMINFO_FWD_ALLOC},
	{"SK_MEMINFO_WMEM_QUEUED", SK_MEMINFO_WMEM_QUEUED},
	{"SK_MEMINFO_OPTMEM", SK_MEMINFO_OPTMEM},
	{"SK_MEMINFO_BACKLOG", SK_MEMINFO_BACKLOG},
	{"SK_MEMINFO_DROPS", SK_MEMINFO_DROPS},
};

static void ask(struct script_reader *r, int level, int option, void *into, socklen_t size)
{
	struct script_pending p = {.run = r->run,
		.call = {.op = DRILL_GETSOCKOPT,
			.arg = {r->run->code_fd, level, option, (intptr_t)into, (intptr_t)&size}}};
	if (r->run->reading)
		return;
	r->run->target->call(r->run, &p);
	if (p.call.result != 0)
		tern_script_code_wrong(r,
			r->run->code_fd < 0 ? "no connection to ask" : "getsockopt() failed");
}

static bool bit_field(struct script_reader *r, const char *name, int64_t *value)
{
	if (strcmp(name, "tcpi_snd_wscale") == 0)
		*value = r->info.tcpi_snd_wscale;
	else if (strcmp(name, "tcpi_rcv_wscale") == 0)
		*value = r->info.tcpi_rcv_wscale;
	else if (strcmp(name, "tcpi_delivery_rate_app_limited") == 0)
		*value = r->info.tcpi_delivery_rate_app_limited;
	else
		return false;
	return true;
}

static bool info_field(struct script_reader *r, const char *name, int64_t *value)
{
	if (strncmp(name, "tcpi_", 5) != 0)
		return false;
	if (!r->have_info)
		ask(r, IPPROTO_TCP, TCP_INFO, &r->info, sizeof r->info);
	r->have_info = true;
	for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
		if (strcmp(fields[k].name, name) != 0)
			continue;
		*value = 0; /* little-endian, as every target so far */
		memcpy(value, (const char *)&r->info + fields[k].offset, fields[k].size);
		return true;
	}
	return bit_field(r, name, value);
}

static bool memory_field(struct script_reader *r, const char *name, int64_t *value)
{
	for (size_t k = 0; k < sizeof memories / sizeof *memories; k++) {
		if (strcmp(memories[k].name, name) != 0)
			continue;
		if (!r->have_memory)
			ask(r, SOL_SOCKET, SO_MEMINFO, r->memory, sizeof r->memory);
		r->have_memory = true;
		*value = r->memory[memories[k].index];
		return true;
	}
	return false;
}

struct variable *tern_script_variable(struct run *run, const char *name)
{
	for (unsigned k = 0; k < run->variables; k++)
		if (strcmp(run->variable[k].name, name) == 0)
			return &run->variable[k];
	return NULL;
}

int64_t tern_script_value(struct script_reader *r, const char *name)
{
	const struct variable *own = tern_script_variable(r->run, name);
	int64_t value = 0;
	if (own)
		return own->value;
	if (info_field(r, name, &value) || memory_field(r, name, &value))
		return value;
	for (size_t k = 0; k < sizeof constants / sizeof *constants; k++)
		if (strcmp(constants[k].name, name) == 0)
			return constants[k].value;
	tern_script_refuse(r->run, "%%{ }%%: no such name: %s", name);
	r->at = "";
	return 0;
}
