#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tools/script/ast.h"
#include "tools/script/packet.h"

/* Frees what the test before it parsed, too. */
static struct script script;

static int clean(void **state)
{
	(void)state;
	tern_script_free(&script);
	memset(&script, 0, sizeof script);
	return 0;
}

static struct script_event *parse(const char *text)
{
	int status = tern_script_parse_text(&script, "test", text);
	if (status)
		print_error("line %d: %s\n", script.error_line, script.error);
	assert_int_equal(status, 0);
	return script.events;
}

static void assert_error(const char *text, int line, const char *part)
{
	assert_int_equal(tern_script_parse_text(&script, "test", text), -1);
	if (!strstr(script.error, part))
		fail_msg("got: %s", script.error);
	assert_int_equal(script.error_line, line);
}

static void an_empty_script_has_no_events(void **state)
{
	(void)state;
	assert_null(parse("// nothing\n# at all\n/* on\n two lines */\n"));
	assert_int_equal(script.line, 5);
}

static void times_are_nanoseconds_without_rounding(void **state)
{
	(void)state;
	assert_int_equal(tern_script_seconds(".1"), 100 * SCRIPT_MS);
	assert_int_equal(tern_script_seconds("0.3"), 300 * SCRIPT_MS);
	assert_int_equal(tern_script_seconds("127"), 127 * SCRIPT_S);
	assert_int_equal(tern_script_seconds("1.000000001"), SCRIPT_S + 1);
}

static void absolute_and_relative_times_are_told_apart(void **state)
{
	(void)state;
	struct script_event *e = parse("0 close(3) = 0\n+.1 close(4) = 0\n0.2 close(5) = 0");
	assert_int_equal(e->time.kind, TIME_ABSOLUTE);
	assert_int_equal(e->next->time.kind, TIME_RELATIVE);
	assert_int_equal(e->next->time.from, 100 * SCRIPT_MS);
	assert_int_equal(e->next->next->time.from, 200 * SCRIPT_MS);
	assert_int_equal(e->next->next->line, 3);
}

static void a_range_may_be_written_with_a_tilde_or_dots(void **state)
{
	(void)state;
	struct script_event *e = parse("+0~+.2 > . 1:1(0) ack 1\n0...0.3 accept(3, ..., ...) = 4");
	assert_true(e->time.range);
	assert_int_equal(e->time.to, 200 * SCRIPT_MS);
	assert_true(e->next->time.range);
	assert_int_equal(e->next->time.kind, TIME_ABSOLUTE);
	assert_int_equal(e->next->time.to, 300 * SCRIPT_MS);
}

static void the_end_of_a_range_may_count_from_its_start(void **state)
{
	(void)state;
	struct script_event *e = parse("1...+.5 accept(3, ..., ...) = 4");
	assert_int_equal(e->time.to, 1500 * SCRIPT_MS);
}

static void a_star_is_any_time(void **state)
{
	(void)state;
	assert_int_equal(parse("* > . 1:1(0) ack 1")->time.kind, TIME_ANY);
}

static void a_packet_is_read_with_all_its_parts(void **state)
{
	(void)state;
	const struct script_packet *p = parse("0 < FPU. 1:1001(1000) ack 5 win 257 urg 9")->packet;
	assert_true(p->inbound);
	assert_int_equal(p->flags, FLAG_FIN | FLAG_PSH | FLAG_URG | FLAG_ACK);
	assert_int_equal(p->seq, 1);
	assert_int_equal(p->len, 1000);
	assert_int_equal(p->ack, 5);
	assert_int_equal(p->window, 257);
	assert_int_equal(p->urgent, 9);
	assert_int_equal(p->options, 0);
}

static void omitted_parts_of_a_packet_are_any(void **state)
{
	(void)state;
	const struct script_packet *p = parse("0 > S 0:0(0) <...>")->packet;
	assert_false(p->has_window || p->has_ack || p->has_urgent);
	assert_true(p->any_options);
	assert_int_equal(p->ecn, -1);
}

