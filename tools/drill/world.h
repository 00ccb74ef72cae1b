/* The inside of a drill: its descriptors, and what each call is made of. */
#ifndef TERN_TOOLS_DRILL_WORLD_H
#define TERN_TOOLS_DRILL_WORLD_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "tools/drill/drill.h"

enum fd_kind {
	FD_FREE,
	FD_SOCKET, /* TCP or UDP, neither listening nor connected */
	FD_LISTENER,
	FD_CONN,
	FD_UDP,
	FD_EPOLL,
	FD_PIPE_READ,
	FD_PIPE_WRITE,
};

#define FD_OPTIONS_MAX 16
#define WATCHES_MAX    32

/* One descriptor in an epoll set. */
struct watch {
	int fd;
	struct epoll_event event;
	bool spent;       /* EPOLLONESHOT has been told */
	bool edge;        /* EPOLLET: something happened since it was told */
	uint32_t rcv_nxt; /* as far as it was told */
	bool told_end;
};

struct epoll_set {
	unsigned count;
	struct watch watch[WATCHES_MAX];
};

#define PIPE_ROOM 65536

struct pipe_buffer {
	unsigned ends; /* open */
	bool no_writer, no_reader;
	uint32_t len;
	uint8_t data[PIPE_ROOM];
};

struct fd {
	enum fd_kind kind;
	bool open, nonblock, datagram, bound;
	bool connect_reported; /* connect() or SO_ERROR told how the open ended */
	bool error_taken;      /* the connection's error was returned once */
	bool read_shut, linger_reset;
	bool accept_edge; /* TERN_EV_ACCEPT came */
	bool tells_inq;   /* TCP_INQ */
	bool cork;        /* as the program set it */
	bool send_edge;   /* TERN_EV_WRITABLE came */
	struct tern_endpoint local, remote;
	struct tern_conn conn;
	struct tern_listener listener;
	struct tern_udp udp;
	struct epoll_set *epoll;
	struct pipe_buffer *pipe;
	uint32_t rcvbuf, sndbuf; /* 0: not set */
	unsigned options;
	struct {
		enum tern_tcp_option option;
		int64_t value;
	} option[FD_OPTIONS_MAX]; /* for when there is a connection */
};

struct drill {
	struct drill_opts opts;
	struct tern_stack *stack;
	int nif;
	int64_t now;
	struct drill_frame *sent, **sent_tail; /* by tern, and not taken */
	struct fd fd[DRILL_FDS];
	int next_fd;
	struct drill_call *blocked; /* in the order they were made */
	uint8_t *buffer;            /* for one frame */
	size_t room;
	size_t allocated; /* bytes the stack holds */
	const char *fault;
};

/* What a call's try returns besides a value or -errno: not yet. */
#define BLOCKED INT64_MIN

/* 0 or above as it is; a tern_err as -errno. */
int64_t tern_drill_result(int64_t value);
/* An error of the connection: told once, then as if it were never there (0). */
int tern_drill_take_error(struct fd *fd, int err);
/* The open descriptor, or NULL. */
struct fd *tern_drill_fd(struct drill *drill, intptr_t number);
/* A new descriptor's number, or -EMFILE. */
int tern_drill_new_fd(struct drill *drill, enum fd_kind kind);
/* Ends what is behind a descriptor. */
int tern_drill_end(struct drill *drill, struct fd *fd);
/* Lets tern send all it has to send now, and tries blocked calls again. */
void tern_drill_pump(struct drill *drill);
/* Gives a new connection the options that were set before it was one. */
void tern_drill_apply_options(struct drill *drill, struct fd *fd);
/* What was asked for and is a listener's. */
void tern_drill_apply_to_listener(struct drill *drill, const struct fd *fd);
/* TCP_CORK as it should be in force. */
void tern_drill_cork(struct drill *drill, struct fd *fd);
bool tern_drill_from_sockaddr(intptr_t address, intptr_t len, struct tern_endpoint *out);
void tern_drill_to_sockaddr(const struct tern_endpoint *ep, intptr_t address, intptr_t len);
/* poll()'s bits of a descriptor, without regard to what was asked. */
short tern_drill_ready(struct drill *drill, int number);

/* The tries, by file. */
int64_t tern_drill_socket(struct drill *drill, struct drill_call *call);
int64_t tern_drill_bind(struct drill *drill, struct drill_call *call);
int64_t tern_drill_listen(struct drill *drill, struct drill_call *call);
int64_t tern_drill_accept(struct drill *drill, struct drill_call *call);
int64_t tern_drill_connect(struct drill *drill, struct drill_call *call);
int64_t tern_drill_shutdown(struct drill *drill, struct drill_call *call);
int64_t tern_drill_end_call(struct drill *drill, struct drill_call *call);
int64_t tern_drill_read(struct drill *drill, struct drill_call *call);
int64_t tern_drill_write(struct drill *drill, struct drill_call *call);
int64_t tern_drill_fcntl(struct drill *drill, struct drill_call *call);
int64_t tern_drill_ioctl(struct drill *drill, struct drill_call *call);
int64_t tern_drill_getsockopt(struct drill *drill, struct drill_call *call);
int64_t tern_drill_setsockopt(struct drill *drill, struct drill_call *call);
int64_t tern_drill_poll(struct drill *drill, struct drill_call *call);
int64_t tern_drill_epoll_create(struct drill *drill, struct drill_call *call);
int64_t tern_drill_epoll_ctl(struct drill *drill, struct drill_call *call);
int64_t tern_drill_epoll_wait(struct drill *drill, struct drill_call *call);
int64_t tern_drill_pipe(struct drill *drill, struct drill_call *call);
int64_t tern_drill_splice(struct drill *drill, struct drill_call *call);

#endif
