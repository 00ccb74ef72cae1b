/* What the runner must find fault with, and that it does so in the script's own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/script/run.h"

#define LISTEN                                                                                     \
	"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"                                            \
	"+0 bind(3, ..., ...) = 0\n"                                                               \
	"+0 listen(3, 1) = 0\n"
#define SYN      "+0 < S 0:0(0) win 32792 <mss 1000,nop,nop,sackOK>\n"
#define SYN_ACK  "+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>\n"
#define ACCEPTED LISTEN SYN SYN_ACK "+.1 < . 1:1(0) ack 1 win 32792\n+0 accept(3, ..., ...) = 4\n"

static char said[4096];

/* Runs a script, or only reads it, and keeps what it wrote to stderr. */
static int play(const char *text, int (*how)(const struct script *, const struct script_opts *))
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	struct script script;
	struct script_opts opts = {.tolerance = -1, .so_flags = ""};
	assert_non_null(file);
	assert_int_equal(tern_script_parse_text(&script, "x.pkt", text), 0);
	dup2(fileno(file), STDERR_FILENO);
	int status = how(&script, &opts);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	said[fread(said, 1, sizeof said - 1, file)] = 0;
	fclose(file);
	tern_script_free(&script);
	return status;
}

static int run(const char *text)
{
	return play(text, tern_script_run);
}

static void assert_passes(const char *text)
{
	if (run(text) != 0)
		fail_msg("%s", said);
	assert_string_equal(said, "");
}

static void assert_says(int status, const char *text, const char *part)
{
	assert_int_equal(run(text), status);
	if (!strstr(said, part))
		fail_msg("said: %s", said);
}

static void assert_fails(const char *text, const char *part)
{
	assert_says(1, text, part);
}

/* As what cannot be run. */
static void assert_refused(const char *text, const char *part)
{
	assert_says(2, text, part);
}

static void a_right_script_passes_in_silence(void **state)
{
	(void)state;
	assert_passes(ACCEPTED "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n");
}

static void an_empty_script_passes(void **state)
{
	(void)state;
	assert_passes("");
}

static void a_wrong_number_is_named(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 2 <mss 1460,nop,nop,sackOK>\n",
		"ack: expected 2, got 1");
	assert_non_null(strstr(said, "x.pkt:5: "));
	assert_non_null(strstr(said, "  0.000000  |-------->|  S 0:0(0) win 32792"));
	assert_non_null(strstr(said, "\n  -    0.000000  |<--------|  S. 0:0(0) ack 2 <mss"));
	assert_non_null(
		strstr(said, "\n  +    0.000000  |<--------|  S. 0:0(0) ack 1 win 65535 <mss"));
	assert_non_null(strstr(said, "  (want)\n"));
}

static void wrong_flags_are_named(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 close(4) = 0\n+0 > . 1:1(0) ack 1\n", "flags differ");
}

static void a_wrong_window_is_named(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 1 win 1 <...>\n", "win: expected 1, got 65535");
}

static void options_are_compared_in_order(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 1 <nop,nop,sackOK,mss 1460>\n",
		"in that order");
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 1 <mss 1460>\n", "in that order");
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 1\n", "in that order");
	assert_fails(LISTEN SYN "+0 > S. 0:0(0) ack 1 <mss 1400,nop,nop,sackOK>\n",
		"mss: expected 1400, got 1460");
}

static void any_options_are_any(void **state)
{
	(void)state;
	assert_passes(LISTEN SYN "+0 > S. 0:0(0) ack 1 <...>\n");
}

static void what_was_left_out_is_said_without_what_was_not(void **state)
{
	(void)state;
	assert_says(0, "`sysctl -q net.ipv4.x=1`\n",
		"left out: 1 setting tern has not, or not so (x)\n");
	assert_says(0, "`ip route flush; tc qdisc show`\n", "left out: 2 commands (ip, tc)\n");
}

static void a_wrong_state_is_named(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 tern_state(4) = FIN_WAIT_1\n",
		"want  FIN_WAIT_1\n    got   ESTABLISHED\n");
	assert_fails(ACCEPTED "+0 tern_state(4) = 99\n", "want  99\n    got   ESTABLISHED\n");
	assert_fails("0 tern_state(4) = ESTABLISHED\n", "want  ESTABLISHED\n    got   -1\n");
}

