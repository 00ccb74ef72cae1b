/* Base64 (RFC 4648 4), for bytes in JSON. */
#ifndef TOOLS_BASE64_H
#define TOOLS_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* What n bytes take, the end of the string included. */
#define BASE64_ROOM(n) (((n) + 2) / 3 * 4 + 1)

/* Writes the text of n bytes, and its end. */
void tern_base64_encode(const uint8_t *data, size_t n, char *text);
/* The bytes of a text, the caller's to free, *n of them; NULL if it is not Base64 or memory is
 * short. */
uint8_t *tern_base64_decode(const char *text, size_t *n);

#endif
