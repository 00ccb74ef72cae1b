/*
 * Theory of operation. Blocks are built whole in a buffer and written when it is full, so the
 * file can only ever end between two blocks; when a write fails half-way the file is cut back.
 * A received frame is copied at FRAME_IN and written at FRAME_DONE, when it is known what became
 * of it. Byte order is the machine's, as pcapng allows.
 */
#include <tern/pcapng.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/error.h"
#include "host/pcapng_note.h"

#define BUFFER         (256u * 1024)
#define SNAPLEN_MAX    (128u * 1024) /* larger than any frame of a stack */
#define LINKTYPE_ETHER 1
#define LINKTYPE_RAW   101
#define BLOCK_SECTION  0x0a0d0d0au
#define BLOCK_IFACE    1u
#define BLOCK_PACKET   6u
#define OPT_END        0
#define OPT_COMMENT    1
#define INBOUND        1u
#define OUTBOUND       2u

struct iface {
	bool described;
	bool raw_ip;
	uint32_t id;
};

struct tern_pcapng {
	struct tern_pcapng_opts opts;
	int fd;
	int error;       /* errno of the first failure */
	uint32_t ifaces; /* interfaces described */
	struct iface iface[TERN_NIF_MAX];
	uint64_t packets;
	struct {
		uint64_t now;
		int nif;
		uint32_t len; /* in the file */
		uint32_t original, captured;
		bool held;
	} in;
	uint32_t used; /* of buffer */
	struct notes notes;
	uint8_t frame[SNAPLEN_MAX];
	uint8_t buffer[BUFFER];
};

static void fail(struct tern_pcapng *p, int error)
{
	if (p->error)
		return;
	p->error = error;
	if (p->opts.failed)
		p->opts.failed(p->opts.context, strerror(error));
}

/* Writes all, or says why not in errno; *done counts what got there. */
static bool write_all(int fd, const uint8_t *data, size_t len, size_t *done)
{
	for (*done = 0; *done < len;) {
		ssize_t n = write(fd, data + *done, len - *done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			return false;
		}
		*done += (size_t)n;
	}
	return true;
}

static void flush_buffer(struct tern_pcapng *p)
{
	size_t done;
	if (!p->error && p->used && !write_all(p->fd, p->buffer, p->used, &done)) {
		int error = errno;
		off_t at = lseek(p->fd, 0, SEEK_CUR);
		/* Half a block would make the file unreadable to some; a pipe cannot be helped. */
		if (at < (off_t)done || ftruncate(p->fd, at - (off_t)done) != 0)
			errno = 0;
		fail(p, error);
	}
	p->used = 0;
}

static uint8_t *reserve(struct tern_pcapng *p, uint32_t len)
{
	if (p->used + len > BUFFER)
		flush_buffer(p);
	uint8_t *at = p->buffer + p->used;
	memset(at, 0, len);
	p->used += len;
	return at;
}

static uint32_t padded(uint32_t len)
{
	return (len + 3) & ~3u;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
	return at + 4;
}

static uint8_t *put_option(uint8_t *at, uint16_t code, const void *data, uint32_t len)
{
	uint16_t head[2] = {code, (uint16_t)len};
	memcpy(at, head, sizeof head);
	if (len)
		memcpy(at + 4, data, len);
	return at + 4 + padded(len);
}

static void put_section(struct tern_pcapng *p)
{
	static const char application[] = "tern";
	static const uint16_t version[2] = {1, 0};
	uint32_t app = sizeof application - 1, len = 28 + 4 + padded(app) + 4;
	uint8_t *at = reserve(p, len);
	at = put32(at, BLOCK_SECTION);
	at = put32(at, len);
	at = put32(at, 0x1a2b3c4d);
	memcpy(at, version, sizeof version);
	at += sizeof version;
	at = put32(at, UINT32_MAX); /* section length unknown */
	at = put32(at, UINT32_MAX);
	at = put_option(at, 4, application, app);
	at = put_option(at, OPT_END, NULL, 0);
	put32(at, len);
}

void tern_pcapng_interface(struct tern_pcapng *p, int nif, const struct tern_nif_opts *opts)
{
	if (nif < 0 || nif >= TERN_NIF_MAX || p->iface[nif].described)
		return;
	p->iface[nif] = (struct iface){true, opts->raw_ip || nif == TERN_NIF_LOOPBACK, p->ifaces++};
	uint32_t name = (uint32_t)strnlen(opts->name, sizeof opts->name);
	static const uint8_t none[6];
	bool has_mac = !p->iface[nif].raw_ip && memcmp(opts->mac, none, sizeof none) != 0;
	const uint8_t resolution = 9; /* 10^-9 s */
	uint32_t len = 16 + (4 + padded(name)) + (4 + 4) + (has_mac ? 4 + 8 : 0) + 4 + 4;
	uint8_t *at = reserve(p, len);
	at = put32(at, BLOCK_IFACE);
	at = put32(at, len);
	uint16_t link[2] = {p->iface[nif].raw_ip ? LINKTYPE_RAW : LINKTYPE_ETHER, 0};
	memcpy(at, link, sizeof link);
	at = put32(at + 4, p->opts.snaplen);
	at = put_option(at, 2, opts->name, name);
	if (has_mac)
		at = put_option(at, 6, opts->mac, 6);
	at = put_option(at, 9, &resolution, 1);
	at = put_option(at, OPT_END, NULL, 0);
	put32(at, len);
}