static void reading_alone_finds_what_cannot_be_run(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {{"0 reed(3, ..., 0) = 1\n",
						       "x.pkt:1: reed() is not known here\n"},
		{"\n0 close(3, 4) = 1\n", "x.pkt:2: close() takes 1 argument\n"},
		{"0 %{ assert tcpi_nonsense == 1 }%\n", "no such name: tcpi_nonsense\n"},
		{"0 %{ x = 1 / tcpi_rtt; print(x); assert y }%\n", "no such name: y\n"},
		{"0 %{ assert 1 + }%\n", "no value at"},
		{"--frobnicate=1\n0 close(3) = 0\n", "x.pkt:1: --frobnicate=1: no such option"}};
	for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
		assert_int_equal(play(wrong[k][0], tern_script_review), 2);
		if (!strstr(said, wrong[k][1]))
			fail_msg("said: %s", said);
	}
}

static void reading_alone_does_not_run(void **state)
{
	(void)state;
	assert_int_equal(play(LISTEN
				 "0 close(9) = 0\n1 %{ assert tcpi_rtt / tcpi_rto == 7, tcpi_rtt\n"
				 "assert SK_MEMINFO_DROPS }%\n",
				 tern_script_review),
		0);
	assert_string_equal(said, "");
}

static void a_packet_that_is_not_sent_is_an_error(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 > . 1:1(0) ack 1\n", "did not send this packet by 0.104");
}

static void an_unexpected_packet_before_an_event_is_an_error(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN "+.1 close(3) = 0\n", "no line expects, before this one");
	assert_non_null(strstr(said, "|<--------|  S. 0:0(0) ack 1"));
}

static void a_packet_sent_before_an_injected_one_is_no_answer_to_it(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN "+0 < R 1:1(0)\n" SYN_ACK, "before this packet comes");
}

static void an_unexpected_packet_at_the_end_is_an_error(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN, "after the last line");
}

static void an_unexpected_packet_just_after_the_end_is_an_error(void **state)
{
	(void)state;
	/* the SYN-ACK's retransmission, 3 ms after the last event and within tolerance */
	assert_fails(LISTEN SYN SYN_ACK "+.997 fcntl(3, F_GETFL) = 2\n", "after the last line");
	assert_passes(LISTEN SYN SYN_ACK "+.99 fcntl(3, F_GETFL) = 2\n");
}

static void a_packet_at_another_time_is_an_error(void **state)
{
	(void)state;
	assert_fails(LISTEN SYN SYN_ACK "+.9 > S. 0:0(0) ack 1 <...>\n", "did not send");
	assert_fails(LISTEN SYN SYN_ACK "+1.01 > S. 0:0(0) ack 1 <...>\n", "too early by 0.0");
	assert_passes(
		"--tolerance_usecs=20000\n" LISTEN SYN SYN_ACK "+1.01 > S. 0:0(0) ack 1 <...>\n");
	assert_passes(LISTEN SYN SYN_ACK "+.9~+1.1 > S. 0:0(0) ack 1 <...>\n");
	assert_passes(LISTEN SYN SYN_ACK "* > S. 0:0(0) ack 1 <...>\n");
}

static void times_after_a_star_count_from_the_packet(void **state)
{
	(void)state;
	assert_passes(LISTEN SYN SYN_ACK "* > S. 0:0(0) ack 1 <...>\n+2 > S. 0:0(0) ack 1 <...>\n");
}

static void a_call_that_returns_another_value_is_an_error(void **state)
{
	(void)state;
	assert_fails("0 close(7) = 0\n", "got   -1 EBADF (Bad file descriptor)");
	assert_fails("0 close(7) = -1 EINVAL (Invalid argument)\n", "want  -1 EINVAL");
	assert_fails(LISTEN "+0 fcntl(3, F_GETFL) = 7\n", "got   2");
}

static void a_call_that_blocks_unasked_is_an_error(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 read(4, ..., 10) = 10\n", "read() blocks");
}

