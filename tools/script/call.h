/* A call between the script's words and C's arguments. */
#ifndef TERN_TOOLS_SCRIPT_CALL_H
#define TERN_TOOLS_SCRIPT_CALL_H

#include "tools/script/run.h"

struct script_spec {
	const char *name;
	unsigned min, max; /* arguments */
	enum drill_op op;
	/* Fills in the call's arguments; NULL: all are numbers. */
	void (*prepare)(struct run *run, struct script_pending *p);
	/* Compares what it gave back besides its result; NULL: nothing. */
	void (*verify)(struct run *run, struct script_pending *p);
	bool makes_fd; /* its result is a new descriptor */
};

/* NULL if there is none of that name. */
const struct script_spec *tern_script_spec(const char *name);

/* Zeroed memory that lives as long as the call. */
void *tern_script_lend(struct script_pending *p, size_t size);
/* The n-th argument, from 0; NULL if there are fewer. */
struct script_expr *tern_script_arg(const struct script_pending *p, unsigned n);
/* As an integer; 0 for "..." or none, and a failure for anything else. */
int64_t tern_script_arg_int(struct run *run, const struct script_pending *p, unsigned n);
/* A list's or a struct's item by its name, or the first without one (name NULL); or NULL. */
const struct script_expr *tern_script_item(const struct script_expr *expr, const char *name);
/* Its value; false if there is none. */
bool tern_script_item_int(const struct script_expr *expr, const char *name, int64_t *value);
/* The target's number for the script's; -1 for what is open nowhere. */
int tern_script_live_fd(const struct run *run, int64_t number);
/* A number of the script's for a new descriptor of the target's. */
void tern_script_new_fd(struct run *run, const struct script_pending *p, int64_t number, int live);

/* message.c: bytes, msghdrs */
void tern_script_prepare_read(struct run *run, struct script_pending *p);
void tern_script_prepare_write(struct run *run, struct script_pending *p);
void tern_script_prepare_vector(struct run *run, struct script_pending *p);
void tern_script_prepare_message(struct run *run, struct script_pending *p);
void tern_script_verify_read(struct run *run, struct script_pending *p);
void tern_script_verify_write(struct run *run, struct script_pending *p);
void tern_script_verify_message(struct run *run, struct script_pending *p);
/* struct sockaddr for a script's words; "..." is the endpoint given. */
void tern_script_address(struct run *run, struct script_pending *p, unsigned arg,
	const struct tern_endpoint *otherwise);

#endif
