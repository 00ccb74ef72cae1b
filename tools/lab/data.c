/* Carrying bytes: what is lost is said again, and nobody is overrun. */
#include "tools/lab/lab.h"

static bool eat_second_data(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	return from == CLIENT && frame->len > 500 && ++lab->counter == 1;
}

static void retransmit(struct lab *lab)
{
	lab_tell(lab, (struct text){"A segment is lost. Nothing tells the sender so; its timer "
				    "does: not acknowledged within the "
				    "retransmission timeout (RFC 6298), it is sent again.",
			      "一个报文段丢了。没有人告诉发送方，只有定时器知道：在重传超时（RFC "
			      "6298）之内没有确认，就再发一次。"});
	lab_establish(lab);
	lab->eat = eat_second_data;
	lab_write(lab, CLIENT, 1000);
	lab_run(lab, 2 * LAB_SEC);
	size_t got = lab_read(lab, SERVER);
	lab_show_ladder(lab);
	lab_expect(lab, got == 1000,
		(struct text){"the server has all 1000 bytes", "服务端收齐 1000 字节"});
	lab_expect(lab, lab_count(lab, CLIENT, TERN_COUNT_TcpRetransSegs) == 1,
		(struct text){"one segment was sent again", "重传了一个报文段"});
}

static bool eat_all_from_client(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	(void)frame;
	lab->counter += from == CLIENT;
	return true;
}

static void backoff(struct lab *lab)
{
	lab_set(lab, CLIENT, "tcp_retries2", 6);
	lab_tell(lab,
		(struct text){"The cable is cut. A probe asks first; then each timeout is twice "
			      "the "
			      "last, so that a network in trouble is not beaten "
			      "harder; after tcp_retries2 (here %d) the connection is given up.",
			"网线断了。先探测一次；之后每次超时都是上一次的两倍，以免雪上加霜；tcp_"
			"retries2（这里是 "
			"%d）次之后放弃连接。"},
		(int)lab_get(lab, CLIENT, "tcp_retries2"));
	lab_establish(lab);
	lab->eat = eat_all_from_client;
	lab_write(lab, CLIENT, 500);
	lab_run(lab, 1000 * LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, lab_error(lab, CLIENT) == TERN_ETIMEDOUT,
		(struct text){"the program is told ETIMEDOUT", "程序得到 ETIMEDOUT"});
	lab_expect(lab, lab->counter == 3 + (int)lab_get(lab, CLIENT, "tcp_retries2"),
		(struct text){"once, a probe, as often again as the setting says, and a reset",
			"发送一次，探测一次，重传设定的次数，最后一个 RST"});
}

static void zero_window(struct lab *lab)
{
	lab_tell(lab,
		(struct text){"The server's program does not read. Its buffer fills, the window it "
			      "offers shrinks to 0, and "
			      "the client stops. That the window opens again is said once, in a "
			      "segment that may be lost: so "
			      "the client asks now and then, ever more rarely, and never gives up "
			      "(RFC 9293 3.8.6.1).",
			"服务端程序不读数据。缓冲区填满，窗口缩到 "
			"0，客户端停下。窗口重新打开只说一次，而那个报文段可能丢失："
			"所以客户端不时探询，间隔越来越长，但从不放弃（RFC 9293 3.8.6.1）。"});
	lab_establish(lab);
	tern_tcp_option_set(lab->host[SERVER].stack, lab->conn[SERVER], TERN_TCP_RCVBUF, 8192);
	for (unsigned i = 0; i < 400; i++) {
		lab_write(lab, CLIENT, 65536);
		lab_run(lab, 100 * LAB_MS);
	}
	bool shut = lab_info(lab, CLIENT).snd_wnd == 0;
	uint64_t probes = lab_count(lab, CLIENT, TERN_COUNT_TcpExtTCPWinProbe);
	size_t got = 0;
	for (unsigned i = 0; i < 400; i++) {
		got += lab_read(lab, SERVER);
		lab_run(lab, 100 * LAB_MS);
	}
	lab_show_ladder(lab);
	lab_tell(lab,
		(struct text){"%llu probes in 40 s; then the program read %zu bytes.",
			"40 秒内 %llu 次探询；之后程序读取了 %zu 字节。"},
		(unsigned long long)probes, got);
	lab_expect(lab, shut, (struct text){"the window was closed", "窗口曾经关闭"});
	lab_expect(lab, probes >= 3 && probes < 15,
		(struct text){"the client asked, ever more rarely", "客户端探询，越来越少"});
	lab_expect(lab, lab_info(lab, CLIENT).unsent == 0 && lab_info(lab, CLIENT).unacked == 0,
		(struct text){"in the end all arrived", "最后全部送达"});
}

