/* Between SYN and accept: the handshake, and what goes wrong at the door. */
#include "tools/lab/lab.h"

static void handshake(struct lab *lab)
{
	lab_tell(lab,
		(struct text){"Three segments open a connection. Each side says which number its "
			      "bytes begin with (SYN), "
			      "and hears that the other has understood (ACK). Two would not do: "
			      "the server would not know "
			      "whether its own number arrived, and an old SYN that wandered about "
			      "the network could open a "
			      "connection that nobody wants.",
			"三个报文段建立一个连接。每一方用 SYN "
			"说明自己的字节从哪个序号开始，再从对方的 ACK 得知它听懂了。两次不够："
			"服务端无从知道自己的序号是否送达，网络中迟到的旧 SYN "
			"也会建立一个没人要的连接。"});
	lab_establish(lab);
	lab_show_ladder(lab);
	lab_expect(lab, lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED,
		(struct text){"the client is in ESTABLISHED", "客户端处于 ESTABLISHED"});
	lab_expect(lab, lab_state(lab, SERVER) == TERN_TCP_ESTABLISHED,
		(struct text){"the server is in ESTABLISHED", "服务端处于 ESTABLISHED"});
	lab_expect(lab, lab->host[CLIENT].sent == 2 && lab->host[SERVER].sent == 1,
		(struct text){"it took three segments", "一共三个报文段"});
}

static void isn(struct lab *lab)
{
	uint32_t first[8];
	bool ascending = true, distinct = true;
	lab_tell(lab, (struct text){"The first number is not 0: a segment of an earlier connection "
				    "between the same ports could "
				    "be taken for one of this, and a stranger who can guess it "
				    "could forge the third segment "
				    "(RFC 6528). It is a clock that ticks every 4 us, plus a "
				    "secret of the four addresses and "
				    "ports.",
			      "初始序号不是 "
			      "0：否则同一对端口上一个连接的旧报文段会被当成这个连接的，猜得到它的"
			      "人也能伪造第三次握手"
			      "（RFC 6528）。它是每 4 微秒走一格的时钟，加上由四元组算出的秘密。"});
	for (unsigned i = 0; i < 8; i++) {
		lab->conn[CLIENT] = lab_connect(lab);
		lab_run(lab, 100 * LAB_MS);
		first[i] = lab_info(lab, CLIENT).iss;
		lab_tell(lab, (struct text){"connection %u: %u", "连接 %u：%u"}, i + 1, first[i]);
		for (unsigned k = 0; k < i; k++)
			distinct &= first[k] != first[i];
		ascending &= i == 0 || first[i] == first[i - 1] + 1;
	}
	lab_expect(lab, distinct, (struct text){"no two are the same", "没有两个相同"});
	lab_expect(lab, !ascending,
		(struct text){"one does not tell the next", "从一个推不出下一个"});
}

static void simultaneous_open(struct lab *lab)
{
	struct tern_connect_opts there = {.local.port = 5000,
		.remote = {tern_addr_v4(10, 0, 0, 2), 6000}};
	struct tern_connect_opts here = {.local.port = 6000,
		.remote = {tern_addr_v4(10, 0, 0, 1), 5000}};
	lab_tell(lab, (struct text){"Both sides dial at the same moment, each at the port the "
				    "other dials from. The SYNs cross; "
				    "there is no server, and one connection comes of it (RFC 9293 "
				    "figure 8).",
			      "双方同时拨号，端口正好互相对上，SYN "
			      "在途中交错。没有服务端，结果仍是一个连接（RFC 9293 图 8）。"});
	tern_tcp_connect(lab->host[CLIENT].stack, &there, &lab->conn[CLIENT]);
	tern_tcp_connect(lab->host[SERVER].stack, &here, &lab->conn[SERVER]);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab,
		lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED &&
			lab_state(lab, SERVER) == TERN_TCP_ESTABLISHED,
		(struct text){"both are in ESTABLISHED", "双方都处于 ESTABLISHED"});
	lab_expect(lab, lab->host[CLIENT].sent == 2 && lab->host[SERVER].sent == 2,
		(struct text){"it took four segments", "一共四个报文段"});
}

