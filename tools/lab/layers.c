/* What a segment is made of: the layers around it, and the flag that says "that is all for now". */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "tools/lab/lab.h"

#define ETHERNET_LEN 14
#define IPV4_LEN     20
#define TCP_LEN      20

static const char request[] = "GET /index.html HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n";

/* The frame with the request, as it went over the wire; and how often an address was asked for. */
static struct {
	uint8_t bytes[1600];
	size_t len;
	unsigned asked;
} caught;

static uint32_t be(const uint8_t *p, unsigned n)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Lets everything pass, and looks at it. */
static bool look(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	(void)lab;
	if (from != CLIENT || frame->len < ETHERNET_LEN)
		return false;
	caught.asked += be(frame->data + 12, 2) == 0x0806;
	if (frame->len <= ETHERNET_LEN + IPV4_LEN + TCP_LEN + sizeof request - 1 ||
		frame->len > sizeof caught.bytes)
		return false;
	memcpy(caught.bytes, frame->data, frame->len);
	caught.len = frame->len;
	return false;
}

/* --- printing fields --------------------------------------------------------------------- */

#define HEX_MOST 6

/* A header that is read from front to back. */
struct header {
	const struct lab *lab;
	const uint8_t *at;
};

/* The next n bytes: in hexadecimal, by name, as people write them, and what they are for. */
static void field(struct header *h, unsigned n, const char *name, struct text what,
	const char *format, ...)
{
	char hex[3 * HEX_MOST + 4] = "", value[64];
	va_list args;
	va_start(args, format);
	vsnprintf(value, sizeof value, format, args);
	va_end(args);
	for (unsigned i = 0; i < n && i < HEX_MOST; i++)
		sprintf(hex + 3 * i, "%02x ", h->at[i]);
	if (n > HEX_MOST)
		strcat(hex, "...");
	h->at += n;
	if (!h->lab->opts->json)
		printf("  %-21s  %-16s %-18s %s\n", hex, name, value,
			h->lab->opts->zh ? what.zh : what.en);
}

