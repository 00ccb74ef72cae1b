/* The reader of %{ }%, shared by what its names stand for (code_names.c) and its grammar (code.c).
 */
#ifndef TERN_TOOLS_SCRIPT_CODE_H
#define TERN_TOOLS_SCRIPT_CODE_H

#include <linux/sock_diag.h>
#include <linux/tcp.h>

#include "tools/script/run.h"

struct script_reader {
	struct run *run;
	const char *at;
	struct tcp_info info;
	uint32_t memory[SK_MEMINFO_VARS];
	bool have_info, have_memory;
	unsigned depth; /* of parentheses */
};

/* Says what is wrong where it stands; there is nothing more to read then. */
void tern_script_code_wrong(struct script_reader *r, const char *what);
/* The script's own variable of that name, or NULL. */
struct variable *tern_script_variable(struct run *run, const char *name);
/* What a name stands for; a failure if it is none. */
int64_t tern_script_value(struct script_reader *r, const char *name);

#endif