static void options_keep_their_order(void **state)
{
	(void)state;
	const struct script_packet *p =
		parse("0 < S 0:0(0) win 1 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>")->packet;
	static const uint8_t kinds[] = {OPTION_MSS, OPTION_SACK_OK, OPTION_TIMESTAMP, OPTION_NOP,
		OPTION_WSCALE};
	assert_int_equal(p->options, 5);
	for (unsigned k = 0; k < 5; k++)
		assert_int_equal(p->option[k].kind, kinds[k]);
	assert_int_equal(p->option[0].value, 1460);
	assert_int_equal(p->option[2].value, 100);
	assert_int_equal(p->option[4].value, 7);
}

static void timestamps_may_be_any(void **state)
{
	(void)state;
	const struct script_option *o =
		parse("0 > . 1:1(0) ack 1 <nop,nop,TS val ... ecr 7>")->packet->option;
	assert_true(o[2].any_value);
	assert_false(o[2].any_ecr);
	assert_int_equal(o[2].ecr, 7);
}

static void sack_blocks_are_pairs(void **state)
{
	(void)state;
	const struct script_option *o =
		parse("0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001 3001:4001>")->packet->option;
	assert_int_equal(o[2].blocks, 2);
	assert_int_equal(o[2].sack[1].lo, 3001);
	assert_int_equal(o[2].sack[1].hi, 4001);
}

static void an_icmp_error_quotes_a_packet_on_either_side(void **state)
{
	(void)state;
	struct script_event *e = parse("0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]\n"
				       "0 < [1:1461(1460)] icmp time_exceeded ttl");
	const struct script_packet *p = e->packet, *q = e->next->packet;
	assert_int_equal(p->icmp_type, 3);
	assert_int_equal(p->icmp_code, 4);
	assert_int_equal(p->mtu, 1200);
	assert_int_equal(q->icmp_type, 11);
	assert_int_equal(q->quote_len, 1460);
}

static void marks_name_ecn_bits_ports_and_bad_checksums(void **state)
{
	(void)state;
	const struct script_packet *p =
		parse("0 < [ce, port 5000, badsum] . 1:1(0) ack 1 win 1")->packet;
	assert_int_equal(p->ecn, 3);
	assert_int_equal(p->remote_port, 5000);
	assert_true(p->bad_checksum);
}

static void a_call_has_arguments_a_result_and_an_error(void **state)
{
	(void)state;
	const struct script_call *c = parse("0 connect(3, ..., ...) = -1 EINPROGRESS (Operation "
					    "now in progress)\n+0 close(3) = 0")
					      ->call;
	assert_string_equal(c->name, "connect");
	assert_int_equal(c->args->value, 3);
	assert_int_equal(c->args->next->kind, EXPR_ANY);
	assert_int_equal(c->result->value, -1);
	assert_int_equal(c->error, EINPROGRESS);
}

static void constants_join_with_a_bar(void **state)
{
	(void)state;
	const struct script_call *c =
		parse("0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, 0x6) = 3")->call;
	assert_int_equal(c->args->next->value, SOCK_STREAM | SOCK_NONBLOCK);
	assert_int_equal(c->args->next->next->value, 6);
}

static void structs_name_their_fields(void **state)
{
	(void)state;
	const struct script_call *c = parse("0 bind(3, {sa_family = AF_INET, sin_port = htons(80), "
					    "sin_addr = inet_addr(\"192.168.0.1\")}, ...) = 0")
					      ->call;
	const struct script_expr *field = c->args->next->items;
	assert_string_equal(field->next->name, "sin_port");
	assert_int_equal(field->next->value, 80);
	assert_string_equal(field->next->next->text, "192.168.0.1");
}

static void a_note_may_follow_a_result(void **state)
{
	(void)state;
	assert_int_equal(parse("0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)\n")->call->result->value,
		2);
}

static void option_lines_and_commands_are_kept(void **state)
{
	(void)state;
	struct script_event *e =
		parse("--mtu=576\n`sysctl -q net.ipv4.tcp_sack=0`\n0 close(3) = 0");
	assert_string_equal(script.options->name, "mtu");
	assert_string_equal(script.options->value, "576");
	assert_int_equal(e->kind, EVENT_COMMAND);
	assert_string_equal(e->command, "sysctl -q net.ipv4.tcp_sack=0");
}

