#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <tern/tcp.h>

#include "tools/script/names.h"

#define C(name)                                                                                    \
	{                                                                                          \
#name, name                                                                        \
	}
#define STATE(name)                                                                                \
	{                                                                                          \
#name, TERN_TCP_##name                                                             \
	}

static const struct {
	const char *name;
	int64_t value;
} constants[] = {
	C(AF_UNSPEC),
	C(AF_INET),
	C(AF_INET6),
	C(PF_INET6),
	C(PF_INET),
	C(SOCK_STREAM),
	C(SOCK_DGRAM),
	C(SOCK_NONBLOCK),
	C(SOCK_CLOEXEC),
	C(IPPROTO_IP),
	C(IPPROTO_TCP),
	C(IPPROTO_UDP),
	C(SOL_SOCKET),
	{"SOL_TCP", IPPROTO_TCP},
	C(SOL_IP),
	C(INADDR_ANY),
	C(SO_REUSEADDR),
	C(SO_REUSEPORT),
	C(SO_MARK),
	C(SO_TIMESTAMPING),
	C(SO_MEMINFO),
	C(SO_TYPE),
	C(SO_ACCEPTCONN),
	C(SO_ERROR),
	C(SO_SNDBUF),
	C(SO_RCVBUF),
	C(SO_LINGER),
	C(SO_KEEPALIVE),
	C(SO_OOBINLINE),
	C(SO_RCVTIMEO),
	C(SO_SNDTIMEO),
	C(SO_ZEROCOPY),
	C(TCP_NODELAY),
	C(TCP_CORK),
	C(TCP_QUICKACK),
	C(TCP_MAXSEG),
	C(TCP_INFO),
	C(TCP_USER_TIMEOUT),
	C(TCP_KEEPIDLE),
	C(TCP_KEEPINTVL),
	C(TCP_KEEPCNT),
	C(TCP_CONGESTION),
	C(TCP_DEFER_ACCEPT),
	C(TCP_FASTOPEN),
	C(TCP_NOTSENT_LOWAT),
	C(TCP_SYNCNT),
	C(TCP_INQ),
	{"TCP_CM_INQ", TCP_INQ},
	C(TCP_WINDOW_CLAMP),
	C(TCP_LINGER2),
	C(TCP_CC_INFO),
	C(TCP_FASTOPEN_CONNECT),
	C(TCP_FASTOPEN_KEY),
	C(TCP_MD5SIG),
	C(IP_MTU_DISCOVER),
	C(IP_PMTUDISC_DONT),
	C(IP_PMTUDISC_DO),
	C(IP_PMTUDISC_WANT),
	C(IP_FREEBIND),
	C(IP_RECVERR),
	C(IPPROTO_IPV6),
	C(IPV6_RECVERR),
	C(SOL_IPV6),
	{"CMSG_LEVEL_IP", SOL_IP},
	{"CMSG_TYPE_RECVERR", IP_RECVERR},
	{"SCM_TIMESTAMPING", SO_TIMESTAMPING},
	C(SOF_TIMESTAMPING_TX_SCHED),
	C(SOF_TIMESTAMPING_TX_SOFTWARE),
	C(SOF_TIMESTAMPING_TX_ACK),
	C(SOF_TIMESTAMPING_SOFTWARE),
	C(SOF_TIMESTAMPING_OPT_ID),
	C(SCM_TSTAMP_SCHED),
	C(SCM_TSTAMP_SND),
	C(SCM_TSTAMP_ACK),
	{"ICMP_UNREACH", 3},
	C(SO_EE_ORIGIN_NONE),
	C(SO_EE_ORIGIN_LOCAL),
	C(SO_EE_ORIGIN_ICMP),
	C(SO_EE_ORIGIN_TIMESTAMPING),
	C(SO_EE_ORIGIN_ZEROCOPY),
	C(SO_EE_CODE_ZEROCOPY_COPIED),
	{"NULL", 0},
	{"true", 1},
	{"false", 0},
	C(IP_TOS),
	C(IP_TTL),
	C(F_GETFL),
	C(F_SETFL),
	C(F_GETFD),
	C(F_SETFD),
	C(O_RDWR),
	C(O_RDONLY),
	C(O_WRONLY),
	C(O_NONBLOCK),
	C(MSG_OOB),
	C(MSG_PEEK),
	C(MSG_DONTWAIT),
	C(MSG_WAITALL),
	C(MSG_MORE),
	C(MSG_NOSIGNAL),
	C(MSG_TRUNC),
	C(MSG_CTRUNC),
	C(MSG_EOR),
	C(MSG_ERRQUEUE),
	C(MSG_ZEROCOPY),
	C(MSG_FASTOPEN),
	C(SHUT_RD),
	C(SHUT_WR),
	C(SHUT_RDWR),
	C(POLLIN),
	C(POLLOUT),
	C(POLLERR),
	C(POLLHUP),
	C(POLLRDHUP),
	C(POLLPRI),
	C(POLLNVAL),
	C(POLLRDNORM),
	C(POLLWRNORM),
	C(EPOLL_CTL_ADD),
	C(EPOLL_CTL_MOD),
	C(EPOLL_CTL_DEL),
	C(EPOLLIN),
	C(EPOLLOUT),
	C(EPOLLERR),
	C(EPOLLHUP),
	C(EPOLLRDHUP),
	C(EPOLLPRI),
	C(EPOLLRDNORM),
	C(EPOLLWRNORM),
	{"EPOLLET", EPOLLET},
	C(EPOLLONESHOT),
	C(EPOLLEXCLUSIVE),
	C(SPLICE_F_MOVE),
	C(SPLICE_F_NONBLOCK),
	C(SPLICE_F_MORE),
	C(SIOCINQ),
	C(SIOCOUTQ),
	C(SIOCATMARK),
	C(SIOCOUTQNSD),
	C(FIONREAD),
	C(FIONBIO),
	STATE(CLOSED),
	STATE(LISTEN),
	STATE(SYN_SENT),
	STATE(SYN_RECEIVED),
	STATE(ESTABLISHED),
	STATE(FIN_WAIT_1),
	STATE(FIN_WAIT_2),
	STATE(CLOSE_WAIT),
	STATE(CLOSING),
	STATE(LAST_ACK),
	STATE(TIME_WAIT),
};

