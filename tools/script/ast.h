/*
 * What a packetdrill script says, as parsed: options, and a list of timed events (packets, socket
 * calls, commands, assertions). Numbers are the script's own: sequence numbers count from the
 * connection's initial ones, times from the script's start. A packet that tern sent is decoded into
 * the same struct script_packet, so that both can be compared and printed by the same code.
 */
#ifndef TERN_TOOLS_SCRIPT_AST_H
#define TERN_TOOLS_SCRIPT_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SCRIPT_MS INT64_C(1000000)
#define SCRIPT_S  (1000 * SCRIPT_MS)

enum script_time_kind {
	TIME_ABSOLUTE, /* since the start */
	TIME_RELATIVE, /* since the event before */
	TIME_ANY,      /* whenever it happens */
};

struct script_time {
	enum script_time_kind kind;
	bool range;       /* FROM~TO, or FROM...TO: a call blocks from one to the other */
	int64_t from, to; /* ns; equal unless range */
};

/* TCP option kinds as on the wire. */
enum script_option_kind {
	OPTION_EOL = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WSCALE = 3,
	OPTION_SACK_OK = 4,
	OPTION_SACK = 5,
	OPTION_TIMESTAMP = 8,
	OPTION_MD5 = 19,
	OPTION_USER_TIMEOUT = 28,
	OPTION_FASTOPEN = 34,
	OPTION_EXPERIMENT = 254,
};

#define SCRIPT_OPTIONS_MAX 40

struct script_option {
	uint8_t kind;            /* enum script_option_kind, or any other */
	uint8_t raw_len;         /* of a fast open cookie or an option of another kind */
	uint8_t blocks;          /* SACK */
	bool any_value, any_ecr; /* timestamps: "..." */
	uint32_t value;          /* MSS, shift count, TS val, user timeout */
	uint32_t ecr;
	uint8_t raw[38];
	struct {
		uint32_t lo, hi;
	} sack[4];
};

/* RFC 9293 3.1, and AE of RFC 9768. */
enum script_flag {
	FLAG_FIN = 0x001,
	FLAG_SYN = 0x002,
	FLAG_RST = 0x004,
	FLAG_PSH = 0x008,
	FLAG_ACK = 0x010,
	FLAG_URG = 0x020,
	FLAG_ECE = 0x040,
	FLAG_CWR = 0x080,
	FLAG_AE = 0x100,
};

enum script_protocol {
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMP = 1,
};

struct script_packet {
	enum script_protocol protocol;
	bool inbound;      /* "<": into tern */
	bool bad_checksum; /* [badsum]: inject with a wrong TCP or UDP checksum */
	int8_t ecn;        /* the two ECN bits; -1: any */
	bool has_tos;      /* [tos 0xN]: the whole byte, ECN bits included */
	uint8_t tos;
	uint8_t ttl;          /* [ttl N]; 0: any, or the usual one */
	uint16_t local_port;  /* "8080>5000"; 0: the current connection's */
	uint16_t remote_port; /* [port N]; 0: the current connection */
	uint16_t flags;
	uint32_t seq, len; /* len: payload bytes; also of UDP */
	bool has_ack, has_window, has_urgent;
	uint32_t ack;
	uint16_t window, urgent; /* as on the wire */
	bool any_options;
	unsigned options;
	struct script_option option[SCRIPT_OPTIONS_MAX];
	uint8_t icmp_type, icmp_code;
	bool has_mtu, has_quote, quotes_udp;
	uint16_t mtu;
	uint32_t quote_seq, quote_len; /* the TCP packet an ICMP error is about */
};

enum script_expr_kind {
	EXPR_INTEGER,
	EXPR_ANY, /* ... */
	EXPR_STRING,
	EXPR_LIST,   /* [a, b] */
	EXPR_STRUCT, /* {name = a, b} */
};

struct script_expr {
	enum script_expr_kind kind;
	int64_t value;
	const char *text; /* string, or the symbol an integer was written as; else NULL */
	const char *name; /* of a struct's field; else NULL */
	struct script_expr *items, *next;
};

struct script_call {
	const char *name;
	struct script_expr *args;
	struct script_expr *result;
	int error; /* errno; 0: none expected */
};

