/*
 * Exact ladders of synthetic connections, in ASCII and 80 columns. Long, because they stand here
 * as they print.
 */
#include <stdio.h>

#include "test/unit/host/ladder_play.h"

static struct tern_ladder *ladder;
static struct play play;

static int set_up(void **state)
{
	(void)state;
	ladder = tern_ladder_new(NULL);
	play = (struct play){.to = tern_ladder_listener(ladder),
		.state = {TERN_TCP_CLOSED, TERN_TCP_LISTEN}};
	return ladder ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	tern_ladder_free(ladder);
	return 0;
}

static char *printed(struct tern_ladder *l, enum tern_ladder_choice utf8,
	enum tern_ladder_choice colour)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	tern_ladder_print(l, out,
		&(struct tern_ladder_style){.width = 80, .utf8 = utf8, .colour = colour});
	fclose(out);
	return text;
}

static void expect(const char *wanted)
{
	char *text = printed(ladder, TERN_LADDER_NO, TERN_LADDER_NO);
	assert_string_equal(text, wanted);
	free(text);
}

/* What play_open looks like when tern is the client. */
#define OPENING                                                                                    \
	"client 10.77.0.2:49152                                       server 10.77.0.1:80\n"       \
	"tern (its own states)                               (inferred from its segments)\n"       \
	"  ms since the first segment; (inferred): half the least RTT of 0.050 ms away\n"          \
	"               |                                                |\n"                      \
	"               | 1st handshake: client -> SYN_SENT              |\n"                      \
	"         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>| (0.025)\n"              \
	"      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | (LISTEN)\n"             \
	"               |   wscale 7                                     |\n"                      \
	"               |                                                |\n"                      \
	"               | 2nd handshake: server -> SYN_RECEIVED          |\n"                      \
	"         0.050 |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------| (0.025)\n"              \
	"   ESTABLISHED |   len 0  absolute seq 9000 ack 1001  mss 1460  | (SYN_RECEIVED)\n"       \
	"               |   SACK ok  wscale 7                            |\n"                      \
	"               |                                                |\n"                      \
	"               | 3rd handshake: client, then server ->          |\n"                      \
	"               | ESTABLISHED                                    |\n"                      \
	"         0.060 |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->| (0.085)\n"              \
	"   ESTABLISHED |   absolute seq 1001 ack 9001                   | (ESTABLISHED)\n"