/* --- SYN timeout --------------------------------------------------------------------------- */

static bool eat_syn_acks(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	(void)frame;
	lab->counter += from == SERVER;
	return from == SERVER || lab->counter > 0; /* and the client falls silent */
}

static void syn_timeout(struct lab *lab)
{
	int64_t retries = lab_get(lab, SERVER, "tcp_synack_retries");
	uint64_t gone = 0;
	lab_tell(lab,
		(struct text){"A client says SYN and is never heard of again. The server keeps the "
			      "half-open connection and "
			      "says SYN-ACK again after 1, 2, 4, 8 and 16 seconds; then it waits "
			      "32 more for the last one's "
			      "answer: 1+2+4+8+16+32 = 63 seconds in all (tcp_synack_retries = "
			      "%d). Try --set "
			      "tcp_synack_retries=2.",
			"客户端发出 SYN 后杳无音信。服务端保留这个半连接，在 1、2、4、8、16 "
			"秒后重发 SYN-ACK，最后一次再等 32 秒："
			"1+2+4+8+16+32 = 63 秒（tcp_synack_retries = %d）。可以试试 --set "
			"tcp_synack_retries=2。"},
		(int)retries);
	lab->eat = eat_syn_acks;
	lab_listen(lab, 8);
	lab->conn[CLIENT] = lab_connect(lab);
	for (unsigned tenths = 0; tenths < 3000 && !gone; tenths++) {
		lab_run(lab, 100 * LAB_MS);
		if (lab_half_open(lab) == 0)
			gone = lab_now(lab);
	}
	lab_show_ladder(lab);
	lab_tell(lab,
		(struct text){"The half-open connection was forgotten after %.0f s.",
			"半连接在 %.0f 秒后被丢弃。"},
		(double)gone / 1e9);
	uint64_t due = ((UINT64_C(2) << retries) - 1) * LAB_SEC;
	lab_expect(lab, lab->counter == 1 + (int)retries,
		(struct text){"one SYN-ACK and as many again as tcp_synack_retries says",
			"一个 SYN-ACK，再加 tcp_synack_retries 次重发"});
	lab_expect(lab, gone >= due && gone <= due + 2 * LAB_SEC,
		(struct text){"it is forgotten 2^(retries+1) - 1 seconds after the SYN",
			"SYN 之后 2^(次数+1) - 1 秒被丢弃"});
}

/* --- floods -------------------------------------------------------------------------------- */

#define FLOOD_MS   3000
#define FLOOD_RATE 2 /* a millisecond */

/* Spoofed SYNs, and from the middle of it an honest client. Returns whether that got in. */
static bool flood(struct lab *lab, struct lab_sample *samples, unsigned *n)
{
	uint32_t number = 0;
	*n = 0;
	for (unsigned ms = 0; ms < FLOOD_MS; ms++) {
		for (unsigned k = 0; k < FLOOD_RATE; k++)
			lab_spoof_syn(lab, number++);
		if (ms == FLOOD_MS / 2)
			lab->conn[CLIENT] = lab_connect(lab);
		lab_run(lab, LAB_MS);
		if (ms % 100 == 0)
			samples[(*n)++] = (struct lab_sample){lab_now(lab), lab_half_open(lab)};
	}
	return lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED;
}

