#include "tools/serve_http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"

/* --- files ---------------------------------------------------------------------------- */

/* Opens a path below the root and nowhere else: "..", absolute paths and links that lead out are
 * refused by the kernel, without a race. */
static int open_beneath(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static const char *content_type(const char *path)
{
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".htm", "text/html; charset=utf-8"},
		{".txt", "text/plain; charset=utf-8"},
		{".md", "text/plain; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".json", "application/json"},
		{".xml", "application/xml"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".jpg", "image/jpeg"},
		{".jpeg", "image/jpeg"},
		{".gif", "image/gif"},
		{".webp", "image/webp"},
		{".ico", "image/vnd.microsoft.icon"},
		{".wasm", "application/wasm"},
		{".pdf", "application/pdf"},
		{".gz", "application/gzip"},
		{".zip", "application/zip"},
		{".mp4", "video/mp4"},
		{".webm", "video/webm"},
		{".mp3", "audio/mpeg"},
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
		if (strcasecmp(dot, types[i].suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* --- ranges and dates ----------------------------------------------------------------- */

enum range_verdict {
	RANGE_NONE, /* absent, or not one we act on: the whole file */
	RANGE_PART,
	RANGE_BEYOND, /* 416 */
};

static bool parse_u64(const char **at, uint64_t *out)
{
	char *end;
	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*out = strtoull(*at, &end, 10);
	*at = end;
	return errno == 0;
}

/* One range of bytes (RFC 9110 14.1.2); several, or a malformed one, are ignored (14.2). */
static enum range_verdict parse_range(const char *text, uint64_t size, uint64_t *first,
	uint64_t *len)
{
	uint64_t last = UINT64_MAX;
	if (!text || strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	if (*text == '-') {
		text++;
		if (!parse_u64(&text, &last) || *text)
			return RANGE_NONE;
		*first = last < size ? size - last : 0;
		*len = size - *first;
		return *len ? RANGE_PART : RANGE_BEYOND;
	}
	if (!parse_u64(&text, first) || *text++ != '-')
		return RANGE_NONE;
	if (*text && (!parse_u64(&text, &last) || *text || last < *first))
		return RANGE_NONE;
	if (*first >= size)
		return RANGE_BEYOND;
	*len = (last < size ? last + 1 : size) - *first;
	return RANGE_PART;
}

static void format_date(time_t t, char text[40])
{
	struct tm tm;
	strftime(text, 40, HTTP_DATE, gmtime_r(&t, &tm));
}

static bool parse_date(const char *text, time_t *out)
{
	struct tm tm = {0};
	const char *end = strptime(text, HTTP_DATE, &tm);
	if (!end || *end)
		return false;
	*out = timegm(&tm);
	return true;
}

/* --- answers -------------------------------------------------------------------------- */

struct request {
	struct serve_files *files;
	struct MHD_Connection *connection;
	const char *url, *method;
};

static const char *header(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result send_response(const struct request *r, unsigned status,
	struct MHD_Response *response)
{
	if (!response)
		return MHD_NO;
	enum MHD_Result rc = MHD_queue_response(r->connection, status, response);
	MHD_destroy_response(response);
	if (r->files->log)
		fprintf(stderr, "serve: %s %s %u\n", r->method, r->url, status);
	return rc;
}

static struct MHD_Response *text_response(const char *text)
{
	/* The library only reads memory that is persistent, whatever its prototype says. */
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text),
		(void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
			"text/plain; charset=utf-8");
	return response;
}

static enum MHD_Result refuse(const struct request *r, unsigned status, const char *text)
{
	return send_response(r, status, text_response(text));
}

static enum MHD_Result refuse_errno(const struct request *r, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return refuse(r, MHD_HTTP_NOT_FOUND, "not found\n");
	case EACCES:
	case EPERM:
	case EXDEV: /* leads out of the directory */
	case ELOOP:
		return refuse(r, MHD_HTTP_FORBIDDEN, "forbidden\n");
	default:
		return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "cannot open it now\n");
	}
}

static enum MHD_Result unsatisfiable(const struct request *r, uint64_t size)
{
	char text[64];
	struct MHD_Response *response = text_response("no such range\n");
	snprintf(text, sizeof text, "bytes */%" PRIu64, size);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, text);
	return send_response(r, MHD_HTTP_RANGE_NOT_SATISFIABLE, response);
}

static bool not_modified(const struct request *r, time_t modified)
{
	const char *since = header(r, MHD_HTTP_HEADER_IF_MODIFIED_SINCE);
	time_t t;
	return since && parse_date(since, &t) && modified <= t;
}

/* A range holds only for the version it was asked of (RFC 9110 13.1.5); we have no entity tags. */
static const char *range_wanted(const struct request *r, time_t modified)
{
	const char *condition = header(r, MHD_HTTP_HEADER_IF_RANGE);
	time_t t;
	if (condition && !(parse_date(condition, &t) && t == modified))
		return NULL;
	return header(r, MHD_HTTP_HEADER_RANGE);
}

/* Takes fd. */
static enum MHD_Result send_file(const struct request *r, const char *path, int fd,
	const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size, first = 0, len = size;
	char text[96];
	enum range_verdict range = parse_range(range_wanted(r, st->st_mtime), size, &first, &len);
	if (not_modified(r, st->st_mtime) || range == RANGE_BEYOND) {
		close(fd);
		if (range == RANGE_BEYOND && !not_modified(r, st->st_mtime))
			return unsatisfiable(r, size);
		return send_response(r, MHD_HTTP_NOT_MODIFIED, text_response(""));
	}
	struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(len, fd, first);
	if (!response) {
		close(fd);
		return MHD_NO;
	}
	format_date(st->st_mtime, text);
	MHD_add_response_header(response, MHD_HTTP_HEADER_LAST_MODIFIED, text);
	MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type(path));
	if (range == RANGE_NONE)
		return send_response(r, MHD_HTTP_OK, response);
	snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
		first + len - 1, size);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, text);
	return send_response(r, MHD_HTTP_PARTIAL_CONTENT, response);
}

