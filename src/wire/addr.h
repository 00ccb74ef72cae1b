/* IPv4 addresses between the wire's four bytes and the mapped form of struct tern_addr. */
#ifndef TERN_WIRE_ADDR_H
#define TERN_WIRE_ADDR_H

#include <tern/types.h>
#include "base/bytes.h"

static inline struct tern_addr load_addr_v4(const uint8_t *p)
{
	return (struct tern_addr){
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, p[0], p[1], p[2], p[3]}};
}

static inline void write_addr_v4(struct writer *w, const struct tern_addr *a)
{
	write_bytes(w, a->byte + 12, 4);
}

#endif