static void syn_flood(struct lab *lab)
{
	static struct lab_sample samples[LAB_SAMPLES];
	unsigned n;
	lab_set(lab, SERVER, "tcp_syncookies", 0);
	lab_set(lab, SERVER, "tcp_max_syn_backlog", 256);
	lab_tell(lab,
		(struct text){"An attacker sends SYNs with addresses of people who are not there. "
			      "Each takes a place in the "
			      "queue of half-open connections for 63 seconds, and no answer ever "
			      "frees it. When the queue is "
			      "full (here %d), an honest client's SYN is dropped like the others.",
			"攻击者用不存在的地址发送 SYN。每一个都在半连接队列里占 63 "
			"秒，永远等不到回应。队列满了（这里是 %d），"
			"正常客户端的 SYN 也一样被丢弃。"},
		(int)lab_get(lab, SERVER, "tcp_max_syn_backlog"));
	lab_listen(lab, 1023);
	bool in = flood(lab, samples, &n);
	lab_draw(lab, (struct text){"Half-open connections:", "半连接数："}, samples, n,
		(uint32_t)lab_get(lab, SERVER, "tcp_max_syn_backlog"));
	lab_expect(lab, lab_half_open(lab) == (uint32_t)lab_get(lab, SERVER, "tcp_max_syn_backlog"),
		(struct text){"the queue is full", "队列已满"});
	lab_expect(lab, !in,
		(struct text){"the honest client does not get in", "正常客户端进不来"});
	lab_expect(lab, lab_drops(lab, SERVER, TERN_DROP_TCP_SYN_BACKLOG) > 1000,
		(struct text){"the dropped SYNs are counted", "丢弃的 SYN 都有计数"});
}

/* How many TCBs the server has. */
static uint32_t tcbs(const struct lab *lab)
{
	struct tern_memory_info info;
	tern_memory_info(lab->host[SERVER].stack, &info);
	return info.connections - info.half_open - info.time_waits;
}

static void syn_cache(struct lab *lab)
{
	static struct lab_sample samples[LAB_SAMPLES];
	unsigned n = 0;
	lab_set(lab, SERVER, "tcp_max_syn_backlog", 512);
	lab_listen(lab, 1023);
	lab_tell(lab,
		(struct text){"A half-open connection need not cost what a connection does: until "
			      "the third segment nobody can "
			      "write, read or close it. The server keeps 64 bytes of each SYN in a "
			      "table of fixed size (RFC 4987 3.4), "
			      "where a keyed hash says the place, so that nobody can aim at one. "
			      "200 SYNs from people who are not "
			      "there, and one from somebody who is.",
			"半连接不必像连接那样昂贵：第三次握手之前没有人能读写或关闭它。服务端在一张"
			"固定大小的表里为每个 SYN 保留 64 字节（RFC 4987 3.4），"
			"位置由带密钥的散列决定，谁也无法瞄准。200 个来自不存在的地址的 SYN，"
			"还有一个来自真正在场的人。"});
	lab_spoof_syn(lab, 0);
	lab_run(lab, LAB_MS);
	size_t table = lab->host[SERVER].memory;
	for (uint32_t number = 1; number < 200; number++) {
		lab_spoof_syn(lab, number);
		lab_run(lab, LAB_MS);
	}
	lab_tell(lab,
		(struct text){"200 SYNs: %u half-open, %u TCBs, %lld bytes beyond the table's.",
			"200 个 SYN：%u 个半连接，%u 个 TCB，表之外多用 %lld 字节。"},
		lab_half_open(lab), tcbs(lab),
		(long long)lab->host[SERVER].memory - (long long)table);
	lab_expect(lab, lab_half_open(lab) == 200 && tcbs(lab) == 0,
		(struct text){"no TCB before the third segment", "第三次握手之前没有 TCB"});
	lab_expect(lab, lab->host[SERVER].memory <= table,
		(struct text){"the table was there at the first SYN, and does not grow",
			"表在第一个 SYN 时就有，不再增长"});
	lab->conn[CLIENT] = lab_connect(lab);
	lab_run(lab, 200 * LAB_MS);
	lab_expect(lab, lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED && tcbs(lab) == 1,
		(struct text){"the third segment makes a TCB of an entry: one",
			"第三次握手把一个条目变成 TCB：一个"});
	for (unsigned s = 0; s < 70; s++) {
		if (s % 2 == 0)
			samples[n++] = (struct lab_sample){lab_now(lab), lab_half_open(lab)};
		lab_run(lab, LAB_SEC);
	}
	lab_draw(lab, (struct text){"Half-open connections:", "半连接数："}, samples, n,
		(uint32_t)lab_get(lab, SERVER, "tcp_max_syn_backlog"));
	lab_tell(lab,
		(struct text){"SYN-ACKs said again, all of them in vain: %llu.",
			"重发的 SYN-ACK，全都白费：%llu。"},
		(unsigned long long)lab_count(lab, SERVER, TERN_COUNT_TcpExtTCPSynRetrans));
	lab_expect(lab, lab_half_open(lab) == 0,
		(struct text){"after 63 seconds the others are forgotten", "63 秒后其余的被遗忘"});
	lab_expect(lab,
		lab_count(lab, SERVER, TERN_COUNT_TcpExtTCPSynRetrans) ==
			200 * (uint64_t)lab_get(lab, SERVER, "tcp_synack_retries"),
		(struct text){"each SYN-ACK was said again tcp_synack_retries times",
			"每个 SYN-ACK 重发了 tcp_synack_retries 次"});
}

