/* What tern knows of its connections, in the words of `ss -ti`. */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

#include <stdio.h>
#include <tern/stack.h>

/* Prints two lines for each connection that is synchronised and not in TIME_WAIT:
 *
 *	ESTABLISHED unread unacked 10.77.0.2:51041 10.77.0.1:80
 *		 cubic wscale:10,7 rto:200 rtt:0.151/0.022 mss:1448 ...
 */
void tern_info_print(FILE *out, const struct tern_stack *stack);

#endif