int tern_script_errno(const char *name)
{
	if (strcmp(name, "EWOULDBLOCK") == 0)
		return EAGAIN;
	for (int k = 1; k < 200; k++) {
		const char *known = strerrorname_np(k);
		if (known && strcmp(known, name) == 0)
			return k;
	}
	return 0;
}

bool tern_script_constant(const char *name, int64_t *value)
{
	for (size_t k = 0; k < sizeof constants / sizeof *constants; k++)
		if (strcmp(constants[k].name, name) == 0) {
			*value = constants[k].value;
			return true;
		}
	*value = tern_script_errno(name); /* SO_ERROR's value */
	return *value != 0;
}

uint16_t tern_script_flag(char letter)
{
	switch (letter) {
	case 'F':
		return FLAG_FIN;
	case 'S':
		return FLAG_SYN;
	case 'R':
		return FLAG_RST;
	case 'P':
		return FLAG_PSH;
	case '.':
		return FLAG_ACK;
	case 'U':
		return FLAG_URG;
	case 'E':
		return FLAG_ECE;
	case 'W':
		return FLAG_CWR;
	case 'A':
		return FLAG_AE;
	default:
		return 0;
	}
}

/* A type is named once alone (code NULL) where scripts may leave the code out. */
static const struct {
	const char *type, *code;
	uint8_t type_number, code_number;
} icmp[] = {
	{"unreachable", "net_unreachable", 3, 0},
	{"unreachable", "host_unreachable", 3, 1},
	{"unreachable", "protocol_unreachable", 3, 2},
	{"unreachable", "port_unreachable", 3, 3},
	{"unreachable", "frag_needed", 3, 4},
	{"unreachable", "source_route_failed", 3, 5},
	{"unreachable", "net_unknown", 3, 6},
	{"unreachable", "host_unknown", 3, 7},
	{"unreachable", "source_host_isolated", 3, 8},
	{"unreachable", "net_prohibited", 3, 9},
	{"unreachable", "host_prohibited", 3, 10},
	{"unreachable", "net_unreachable_for_tos", 3, 11},
	{"unreachable", "host_unreachable_for_tos", 3, 12},
	{"unreachable", "packet_filtered", 3, 13},
	{"unreachable", "precedence_violation", 3, 14},
	{"unreachable", "precedence_cutoff", 3, 15},
	{"unreachable", NULL, 3, 0},
	{"echo_reply", NULL, 0, 0},
	{"source_quench", NULL, 4, 0},
	{"redirect", NULL, 5, 0},
	{"time_exceeded", "ttl", 11, 0},
	{"time_exceeded", "reassembly", 11, 1},
	{"time_exceeded", NULL, 11, 0},
	{"parameter_problem", NULL, 12, 0},
	{"echo_request", NULL, 8, 0},
	{"timestamp_request", NULL, 13, 0},
	{"timestamp_reply", NULL, 14, 0},
	{"information_request", NULL, 15, 0},
	{"information_reply", NULL, 16, 0},
	{"address_mask_request", NULL, 17, 0},
	{"address_mask_reply", NULL, 18, 0},
};