static void a_close_of_four_segments_is_named_step_by_step(void **state)
{
	(void)state;
	play_open(&play);
	play_state(&play, 1000, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
	play_send(&play, 1000, F | A, 1, 1, 0);
	play_receive(&play, 1050, A, 1, 2, 0, TERN_TCP_FIN_WAIT_2, TERN_CAUSE_ACK);
	play_receive(&play, 2000, F | A, 1, 2, 0, TERN_TCP_TIME_WAIT, TERN_CAUSE_FIN);
	play_send(&play, 2000, A, 2, 2, 0);
	play_state(&play, 60002000, TERN_TCP_CLOSED, TERN_CAUSE_2MSL);
	expect(OPENING
		"               |                                                |\n"
		"               | 1st close: client -> FIN_WAIT_1                |\n"
		"         1.000 |-- [FIN, ACK]  seq 1  ack 1  win 65,535 ------->| (1.025)\n"
		"    FIN_WAIT_1 |   len 0  absolute seq 1001 ack 9001            | (ESTABLISHED)\n"
		"               |                                                |\n"
		"               | 2nd close: server -> CLOSE_WAIT, client ->     |\n"
		"               | FIN_WAIT_2                                     |\n"
		"         1.050 |<- [ACK]  seq 1  ack 2  win 65,535  len 0 ------| (1.025)\n"
		"    FIN_WAIT_2 |   absolute seq 9001 ack 1002                   | (CLOSE_WAIT)\n"
		"               |                                                |\n"
		"               | 3rd close: server -> LAST_ACK                  |\n"
		"         2.000 |<- [FIN, ACK]  seq 1  ack 2  win 65,535 --------| (1.975)\n"
		"     TIME_WAIT |   len 0  absolute seq 9001 ack 1002            | (LAST_ACK)\n"
		"               |                                                |\n"
		"               | 4th close: client -> TIME_WAIT, server ->      |\n"
		"               | CLOSED                                         |\n"
		"         2.000 |-- [ACK]  seq 2  ack 2  win 65,535  len 0 ----->| (2.025)\n"
		"     TIME_WAIT |   absolute seq 1002 ack 9002                   | (CLOSED)\n"
		"               |                                                |\n"
		"     60002.000 | 2 MSL have passed: client TIME_WAIT -> CLOSED  |\n"
		"        CLOSED |                                                | (CLOSED)\n"
		"               |                                                |\n");
}

static void as_server_closed_upon_tern_is_the_right_side(void **state)
{
	(void)state;
	play.server = true;
	play_receive(&play, 0, S, 0, 0, 0, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	play_send(&play, 5, S | A, 0, 1, 0);
	play_receive(&play, 105, A, 1, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_ACK);
	play_receive(&play, 1000, F | A, 1, 1, 0, TERN_TCP_CLOSE_WAIT, TERN_CAUSE_FIN);
	play_send(&play, 1001, A, 1, 2, 0);
	play_state(&play, 2000, TERN_TCP_LAST_ACK, TERN_CAUSE_CLOSE);
	play_send(&play, 2000, F | A, 1, 2, 0);
	play_receive(&play, 2050, A, 2, 2, 0, TERN_TCP_CLOSED, TERN_CAUSE_ACK);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "(inferred from its segments)                               tern (its own states)\n"
	       "  ms since the first segment; (inferred): half the least RTT of 0.100 ms away\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "      (-0.050) |-- [SYN]  seq 0  win 65,535  len 0 ------------>| 0.000\n"
	       "    (SYN_SENT) |   absolute seq 1000  mss 1460  SACK ok         | SYN_RECEIVED\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | 2nd handshake: server -> SYN_RECEIVED          |\n"
	       "       (0.055) |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------| 0.005\n"
	       "    (SYN_SENT) |   len 0  absolute seq 9000 ack 1001  mss 1460  | SYN_RECEIVED\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |                                                |\n"
	       "               | 3rd handshake: client, then server ->          |\n"
	       "               | ESTABLISHED                                    |\n"
	       "       (0.055) |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->| 0.105\n"
	       " (ESTABLISHED) |   absolute seq 1001 ack 9001                   | ESTABLISHED\n"
	       "               |                                                |\n"
	       "               | 1st close: client -> FIN_WAIT_1                |\n"
	       "       (0.950) |-- [FIN, ACK]  seq 1  ack 1  win 65,535 ------->| 1.000\n"
	       "  (FIN_WAIT_1) |   len 0  absolute seq 1001 ack 9001            | CLOSE_WAIT\n"
	       "               |                                                |\n"
	       "               | 2nd close: server -> CLOSE_WAIT, client ->     |\n"
	       "               | FIN_WAIT_2                                     |\n"
	       "       (1.051) |<- [ACK]  seq 1  ack 2  win 65,535  len 0 ------| 1.001\n"
	       "  (FIN_WAIT_2) |   absolute seq 9001 ack 1002                   | CLOSE_WAIT\n"
	       "               |                                                |\n"
	       "               | 3rd close: server -> LAST_ACK                  |\n"
	       "       (2.050) |<- [FIN, ACK]  seq 1  ack 2  win 65,535 --------| 2.000\n"
	       "  (FIN_WAIT_2) |   len 0  absolute seq 9001 ack 1002            | LAST_ACK\n"
	       "               |                                                |\n"
	       "               | 4th close: client -> TIME_WAIT, server ->      |\n"
	       "               | CLOSED                                         |\n"
	       "       (2.000) |-- [ACK]  seq 2  ack 2  win 65,535  len 0 ----->| 2.050\n"
	       "   (TIME_WAIT) |   absolute seq 1002 ack 9002                   | CLOSED\n"
	       "               |                                                |\n");
}

static void a_close_of_three_segments_says_so(void **state)
{
	(void)state;
	play_open(&play);
	play_state(&play, 1000, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
	play_send(&play, 1000, F | A, 1, 1, 0);
	play_receive(&play, 1050, F | A, 1, 2, 0, TERN_TCP_TIME_WAIT, TERN_CAUSE_FIN_ACK);
	play_send(&play, 1051, A, 2, 2, 0);
	expect(OPENING
		"               |                                                |\n"
		"               | 1st close: client -> FIN_WAIT_1                |\n"
		"         1.000 |-- [FIN, ACK]  seq 1  ack 1  win 65,535 ------->| (1.025)\n"
		"    FIN_WAIT_1 |   len 0  absolute seq 1001 ack 9001            | (ESTABLISHED)\n"
		"               |                                                |\n"
		"               | 2nd and 3rd close in one: server -> CLOSE_WAIT |\n"
		"               | -> LAST_ACK                                    |\n"
		"         1.050 |<- [FIN, ACK]  seq 1  ack 2  win 65,535 --------| (1.025)\n"
		"     TIME_WAIT |   len 0  absolute seq 9001 ack 1002            | (LAST_ACK)\n"
		"               |                                                |\n"
		"               | 4th close: client -> TIME_WAIT, server ->      |\n"
		"               | CLOSED                                         |\n"
		"         1.051 |-- [ACK]  seq 2  ack 2  win 65,535  len 0 ----->| (1.076)\n"
		"     TIME_WAIT |   absolute seq 1002 ack 9002                   | (CLOSED)\n"
		"               |                                                |\n");
}

static void both_close_at_once(void **state)
{
	(void)state;
	play_open(&play);
	play_state(&play, 1000, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
	play_send(&play, 1000, F | A, 1, 1, 0);
	play_receive(&play, 1020, F | A, 1, 1, 0, TERN_TCP_CLOSING, TERN_CAUSE_FIN);
	play_send(&play, 1021, A, 2, 2, 0);
	play_receive(&play, 1050, A, 2, 2, 0, TERN_TCP_TIME_WAIT, TERN_CAUSE_ACK);
	expect(OPENING
		"               |                                                |\n"
		"               | 1st close: client -> FIN_WAIT_1                |\n"
		"         1.000 |-- [FIN, ACK]  seq 1  ack 1  win 65,535 ------->| (1.025)\n"
		"    FIN_WAIT_1 |   len 0  absolute seq 1001 ack 9001            | (ESTABLISHED)\n"
		"               |                                                |\n"
		"               | simultaneous close: server -> FIN_WAIT_1 as    |\n"
		"               | well                                           |\n"
		"         1.020 |<- [FIN, ACK]  seq 1  ack 1  win 65,535 --------| (0.995)\n"
		"       CLOSING |   len 0  absolute seq 9001 ack 1001            | (FIN_WAIT_1)\n"
		"               |                                                |\n"
		"               | simultaneous close: client -> CLOSING, server  |\n"
		"               | -> TIME_WAIT                                   |\n"
		"         1.021 |-- [ACK]  seq 2  ack 2  win 65,535  len 0 ----->| (1.046)\n"
		"       CLOSING |   absolute seq 1002 ack 9002                   | (TIME_WAIT)\n"
		"               |                                                |\n"
		"               | simultaneous close: server -> CLOSING, client  |\n"
		"               | -> TIME_WAIT                                   |\n"
		"         1.050 |<- [ACK]  seq 2  ack 2  win 65,535  len 0 ------| (1.025)\n"
		"     TIME_WAIT |   absolute seq 9002 ack 1002                   | (CLOSING)\n"
		"               |                                                |\n");
}

static void both_open_at_once(void **state)
{
	(void)state;
	play_state(&play, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	play_send(&play, 0, S, 0, 0, 0);
	play_receive(&play, 20, S, 0, 0, 0, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	play_send(&play, 21, S | A, 0, 1, 0);
	play_receive(&play, 50, S | A, 0, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_SYN_ACK);
	play_send(&play, 100, P | A, 1, 1, 10);
	play_receive(&play, 150, A, 1, 11, 0, NOT, TERN_CAUSE_ACK);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "tern (its own states)                               (inferred from its segments)\n"
	       "                           ms since the first segment\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | (SYN_SENT)\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | simultaneous open: server -> SYN_SENT as well  |\n"
	       "         0.020 |<- [SYN]  seq 0  win 65,535  len 0 -------------|\n"
	       "  SYN_RECEIVED |   absolute seq 9000  mss 1460  SACK ok         | (SYN_SENT)\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | simultaneous open: client -> SYN_RECEIVED,     |\n"
	       "               | server -> ESTABLISHED                          |\n"
	       "         0.021 |-- [SYN, ACK]  seq 0  ack 1  win 65,535 ------->|\n"
	       "  SYN_RECEIVED |   len 0  absolute seq 1000 ack 9001  mss 1460  | (ESTABLISHED)\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |                                                |\n"
	       "               | simultaneous open: server -> SYN_RECEIVED,     |\n"
	       "               | client -> ESTABLISHED                          |\n"
	       "         0.050 |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------|\n"
	       "   ESTABLISHED |   len 0  absolute seq 9000 ack 1001  mss 1460  | (SYN_RECEIVED)\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "         0.100 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->|\n"
	       "   ESTABLISHED |   len 10  absolute seq 1001 ack 9001           | (ESTABLISHED)\n"
	       "         0.150 |<- [ACK]  seq 1  ack 11  win 65,535  len 0 -----|\n"
	       "   ESTABLISHED |   absolute seq 9001 ack 1011                   | (ESTABLISHED)\n"
	       "               |                                                |\n");
}

static void a_refused_open(void **state)
{
	(void)state;
	play_state(&play, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	play_send(&play, 0, S, 0, 0, 0);
	struct tern_trace t = {.kind = TERN_TRACE_SEGMENT_IN, .nif = 1, .has_conn = true};
	t.segment = (struct tern_segment){.flags = R | A, .ack = 1001, .wscale = -1};
	play_tell(&play, 50, (struct tern_trace){.kind = TERN_TRACE_FRAME_IN, .nif = 1});
	play_tell(&play, 50, t);
	play_state(&play, 50, TERN_TCP_CLOSED, TERN_CAUSE_RST);
	play_tell(&play, 50, (struct tern_trace){.kind = TERN_TRACE_FRAME_DONE, .nif = 1});
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "tern (its own states)                               (inferred from its segments)\n"
	       "                           ms since the first segment\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | (CLOSED)\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | connection refused: client -> CLOSED           |\n"
	       "         0.050 |<- [RST, ACK]  seq 0  ack 1  win 0  len 0 ------|\n"
	       "        CLOSED |   absolute seq 0 ack 1001                      | (CLOSED)\n"
	       "               |                                                |\n");
}

static void a_reset_ends_both(void **state)
{
	(void)state;
	play_open(&play);
	play_send(&play, 100, P | A, 1, 1, 10);
	play_receive(&play, 200, R, 1, 0, 0, TERN_TCP_CLOSED, TERN_CAUSE_RST);
	expect(OPENING
		"         0.100 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->| (0.125)\n"
		"   ESTABLISHED |   len 10  absolute seq 1001 ack 9001           | (ESTABLISHED)\n"
		"               |                                                |\n"
		"               | reset: server and client -> CLOSED             |\n"
		"         0.200 |<- [RST]  seq 1  win 65,535  len 0 -------------| (0.175)\n"
		"        CLOSED |   absolute seq 9001                            | (CLOSED)\n"
		"               |                                                |\n");
}

static void a_challenged_reset_changes_nothing_and_an_abort_ends_both(void **state)
{
	(void)state;
	play_open(&play);
	play_drop(&play, 90, R, 5, 0, 0, TERN_DROP_TCP_RST_CHALLENGED);
	play_state(&play, 100, TERN_TCP_CLOSED, TERN_CAUSE_ABORT);
	play_send(&play, 100, R | A, 1, 1, 0);
	expect(OPENING
		"               |                                                |\n"
		"               | reset, not accepted by client                  |\n"
		"         0.090 |<- [RST]  seq 5  win 65,535  len 0 -------------| (0.065)\n"
		"   ESTABLISHED |   absolute seq 9005                            | (ESTABLISHED)\n"
		"               |   x dropped: reset in window but not exact:    |\n"
		"               |   challenged (RFC 5961)                        |\n"
		"               |                                                |\n"
		"               | reset: client and server -> CLOSED             |\n"
		"         0.100 |-- [RST, ACK]  seq 1  ack 1  win 65,535 ------->| (0.125)\n"
		"        CLOSED |   len 0  absolute seq 1001 ack 9001            | (CLOSED)\n"
		"               |                                                |\n");
}

static void what_is_sent_again_says_why(void **state)
{
	(void)state;
	play_state(&play, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	play_send(&play, 0, S, 0, 0, 0);
	play_resend(&play, 1000000, TERN_RTX_SYN, 0, 1);
	play_send(&play, 1000000, S, 0, 0, 0);
	play_receive(&play, 1000050, S | A, 0, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_SYN_ACK);
	play_send(&play, 1000060, A, 1, 1, 0);
	play_send(&play, 1000100, P | A, 1, 1, 100);
	play_resend(&play, 1200100, TERN_RTX_TIMEOUT, 1, 1);
	play_send(&play, 1200100, P | A, 1, 1, 100);
	play_resend(&play, 1600100, TERN_RTX_TIMEOUT, 1, 2);
	play_send(&play, 1600100, P | A, 1, 1, 100);
	play_receive(&play, 1600150, A, 1, 101, 0, NOT, TERN_CAUSE_ACK);
	play_drop(&play, 1600160, A, 1, 101, 0, TERN_DROP_TCP_PAWS);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "tern (its own states)                               (inferred from its segments)\n"
	       "                           ms since the first segment\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | (LISTEN)\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | 1st handshake again: client -> SYN_SENT        |\n"
	       "      1000.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | (LISTEN)\n"
	       "               |   wscale 7                                     |\n"
	       "               |   ! retransmission: SYN unanswered             |\n"
	       "               |                                                |\n"
	       "               | 2nd handshake: server -> SYN_RECEIVED          |\n"
	       "      1000.050 |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------|\n"
	       "   ESTABLISHED |   len 0  absolute seq 9000 ack 1001  mss 1460  | (SYN_RECEIVED)\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |                                                |\n"
	       "               | 3rd handshake: client, then server ->          |\n"
	       "               | ESTABLISHED                                    |\n"
	       "      1000.060 |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->|\n"
	       "   ESTABLISHED |   absolute seq 1001 ack 9001                   | (ESTABLISHED)\n"
	       "      1000.100 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->|\n"
	       "   ESTABLISHED |   len 100  absolute seq 1001 ack 9001          | (ESTABLISHED)\n"
	       "      1200.100 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->|\n"
	       "   ESTABLISHED |   len 100  absolute seq 1001 ack 9001          | (ESTABLISHED)\n"
	       "               |   ! retransmission: timeout                    |\n"
	       "      1600.100 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->|\n"
	       "   ESTABLISHED |   len 100  absolute seq 1001 ack 9001          | (ESTABLISHED)\n"
	       "               |   ! retransmission: timeout, 2 in a row        |\n"
	       "      1600.150 |<- [ACK]  seq 1  ack 101  win 65,535  len 0 ----|\n"
	       "   ESTABLISHED |   absolute seq 9001 ack 1101                   | (ESTABLISHED)\n"
	       "      1600.160 |<- [ACK]  seq 1  ack 101  win 65,535  len 0 ----|\n"
	       "   ESTABLISHED |   absolute seq 9001 ack 1101                   | (ESTABLISHED)\n"
	       "               |   x dropped: timestamp older than the last     |\n"
	       "               |   (PAWS)                                       |\n"
	       "               |                                                |\n");
}

static void an_open_given_up_leaves_the_peer_unknown(void **state)
{
	(void)state;
	play_state(&play, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	play_send(&play, 0, S, 0, 0, 0);
	play_resend(&play, 1000000, TERN_RTX_SYN, 0, 1);
	play_send(&play, 1000000, S, 0, 0, 0);
	play_state(&play, 3000000, TERN_TCP_CLOSED, TERN_CAUSE_TIMEOUT);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "tern (its own states)                               (inferred from its segments)\n"
	       "                           ms since the first segment\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         |\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | 1st handshake again: client -> SYN_SENT        |\n"
	       "      1000.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>|\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         |\n"
	       "               |   wscale 7                                     |\n"
	       "               |   ! retransmission: SYN unanswered             |\n"
	       "               |                                                |\n"
	       "      3000.000 | retransmissions were in vain: client SYN_SENT  |\n"
	       "        CLOSED | -> CLOSED                                      |\n"
	       "               |                                                |\n");
}

static void a_full_accept_queue_repeats_the_handshake(void **state)
{
	(void)state;
	play.server = true;
	play_receive(&play, 0, S, 0, 0, 0, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	play_send(&play, 5, S | A, 0, 1, 0);
	play_drop(&play, 105, A, 1, 1, 0, TERN_DROP_TCP_LISTEN_OVERFLOW);
	play_resend(&play, 1000005, TERN_RTX_SYN_ACK, 0, 1);
	play_send(&play, 1000005, S | A, 0, 1, 0);
	play_receive(&play, 1000105, A, 1, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_ACK);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "(inferred from its segments)                               tern (its own states)\n"
	       "  ms since the first segment; (inferred): half the least RTT of 0.100 ms away\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "      (-0.050) |-- [SYN]  seq 0  win 65,535  len 0 ------------>| 0.000\n"
	       "    (SYN_SENT) |   absolute seq 1000  mss 1460  SACK ok         | SYN_RECEIVED\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | 2nd handshake: server -> SYN_RECEIVED          |\n"
	       "       (0.055) |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------| 0.005\n"
	       "    (SYN_SENT) |   len 0  absolute seq 9000 ack 1001  mss 1460  | SYN_RECEIVED\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |                                                |\n"
	       "               | 3rd handshake: client -> ESTABLISHED           |\n"
	       "       (0.055) |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->| 0.105\n"
	       " (ESTABLISHED) |   absolute seq 1001 ack 9001                   | SYN_RECEIVED\n"
	       "               |   x dropped: accept queue full                 |\n"
	       "               |                                                |\n"
	       "               | 2nd handshake again: server -> SYN_RECEIVED    |\n"
	       "    (1000.055) |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------| 1000.005\n"
	       " (ESTABLISHED) |   len 0  absolute seq 9000 ack 1001  mss 1460  | SYN_RECEIVED\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |   ! retransmission: SYN-ACK unanswered         |\n"
	       "               |                                                |\n"
	       "               | 3rd handshake again: client, then server ->    |\n"
	       "               | ESTABLISHED                                    |\n"
	       "    (1000.055) |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->| 1000.105\n"
	       " (ESTABLISHED) |   absolute seq 1001 ack 9001                   | ESTABLISHED\n"
	       "               |                                                |\n");
}

static void a_long_exchange_is_folded_into_one_row(void **state)
{
	(void)state;
	play_open(&play);
	for (unsigned i = 0; i < 1000; i++) {
		if (i == 500)
			play_resend(&play, 100 + i * 10, TERN_RTX_FAST, 1 + 1000 * 490, 0);
		unsigned k = i == 500 ? 490 : i > 500 ? i - 1 : i;
		play_send(&play, 100 + i * 10, A, 1 + 1000 * k, 1, 1000);
		if (i % 2)
			play_receive(&play, 105 + i * 10, A, 1, 1 + 1000 * (k + 1), 0, NOT,
				TERN_CAUSE_ACK);
		if (i == 700)
			play_drop(&play, 105 + i * 10, A, 1, 1, 0, TERN_DROP_TCP_OLD_ACK);
	}
	expect(OPENING
		"         0.100 |-- [ACK]  seq 1  ack 1  win 65,535 ------------>| (0.125)\n"
		"   ESTABLISHED |   len 1,000  absolute seq 1001 ack 9001        | (ESTABLISHED)\n"
		"         0.110 |-- [ACK]  seq 1,001  ack 1  win 65,535 -------->| (0.135)\n"
		"   ESTABLISHED |   len 1,000  absolute seq 2001 ack 9001        | (ESTABLISHED)\n"
		"         0.115 |<- [ACK]  seq 1  ack 2,001  win 65,535 ---------| (0.090)\n"
		"   ESTABLISHED |   len 0  absolute seq 9001 ack 3001            | (ESTABLISHED)\n"
		"               |                                                |\n"
		"         0.120 | ... 998 segments -> 973.6 KiB in 9.975 ms      |\n"
		"   ESTABLISHED | (799.6 Mb/s)                                   | (ESTABLISHED)\n"
		"               |     500 segments <- no data                    |\n"
		"               |     1 retransmitted (1 x three duplicate ACKs) |\n"
		"               |     1 dropped, the last: acknowledgement too   |\n"
		"               |     old: challenged (RFC 5961)                 |\n"
		"               |     windows: client's 65,535, server's 65,535  |\n"
		"               |                                                |\n");
}

/* Both ends are in the stream. */
static void both_send(bool server, unsigned us, int flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	play.server = server;
	play_send(&play, us, flags, seq, ack, len);
}

static void both_get(bool server, unsigned us, int flags, uint32_t seq, uint32_t ack, uint32_t len,
	int to, enum tern_cause why)
{
	play.server = server;
	play_receive(&play, us, flags, seq, ack, len, to, why);
}

static void both_ends_in_the_stream_tell_their_own_states(void **state)
{
	(void)state;
	play_state(&play, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	both_send(0, 0, S, 0, 0, 0);
	both_get(1, 10000, S, 0, 0, 0, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	both_send(1, 10000, S | A, 0, 1, 0);
	both_get(0, 20000, S | A, 0, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_SYN_ACK);
	both_send(0, 20000, A, 1, 1, 0);
	both_send(0, 20001, P | A, 1, 1, 100);
	both_get(1, 30000, A, 1, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_ACK);
	both_get(1, 30001, P | A, 1, 1, 100, NOT, TERN_CAUSE_ACK);
	both_send(1, 30001, A, 1, 101, 0);
	play.server = false;
	play_resend(&play, 230000, TERN_RTX_TIMEOUT, 1, 1);
	both_send(0, 230000, P | A, 1, 1, 100);
	play.server = true;
	play_drop(&play, 240000, P | A, 1, 1, 100, TERN_DROP_TCP_OLD_DUPLICATE);
	expect("client 10.77.0.2:49152                                       server 10.77.0.1:80\n"
	       "tern (its own states)                                      tern (its own states)\n"
	       "                           ms since the first segment\n"
	       "               |                                                |\n"
	       "               | 1st handshake: client -> SYN_SENT              |\n"
	       "         0.000 |-- [SYN]  seq 0  win 65,535  len 0 ------------>| 10.000\n"
	       "      SYN_SENT |   absolute seq 1000  mss 1460  SACK ok         | SYN_RECEIVED\n"
	       "               |   wscale 7                                     |\n"
	       "               |                                                |\n"
	       "               | 2nd handshake: server -> SYN_RECEIVED          |\n"
	       "        20.000 |<- [SYN, ACK]  seq 0  ack 1  win 65,535 --------| 10.000\n"
	       "   ESTABLISHED |   len 0  absolute seq 9000 ack 1001  mss 1460  | SYN_RECEIVED\n"
	       "               |   SACK ok  wscale 7                            |\n"
	       "               |                                                |\n"
	       "               | 3rd handshake: client, then server ->          |\n"
	       "               | ESTABLISHED                                    |\n"
	       "        20.000 |-- [ACK]  seq 1  ack 1  win 65,535  len 0 ----->| 30.000\n"
	       "   ESTABLISHED |   absolute seq 1001 ack 9001                   | ESTABLISHED\n"
	       "        20.001 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->| 30.001\n"
	       "   ESTABLISHED |   len 100  absolute seq 1001 ack 9001          | ESTABLISHED\n"
	       "               |x- [ACK]  seq 1  ack 101  win 65,535  len 0 ----| 30.001\n"
	       "   ESTABLISHED |   absolute seq 9001 ack 1101                   | ESTABLISHED\n"
	       "               |   x did not arrive                             |\n"
	       "       230.000 |-- [PSH, ACK]  seq 1  ack 1  win 65,535 ------->| 240.000\n"
	       "   ESTABLISHED |   len 100  absolute seq 1001 ack 9001          | ESTABLISHED\n"
	       "               |   ! retransmission: timeout                    |\n"
	       "               |   x dropped: wholly before the window: already |\n"
	       "               |   received                                     |\n"
	       "               |                                                |\n");
}

static void play_another(unsigned us, uint16_t port)
{
	struct tern_trace t = {.kind = TERN_TRACE_SEGMENT_OUT, .nif = 1, .now = us * 1000ull};
	t.conn.local = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 2), port};
	t.conn.remote = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 1), 80};
	t.segment = play_segment(false, S, 0, 0, 0);
	play.to.see(play.to.context, &t);
}

static unsigned ladders_of(const struct tern_ladder_opts *opts)
{
	struct tern_ladder *l = tern_ladder_new(opts);
	FILE *out = fopen("/dev/null", "w");
	play.to = tern_ladder_listener(l);
	for (uint16_t port = 1001; port <= 1005; port++)
		play_another(port, port);
	unsigned n = tern_ladder_print(l, out, NULL);
	fclose(out);
	tern_ladder_free(l);
	return n;
}

static void as_many_connections_are_kept_as_asked_for(void **state)
{
	(void)state;
	struct tern_ladder_opts two = {.connections = 100};
	assert_int_equal(ladders_of(NULL), 1);
	assert_int_equal(ladders_of(&two), 5);
	two.between[0] = (struct tern_endpoint){.port = 1003};
	assert_int_equal(ladders_of(&two), 1);
	two.between[0] = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 2), 0};
	two.between[1] = (struct tern_endpoint){tern_addr_v4(10, 77, 0, 1), 80};
	assert_int_equal(ladders_of(&two), 5);
	two.between[1].port = 81;
	assert_int_equal(ladders_of(&two), 0);
}