static void syn_cookie(struct lab *lab)
{
	static struct lab_sample samples[LAB_SAMPLES];
	unsigned n;
	lab_set(lab, SERVER, "tcp_syncookies", 1);
	lab_set(lab, SERVER, "tcp_max_syn_backlog", 256);
	lab_tell(lab, (struct text){"The same flood, with cookies: when the queue is full the "
				    "server keeps nothing of a SYN. What it "
				    "would have to remember goes into the sequence number of its "
				    "SYN-ACK, with a keyed hash over it, "
				    "and comes back in the ACK of whoever really is there.",
			      "同样的洪水，但启用 cookie：队列满后服务端不为 SYN "
			      "保留任何东西。要记住的内容连同带密钥的散列放进 SYN-ACK "
			      "的序号里，真正在场的人会用 ACK 把它带回来。"});
	lab_listen(lab, 1023);
	size_t before = 0;
	bool in = flood(lab, samples, &n);
	before = lab->host[SERVER].memory;
	for (uint32_t k = 0; k < 100000; k++) {
		lab_spoof_syn(lab, 1000000 + k);
		if (k % 64 == 0)
			lab_run(lab, 0);
	}
	lab_run(lab, 0);
	lab_draw(lab, (struct text){"Half-open connections:", "半连接数："}, samples, n,
		(uint32_t)lab_get(lab, SERVER, "tcp_max_syn_backlog"));
	lab_tell(lab,
		(struct text){"Cookies sent: %llu; brought back: %llu. Another 100,000 SYNs: %lld "
			      "bytes.",
			"发出 cookie：%llu；带回：%llu。再来 100,000 个 SYN：%lld 字节。"},
		(unsigned long long)lab_count(lab, SERVER, TERN_COUNT_TcpExtSyncookiesSent),
		(unsigned long long)lab_count(lab, SERVER, TERN_COUNT_TcpExtSyncookiesRecv),
		(long long)lab->host[SERVER].memory - (long long)before);
	lab_expect(lab, in, (struct text){"the honest client gets in", "正常客户端进得来"});
	lab_expect(lab, lab_count(lab, SERVER, TERN_COUNT_TcpExtSyncookiesRecv) == 1,
		(struct text){"by a cookie", "靠的是 cookie"});
	lab_expect(lab, lab->host[SERVER].memory <= before,
		(struct text){"a SYN costs 0 bytes", "每个 SYN 占用 0 字节"});
}

/* --- the accept queue ------------------------------------------------------------------------- */

static void overflow(struct lab *lab, bool abort)
{
	struct tern_conn conns[4];
	lab_set(lab, SERVER, "tcp_abort_on_overflow", abort);
	lab_listen(lab, 1); /* Linux's capacity: two */
	/* The SYNs of all are there before the queue is full. */
	for (unsigned i = 0; i < 4; i++)
		conns[i] = lab_connect(lab);
	lab_run(lab, 500 * LAB_MS);
	lab->conn[CLIENT] = conns[3];
}