static void errors_say_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int line;
		const char *part;
	} cases[] = {
		{"\n\n0 < S 0:1(0) win 5", 3, "does not add up"},
		{"0 < 1>99999 . 1:1(0) win 5", 1, "ports are"},
		{"0 < . 1:1(0) win 5 <md6 00>", 1, "no such TCP option"},
		{"0 < S 0:0(0)", 1, "win"},
		{"0 < Q 0:0(0) win 5", 1, "no such flag"},
		{"0 close(3) = -1 EWHAT", 1, "EWHAT"},
		{"0 socket(AF_WHAT, 1, 1) = 3", 1, "AF_WHAT"},
		{"0 close(3) = 0\n+0 %{ assert tcpi_cwnd == 10", 2, "without its }%"},
		{"0 close(3) =\n", 1, "unexpected"},
		{"/* no end\n", 2, "comment"},
		{"0 < icmp unreachable code_256", 1, "no such ICMP"},
		{"* close(3) = 0", 1, "time *"},
		{".2~.1 > . 1:1(0) ack 1", 1, "before it begins"},
		{"0 < . 1:1(0) ack 1 win 70000", 1, "16 bits"},
		{"0 < S 0:0(0) win 1 <sack 1:2 1:2 1:2 1:2,sack 1:2>", 1, "options take"},
		{"0 < S 0:0(0) win 1 <...>", 1, "to be sent"},
		{"0 close(3) = 0\n--mtu=1400\n", 2, "before the first event"},
	};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		assert_error(cases[k].text, cases[k].line, cases[k].part);
		clean(NULL);
	}
}

static void a_packet_prints_as_it_was_written(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"< S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>",
		"> FP. 1:11(10) ack 1 <nop,nop,TS val 1 ecr ...>",
		"< [ce] SEW 0:0(0) win 1",
		"> R 1:1(0)",
		"> . 1:1(0) ack 1 win 5 <...>",
		"< [port 99] U. 1:2(1) ack 1 win 1 urg 1",
		"< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
		"> udp (100)",
		"< S 0:0(0) win 1 <FO 0123abcd,kind 99 0a0b,uto 5>",
		"> . 1:1(0) ack 1 <nop,nop,sack 1001:2001 3001:4001>",
	};
	char line[SCRIPT_TEXT], text[SCRIPT_TEXT];
	for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
		snprintf(line, sizeof line, "0 %s", lines[k]);
		assert_string_equal(tern_script_packet_text(parse(line)->packet, text), lines[k]);
		clean(NULL);
	}
}

static const struct script_addresses addresses = {{192, 168, 0, 1}, {192, 0, 2, 1}};

/* A packet as if tern had sent it: built for the other direction, its ports swapped. */
static uint32_t build(const char *line, uint8_t *bytes)
{
	const struct script_addresses turned = {{192, 0, 2, 1}, {192, 168, 0, 1}};
	struct script_packet p = *parse(line)->packet;
	p.remote_port = 8080;
	p.local_port = 5000;
	return tern_script_build(&turned, &p, 0, bytes);
}

static void a_built_packet_decodes_to_itself(void **state)
{
	(void)state;
	uint8_t bytes[2048];
	const uint8_t *payload;
	struct script_packet got;
	char text[SCRIPT_TEXT];
	uint32_t len = build("0 < P. 7:107(100) ack 9 win 3 <mss 1400,nop,nop,TS val 5 ecr 6,"
			     "sackOK,wscale 3>",
		bytes);
	assert_null(tern_script_decode(&addresses, bytes, len, &got, &payload));
	assert_int_equal(got.local_port, 8080);
	assert_int_equal(got.len, 100);
	assert_int_equal(payload[99], tern_script_byte(true, 99));
	assert_int_equal(tern_script_compare(script.events->packet, &got, 1, 0, text), 0);
}

