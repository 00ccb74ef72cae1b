/* Ending: each direction by itself, and what is left behind. */
#include "tools/lab/lab.h"

static void shut_down(struct lab *lab, unsigned host)
{
	tern_tcp_close(lab->host[host].stack, lab->conn[host]);
}

static void four_way(struct lab *lab)
{
	lab_tell(lab, (struct text){"Each direction is closed by itself: FIN says \"I have no more "
				    "to send\", and is acknowledged like a "
				    "byte. The server may still have something to say after the "
				    "client's FIN, so its own FIN comes "
				    "later: four segments.",
			      "两个方向各自关闭：FIN "
			      "的意思是“我没有更多要发的了”，它像一个字节一样被确认。收到客户端的 "
			      "FIN 后，"
			      "服务端可能还有话要说，所以它自己的 FIN 稍后才来：一共四个报文段。"});
	lab_establish(lab);
	shut_down(lab, CLIENT);
	lab_run(lab, LAB_SEC);
	bool waits = lab_state(lab, SERVER) == TERN_TCP_CLOSE_WAIT &&
		     lab_state(lab, CLIENT) == TERN_TCP_FIN_WAIT_2;
	shut_down(lab, SERVER);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, waits,
		(struct text){"between: FIN_WAIT_2 here, CLOSE_WAIT there",
			"中间状态：一方 FIN_WAIT_2，另一方 CLOSE_WAIT"});
	lab_expect(lab,
		lab_state(lab, CLIENT) == TERN_TCP_TIME_WAIT &&
			lab_state(lab, SERVER) == TERN_TCP_CLOSED,
		(struct text){"at the end: TIME_WAIT with who closed first, nothing with the other",
			"最后：先关闭的一方 TIME_WAIT，另一方什么也不剩"});
}

static void close_at_once(struct lab *lab, unsigned host)
{
	if (host == SERVER && lab_info(lab, SERVER).peer_closed)
		shut_down(lab, SERVER);
}

static void three_segments(struct lab *lab)
{
	lab_tell(lab,
		(struct text){"A server that has nothing more to say closes as soon as it hears "
			      "the client's FIN: its "
			      "acknowledgement and its own FIN go in one segment, and three do.",
			"服务端已无话可说，一听到客户端的 FIN 就关闭：它的确认和自己的 FIN "
			"在同一个报文段里，三次就够。"});
	lab_establish(lab);
	uint64_t before = lab->host[CLIENT].sent + lab->host[SERVER].sent;
	lab->react = close_at_once;
	shut_down(lab, CLIENT);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, lab->host[CLIENT].sent + lab->host[SERVER].sent - before == 3,
		(struct text){"it took three segments", "一共三个报文段"});
	lab_expect(lab,
		lab_state(lab, CLIENT) == TERN_TCP_TIME_WAIT &&
			lab_state(lab, SERVER) == TERN_TCP_CLOSED,
		(struct text){"and ended as with four", "结局与四次相同"});
}

static void half_close(struct lab *lab)
{
	lab_tell(lab, (struct text){"A client that has sent its question shuts down its sending "
				    "direction and reads on. The server "
				    "answers at leisure.",
			      "客户端发完请求后关闭发送方向，继续读取；服务端从容作答。"});
	lab_establish(lab);
	lab_write(lab, CLIENT, 100);
	tern_tcp_shutdown(lab->host[CLIENT].stack, lab->conn[CLIENT]);
	lab_run(lab, LAB_SEC);
	size_t question = lab_read(lab, SERVER);
	lab_write(lab, SERVER, 3000);
	lab_run(lab, LAB_SEC);
	size_t answer = lab_read(lab, CLIENT);
	shut_down(lab, SERVER);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, question == 100 && answer == 3000,
		(struct text){"the answer came after the question's end",
			"提问方向结束之后，答复仍然送达"});
}

static void simultaneous_close(struct lab *lab)
{
	lab_tell(lab, (struct text){"Both close at the same moment: the FINs cross, and both pass "
				    "through CLOSING to TIME_WAIT.",
			      "双方同时关闭：FIN 交错，双方都经过 CLOSING 进入 TIME_WAIT。"});
	lab_establish(lab);
	shut_down(lab, CLIENT);
	shut_down(lab, SERVER);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab,
		lab_state(lab, CLIENT) == TERN_TCP_TIME_WAIT &&
			lab_state(lab, SERVER) == TERN_TCP_TIME_WAIT,
		(struct text){"both are in TIME_WAIT", "双方都处于 TIME_WAIT"});
}

/* The client's last ACK: the first pure ACK after the server's FIN. */
static bool eat_last_ack(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	if (from == SERVER && lab_flags(frame) & LAB_FIN)
		lab->counter++;
	return from == CLIENT && lab->counter == 1 && lab_flags(frame) == LAB_ACK;
}

