/*
 * Looking at a stack that runs: whoever runs one (tern run, serve, fetch) answers questions about
 * it on a socket of the user's own; tern nstat asks. JSON-RPC 2.0, a line each way; docs/control.md
 * has the methods.
 *
 * The socket is DIRECTORY/NAME.sock, mode 0600, in a directory of mode 0700: $XDG_RUNTIME_DIR/tern,
 * or /run/user/UID/tern, or /tmp/tern-UID.
 */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

#include <jansson.h>
#include <stddef.h>
#include <tern/host.h>
#include <tern/recorder.h>

#define CONTROL_PROTOCOL 1
#define CONTROL_PATH_MAX 108 /* what a socket's address holds, its end included */

/* The directory, made if it is not there. 0, or -1 after saying why in `why`. */
int tern_control_directory(char path[CONTROL_PATH_MAX], char *why, size_t why_size);
/* DIRECTORY/NAME.SUFFIX. A name has letters, digits, '.', '_' and '-', and does not begin with '.'.
 * 0, or -1 after saying why. */
int tern_control_path(char path[CONTROL_PATH_MAX], const char *name, const char *suffix, char *why,
	size_t why_size);

/* --- control.c: answering */
struct tern_control;
/* Answers questions about the host's stack from its loop, under that name. NULL after saying why.
 */
struct tern_control *tern_control_open(struct tern_host *host, const char *name, char *why,
	size_t why_size);
/* What only who runs programs on the stack can tell. */
struct tern_control_programs {
	/* The method "owners": its result, or NULL for bad parameters. */
	json_t *(*owners)(void *context, json_t *params);
	/* Adds to rows of "connections" what is on its way between stack and program. */
	void (*amend)(void *context, json_t *rows);
	void *context;
};
/* Without it nobody owns anything. */
void tern_control_serve_programs(struct tern_control *control,
	const struct tern_control_programs *programs);
/* Who has what the method "record" tells; it must outlive the control. Without it, nothing. */
void tern_control_serve_record(struct tern_control *control, const struct tern_recorder *recorder);
void tern_control_close(struct tern_control *control);

/* --- control_record.c */
/* The method "record": its result, or NULL for bad parameters. recorder may be NULL. */
json_t *tern_control_record(const struct tern_recorder *recorder, json_t *params);

/* --- control_ask.c: asking */
/*
 * The result of a method, its parameters as JSON or NULL, of the stack with that name; NULL: the
 * only one that runs. The caller owns
 * it. NULL after saying why on stderr, with `command` before it. *found, if not NULL, is the name
 * of the stack.
 */
json_t *tern_control_ask(const char *command, const char *name, const char *method,
	const char *params, char found[CONTROL_PATH_MAX]);

#endif
