/* Bytes for the codecs' tests: real packets, and buffers without a byte to spare. */
#ifndef TEST_UNIT_WIRE_PACKETS_H
#define TEST_UNIT_WIRE_PACKETS_H

#include "test/unit/support.h"
#include "base/bytes.h"

/* Captured between two Linux 6.x namespaces over a veth with offloads off. */
#define REAL_ARP_REPLY                                                                             \
	"6ead2ff77d80e23180724ad908060001080006040002e23180724ad90a4d00026ead2ff77d800a4d0001"
#define REAL_UDP                                                                                   \
	"e23180724ad96ead2ff77d80080045000021458940004011e0a60a4d00010a4d0002baba270f000dc59b6865" \
	"6c6c6f"
#define REAL_UNREACHABLE                                                                           \
	"6ead2ff77d80e23180724ad9080045c0003d3b2e000040012a360a4d00020a4d0001030311b800000000"     \
	"45000021458940004011e0a60a4d00010a4d0002baba270f000dc59b68656c6c6f"
#define REAL_ECHO                                                                                  \
	"00000000000000000000000008004500002ce106400040015bc87f0000017f000001"                     \
	"0800503721fc00014803056b00000000315d070000000000"
#define REAL_SYN                                                                                   \
	"e23180724ad96ead2ff77d8008004500003c2e7840004006f7a70a4d00010a4d0002"                     \
	"a1181f906ceb8df600000000a002faf025940000020405b40402080a665af0f6000000000103030a"
#define REAL_DATA                                                                                  \
	"e23180724ad96ead2ff77d8008004500003d2e7a40004006f7a40a4d00010a4d0002"                     \
	"a1181f906ceb8df7e97ad6a58018003fd4a600000101080a665af0f6c77654cb474554202f206f6464"
/* Over loopback with offload on: the checksum fields hold only the pseudo-headers' sums. */
#define REAL_UNFINISHED_UDP                                                                        \
	"0000000000000000000000000800450000218bf040004011b0d97f0000017f000001"                     \
	"b9f1270f000dfe2068656c6c6f"
#define REAL_UNFINISHED_TCP                                                                        \
	"000000000000000000000000080045000034209d400040061c257f0000017f000001"                     \
	"b6f61f90f054bbee001b1d9680100040fe2800000101080a979eb8a471c7dea4"

#define ETH 14 /* bytes before the IP header in the packets above */

/* An allocation of exactly len bytes, so that AddressSanitizer sees the first one past it. */
struct bytes {
	uint8_t *data;
	size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
	struct bytes b = {malloc(len ? len : 1), len};
	assert_non_null(b.data);
	if (len > 0)
		memcpy(b.data, data, len);
	return b;
}

static inline void bytes_free(struct bytes *b)
{
	free(b->data);
	b->data = NULL;
}

static inline uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* From hexadecimal text, leaving out the first `skip` bytes. */
static inline struct bytes bytes_hex(const char *text, size_t skip)
{
	size_t len = strlen(text) / 2 - skip;
	struct bytes b = {malloc(len), len};
	assert_non_null(b.data);
	for (size_t i = 0; i < len; i++)
		b.data[i] = (uint8_t)(nibble(text[2 * (i + skip)]) << 4 |
				      nibble(text[2 * (i + skip) + 1]));
	return b;
}

#endif
