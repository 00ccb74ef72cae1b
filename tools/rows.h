/* What tern ss and tern why have from a stack: its connections and UDP sockets as rows of JSON
 * (docs/control.md), and who owns them. */
#ifndef TOOLS_ROWS_H
#define TOOLS_ROWS_H

#include "tools/control.h"

/* Appends all connections and listeners to `all`, asking page by page: what comes and goes
 * meanwhile may be missed. stack: as tern_control_ask takes it; found, which it was. 0, or -1 after
 * saying why. */
int tern_rows_collect(const char *command, const char *stack, json_t *all,
	char found[CONTROL_PATH_MAX]);
/* The same of UDP sockets. */
int tern_rows_collect_udp(const char *command, const char *stack, json_t *all,
	char found[CONTROL_PATH_MAX]);
/* Who has what, by connection; empty of a stack that runs no programs. The caller's to free. */
json_t *tern_rows_owners(const char *command, const char *stack);

/* Members of a row; 0, "" and false for what is not there. */
int64_t row_number(json_t *row, const char *name);
const char *row_text(json_t *row, const char *name);
bool row_flag(json_t *row, const char *name);
bool row_has(json_t *row, const char *name);
#define ROW_LOCAL 64
/* Its local endpoint as ss writes it: every address is "*". */
const char *row_local(json_t *row, char room[ROW_LOCAL]);
/* The owners of a row, an array, or NULL. */
json_t *row_owners(json_t *owners, json_t *row);
/* Bytes that the program has still to read, and those it wrote and that were not sent, its own
 * socket's included. */
int64_t row_unread(json_t *row);
int64_t row_unsent(json_t *row);

#endif
