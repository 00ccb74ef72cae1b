/* The socket calls: each tries once, and says what came of it. */
#ifndef TERN_TOOLS_SCRIPT_CALLS_H
#define TERN_TOOLS_SCRIPT_CALLS_H

#include "tools/errnos.h"
#include "tools/script/run.h"

struct outcome {
	bool blocked; /* nothing yet: try again later */
	int64_t value;
	int error; /* errno, with value -1 */
};

static inline struct outcome returned(int64_t value)
{
	return (struct outcome){.value = value};
}

static inline struct outcome refused(int error)
{
	return (struct outcome){.value = -1, .error = error};
}

static inline struct outcome blocked(void)
{
	return (struct outcome){.blocked = true};
}

/* 0 or a tern_err, as a call returns it. */
static inline struct outcome outcome_of(int err)
{
	return err < 0 ? refused(tern_errno_of(err)) : returned(err);
}

/* The n-th argument, from 0; NULL if there are fewer. */
struct script_expr *tern_script_arg(const struct script_pending *p, unsigned n);
/* As an integer; 0 for "..." or none, and a failure for anything else. */
int64_t tern_script_arg_int(struct run *run, const struct script_pending *p, unsigned n);
/* The integer in [N], or of a list's field by that name. */
bool tern_script_item(const struct script_expr *expr, const char *name, int64_t *value);
/* The open descriptor that the first argument names, or NULL. */
struct script_fd *tern_script_fd(struct run *run, const struct script_pending *p);
/* "..." leaves ep alone; {sa_family = AF_INET, sin_port = htons(80), ...} sets its parts. */
void tern_script_endpoint(struct run *run, const struct script_expr *expr,
	struct tern_endpoint *ep);
/* An error of the connection: told once, then as if it were never there (0). */
int tern_script_take_error(struct script_fd *fd, int err);
void tern_script_apply_options(struct run *run, struct script_fd *fd);

struct outcome tern_script_call_socket(struct run *run, struct script_pending *p);
struct outcome tern_script_call_bind(struct run *run, struct script_pending *p);
struct outcome tern_script_call_listen(struct run *run, struct script_pending *p);
struct outcome tern_script_call_accept(struct run *run, struct script_pending *p);
struct outcome tern_script_call_connect(struct run *run, struct script_pending *p);
struct outcome tern_script_call_shutdown(struct run *run, struct script_pending *p);
struct outcome tern_script_call_close(struct run *run, struct script_pending *p);
struct outcome tern_script_call_read(struct run *run, struct script_pending *p);
struct outcome tern_script_call_write(struct run *run, struct script_pending *p);
struct outcome tern_script_call_setsockopt(struct run *run, struct script_pending *p);
struct outcome tern_script_call_getsockopt(struct run *run, struct script_pending *p);
struct outcome tern_script_call_fcntl(struct run *run, struct script_pending *p);
struct outcome tern_script_call_ioctl(struct run *run, struct script_pending *p);
struct outcome tern_script_call_poll(struct run *run, struct script_pending *p);
struct outcome tern_script_call_state(struct run *run, struct script_pending *p);

#endif