static void time_wait(struct lab *lab)
{
	int64_t msl = lab_get(lab, CLIENT, "tcp_msl");
	lab_tell(lab,
		(struct text){"Who closed first stays in TIME_WAIT for two maximum segment "
			      "lifetimes (2 x %d s). Here is why: its "
			      "last ACK is lost. The server says FIN again, and somebody must be "
			      "there to acknowledge it; also, "
			      "no segment of this connection may turn up in the next.",
			"先关闭的一方在 TIME_WAIT 停留两个最大报文段寿命（2 × %d "
			"秒）。原因在此：它最后的 ACK 丢了。服务端重发 FIN，"
			"必须有人在场确认；而且本连接的旧报文段不能混进下一个连接。"},
		(int)msl);
	lab_establish(lab);
	lab->eat = eat_last_ack;
	shut_down(lab, CLIENT);
	lab_run(lab, LAB_SEC);
	shut_down(lab, SERVER);
	lab_run(lab, 5 * LAB_SEC);
	bool acked = lab_state(lab, SERVER) == TERN_TCP_CLOSED && lab->counter == 2;
	bool waits = lab_state(lab, CLIENT) == TERN_TCP_TIME_WAIT;
	lab_show_ladder(lab);
	lab_run(lab, (uint64_t)(2 * msl - 10) * LAB_SEC);
	bool still = lab_state(lab, CLIENT) == TERN_TCP_TIME_WAIT;
	lab_run(lab, 20 * LAB_SEC);
	lab_expect(lab, acked,
		(struct text){"the FIN that came again was acknowledged", "重发的 FIN 得到了确认"});
	lab_expect(lab, waits && still,
		(struct text){"TIME_WAIT lasts 2 MSL", "TIME_WAIT 持续 2MSL"});
	lab_expect(lab, lab_state(lab, CLIENT) == TERN_TCP_CLOSED,
		(struct text){"and ends", "然后结束"});
}

static struct tern_conn dial_from(struct lab *lab, uint16_t port)
{
	struct tern_connect_opts opts = {.local.port = port,
		.remote = {tern_addr_v4(10, 0, 0, 2), 80}};
	struct tern_conn conn = {0};
	tern_tcp_connect(lab->host[CLIENT].stack, &opts, &conn);
	return conn;
}

static void time_wait_reuse(struct lab *lab)
{
	lab_tell(lab, (struct text){"The server closed first, so TIME_WAIT is its own. The same "
				    "client comes back from the same port: a "
				    "SYN whose timestamp is newer than anything of the old "
				    "connection cannot be an old one, and the pair "
				    "is taken over at once (RFC 6191).",
			      "服务端先关闭，所以 TIME_WAIT "
			      "在它那里。同一个客户端从同一个端口再来：时间戳比旧连接的都新的 SYN "
			      "不可能是旧的，"
			      "于是这对端口立即被接管（RFC 6191）。"});
	lab_listen(lab, 8);
	lab->conn[CLIENT] = dial_from(lab, 5555);
	lab_run(lab, LAB_SEC);
	tern_tcp_accept(lab->host[SERVER].stack, lab->listener, &lab->conn[SERVER]);
	shut_down(lab, SERVER);
	lab_run(lab, LAB_SEC);
	shut_down(lab, CLIENT);
	lab_run(lab, LAB_SEC);
	bool waits = lab_state(lab, SERVER) == TERN_TCP_TIME_WAIT;
	lab->conn[CLIENT] = dial_from(lab, 5555);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, waits,
		(struct text){"the pair was in TIME_WAIT", "这对端口曾处于 TIME_WAIT"});
	lab_expect(lab, lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED,
		(struct text){"the new connection is there at once", "新连接立即建立"});
	lab_expect(lab, lab_count(lab, SERVER, TERN_COUNT_TcpExtTWRecycled) == 1,
		(struct text){"and the takeover was counted", "接管有计数"});
}