enum script_event_kind {
	EVENT_PACKET,
	EVENT_CALL,
	EVENT_COMMAND,
	EVENT_CODE, /* %{ }% */
};

struct script_event {
	struct script_event *next;
	enum script_event_kind kind;
	int line;
	struct script_time time;
	union {
		struct script_packet *packet;
		struct script_call *call;
		const char *command;
		const char *code;
	};
};

struct script_option_line {
	struct script_option_line *next;
	int line;
	const char *name, *value; /* value "" for a bare --name */
};

struct script_block {
	struct script_block *next;
	max_align_t bytes[];
};

struct script {
	const char *path;
	struct script_option_line *options;
	struct script_event *events, **events_tail;
	struct script_block *blocks;  /* everything above is allocated here */
	struct script_packet *packet; /* under construction */
	const char *const *defines;   /* NAME=VALUE; or NULL */
	int line;                     /* the lexer's */
	int error_line;
	char error[256]; /* "" while all is well */
};

/* Reads a whole script; 0, or -1 with error and error_line set. Free it in both cases. */
/* defines: NAME=VALUE, NULL after the last; or NULL. */
int tern_script_parse(struct script *script, const char *path, FILE *file,
	const char *const *defines);
int tern_script_parse_text(struct script *script, const char *path, const char *text);
void tern_script_free(struct script *script);

/* For the grammar. Memory lives as long as the script; running out of it ends the program. */
void *tern_script_alloc(struct script *script, size_t size);
char *tern_script_copy(struct script *script, const char *text, size_t len);
/* Notes the first error. */
void tern_script_error(struct script *script, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
struct script_event *tern_script_add(struct script *script, enum script_event_kind kind, int line,
	struct script_time time);
/* What a word was defined to be, or NULL. */
const char *tern_script_defined(const struct script *script, const char *word);
void tern_script_add_option(struct script *script, int line, const char *text);
struct script_expr *tern_script_expr(struct script *script, enum script_expr_kind kind);
/* An integer for a symbol such as O_NONBLOCK. */
struct script_expr *tern_script_symbol(struct script *script, int line, const char *name);
/* htons(80), inet_addr("192.0.2.1"): both are in host order here. */
struct script_expr *tern_script_function(struct script *script, int line, const char *name,
	struct script_expr *arg);
/* Seconds as written, to ns without rounding ".1" wrong. */
int64_t tern_script_seconds(const char *text);
struct script_time tern_script_time(struct script *script, int line, struct script_time from,
	struct script_time to);
/* "S.", "FP.", "-"; sets packet->flags. */
void tern_script_flags(struct script *script, int line, struct script_packet *p, const char *text);
/* [ect0], [badsum], [port 5000] */
void tern_script_mark(struct script *script, int line, struct script_packet *p, const char *word,
	const int64_t *value);
/* SOURCE>DESTINATION, before the flags. */
void tern_script_ports(struct script *script, int line, struct script_packet *p, const char *from,
	const char *to);
struct script_option *tern_script_add_tcp_option(struct script *script, int line, uint8_t kind);
/* "md5 HEX", "FOEXP HEX" */
void tern_script_named_option(struct script *script, int line, const char *name, const char *hex);
/* "unreachable" and "frag_needed", or their numbers' names. */
void tern_script_icmp(struct script *script, int line, struct script_packet *p, const char *type,
	const char *code);
/* "FO 0123abcd" and options by number */
void tern_script_raw(struct script *script, int line, struct script_option *option,
	const char *hex);
/* A packet's last check, once all of it was read. */
void tern_script_check(struct script *script, int line, struct script_packet *p);
/* errno by name, 0 if unknown. */
int tern_script_errno(const char *name);

/* Writes text in the script's own syntax, always terminated; returns text. */
#define SCRIPT_TEXT 640
char *tern_script_packet_text(const struct script_packet *p, char text[SCRIPT_TEXT]);
/* The name ICMP types and codes go by in scripts, or NULL. */
const char *tern_script_icmp_type_name(unsigned type);
const char *tern_script_icmp_code_name(unsigned type, unsigned code);

#endif