static void every_flipped_bit_of_a_packet_is_noticed(void **state)
{
	(void)state;
	uint8_t bytes[2048];
	const uint8_t *payload;
	struct script_packet got;
	char text[SCRIPT_TEXT];
	uint32_t len = build("0 < P. 7:17(10) ack 9 win 3 <mss 1400>", bytes);
	for (uint32_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		const char *wrong = tern_script_decode(&addresses, bytes, len, &got, &payload);
		if (!wrong && !tern_script_compare(script.events->packet, &got, 1, 0, text))
			fail_msg("bit %u", bit);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_null(tern_script_decode(&addresses, bytes, len, &got, &payload));
}

static void a_comparison_names_each_field(void **state)
{
	(void)state;
	char text[SCRIPT_TEXT];
	struct script_event *e = parse("0 > . 1:1(0) ack 1 <nop,nop,TS val 1 ecr 2>\n"
				       "0 > P. 2:2(0) ack 3 <nop,nop,TS val 5 ecr 3>");
	unsigned n =
		tern_script_compare(e->packet, e->next->packet, SCRIPT_MS, 4 * SCRIPT_MS, text);
	assert_int_equal(n, 4); /* the TS val is within tolerance */
	assert_non_null(strstr(text, "flags differ"));
	assert_non_null(strstr(text, "seq: expected 1, got 2"));
	assert_non_null(strstr(text, "ack: expected 1, got 3"));
	assert_non_null(strstr(text, "TS ecr: expected 2, got 3"));
}

static void sequence_numbers_are_mapped_across_the_wrap(void **state)
{
	(void)state;
	struct script_flow flow = {.renumbers = true};
	struct script_packet syn = *parse("0 < S 4294967295:4294967295(0) win 1")->packet;
	tern_script_to_live(&flow, &syn);
	struct script_packet reply = {.protocol = PROTOCOL_TCP,
		.flags = FLAG_SYN | FLAG_ACK,
		.has_ack = true,
		.seq = 0xfffffff0,
		.ack = 0};
	tern_script_learn(&flow, &reply, NULL);
	tern_script_to_script(&flow, &reply);
	assert_int_equal(reply.seq, 0);
	clean(NULL);
	struct script_packet data = *parse("0 < . 1:101(100) ack 21 win 1")->packet;
	tern_script_to_live(&flow, &data);
	assert_int_equal(data.seq, 0);
	assert_int_equal(data.ack, 5);
}

static void a_stamp_goes_back_as_it_came(void **state)
{
	(void)state;
	struct script_flow flow = {.has_local = true};
	struct script_packet live = {.protocol = PROTOCOL_TCP,
		.flags = FLAG_ACK,
		.options = 1,
		.option = {{.kind = OPTION_TIMESTAMP, .value = 777}}};
	struct script_event *e = parse("0 > . 1:1(0) ack 1 <TS val 100 ecr 0>\n"
				       "0 < . 1:1(0) ack 1 win 1 <TS val 5 ecr 100>\n"
				       "0 < . 1:1(0) ack 1 win 1 <TS val 5 ecr 110>");
	tern_script_learn(&flow, &live, e->packet);
	tern_script_to_live(&flow, e->next->packet);
	tern_script_to_live(&flow, e->next->next->packet);
	assert_int_equal(e->next->packet->option[0].ecr, 777);
	assert_int_equal(e->next->next->packet->option[0].ecr, 787);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_script_has_no_events),
		TEST(times_are_nanoseconds_without_rounding),
		TEST(absolute_and_relative_times_are_told_apart),
		TEST(a_range_may_be_written_with_a_tilde_or_dots),
		TEST(the_end_of_a_range_may_count_from_its_start),
		TEST(a_star_is_any_time),
		TEST(a_packet_is_read_with_all_its_parts),
		TEST(omitted_parts_of_a_packet_are_any),
		TEST(options_keep_their_order),
		TEST(timestamps_may_be_any),
		TEST(sack_blocks_are_pairs),
		TEST(an_icmp_error_quotes_a_packet_on_either_side),
		TEST(marks_name_ecn_bits_ports_and_bad_checksums),
		TEST(a_call_has_arguments_a_result_and_an_error),
		TEST(constants_join_with_a_bar),
		TEST(structs_name_their_fields),
		TEST(a_note_may_follow_a_result),
		TEST(option_lines_and_commands_are_kept),
		TEST(errors_say_the_line),
		TEST(a_packet_prints_as_it_was_written),
		TEST(a_built_packet_decodes_to_itself),
		TEST(every_flipped_bit_of_a_packet_is_noticed),
		TEST(a_comparison_names_each_field),
		TEST(sequence_numbers_are_mapped_across_the_wrap),
		TEST(a_stamp_goes_back_as_it_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