/* "type_3", "code_13" */
static bool numbered(const char *word, const char *prefix, uint8_t *out)
{
	size_t len = strlen(prefix);
	char *end;
	if (strncmp(word, prefix, len) != 0 || !word[len])
		return false;
	unsigned long value = strtoul(word + len, &end, 10);
	*out = (uint8_t)value;
	return !*end && value <= UINT8_MAX;
}

static bool find_type(const char *type, uint8_t *out)
{
	for (size_t k = 0; k < sizeof icmp / sizeof *icmp; k++)
		if (strcmp(icmp[k].type, type) == 0) {
			*out = icmp[k].type_number;
			return true;
		}
	return numbered(type, "type_", out);
}

bool tern_script_icmp_find(const char *type, const char *code, uint8_t *type_out, uint8_t *code_out)
{
	for (size_t k = 0; k < sizeof icmp / sizeof *icmp; k++) {
		if (strcmp(icmp[k].type, type) != 0 || !icmp[k].code != !code ||
			(code && strcmp(icmp[k].code, code) != 0))
			continue;
		*type_out = icmp[k].type_number;
		*code_out = icmp[k].code_number;
		return true;
	}
	*code_out = 0;
	return find_type(type, type_out) && (!code || numbered(code, "code_", code_out));
}

const char *tern_script_icmp_type_name(unsigned type)
{
	for (size_t k = 0; k < sizeof icmp / sizeof *icmp; k++)
		if (icmp[k].type_number == type)
			return icmp[k].type;
	return NULL;
}

const char *tern_script_icmp_code_name(unsigned type, unsigned code)
{
	for (size_t k = 0; k < sizeof icmp / sizeof *icmp; k++)
		if (icmp[k].type_number == type && icmp[k].code_number == code && icmp[k].code)
			return icmp[k].code;
	return NULL;
}

unsigned tern_script_option_len(const struct script_option *option)
{
	switch (option->kind) {
	case OPTION_EOL:
	case OPTION_NOP:
		return 1;
	case OPTION_SACK_OK:
		return 2;
	case OPTION_WSCALE:
		return 3;
	case OPTION_MSS:
	case OPTION_USER_TIMEOUT:
		return 4;
	case OPTION_TIMESTAMP:
		return 10;
	case OPTION_SACK:
		return 2 + 8u * option->blocks;
	default:
		return 2u + option->raw_len;
	}
}