static void close_wait(struct lab *lab)
{
	struct tern_conn held[20];
	lab_tell(lab, (struct text){"A server that forgets close. Twenty clients came and went; "
				    "their FINs were acknowledged, but the "
				    "program never closes its side. The connections stay in "
				    "CLOSE_WAIT, for ever: no timer ends that "
				    "state, for only the program knows whether it has more to say. "
				    "The clients gave up in FIN_WAIT_2 "
				    "after tcp_fin_timeout.",
			      "忘记 close 的服务端。二十个客户端来了又走，FIN "
			      "都被确认，但程序从不关闭自己这一侧。连接永远停在 CLOSE_WAIT："
			      "没有定时器会结束这个状态，因为只有程序知道自己是否还有话要说。客户端"
			      "在 tcp_fin_timeout 之后放弃了 FIN_WAIT_2。"});
	lab_listen(lab, 64);
	for (unsigned i = 0; i < 20; i++) {
		lab->conn[CLIENT] = lab_connect(lab);
		lab_run(lab, 100 * LAB_MS);
		tern_tcp_accept(lab->host[SERVER].stack, lab->listener, &held[i]);
		shut_down(lab, CLIENT);
	}
	lab_run(lab, 3600 * LAB_SEC);
	unsigned stuck = 0, clients = 0;
	struct tern_tcp_info info;
	for (unsigned i = 0; i < 20; i++)
		stuck += tern_tcp_info(lab->host[SERVER].stack, held[i], &info) == 0 &&
			 info.state == TERN_TCP_CLOSE_WAIT;
	for (uint32_t cursor = 0; tern_tcp_each(lab->host[CLIENT].stack, &cursor, &info);)
		clients++;
	lab_show_ladder(lab);
	lab_tell(lab,
		(struct text){"After an hour: %u in CLOSE_WAIT at the server, %u connections at "
			      "the client.",
			"一小时后：服务端 %u 个 CLOSE_WAIT，客户端 %u 个连接。"},
		stuck, clients);
	lab_expect(lab, stuck == 20,
		(struct text){"all twenty are still in CLOSE_WAIT", "二十个都还在 CLOSE_WAIT"});
	lab_expect(lab, clients == 0,
		(struct text){"the clients have long gone", "客户端早已离开"});
}

static void rst(struct lab *lab)
{
	lab_tell(lab, (struct text){"RST ends a connection at once, both directions, without "
				    "goodbyes; what was not read is lost. A "
				    "program that closes with bytes unread says it, so that the "
				    "peer knows they were not taken.",
			      "RST "
			      "立即结束连接的两个方向，没有告别，未读的数据丢失。关闭时还有未读字节"
			      "的程序会发送 RST，让对端知道数据没有被接受。"});
	lab_establish(lab);
	lab_write(lab, CLIENT, 500);
	lab_run(lab, LAB_SEC);
	shut_down(lab, SERVER); /* with 500 bytes unread */
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, lab_error(lab, CLIENT) == TERN_ECONNRESET,
		(struct text){"the client is told ECONNRESET", "客户端得到 ECONNRESET"});
	lab_expect(lab, lab_state(lab, SERVER) == TERN_TCP_CLOSED,
		(struct text){"nothing is left at the server", "服务端什么也不剩"});
}

/* The server's machine starts anew: its connections are gone. */
static void peer_crash(struct lab *lab)
{
	lab_tell(lab, (struct text){"The server forgets a connection (its machine was started "
				    "anew). The client finds out with the next "
				    "segment it sends: nobody knows it, and it is reset. (A client "
				    "that only listens finds out by "
				    "keepalive.)",
			      "服务端忘记了连接（机器重启）。客户端下一次发送时就会发现：没有人认识"
			      "它，于是收到 RST。（只听不说的客户端要靠 keepalive 发现。）"});
	lab_establish(lab);
	lab->eat = eat_last_ack; /* eats nothing yet */
	lab->counter = 0;
	tern_trace_set(lab->host[SERVER].stack, NULL); /* a crash says nothing */
	tern_tcp_abort(lab->host[SERVER].stack, lab->conn[SERVER]);
	uint8_t bytes[1600];
	struct tern_frame frame = {.data = bytes, .capacity = sizeof bytes};
	while (tern_output(lab->host[SERVER].stack, lab->host[SERVER].nif, &frame, 1, lab->now))
		; /* nor is its reset heard */
	lab_run(lab, 10 * LAB_SEC);
	bool unaware = lab_state(lab, CLIENT) == TERN_TCP_ESTABLISHED;
	lab_write(lab, CLIENT, 10);
	lab_run(lab, LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, unaware,
		(struct text){"the client does not know for as long as it says nothing",
			"只要不说话，客户端就不知道"});
	lab_expect(lab, lab_error(lab, CLIENT) == TERN_ECONNRESET,
		(struct text){"then it is told ECONNRESET", "一说话就得到 ECONNRESET"});
}

const struct experiment lab_close[] = {
	{"close", {"the four-way close", "四次挥手"}, four_way, false},
	{"close-three-segments", {"a close in three segments", "三次挥手的关闭"}, three_segments,
		false},
	{"half-close", {"one direction closed, the other open", "半关闭"}, half_close, false},
	{"simultaneous-close", {"both close at once", "同时关闭"}, simultaneous_close, false},
	{"time-wait",
		{"why TIME_WAIT: the last ACK is lost", "为什么有 TIME_WAIT：最后的 ACK 丢失"},
		time_wait, false},
	{"time-wait-reuse", {"TIME_WAIT taken over by a newer SYN", "TIME_WAIT 被更新的 SYN 接管"},
		time_wait_reuse, false},
	{"close-wait", {"a server that forgets close", "忘记 close 的服务端"}, close_wait, false},
	{"rst", {"a reset", "复位"}, rst, false},
	{"peer-crash", {"a peer that was started anew", "对端重启"}, peer_crash, false},
	{0},
};
