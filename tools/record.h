/*
 * --record DIR: a capture, from the flight recorder, of each connection that dies of a reset or a
 * timeout. Half-open ones are left out: a flood of SYNs is not worth a file each.
 */
#ifndef TOOLS_RECORD_H
#define TOOLS_RECORD_H

#include <stddef.h>
#include <tern/host.h>
#include <tern/recorder.h>

#define RECORD_FILES_MAX 100 /* after that it only counts */

struct record;

/* The directory is made if it is not there; stack is what the files' names begin with. NULL after
 * saying why. All arguments must outlive it. */
struct record *tern_record_open(const char *dir, const char *stack,
	const struct tern_recorder *recorder, char *why, size_t why_size);
/* To be told after the recorder. */
struct tern_trace_listener tern_record_listener(struct record *record);
/* From now on files are written as connections die, in the host's loop; before, when it is closed.
 * 0 or -1, said in tern_host_error(). */
int tern_record_attach(struct record *record, struct tern_host *host);
/* Writes what is left. 0, or -1 if something could not be written; either way `why` says what there
 * is to say, or "". NULL is harmless. The host must be there still. */
int tern_record_close(struct record *record, char *why, size_t why_size);

#endif