static void the_same_endpoints_again_are_another_connection(void **state)
{
	(void)state;
	struct tern_ladder *l = tern_ladder_new(&(struct tern_ladder_opts){.connections = 9});
	play.to = tern_ladder_listener(l);
	play_open(&play);
	play_receive(&play, 100, R, 1, 0, 0, TERN_TCP_CLOSED, TERN_CAUSE_RST);
	play_open(&play);
	char *text = printed(l, TERN_LADDER_NO, TERN_LADDER_NO);
	assert_non_null(strstr(text, "\n\nclient 10.77.0.2:49152 "));
	free(text);
	tern_ladder_free(l);
}

static unsigned count_lines(const char *text, const char *containing)
{
	unsigned n = 0;
	for (; (text = strstr(text, containing)); text++)
		n++;
	return n;
}

static void play_much(unsigned segments)
{
	play_open(&play);
	for (unsigned i = 0; i < segments; i++)
		play_send(&play, 100 + i, A, 1 + 10 * i, 1, 10);
}

static void nothing_is_folded_when_all_is_asked_for(void **state)
{
	(void)state;
	struct tern_ladder *l =
		tern_ladder_new(&(struct tern_ladder_opts){.fold = TERN_LADDER_FULL});
	play.to = tern_ladder_listener(l);
	play_much(500);
	char *text = printed(l, TERN_LADDER_NO, TERN_LADDER_NO);
	assert_int_equal(count_lines(text, "len 10 "), 500);
	free(text);
	tern_ladder_free(l);
}

