#include <string.h>

#include "tools/script/run.h"

#define PCAP_MAGIC_NS     0xa1b23c4du
#define PCAP_LINKTYPE_RAW 101u

FILE *tern_script_pcap_open(const char *path)
{
	FILE *file = fopen(path, "wb");
	if (!file)
		return NULL;
	const uint32_t header[6] = {PCAP_MAGIC_NS, 2 | 4 << 16, 0, 0, SCRIPT_PACKET_MAX,
		PCAP_LINKTYPE_RAW};
	fwrite(header, sizeof header, 1, file);
	return file;
}

void tern_script_pcap_write(FILE *pcap, int64_t time, const uint8_t *data, uint32_t len)
{
	const uint32_t header[4] = {(uint32_t)(time / SCRIPT_S), (uint32_t)(time % SCRIPT_S), len,
		len};
	fwrite(header, sizeof header, 1, pcap);
	fwrite(data, len, 1, pcap);
}
