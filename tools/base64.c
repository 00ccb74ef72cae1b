#include "tools/base64.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tern_base64_encode(const uint8_t *data, size_t n, char *text)
{
	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t v = (uint32_t)data[i] << 16;
		if (have > 1)
			v |= (uint32_t)data[i + 1] << 8;
		if (have > 2)
			v |= data[i + 2];
		for (unsigned k = 0; k < 4; k++)
			*text++ = k <= have ? digits[v >> (18 - 6 * k) & 63] : '=';
	}
	*text = '\0';
}

/* What the four characters stand for; -1 if they are not of Base64. */
static int32_t value_of(const char *four, unsigned filled)
{
	uint32_t v = 0;
	for (unsigned k = 0; k < 4; k++) {
		const char *digit = four[k] ? strchr(digits, four[k]) : NULL;
		if (k < 4 - filled && !digit)
			return -1;
		v = v << 6 | (k < 4 - filled ? (uint32_t)(digit - digits) : 0);
	}
	return (int32_t)v;
}

uint8_t *tern_base64_decode(const char *text, size_t *n)
{
	size_t len = strlen(text);
	uint8_t *data = len % 4 == 0 ? malloc(len / 4 * 3 + 1) : NULL, *at = data;
	for (size_t i = 0; data && i < len; i += 4) {
		bool last = i + 4 == len;
		unsigned filled = last ? (unsigned)(text[i + 3] == '=') + (text[i + 2] == '=') : 0;
		int32_t v = value_of(text + i, filled);
		if (v < 0) {
			free(data);
			return NULL;
		}
		for (unsigned k = 0; k < 3 - filled; k++)
			*at++ = (uint8_t)(v >> (16 - 8 * k));
	}
	*n = data ? (size_t)(at - data) : 0;
	return data;
}