static struct iface *iface_of(struct tern_pcapng *p, int nif)
{
	if (nif < 0 || nif >= TERN_NIF_MAX)
		return NULL;
	if (!p->iface[nif].described) {
		struct tern_nif_opts opts = {.raw_ip = nif == TERN_NIF_LOOPBACK};
		snprintf(opts.name, sizeof opts.name, nif == TERN_NIF_LOOPBACK ? "lo" : "nif%d",
			nif);
		tern_pcapng_interface(p, nif, &opts);
	}
	return &p->iface[nif];
}

static void put_packet(struct tern_pcapng *p, uint32_t direction, const struct note_text *note)
{
	const struct iface *iface = &p->iface[p->in.nif];
	uint64_t time = p->opts.epoch + p->in.now;
	uint32_t comment = p->opts.no_comments ? 0 : note->len;
	uint32_t options = (comment ? 4 + padded(comment) : 0) + 8 + 4;
	uint32_t len = 28 + padded(p->in.len) + options + 4;
	uint8_t *at = reserve(p, len);
	at = put32(at, BLOCK_PACKET);
	at = put32(at, len);
	at = put32(at, iface->id);
	at = put32(at, (uint32_t)(time >> 32));
	at = put32(at, (uint32_t)time);
	at = put32(at, p->in.len);
	at = put32(at, p->in.original);
	memcpy(at, p->frame, p->in.len);
	at += padded(p->in.len);
	if (comment)
		at = put_option(at, OPT_COMMENT, note->text, comment);
	at = put_option(at, 2, &direction, 4);
	at = put_option(at, OPT_END, NULL, 0);
	put32(at, len);
	p->packets += !p->error;
}

/* Copies the frame, with its checksum finished if it is all there: the lender's bytes stay as they
 * are. */
static bool hold(struct tern_pcapng *p, const struct tern_trace *t)
{
	p->in.held = false;
	if (!iface_of(p, t->nif) || t->frame->len > SNAPLEN_MAX || p->error)
		return false;
	struct tern_frame copy = *t->frame;
	copy.data = p->frame;
	copy.capacity = sizeof p->frame;
	p->in.captured = t->captured ? t->captured : copy.len;
	if (p->in.captured)
		memcpy(p->frame, t->frame->data, p->in.captured);
	if (!t->captured)
		tern_frame_finish_csum(&copy);
	p->in.now = t->now;
	p->in.nif = t->nif;
	p->in.original = copy.len;
	p->in.len = p->in.captured < p->opts.snaplen ? p->in.captured : p->opts.snaplen;
	p->in.held = true;
	return true;
}

/* Frames of the loopback leave and arrive: one packet in the file, with both sides' words. */
static void received(struct tern_pcapng *p)
{
	struct note_text note = {0}, made;
	bool loopback = p->in.nif == TERN_NIF_LOOPBACK;
	if (loopback)
		tern_note_sent(&p->notes, p->frame, p->in.captured, true, &note);
	tern_note_received(&p->notes, &made);
	tern_note_join(&note, &made);
	put_packet(p, loopback ? 0 : INBOUND, &note);
}

static void see(void *context, const struct tern_trace *t)
{
	struct tern_pcapng *p = context;
	struct note_text note;
	if (p->error)
		return;
	tern_note_see(&p->notes, t);
	if (t->kind == TERN_TRACE_FRAME_IN) {
		hold(p, t);
	} else if (t->kind == TERN_TRACE_FRAME_DONE && p->in.held) {
		received(p);
		p->in.held = false;
	} else if (t->kind == TERN_TRACE_FRAME_OUT && t->nif != TERN_NIF_LOOPBACK && hold(p, t)) {
		tern_note_sent(&p->notes, p->frame, p->in.captured, p->iface[t->nif].raw_ip, &note);
		put_packet(p, OUTBOUND, &note);
		p->in.held = false;
	}
}

struct tern_trace_listener tern_pcapng_listener(struct tern_pcapng *p)
{
	return (struct tern_trace_listener){see, p};
}

int tern_pcapng_flush(struct tern_pcapng *p)
{
	flush_buffer(p);
	return p->error ? -1 : 0;
}

uint64_t tern_pcapng_packets(const struct tern_pcapng *p)
{
	return p->packets;
}

struct tern_pcapng *tern_pcapng_open_fd(int fd, const struct tern_pcapng_opts *opts)
{
	struct tern_pcapng *p = calloc(1, sizeof *p);
	if (!p) {
		tern_error_set("capture: %s", strerror(ENOMEM));
		return NULL;
	}
	if (opts)
		p->opts = *opts;
	if (p->opts.snaplen == 0 || p->opts.snaplen > SNAPLEN_MAX)
		p->opts.snaplen = SNAPLEN_MAX;
	p->fd = fd;
	put_section(p);
	/* At once: a descriptor that cannot be written to is told now, not at the end. */
	flush_buffer(p);
	if (p->error) {
		tern_error_set("capture: cannot write: %s", strerror(p->error));
		free(p);
		return NULL;
	}
	return p;
}

struct tern_pcapng *tern_pcapng_open(const char *path, const struct tern_pcapng_opts *opts)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		tern_error_set("%s: %s", path, strerror(errno));
		return NULL;
	}
	struct tern_pcapng *p = tern_pcapng_open_fd(fd, opts);
	if (!p)
		close(fd);
	return p;
}

int tern_pcapng_close(struct tern_pcapng *p)
{
	if (!p)
		return 0;
	flush_buffer(p);
	if (close(p->fd) != 0)
		fail(p, errno);
	int error = p->error;
	if (error)
		tern_error_set("capture incomplete: %s", strerror(error));
	free(p);
	return error ? -1 : 0;
}