static void however_long_the_connection_its_rows_are_bounded(void **state)
{
	(void)state;
	struct tern_ladder *l =
		tern_ladder_new(&(struct tern_ladder_opts){.fold = TERN_LADDER_FULL, .rows = 100});
	play.to = tern_ladder_listener(l);
	play_much(100000);
	play_send(&play, 200000, F | A, 1000001, 1, 0);
	char *text = printed(l, TERN_LADDER_NO, TERN_LADDER_NO);
	assert_true(count_lines(text, "len 10 ") < 100);
	assert_int_equal(count_lines(text, "1st close: client -> FIN_WAIT_1"), 1);
	assert_non_null(strstr(text, "... 99,9"));
	free(text);
	for (unsigned i = 0; i < 1000; i++)
		play_send(&play, 300000 + i, F | A, 1000001, 1, 0);
	text = printed(l, TERN_LADDER_NO, TERN_LADDER_NO);
	assert_non_null(strstr(text, " more rows were not kept\n"));
	free(text);
	tern_ladder_free(l);
}

static void every_line_is_as_wide_as_asked_for_and_aligned(void **state)
{
	(void)state;
	play_open(&play);
	for (unsigned width = 70; width < 210; width += 7) {
		unsigned wanted = width < 80 ? 80 : width > 200 ? 200 : width;
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		tern_ladder_print(ladder, out,
			&(struct tern_ladder_style){.width = width,
				.utf8 = TERN_LADDER_NO,
				.colour = TERN_LADDER_NO});
		fclose(out);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			assert_true(strlen(line) <= wanted);
			if (line[15] == '|')
				assert_true(line[wanted - 16] == '|');
		}
		free(text);
	}
}

