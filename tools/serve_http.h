/* Files of one directory over HTTP: what libmicrohttpd asks for. Thread-safe after opening. */
#ifndef TOOLS_SERVE_HTTP_H
#define TOOLS_SERVE_HTTP_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>

struct serve_files {
	int root; /* descriptor of the directory; nothing outside it is ever opened */
	bool log; /* a line per request on stderr */
	atomic_ullong requests;
};

/* An MHD_AccessHandlerCallback; context is a struct serve_files. */
enum MHD_Result tern_serve_answer(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **per_request);

/* A page listing the directory open at fd, which is taken; NULL when memory is short. url ends in
 * '/'. */
struct MHD_Response *tern_serve_list(int fd, const char *url);
/* Writes text escaped for a URL's path; returns a new string or NULL. */
char *tern_serve_escape_url(const char *text);

#endif