static void a_call_that_never_returns_is_an_error(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0...+.5 read(4, ..., 10) = 10\n", "still block");
}

static void a_blocked_call_returns_in_time(void **state)
{
	(void)state;
	assert_passes(ACCEPTED "+0...+.5 read(4, ..., 10) = 10\n"
			       "+.5 < P. 1:11(10) ack 1 win 32792\n+0 > . 1:1(0) ack 11\n");
	assert_fails(ACCEPTED "+0...+.5 read(4, ..., 10) = 10\n"
			      "+.2 < P. 1:11(10) ack 1 win 32792\n+0 > . 1:1(0) ack 11\n",
		"returned at 0.300000, not at 0.600000");
}

static void a_poll_times_out(void **state)
{
	(void)state;
	assert_passes(ACCEPTED "+0...+.25 poll([{fd=4, events=POLLIN, revents=0}], 1, 250) = 0\n");
	assert_fails(ACCEPTED "+0 poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1\n",
		"revents");
}

static void an_option_with_another_value_is_an_error(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 getsockopt(4, IPPROTO_TCP, TCP_NODELAY, [1], [4]) = 0\n",
		"want  [1]");
	assert_passes(ACCEPTED "+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = -1 ENOPROTOOPT "
			       "(Protocol not available)\n");
}

static void events_out_of_order_are_an_error(void **state)
{
	(void)state;
	assert_refused("1 fcntl(3, F_GETFL) = -1 EBADF\n0 fcntl(3, F_GETFL) = -1 EBADF\n",
		"x.pkt:2: 0.000000 is before");
}

static void what_is_not_known_is_said(void **state)
{
	(void)state;
	assert_refused("0 frobnicate(3, ..., 0) = 1\n", "frobnicate() is not known here");
	assert_refused("0 close(3, 4) = 1\n", "takes 1 argument\n");
	assert_refused("0 send(3) = 1\n", "takes 4 arguments\n");
	assert_refused("--frobnicate=1\n", "x.pkt:1: --frobnicate=1: no such option");
	assert_says(0, "`sysctl -q net.ipv4.x=1; ip route flush`\n",
		"left out: 1 setting tern has not, or not so, 1 command (x, ip)");
	assert_says(0, "`sysctl -q net.ipv4.tcp_congestion_control=bbr net.ipv4.tcp_sack=no`\n",
		"(tcp_congestion_control=bbr, tcp_sack=no)");
	assert_refused("`sysctl -q net.ipv4.tcp_sack=2`\n", "out of range");
}

static void stamps_are_compared_when_a_tick_is_given(void **state)
{
	(void)state;
#define STAMPED(tick, second)                                                                      \
	tick LISTEN "+0 < S 0:0(0) win 9000 <mss 1000,nop,nop,TS val 7 ecr 0>\n"                   \
		    "+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 100 ecr 7>\n"                   \
		    "+1 > S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val " second " ecr 7>\n"
	assert_passes(STAMPED("", "5"));
	assert_passes(STAMPED("--tcp_ts_tick_usecs=1000\n", "1100"));
	assert_fails(STAMPED("--tcp_ts_tick_usecs=1000\n", "1110"),
		"TS val: expected 1110, got 1100");
}

static void connections_are_told_apart_by_port(void **state)
{
	(void)state;
	assert_fails(LISTEN "+0 < [port 5001] S 0:0(0) win 1000\n"
			    "+0 > [port 5002] S. 0:0(0) ack 1 <mss 1460>\n",
		"port: expected 5002, got 5001");
}

static void pcap_holds_every_packet(void **state)
{
	(void)state;
	char path[] = "/tmp/script-pcap-XXXXXX";
	int fd = mkstemp(path);
	struct script script;
	struct script_opts opts = {.tolerance = -1, .pcap = path, .so_flags = ""};
	assert_int_equal(tern_script_parse_text(&script, "x.pkt", ACCEPTED), 0);
	assert_int_equal(tern_script_run(&script, &opts), 0);
	/* file header; SYN and SYN-ACK with 8 bytes of options, and a bare ACK */
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + 3 * 16 + 48 + 48 + 40);
	tern_script_free(&script);
	close(fd);
	unlink(path);
}