static enum MHD_Result redirect_to_slash(const struct request *r)
{
	/* Leading slashes would be read as another host's name. */
	const char *path = r->url + strspn(r->url, "/");
	char *escaped = tern_serve_escape_url(path), *location = NULL;
	if (!escaped || asprintf(&location, "/%s/", escaped) < 0)
		location = NULL;
	free(escaped);
	if (!location)
		return MHD_NO;
	struct MHD_Response *response = text_response("a directory\n");
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, location);
	free(location);
	return send_response(r, MHD_HTTP_MOVED_PERMANENTLY, response);
}

/* Takes fd. */
static enum MHD_Result send_directory(const struct request *r, int fd)
{
	struct stat st;
	if (r->url[strlen(r->url) - 1] != '/') {
		close(fd);
		return redirect_to_slash(r);
	}
	int index = open_beneath(fd, "index.html");
	if (index >= 0 && fstat(index, &st) == 0 && S_ISREG(st.st_mode)) {
		close(fd);
		return send_file(r, "index.html", index, &st);
	}
	if (index >= 0)
		close(index);
	return send_response(r, MHD_HTTP_OK, tern_serve_list(fd, r->url));
}

static enum MHD_Result send_path(const struct request *r)
{
	const char *path = r->url + strspn(r->url, "/");
	struct stat st;
	int fd = open_beneath(r->files->root, *path ? path : ".");
	if (fd < 0)
		return refuse_errno(r, errno);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return send_directory(r, fd);
	if (S_ISREG(st.st_mode))
		return send_file(r, path, fd, &st);
	close(fd);
	return refuse(r, MHD_HTTP_FORBIDDEN, "neither a file nor a directory\n");
}

enum MHD_Result tern_serve_answer(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **per_request)
{
	static char seen;
	struct request r = {context, connection, url, method};
	(void)version;
	(void)upload;
	if (!*per_request) { /* the headers alone: a body, if any, follows */
		*per_request = &seen;
		return MHD_YES;
	}
	if (*upload_size) { /* nothing here wants one */
		*upload_size = 0;
		return MHD_YES;
	}
	atomic_fetch_add(&r.files->requests, 1);
	if (url[0] != '/')
		return refuse(&r, MHD_HTTP_BAD_REQUEST, "bad request\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
		return send_path(&r);
	struct MHD_Response *response = text_response("only GET and HEAD\n");
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return send_response(&r, MHD_HTTP_METHOD_NOT_ALLOWED, response);
}