static void colour_and_unicode_only_dress_the_same_text(void **state)
{
	(void)state;
	play_open(&play);
	char *plain = printed(ladder, TERN_LADDER_NO, TERN_LADDER_NO);
	char *dressed = printed(ladder, TERN_LADDER_NO, TERN_LADDER_YES);
	char *unicode = printed(ladder, TERN_LADDER_YES, TERN_LADDER_NO);
	char *to = dressed;
	assert_non_null(strstr(dressed, "\033["));
	for (const char *from = dressed; *from;) {
		if (*from == '\033')
			from += strcspn(from, "m") + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
	assert_string_equal(dressed, plain);
	assert_non_null(strstr(unicode, "\u251c\u2500\u2500 [SYN]"));
	free(plain);
	free(dressed);
	free(unicode);
}

struct paced {
	FILE *out;
	unsigned rows;
	uint64_t at[8];
	long printed[8]; /* bytes before that row */
};

static void note_pace(void *context, uint64_t at)
{
	struct paced *p = context;
	fflush(p->out);
	assert_true(p->rows < 8);
	p->at[p->rows] = at;
	p->printed[p->rows++] = ftell(p->out);
}

static void each_row_waits_for_its_time(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size;
	struct paced p = {.out = open_memstream(&text, &size)};
	struct tern_ladder_style style = {.width = 80,
		.utf8 = TERN_LADDER_NO,
		.colour = TERN_LADDER_NO,
		.pace = note_pace,
		.pace_context = &p};
	play_open(&play);
	play_state(&play, 1000, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
	play_send(&play, 1000, F | A, 1, 1, 0);
	tern_ladder_print(ladder, p.out, &style);
	fclose(p.out);
	static const char *const rows[] = {"0.000 |--", "0.050 |<-", "0.060 |--", "1.000 |--"};
	static const unsigned us[] = {0, 50, 60, 1000};
	assert_int_equal(p.rows, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(p.at[i] - p.at[0], us[i] * 1000);
		assert_non_null(strstr(text + p.printed[i], rows[i]));
		assert_true(strstr(text, rows[i]) > text + p.printed[i]);
	}
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_close_of_four_segments_is_named_step_by_step),
		TEST(as_server_closed_upon_tern_is_the_right_side),
		TEST(a_close_of_three_segments_says_so),
		TEST(both_close_at_once),
		TEST(both_open_at_once),
		TEST(a_refused_open),
		TEST(a_reset_ends_both),
		TEST(a_challenged_reset_changes_nothing_and_an_abort_ends_both),
		TEST(what_is_sent_again_says_why),
		TEST(an_open_given_up_leaves_the_peer_unknown),
		TEST(a_full_accept_queue_repeats_the_handshake),
		TEST(a_long_exchange_is_folded_into_one_row),
		TEST(both_ends_in_the_stream_tell_their_own_states),
		TEST(as_many_connections_are_kept_as_asked_for),
		TEST(the_same_endpoints_again_are_another_connection),
		TEST(nothing_is_folded_when_all_is_asked_for),
		TEST(however_long_the_connection_its_rows_are_bounded),
		TEST(every_line_is_as_wide_as_asked_for_and_aligned),
		TEST(colour_and_unicode_only_dress_the_same_text),
		TEST(each_row_waits_for_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