/* Code about a connection that has just been accepted. */
static const char *code_in_script(const char *code)
{
	static char text[2048];
	snprintf(text, sizeof text, ACCEPTED "+0 %%{ %s }%%\n", code);
	return text;
}

static void assert_code(const char *code, const char *wrong)
{
	if (wrong)
		assert_fails(code_in_script(code), wrong);
	else
		assert_passes(code_in_script(code));
}

static void assert_code_refused(const char *code, const char *wrong)
{
	assert_refused(code_in_script(code), wrong);
}

static void assertions_are_pythons(void **state)
{
	(void)state;
	assert_code("assert tcpi_state == TCP_ESTABLISHED and tcpi_snd_cwnd == 10", NULL);
	assert_code("assert 1 < 2 <= 2 != 3", NULL);
	assert_code_refused("assert not 1 == 2 or 1 / 0", "division by zero");
	assert_code("assert -7 // 2 == -4 and -7 % 2 == 1 and ~0 == -1", NULL);
	assert_code("assert (1 << 4 | 3 ^ 1) & 0x1f == 18, 'no'", NULL);
	assert_code("x = 3; x += 4\nx -= 1; x *= 2\nassert max(x, 5) == 12 and min(1, x) == 1 # so",
		NULL);
	assert_code("assert (1 +\n 1) == 2; print(1)", NULL);
	assert_code("assert abs(-3) == 3, 'rtt=%d %d' % (tcpi_rtt, 2)", NULL);
	assert_code("assert tcpi_options & TCPI_OPT_SACK and SK_MEMINFO_SNDBUF > 0", NULL);
}

static void a_false_assertion_shows_what_was_found(void **state)
{
	(void)state;
	assert_code("assert tcpi_snd_cwnd == 11, tcpi_snd_cwnd", "tcpi_snd_cwnd is 10");
}

static void what_the_language_has_not_is_said(void **state)
{
	(void)state;
	assert_code_refused("assert tcpi_frobs == 1", "no such name: tcpi_frobs");
	assert_code_refused("import os", "a statement is");
	assert_code_refused("assert len(1)", "no such function: len()");
	assert_code_refused("assert 1.5 > 1", "only whole numbers");
	assert_code_refused("assert 1 2", "more than a statement");
	assert_code_refused("assert (1", "no , or )");
	assert_code_refused("y += 1", "a statement is");
	assert_refused("0 %{ assert tcpi_state == 1 }%\n", "no connection to ask");
}

static void what_is_printed_stands_in_the_ladder(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 %{ print('window', tcpi_snd_cwnd, 2 * (3 + 4)) }%\n"
			      "+0 close(4) = 0\n+0 > . 1:1(0) ack 1\n",
		"|  window 10 14\n");
	assert_code_refused("print 1", "print(...)");
}

static void what_was_wanted_at_any_time_is_shown_beside_what_came(void **state)
{
	(void)state;
	assert_fails(ACCEPTED "+0 close(4) = 0\n* > . 1:1(0) ack 1\n",
		"  -    0.100000  |<--------|  . 1:1(0) ack 1  (want)\n  +    0.100000");
}

static void variables_last_until_the_end(void **state)
{
	(void)state;
	assert_passes(ACCEPTED "+0 %{ cwnd = 9 }%\n+1 %{ cwnd += 1; assert tcpi_snd_cwnd == cwnd "
			       "}%\n");
}

/* Linux hands ten segments to a device that segments; tern sends ten. */
static void a_packet_larger_than_a_segment_may_come_in_segments(void **state)
{
	(void)state;
	assert_passes(ACCEPTED "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n");
	assert_fails("--strict_segments\n" ACCEPTED
		     "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n",
		"length: expected 3000, got 1000");
	assert_fails(ACCEPTED "+0 write(4, ..., 2000) = 2000\n+0 > P. 1:3001(3000) ack 1\n",
		"did not send");
	/* what fits one segment comes in one */
	assert_fails(ACCEPTED "+0 write(4, ..., 400) = 400\n+0 write(4, ..., 400) = 400\n"
			      "+0 > P. 1:801(800) ack 1\n",
		"length: expected 800, got 400");
}