static void accept_overflow_drop(struct lab *lab)
{
	lab_tell(lab, (struct text){"A program that does not call accept: established connections "
				    "wait in a queue of backlog + 1 "
				    "places. Four clients arrive together, two fit. With "
				    "tcp_abort_on_overflow = 0 the others' third "
				    "segment is dropped: they believe that they are connected, the "
				    "server does not, and says SYN-ACK "
				    "again until there is room.",
			      "程序不调用 accept：已建立的连接在 backlog + 1 "
			      "个位置的队列里等待。四个客户端同时到来，只容得下两个。"
			      "tcp_abort_on_overflow = 0 "
			      "时其余的第三次握手被丢弃：客户端以为已连接，服务端不这么认为，并重发"
			      " SYN-ACK，直到有空位。"});
	overflow(lab, false);
	lab_expect(lab, lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED,
		(struct text){"the client believes that it is connected", "客户端以为已连接"});
	lab_expect(lab, lab_queued(lab) == 2 && lab_half_open(lab) == 2,
		(struct text){"two wait to be accepted, two are still half-open",
			"两个等待 accept，两个仍是半连接"});
	struct tern_conn taken;
	for (unsigned i = 0; i < 4; i++) {
		tern_tcp_accept(lab->host[SERVER].stack, lab->listener, &taken);
		lab_run(lab, 4 * LAB_SEC);
	}
	lab_tell(lab, (struct text){"The program begins to accept; SYN-ACKs said again find their "
				    "answer.",
			      "程序开始 accept，重发的 SYN-ACK 得到回应。"});
	lab_expect(lab,
		lab_half_open(lab) == 0 &&
			lab_count(lab, SERVER, TERN_COUNT_TcpExtListenOverflows) > 0,
		(struct text){"nobody was lost, and the overflows were counted",
			"没有人丢失，溢出有计数"});
}

static void accept_overflow_rst(struct lab *lab)
{
	lab_tell(lab, (struct text){"The same with tcp_abort_on_overflow = 1: who does not fit is "
				    "reset, and knows at once.",
			      "同样的情形，tcp_abort_on_overflow = 1：容不下的立即收到 "
			      "RST，马上知道结果。"});
	overflow(lab, true);
	lab_expect(lab, lab_error(lab, CLIENT) == TERN_ECONNRESET,
		(struct text){"the client is told ECONNRESET", "客户端得到 ECONNRESET"});
	lab_expect(lab, lab_queued(lab) == 2 && lab_half_open(lab) == 0,
		(struct text){"two wait, and nothing is half-open", "两个在等待，没有半连接"});
}

static void closed_port(struct lab *lab)
{
	lab_tell(lab, (struct text){"Nobody listens: the answer to a SYN is RST, and connect fails "
				    "at once.",
			      "没有人监听：对 SYN 的回答是 RST，connect 立即失败。"});
	lab->conn[CLIENT] = lab_connect(lab);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, lab_error(lab, CLIENT) == TERN_ECONNREFUSED,
		(struct text){"connection refused", "连接被拒绝"});
	lab_expect(lab, lab_now(lab) == LAB_SEC && lab->host[CLIENT].sent == 1,
		(struct text){"one SYN was enough to know", "一个 SYN 就知道了"});
}

const struct experiment lab_door[] = {
	{"handshake", {"the three-way handshake", "三次握手"}, handshake, false},
	{"isn", {"initial sequence numbers", "初始序号"}, isn, false},
	{"simultaneous-open", {"both sides open at once", "同时打开"}, simultaneous_open, false},
	{"closed-port", {"nobody listens", "没有人监听"}, closed_port, false},
	{"syn-timeout", {"63 seconds for a SYN that comes to nothing", "SYN 超时的 63 秒"},
		syn_timeout, false},
	{"syn-flood", {"the half-open queue fills", "半连接队列被填满"}, syn_flood, false},
	{"syn-cache", {"64 bytes for a half-open connection", "半连接只占 64 字节"}, syn_cache,
		false},
	{"syn-cookie", {"the same flood, and the client gets in", "同样的洪水，客户端仍能进来"},
		syn_cookie, false},
	{"accept-overflow-drop",
		{"the accept queue is full: the ACK is dropped", "全连接队列满：丢弃 ACK"},
		accept_overflow_drop, false},
	{"accept-overflow-rst", {"the accept queue is full: reset", "全连接队列满：RST"},
		accept_overflow_rst, false},
	{0},
};
