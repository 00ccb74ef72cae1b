/* The words of the language that stand for numbers. */
#ifndef TERN_TOOLS_SCRIPT_NAMES_H
#define TERN_TOOLS_SCRIPT_NAMES_H

#include "tools/script/ast.h"

/* The value of SOCK_STREAM and the like, by this system's headers; TCP states are enum
 * tern_tcp_state. False: unknown. */
bool tern_script_constant(const char *name, int64_t *value);
/* The flag behind a letter of "SFRPUEWA" or "."; 0 if none. */
uint16_t tern_script_flag(char letter);
/* code may be NULL. */
bool tern_script_icmp_find(const char *type, const char *code, uint8_t *type_out,
	uint8_t *code_out);
/* Bytes an option takes in a header. */
unsigned tern_script_option_len(const struct script_option *option);

#endif