static void sliding_window(struct lab *lab)
{
	lab_tell(lab, (struct text){"64 KiB over a path of 20 ms there and back: many segments are "
				    "on their way at once, as many as "
				    "the receiver's window and the congestion window allow. The "
				    "latter begins with 10 segments and "
				    "grows with every acknowledgement (slow start).",
			      "在往返 20 毫秒的路径上传 64 "
			      "KiB：同时有许多报文段在途，多少取决于接收窗口和拥塞窗口。"
			      "后者从 10 个报文段开始，随每个确认增长（慢启动）。"});
	lab_establish(lab);
	uint32_t first = lab_info(lab, CLIENT).cwnd;
	uint64_t began = lab_now(lab);
	size_t got = 0;
	lab_write(lab, CLIENT, 65536);
	while (got < 65536 && lab_now(lab) - began < LAB_SEC) {
		lab_run(lab, LAB_MS);
		got += lab_read(lab, SERVER);
	}
	double ms = (double)(lab_now(lab) - began) / 1e6;
	lab_show_ladder(lab);
	lab_tell(lab,
		(struct text){"%zu bytes in %.0f ms; the congestion window grew from %u to %u "
			      "bytes.",
			"%zu 字节用了 %.0f 毫秒；拥塞窗口从 %u 增长到 %u 字节。"},
		got, ms, first, lab_info(lab, CLIENT).cwnd);
	lab_expect(lab, got == 65536, (struct text){"all arrived", "全部送达"});
	lab_expect(lab, ms < 100,
		(struct text){"in a few round trips, not one for each segment",
			"只用几个往返，而不是每段一个往返"});
	lab_expect(lab, lab_info(lab, CLIENT).cwnd > first,
		(struct text){"the congestion window has grown", "拥塞窗口增长了"});
}

static void keepalive_on(struct lab *lab)
{
	struct tern_stack *stack = lab->host[SERVER].stack;
	tern_tcp_option_set(stack, lab->conn[SERVER], TERN_TCP_KEEPIDLE, 60);
	tern_tcp_option_set(stack, lab->conn[SERVER], TERN_TCP_KEEPINTVL, 10);
	tern_tcp_option_set(stack, lab->conn[SERVER], TERN_TCP_KEEPCNT, 3);
	tern_tcp_option_set(stack, lab->conn[SERVER], TERN_TCP_KEEPALIVE, 1);
}

static void keepalive(struct lab *lab)
{
	lab_tell(lab, (struct text){"A client whose power failed says nothing, not even goodbye. A "
				    "server that only listens would "
				    "keep the connection for ever. With keepalive it asks after an "
				    "idle time (here 60 s), again every "
				    "10 s, and gives up after 3 questions without an answer.",
			      "断电的客户端什么也不说，连再见都没有。只会听的服务端会永远保留连接。"
			      "启用 keepalive 后，它在空闲一段时间"
			      "（这里 60 秒）后询问，每 10 秒再问一次，3 次没有回答就放弃。"});
	lab_establish(lab);
	keepalive_on(lab);
	lab_run(lab, 65 * LAB_SEC);
	bool alive = lab_state(lab, SERVER) == TERN_TCP_ESTABLISHED;
	lab->eat = eat_all_from_client;
	lab_run(lab, 200 * LAB_SEC);
	lab_show_ladder(lab);
	lab_expect(lab, alive,
		(struct text){"while the client was there, it answered", "客户端在时，有回答"});
	lab_expect(lab, lab_error(lab, SERVER) == TERN_ETIMEDOUT,
		(struct text){"when it was not, the server was told ETIMEDOUT",
			"不在时，服务端得到 ETIMEDOUT"});
	lab_expect(lab, lab_count(lab, SERVER, TERN_COUNT_TcpExtTCPKeepAlive) == 4,
		(struct text){"one question was answered, three were not", "一次有回答，三次没有"});
}

static void urg(struct lab *lab)
{
	lab_tell(lab, (struct text){"URG points at a byte the receiver should hurry to. What it "
				    "points at was never agreed upon; RFC "
				    "6093 tells new programs to leave it alone, and the bytes stay "
				    "in line.",
			      "URG 指出接收方应尽快处理到的字节。它究竟指向哪里从未达成一致；RFC "
			      "6093 建议新程序不要使用，数据仍按顺序交付。"});
	lab_establish(lab);
	tern_tcp_write_urgent(lab->host[CLIENT].stack, lab->conn[CLIENT], "!", 1);
	lab_run(lab, LAB_SEC);
	bool pending = lab_info(lab, SERVER).urgent_pending;
	size_t got = lab_read(lab, SERVER);
	lab_show_ladder(lab);
	lab_expect(lab, pending,
		(struct text){"the server was told of it", "服务端得知有紧急数据"});
	lab_expect(lab, got == 1,
		(struct text){"the byte is in line with the others", "该字节仍在正常数据流中"});
}

const struct experiment lab_data[] = {
	{"sliding-window", {"many segments on their way", "滑动窗口"}, sliding_window, false},
	{"retransmit", {"a segment is lost", "丢失与重传"}, retransmit, false},
	{"backoff", {"ever longer timeouts", "越来越长的超时"}, backoff, false},
	{"zero-window", {"a reader that does not read", "零窗口"}, zero_window, false},
	{"keepalive", {"a peer that has vanished", "保活"}, keepalive, false},
	{"urg", {"urgent data", "紧急数据"}, urg, false},
	{0},
};