static void after_a_reset_the_same_syn_may_begin_a_new_connection(void **state)
{
	(void)state;
	assert_passes(
		LISTEN SYN SYN_ACK "+.1 < R 1:1(0) win 0\n+.1 < S 0:0(0) win 9000 <mss 1000>\n"
				   "+0 > S. 0:0(0) ack 1 <mss 1460>\n");
}

static void ports_may_be_written_out(void **state)
{
	(void)state;
	assert_passes(LISTEN "+0 < 5001>8080 S 0:0(0) win 1000\n"
			     "+0 > 8080>5001 S. 0:0(0) ack 1 <mss 1460>\n");
}

static void a_script_of_sysctls_is_read_and_never_run(void **state)
{
	(void)state;
	FILE *file = fopen("/tmp/tern-test-defaults.sh", "w");
	assert_non_null(file);
	fputs("#!/bin/sh\nsysctl -q net.ipv4.tcp_rmem=\"4096 540000 $((15*1024*1024))\"\n"
	      "touch /tmp/tern-test-was-run\n",
		file);
	fclose(file);
	assert_passes("`/tmp/tern-test-defaults.sh`\n" LISTEN
		      "+0 < S 0:0(0) win 1000 <mss 1000,nop,wscale 0>\n"
		      "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 8>\n");
	assert_int_equal(access("/tmp/tern-test-was-run", F_OK), -1);
	unlink("/tmp/tern-test-defaults.sh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_script_passes_in_silence),
		cmocka_unit_test(an_empty_script_passes),
		cmocka_unit_test(a_wrong_number_is_named),
		cmocka_unit_test(wrong_flags_are_named),
		cmocka_unit_test(a_wrong_window_is_named),
		cmocka_unit_test(options_are_compared_in_order),
		cmocka_unit_test(any_options_are_any),
		cmocka_unit_test(a_packet_that_is_not_sent_is_an_error),
		cmocka_unit_test(an_unexpected_packet_before_an_event_is_an_error),
		cmocka_unit_test(a_packet_sent_before_an_injected_one_is_no_answer_to_it),
		cmocka_unit_test(an_unexpected_packet_at_the_end_is_an_error),
		cmocka_unit_test(an_unexpected_packet_just_after_the_end_is_an_error),
		cmocka_unit_test(a_packet_at_another_time_is_an_error),
		cmocka_unit_test(times_after_a_star_count_from_the_packet),
		cmocka_unit_test(a_call_that_returns_another_value_is_an_error),
		cmocka_unit_test(a_call_that_blocks_unasked_is_an_error),
		cmocka_unit_test(a_call_that_never_returns_is_an_error),
		cmocka_unit_test(a_blocked_call_returns_in_time),
		cmocka_unit_test(a_poll_times_out),
		cmocka_unit_test(an_option_with_another_value_is_an_error),
		cmocka_unit_test(events_out_of_order_are_an_error),
		cmocka_unit_test(what_is_not_known_is_said),
		cmocka_unit_test(what_was_left_out_is_said_without_what_was_not),
		cmocka_unit_test(reading_alone_finds_what_cannot_be_run),
		cmocka_unit_test(reading_alone_does_not_run),
		cmocka_unit_test(a_wrong_state_is_named),
		cmocka_unit_test(stamps_are_compared_when_a_tick_is_given),
		cmocka_unit_test(connections_are_told_apart_by_port),
		cmocka_unit_test(pcap_holds_every_packet),
		cmocka_unit_test(assertions_are_pythons),
		cmocka_unit_test(a_false_assertion_shows_what_was_found),
		cmocka_unit_test(what_the_language_has_not_is_said),
		cmocka_unit_test(what_is_printed_stands_in_the_ladder),
		cmocka_unit_test(what_was_wanted_at_any_time_is_shown_beside_what_came),
		cmocka_unit_test(variables_last_until_the_end),
		cmocka_unit_test(a_packet_larger_than_a_segment_may_come_in_segments),
		cmocka_unit_test(after_a_reset_the_same_syn_may_begin_a_new_connection),
		cmocka_unit_test(ports_may_be_written_out),
		cmocka_unit_test(a_script_of_sysctls_is_read_and_never_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
