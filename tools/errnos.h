/* The errno a program would see for an error of the stack. */
#ifndef TOOLS_ERRNOS_H
#define TOOLS_ERRNOS_H

/* 0 for 0 and above; EIO for what has no counterpart. */
int tern_errno_of(int err);

#endif
