/* Everything of the core: see stack.h for where to begin. */
#ifndef TERN_TERN_H
#define TERN_TERN_H

#include <tern/stack.h>
#include <tern/tcp.h>
#include <tern/trace.h>
#include <tern/udp.h>

#endif