static void mac(char *to, const uint8_t *m)
{
	sprintf(to, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void end_of_header(const struct lab *lab)
{
	if (!lab->opts->json)
		printf("\n");
}

static void ethernet(const struct lab *lab, const uint8_t *frame)
{
	struct header h = {lab, frame};
	char to[18], from[18];
	mac(to, frame);
	mac(from, frame + 6);
	lab_tell(lab,
		(struct text){"Link layer, Ethernet, %d bytes: from one device to the next, on "
			      "this "
			      "cable only. A switch reads this far.",
			"链路层，以太网，%d "
			"字节：从一块网卡到下一块，只在这条线上有效。交换机只读到这"
			"里。"},
		ETHERNET_LEN);
	field(&h, 6, "destination", (struct text){"whose device is to take it", "由哪块网卡接收"},
		"%s", to);
	field(&h, 6, "source", (struct text){"whose device sent it", "由哪块网卡发出"}, "%s", from);
	field(&h, 2, "EtherType", (struct text){"what is inside: IPv4", "里面是什么：IPv4"},
		"0x%04" PRIx32, be(frame + 12, 2));
	end_of_header(lab);
}

static void ipv4(const struct lab *lab, const uint8_t *p)
{
	struct header h = {lab, p};
	lab_tell(lab,
		(struct text){"Network layer, IPv4, %d bytes: from one host to another, over as "
			      "many "
			      "cables as it takes. A router reads this far, and writes a new link "
			      "header.",
			"网络层，IPv4，%d "
			"字节：从一台主机到另一台，不管经过多少段线路。路由器读到这里"
			"，并换上新的链路层首部。"},
		IPV4_LEN);
	field(&h, 1, "version, length",
		(struct text){"IPv4; header in words of 4 bytes", "IPv4；首部长度，以 4 字节计"},
		"%u, %u", p[0] >> 4, p[0] & 15u);
	field(&h, 1, "DSCP, ECN", (struct text){"class of service; congestion", "服务类别；拥塞"},
		"%u, %u", p[1] >> 2, p[1] & 3u);
	field(&h, 2, "total length",
		(struct text){"this header and all inside", "首部与其中的一切"}, "%" PRIu32,
		be(p + 2, 2));
	field(&h, 2, "identification",
		(struct text){"which packet a fragment is of", "分片属于哪个包"}, "%" PRIu32,
		be(p + 4, 2));
	field(&h, 2, "flags, offset",
		(struct text){"don't fragment: TCP finds a size that fits",
			"不许分片：TCP 自己找合适的大小"},
		"%s, %" PRIu32, p[6] & 0x40 ? "DF" : "-", be(p + 6, 2) & 0x1fff);
	field(&h, 1, "time to live",
		(struct text){"routers it may still pass", "还可以经过多少台路由器"}, "%u", p[8]);
	field(&h, 1, "protocol", (struct text){"what is inside: TCP", "里面是什么：TCP"}, "%u",
		p[9]);
	field(&h, 2, "checksum", (struct text){"of this header alone", "只校验这个首部"},
		"0x%04" PRIx32, be(p + 10, 2));
	field(&h, 4, "source", (struct text){"the client's address", "客户端地址"}, "%u.%u.%u.%u",
		p[12], p[13], p[14], p[15]);
	field(&h, 4, "destination", (struct text){"the server's", "服务端地址"}, "%u.%u.%u.%u",
		p[16], p[17], p[18], p[19]);
	end_of_header(lab);
}

static void flag_names(char *to, uint8_t flags)
{
	static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
	*to = '\0';
	for (unsigned i = 0; i < 8; i++)
		if (flags >> i & 1)
			strcat(strcat(to, *to ? "," : ""), names[i]);
}

static void tcp(const struct lab *lab, const uint8_t *p, unsigned len)
{
	struct header h = {lab, p};
	char flags[40];
	struct tern_tcp_info info = lab_info(lab, CLIENT);
	flag_names(flags, p[13]);
	lab_tell(lab,
		(struct text){"Transport layer, TCP, %u bytes: from one program to another, every "
			      "byte of a stream once and in order. Only the two hosts read this.",
			"传输层，TCP，%u "
			"字节：从一个程序到另一个，字节流里每个字节恰好一次，而且按序。"
			"只有两端主机读它。"},
		len);
	field(&h, 2, "source port",
		(struct text){"which program of the client", "客户端的哪个程序"}, "%" PRIu32,
		be(p, 2));
	field(&h, 2, "destination port",
		(struct text){"which of the server: HTTP", "服务端的哪个程序：HTTP"}, "%" PRIu32,
		be(p + 2, 2));
	field(&h, 4, "sequence",
		(struct text){"number of the first byte: the ISN + 1", "第一个字节的序号：ISN + 1"},
		"%" PRIu32, be(p + 4, 4));
	field(&h, 4, "acknowledgment",
		(struct text){"the byte it expects next", "期望收到的下一个字节"}, "%" PRIu32,
		be(p + 8, 4));
	field(&h, 1, "data offset",
		(struct text){"header in words of 4 bytes", "首部长度，以 4 字节计"}, "%u",
		p[12] >> 4);
	field(&h, 1, "flags",
		(struct text){"the acknowledgment counts; nothing more to come for now",
			"确认号有效；暂时没有更多数据"},
		"%s", flags);
	field(&h, 2, "window",
		(struct text){"bytes it has room for, in units of the scale",
			"还能收多少，以窗口扩大因子为单位"},
		"%" PRIu32 " << %u", be(p + 14, 2), info.rcv_wscale);
	field(&h, 2, "checksum",
		(struct text){"header, text and both addresses", "首部、数据和两个地址"},
		"0x%04" PRIx32, be(p + 16, 2));
	field(&h, 2, "urgent pointer", (struct text){"nothing without URG", "没有 URG 就没有意义"},
		"%" PRIu32, be(p + 18, 2));
	if (len > TCP_LEN)
		field(&h, len - TCP_LEN, "options",
			(struct text){"timestamps: when it left, and an echo of the peer's",
				"时间戳：何时发出，以及对端时间戳的回显"},
			"%u bytes", len - TCP_LEN);
	end_of_header(lab);
}

/* --- layers -------------------------------------------------------------------------------- */

/* The internet checksum over what holds its own checksum is 0. */
static uint16_t folded(uint64_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint64_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint64_t pseudo_header(const uint8_t *ip, size_t len)
{
	uint64_t sum = 6 + len;
	for (unsigned i = 12; i < IPV4_LEN; i += 2)
		sum += be(ip + i, 2);
	return sum;
}

static void wrap(const struct lab *lab, unsigned tcp_len)
{
	unsigned text = sizeof request - 1, segment = text + tcp_len, packet = segment + IPV4_LEN;
	lab_tell(lab,
		(struct text){"Wrapped, at the client. The browser writes %u bytes of HTTP to a "
			      "socket. TCP puts %u before them: a segment of %u. IP puts %u before "
			      "that: a packet of %u. Ethernet puts %u before that: a frame of %u. "
			      "No layer looks into what it was given.",
			"在客户端，一层层包裹。浏览器向套接字写 %u 字节的 HTTP。TCP 在前面加 %u "
			"字节，成为 %u 字节的报文段；IP 再加 %u 字节，成为 %u 字节的包；以太网再加 "
			"%u "
			"字节，成为 %u 字节的帧。每一层都不看交给它的内容。"},
		text, tcp_len, segment, IPV4_LEN, packet, ETHERNET_LEN, packet + ETHERNET_LEN);
}

static void application(const struct lab *lab, const uint8_t *text, size_t len)
{
	lab_tell(lab, (struct text){"Application layer, HTTP: what it was all for. Only the two "
				    "programs read this.",
			      "应用层，HTTP：这一切的目的。只有两端的程序读它。"});
	if (lab->opts->json)
		return;
	printf("  ");
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			printf("\\n\n%s", i + 1 < len ? "  " : "");
		else if (text[i] == '\r')
			printf("\\r");
		else
			putchar(text[i]);
	printf("\n");
}

static void layers(struct lab *lab)
{
	uint8_t got[sizeof request];
	memset(&caught, 0, sizeof caught);
	lab->eat = look;
	lab_establish(lab);
	tern_tcp_write(lab->host[CLIENT].stack, lab->conn[CLIENT], request, sizeof request - 1);
	lab_run(lab, LAB_SEC);
	ptrdiff_t n = tern_tcp_read(lab->host[SERVER].stack, lab->conn[SERVER], got, sizeof got);
	const uint8_t *ip = caught.bytes + ETHERNET_LEN, *segment = ip + IPV4_LEN;
	unsigned tcp_len = caught.len ? (unsigned)(segment[12] >> 4) * 4 : TCP_LEN;
	size_t whole = ETHERNET_LEN + IPV4_LEN + tcp_len + sizeof request - 1;
	lab_tell(lab,
		(struct text){"Before the first packet, the link layer has to know whose "
			      "device has the address 10.0.0.2: it asks everybody on the "
			      "cable (ARP).",
			"在第一个包之前，链路层要知道 10.0.0.2 在哪块网卡上：它问线上的所有人（ARP"
			"）。"});
	wrap(lab, tcp_len);
	lab_tell(lab, (struct text){"Unwrapped, at the server, a header at a time:",
			      "在服务端，一层层解开："});
	ethernet(lab, caught.bytes);
	ipv4(lab, ip);
	tcp(lab, segment, tcp_len);
	application(lab, segment + tcp_len, sizeof request - 1);
	lab_expect(lab, caught.asked > 0,
		(struct text){"the link layer asked for an address first", "链路层先询问了地址"});
	lab_expect(lab, caught.len == whole,
		(struct text){"the frame is the sum of its layers", "帧长等于各层之和"});
	lab_expect(lab,
		be(caught.bytes + 12, 2) == 0x0800 && ip[9] == 6 && be(segment + 2, 2) == 80,
		(struct text){"each header says what is inside", "每个首部都说明里面是什么"});
	size_t tcp_whole = tcp_len + sizeof request - 1;
	lab_expect(lab,
		caught.len == whole && folded(0, ip, IPV4_LEN) == 0 &&
			folded(pseudo_header(ip, tcp_whole), segment, tcp_whole) == 0,
		(struct text){"both checksums are right", "两个校验和都正确"});
	lab_expect(lab, n == sizeof request - 1 && memcmp(got, request, sizeof request - 1) == 0,
		(struct text){"the server's program has the client's bytes, and only those",
			"服务端程序得到的正是客户端写的字节"});
}

/* --- psh ------------------------------------------------------------------------------------- */

static struct {
	unsigned segments, pushed; /* with data, of the client; those with PSH */
	bool last_pushed;
	uint32_t before; /* bytes the server's program could read before one with PSH came */
} pushes;

static bool watch_pushes(struct lab *lab, unsigned from, const struct tern_frame *frame)
{
	(void)lab;
	if (from != CLIENT || lab_flags(frame) < 0 || frame->len < 500)
		return false;
	pushes.last_pushed = lab_flags(frame) & 8;
	pushes.segments++;
	pushes.pushed += pushes.last_pushed;
	return false;
}

static void note_unread(struct lab *lab, unsigned host)
{
	struct tern_tcp_info info = lab_info(lab, SERVER);
	if (host == SERVER && info.unread && pushes.before == 0)
		pushes.before = info.unread;
}

static void psh(struct lab *lab)
{
	memset(&pushes, 0, sizeof pushes);
	lab_tell(lab,
		(struct text){"A program writes 4000 bytes: three segments, the small one after "
			      "the "
			      "others are acknowledged (Nagle). PSH on the last says: "
			      "that is all for now, do not wait for more. The sender's TCP sets it "
			      "by itself when its buffer is empty; programs cannot. A receiver may "
			      "wait for it before it wakes its program; tern, like Linux, never "
			      "waits.",
			"程序写 4000 "
			"字节，成为三个报文段，小的那个等前面的得到确认才发（Nagle）。最后一个带 "
			"PSH：暂时就这些，不必再等。发送方的 "
			"TCP 在缓冲区清空时自己设置它，程序无法设置。接收方可以等到 PSH "
			"再唤醒程序；tern 和 Linux 一样，从不等待。"});
	lab_establish(lab);
	lab->eat = watch_pushes;
	lab->react = note_unread;
	lab_write(lab, CLIENT, 4000);
	lab_run(lab, LAB_SEC);
	size_t got = lab_read(lab, SERVER);
	lab_show_ladder(lab);
	lab_expect(lab, pushes.segments == 3 && pushes.pushed == 1 && pushes.last_pushed,
		(struct text){"of three segments the last has PSH",
			"三个报文段中只有最后一个带 PSH"});
	lab_expect(lab, pushes.before > 0 && pushes.before < 4000,
		(struct text){"the first could be read before the one with PSH came",
			"带 PSH 的到来之前，前面的已经可读"});
	lab_expect(lab, got == 4000, (struct text){"all arrived", "全部送达"});
}

const struct experiment lab_layers[] = {
	{"layers", {"one HTTP request, layer by layer", "一个 HTTP 请求，逐层解开"}, layers, true},
	{"psh", {"the last segment of a write", "PSH 标志"}, psh, false},
	{0},
};
