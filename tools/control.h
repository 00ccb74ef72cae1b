/*
 * Looking at a stack that runs: whoever runs one (tern run, up, serve, fetch) answers questions
 * about it on a socket of the user's own; tern nstat asks. JSON-RPC 2.0, a line each way;
 * docs/control.md has the methods.
 *
 * The socket is DIRECTORY/NAME.sock, mode 0600, in a directory of mode 0700: $XDG_RUNTIME_DIR/tern,
 * or /run/user/UID/tern, or /tmp/tern-UID.
 */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <tern/host.h>

#define CONTROL_PROTOCOL 1
#define CONTROL_PATH_MAX 108 /* what a socket's address holds, its end included */

/* The directory, made if it is not there. 0, or -1 after saying why in `why`. */
int tern_control_directory(char path[CONTROL_PATH_MAX], char *why, size_t why_size);
/* Whether a stack may be called that (letters, digits, '.', '_' and '-', the first not '.'): 0, or
 * -1 after saying why not in `why`. */
int tern_control_name_check(const char *name, char *why, size_t why_size);
/* DIRECTORY/NAME.SUFFIX. 0, or -1 after saying why. */
int tern_control_path(char path[CONTROL_PATH_MAX], const char *name, const char *suffix, char *why,
	size_t why_size);
/* A descriptor connected to the AF_UNIX socket at path, of this type (SOCK_STREAM, SOCK_SEQPACKET),
 * whose reads and writes wait patience_s seconds at most; -1 with errno. */
int tern_control_dial(const char *path, int type, unsigned patience_s);

/* --- control.c: answering */
struct tern_control;
/* Answers questions about the host's stack from its loop, under that name. NULL after saying why.
 */
struct tern_control *tern_control_open(struct tern_host *host, const char *name, char *why,
	size_t why_size);
/* Adds a method of the command's own, or puts it in the place of one there is: answer returns its
 * result, or NULL for bad parameters. At most CONTROL_METHODS. The name is a constant. */
void tern_control_method(struct tern_control *control, const char *name,
	json_t *(*answer)(void *context, json_t *params), void *context);
#define CONTROL_METHODS 8
/* Has amend add to the rows of "connections" what is on its way between stack and program. */
void tern_control_amend(struct tern_control *control, void (*amend)(void *context, json_t *rows),
	void *context);
void tern_control_close(struct tern_control *control);

/* --- control_record.c */
/* The method "record"; context: the struct tern_recorder, or NULL: there is none. */
json_t *tern_control_record(void *context, json_t *params);

/* --- control_ask.c: asking */
/*
 * The result of a method, its parameters as JSON or NULL, of the stack with that name; NULL: the
 * only one that runs. The caller owns
 * it. NULL after saying why on stderr, with `command` before it. *found, if not NULL, is the name
 * of the stack.
 */
json_t *tern_control_ask(const char *command, const char *name, const char *method,
	const char *params, char found[CONTROL_PATH_MAX]);
/* The names of the stacks that run, in order, as an array of strings; NULL after saying why. */
json_t *tern_control_stacks(const char *command);
/* Whether a stack of that name runs. */
bool tern_control_answers(const char *name);

#endif
