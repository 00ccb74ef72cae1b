/*
 * The bridge between libcurl, which wants connected sockets and may wait for them, and the loop's
 * thread, which owns the stack and may not wait.
 */
#ifndef TOOLS_FETCH_LINK_H
#define TOOLS_FETCH_LINK_H

#include <tern/host.h>

struct fetch_links;

/* In the loop's thread; NULL after saying why. */
struct fetch_links *tern_fetch_links_new(struct tern_host *host);
void tern_fetch_links_free(struct fetch_links *links);

/* In curl's thread: waits until a connection is ESTABLISHED. Returns a stream socket, or -1 with
 * the reason in *error. */
int tern_fetch_links_connect(struct fetch_links *links, const struct tern_endpoint *to, int *error);
/*
 * An AF_UNIX address to which every non-blocking connect() fails with EAGAIN, even that of a socket
 * which is connected already. Returns its length, at most 16, or 0.
 *
 * libcurl 7.88 (Debian 12) calls connect() although CURLOPT_SOCKOPTFUNCTION said
 * CURL_SOCKOPT_ALREADY_CONNECTED; EAGAIN it takes for "under way", finds the socket writable and
 * without error, and goes on. 8.0 and later do not call it.
 */
unsigned tern_fetch_links_busy(const struct fetch_links *links, void *sockaddr);
/* In curl's thread: has the loop's thread call a function, and waits until it has returned. */
void tern_fetch_links_call(struct fetch_links *links, void (*call)(void *context), void *context);
/* The error of the last connection that was cut (not closed) since ESTABLISHED; 0 if none. */
int tern_fetch_links_error(struct fetch_links *links);

#endif
