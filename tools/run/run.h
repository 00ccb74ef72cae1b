/*
 * `tern run`: a supervisor that answers its programs' socket calls, over seccomp's user
 * notification. A TCP socket of the program is an AF_UNIX stream socket; what the program does with
 * its bytes is the kernel's business, what it does with its addresses is ours:
 *
 *	stack.c     the stack that programs run on: its beginning, its turns, its end
 *	network.c   the programs' namespaces, the TUN that is their only way out
 *	program.c   starting a program in there, its filter, its signals; waiting for it
 *	packet.c    what is said when a program comes to a stack, join.h
 *	sandbox.c   what a filter tells: one for each program that runs on the stack
 *	admit.c     programs that others start on it (tern up)
 *	join.c      starting one on a stack that another process has (tern run --stack)
 *	filter.c    which calls are told to us
 *	call.c      taking a call, looking up whose it is, answering it
 *	tracee.c    the caller's memory and descriptors
 *	sock.c      what we know of each socket, by its SO_COOKIE; noticing that it was closed
 *	port.c      which ports are bound
 *	open.c      socket, bind, connect, shutdown
 *	renew.c     a new socket in the place of one whose open failed
 *	accept.c    listen, accept
 *	watch.c     noticing at once that a listening socket was closed
 *	name.c      getsockname, getpeername
 *	owner.c     who has which connection
 *	datagram.c  the programs' UDP sockets, which are the kernel's
 *	option.c    setsockopt, getsockopt, ioctl
 *
 * `tern run` has a stack and one program on it; `tern up` has a stack, and each `tern run --stack`
 * brings a program, whose filter's listener it hands over.
 *
 * The program is not trusted: what it gives is copied once, and nothing here waits for it.
 */
#ifndef TOOLS_RUN_RUN_H
#define TOOLS_RUN_RUN_H

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <tern/host.h>
#include <tern/relay.h>
#include <tern/tcp.h>
#include <uthash.h>

#include "tools/options.h"

/* A port that is bound, and by whom. */
struct port_hold {
	struct tern_endpoint at;
	uid_t owner;
	bool held, asked_for, reuse_addr, reuse_port, listening;
	struct port_hold *next, **link;
};

#define SOCK_NAME_MAX sizeof "/proc/self/fd/2147483647/socket"

enum sock_state {
	SOCK_FRESH, /* perhaps bound */
	SOCK_LISTENING,
	SOCK_CONNECTING,
	SOCK_CONNECTED, /* once; the connection may have ended */
	SOCK_FAILED,    /* the open failed: the program has still to close it */
};

/* A call that waits to be answered. */
struct parked {
	struct sandbox *sandbox; /* whose call it is */
	uint64_t id;             /* of the notification; 0: none */
	pid_t tid;
	int fd, flags;           /* accept: the listening descriptor, and accept4's flags */
	uint64_t addr, addr_len; /* accept: where the peer's address goes */
	uint64_t deadline;       /* ns, SO_RCVTIMEO or SO_SNDTIMEO; TERN_NEVER */
	struct sock *sock;
	struct parked *next, **link;
};

/* Options that were set before there was a connection to set them on. */
struct wishes {
	uint32_t set; /* a bit per enum tern_tcp_option */
	int value[TERN_TCP_OPTIONS];
	bool linger_reset, reuse_port, oob_inline;
};

/* What a listening port is to tern: one listener, and the sockets that share it (SO_REUSEPORT). */
struct group {
	struct run *run;
	struct tern_listener listener;
	struct sock *members;
	struct tern_conn *returned; /* taken from the queue, but accept could not be answered */
	unsigned returned_count;
	struct group *next, **link;
};

#define SHUT_BOTH 3u /* of sock.shut */

/* A socket of the program's. */
struct sock {
	struct run *run;
	struct sandbox *sandbox; /* that it was made in; NULL: which is over */
	uint64_t cookie;         /* SO_COOKIE of the program's end */
	uint32_t inode;          /* and its inode */
	uint32_t unread;         /* bytes in it when it was last listed */
	enum sock_state state;
	bool seen; /* by the sweep */
	struct port_hold hold;
	struct wishes wishes;
	struct tern_endpoint local, remote;
	int error;     /* errno that SO_ERROR tells, once */
	unsigned shut; /* what the program has shut down; SHUT_BOTH: to us it looks as if closed */
	bool told;     /* connect has returned what came of it */
	/* connecting, connected */
	struct tern_conn conn;
	struct tern_relay *relay;   /* NULL: not yet, or over */
	struct tern_tcp_info *past; /* what was to be told of it when it was over; may be NULL */
	int end;           /* while connecting: our end, with the preamble in it; else -1 */
	uint32_t preamble; /* bytes of it */
	struct tern_watch *end_watch;
	pid_t holder; /* the thread that connected it, and its descriptor's number */
	int holder_fd;
	bool sought;             /* established, but the program's end was not found yet */
	UT_hash_handle by_inode; /* of run->sought */
	struct parked *parked;   /* connect calls, accept calls */
	/* listening */
	struct group *group;
	struct sock *next_member, **member_link;
	char name[SOCK_NAME_MAX]; /* of the program's end: a path, or abstract, its first byte 0 */
	unsigned name_len;
	int link, watch;         /* to its name, and inotify's of it; -1: none */
	UT_hash_handle by_watch; /* of run->watched */
	int *tokens;             /* our ends of what waits in its accept queue, oldest first */
	unsigned token_count, token_room;
	UT_hash_handle hh;
};

/* A process of the program's. */
struct proc {
	pid_t pid;
	int pidfd;
	UT_hash_handle hh;
};

/* What one filter watches: a program, and all that it starts. */
struct sandbox {
	struct run *run;
	int notify;  /* the filter's listener */
	bool shared; /* somebody else may have a copy of it */
	struct tern_watch *watch;
	bool empty; /* none of its processes is left */
	uint64_t calls, connects, accepts;
};

/* A stack that programs run on. */
struct run {
	struct options options;
	struct tern_host *host;
	struct tern_addr addr;
	int netns;      /* the programs' */
	FILE *udp_list; /* of the kernel's there; NULL: it cannot be read */
	/* room for a notification and its answer */
	struct seccomp_notif *notif;
	struct seccomp_notif_resp *resp;
	size_t notif_size, resp_size;
	/* sockets */
	struct sock *socks;
	struct proc *procs;
	struct port_hold *holds;
	struct group *groups;
	int rendezvous, diag;
	struct sockaddr_storage rendezvous_name;
	socklen_t rendezvous_len;
	uint8_t nonce[16];
	uint64_t look_at, sweep_at, measured_at; /* ns: the next two; the last */
	int folder, inotify; /* of names of listening sockets; folder -1: there is none */
	struct sock *watched;
	struct sock *sought;
	uint64_t seek_at;       /* not before */
	int rmem_max, wmem_max; /* what SO_RCVBUF and SO_SNDBUF may be on this machine */
	uint32_t rng;
};

/* A program that this process starts, and what becomes of it. */
struct program {
	char **command;
	bool quiet, verbose;
	const char *dns; /* its name server; NULL: the machine's */
	int userns;      /* to be in; -1: it is there already */
	int netns;
	pid_t child;
	int status; /* of the first process; -1: it runs */
	bool over;  /* no descendant is left */
	int signals;
	unsigned interrupts; /* Ctrl-C, or a signal that came after the end */
};

/* A call under way. */
struct call {
	struct run *run;
	struct sandbox *sandbox;
	uint64_t id;
	pid_t tid;
	int nr;
	const uint64_t *arg;
	int fd;            /* our copy of the descriptor arg[0] names, or -1 */
	struct sock *sock; /* what that is, or NULL: not ours */
};

/* What a handler says. */
enum answer {
	ANSWER_ERROR,    /* return -value */
	ANSWER_VALUE,    /* return value */
	ANSWER_CONTINUE, /* the kernel's business */
	ANSWER_PARKED,   /* later */
	ANSWER_DONE,     /* already answered */
};

struct verdict {
	enum answer answer;
	int value;
};

static inline struct verdict refuse(int error)
{
	return (struct verdict){ANSWER_ERROR, error};
}

static inline struct verdict returns(int value)
{
	return (struct verdict){ANSWER_VALUE, value};
}

static inline struct verdict leave_it(void)
{
	return (struct verdict){ANSWER_CONTINUE, 0};
}

static inline struct tern_stack *run_stack(struct run *run)
{
	return tern_host_stack(run->host);
}

/* --- filter.c */
/* Loads the filter into this thread and returns the listener's descriptor, or -1 with errno. */
int tern_run_filter(void);

/* --- stack.c */
/* Opens the stack that run->options say; the process moves to a network namespace of its own.
 * 0, or -1 after saying why; tern_run_close is due all the same. */
int tern_run_open(struct run *run);
/* One turn of its loop, of at most 10 ms. 0, or what tern_host_wait says of an end. */
int tern_run_turn(struct run *run);
/* With no program left: waits until data and FINs are acknowledged, for ms at most, or until there
 * are more interrupts. */
void tern_run_settle(struct run *run, unsigned ms, bool quiet, const unsigned *interrupts);
/* Ends all; -1 if the recording is incomplete. */
int tern_run_close(struct run *run);

/* --- network.c */
/* Becomes root in a user namespace of its own, if it is not root already. 0 or -1, said why. */
int tern_run_become_root(const char *command);
/* Makes the programs' namespace, with the TUN that is their way to the stack, and leaves the one
 * that tern's device is in: our own sockets are nobody's to find. 0 or -1, said why. */
int tern_run_make_network(struct run *run);
/* A resolv.conf of this process's own, over the machine's. 0, or -1 with errno. */
int tern_run_set_up_dns(const char *server);
/* What the kernel's own TCP did in the programs' namespace. */
struct kernel_tcp {
	uint64_t active_opens, passive_opens, segments_in, segments_out;
};
/* Moves this thread there for good: the last thing to do. 0 or -1. */
int tern_run_kernel_tcp(const struct program *program, struct kernel_tcp *out);

/* --- program.c */
#define EXIT_FAILED 125

/* Blocks the signals that are a program's to hear. 0 or -1. */
int tern_run_catch_signals(struct program *program);
/* Passes on what has come. */
void tern_run_pass_signals(struct program *program);
/* Starts it; it hands its filter's listener over at `stack` and waits there for the word to go on,
 * see join.h. 0, or -1 after saying why. */
int tern_run_start(struct program *program, int stack);
/* The user has had enough of it. */
void tern_run_interrupt(const struct program *program);
/* Reaps what has died. */
void tern_run_reap(struct program *program);
/* A last word about what the kernel's TCP did in the programs' namespace; moves there. */
void tern_run_tell_kernel_tcp(const struct program *program);

/* --- sandbox.c */
/* Takes a filter's listener, also when it fails: NULL with errno. */
struct sandbox *tern_sandbox_new(struct run *run, int listener);
/* Once, before any sandbox is `shared`: then a call that somebody else takes is not waited for. */
void tern_sandbox_share(void);
/* Its program has ended. If none of its processes is left, as far as anybody knows, what they sent
 * still goes out; otherwise its connections are reset. */
void tern_sandbox_free(struct sandbox *sandbox, bool in_order);

/* --- admit.c */
struct admission;
/* Lets programs of others in, at the socket NAME.join. NULL after saying why. */
struct admission *tern_admission_open(struct run *run, bool verbose);
/* Those who dawdle go. */
void tern_admission_expire(struct admission *admission);
unsigned tern_admission_count(const struct admission *admission);
/* The method "programs" of docs/control.md; context: the admission. */
json_t *tern_admission_list(void *context, json_t *params);
/* Ends all that have come. */
void tern_admission_close(struct admission *admission);

/* --- join.c */
/* Runs the program on the stack of that name: the exit status. */
int tern_run_join_stack(struct program *program, const char *name);

/* --- call.c */
int tern_run_calls_begin(struct run *run);
void tern_run_calls_end(struct run *run);
/* A listener is readable: takes calls, and answers them. False if somebody else takes them, too:
 * then it is not to be listened to again. */
bool tern_run_take_calls(struct sandbox *sandbox);
/* Whether that call still waits. */
bool tern_run_waits(const struct sandbox *sandbox, uint64_t id);
/* Answers; false if the caller has gone. */
bool tern_run_answer(struct sandbox *sandbox, uint64_t id, struct verdict v);
/* Gives the caller a descriptor for fd, and returns it from the call. 0, or an errno (ENOENT: the
 * caller has gone). */
int tern_run_give(struct sandbox *sandbox, uint64_t id, int fd, bool cloexec);

/* --- tracee.c */
/* Copies between the caller's memory and ours; false if that is not all there. */
bool tern_run_read(pid_t tid, uint64_t from, void *to, size_t n);
bool tern_run_write(pid_t tid, uint64_t to, const void *from, size_t n);
/* Puts fd in the place of the caller's descriptor number `at`, with its close-on-exec flag. 0 or an
 * errno. */
int tern_run_replace(const struct call *call, int at, int fd);
/* A copy of the descriptor of a call's caller, or -1 with errno. */
int tern_run_dup(struct sandbox *sandbox, uint64_t id, pid_t tid, int fd);
/* A copy of a thread's descriptor, if it is that socket; -1: it is not. */
int tern_run_find_copy(struct sock *sock, pid_t tid, int fd);
/* Its SO_COOKIE; 0 if it is no socket. */
uint64_t tern_run_cookie(int fd);
/* Forgets processes that are gone. */
void tern_run_forget_dead(struct run *run, bool all);
/* The effective user, and whether it may bind ports below 1024. */
uid_t tern_run_user(pid_t tid, bool *privileged);
/* Writes an address as accept and getsockname do. 0 or an errno. */
int tern_run_write_addr(pid_t tid, const struct tern_endpoint *at, uint64_t addr,
	uint64_t addr_len);
/* Reads one; 0 or an errno: EFAULT, EINVAL, EAFNOSUPPORT. */
int tern_run_read_addr(const struct call *call, uint64_t addr, uint64_t len,
	struct tern_endpoint *out);

/* --- sock.c */
struct sock *tern_sock_new(struct sandbox *sandbox, int fd);
struct sock *tern_sock_find(struct run *run, uint64_t cookie);
/* If it is connecting, no longer. */
void tern_sock_drop_open(struct sock *sock);
/* The program has closed it: everything about it goes. */
void tern_sock_free(struct sock *sock);
/* Whether some process has it still. */
bool tern_sock_alive(struct sock *sock);
/* Looks what is unread in each. */
void tern_sock_measure(struct run *run);
/* Frees the sockets that no process has any more. */
void tern_sock_sweep(struct run *run);
/* The sandbox is over. Resets its connections and ends its sockets, or leaves them to whoever may
 * have them still; its calls that wait are nobody's any more. */
void tern_sock_leave(struct sandbox *sandbox, bool reset);
struct parked *tern_sock_park(struct sock *sock, const struct call *call, uint64_t timeout);
void tern_sock_unpark(struct parked *parked);
/* SO_RCVTIMEO or SO_SNDTIMEO in ns; TERN_NEVER if there is none. */
uint64_t tern_sock_timeout(int fd, int option);
/* Those whose time is up, or whose callers have gone. */
void tern_sock_expire(struct run *run);

/* --- port.c */
/* Binds: 0, EADDRINUSE, EADDRNOTAVAIL. Port 0 picks one. */
/* Gives one socket's port to another, if the program asked for that one (as Linux: one that was
 * picked goes with a failed open). */
void tern_port_move(struct sock *from, struct sock *to);
int tern_port_bind(struct sock *sock, const struct tern_endpoint *at, const struct call *call);
bool tern_run_is_local(const struct run *run, const struct tern_addr *addr);
void tern_port_release(struct port_hold *hold);

/* --- open.c */
/*
 * Gives the program's end a send buffer of which the byte that stays never takes more than a
 * quarter: it holds on to all that was written with it, 68 KiB at most (17 pages of sendfile's). Of
 * a socket with more than a quarter in use poll says that it cannot be written.
 */
void tern_run_widen(int fd);
struct verdict tern_run_socket(struct call *call);
struct verdict tern_run_bind(struct call *call);
struct verdict tern_run_connect(struct call *call);
struct verdict tern_run_shutdown(struct call *call);
int tern_run_open_begin(struct run *run);
/* Joins an established connection to our end of the socket's pair. */
int tern_run_join(struct sock *sock, int end);
/* What its connection does, or did; false: it has had none. */
bool tern_run_connection(const struct sock *sock, struct tern_tcp_info *out);
/* The open succeeded, and fd is a descriptor of the program's end. */
void tern_run_established(struct sock *sock, int fd);
/* The socket's end is no longer an open's: it is the caller's, or -1. */
int tern_run_let_go_of_end(struct sock *sock);

/* --- renew.c */
/* Where the caller has the socket: descriptors and epoll sets. NULL: no memory. */
struct places *tern_run_places(struct call *call);
/* Puts a new socket into the descriptors; the call goes on with that. 0 or an errno. */
int tern_run_renew(struct call *call, const struct places *places);
/* Puts it into the epoll sets, too, if fd is not -1, and frees the places. */
void tern_run_places_end(struct places *places, int fd);

/* --- accept.c */
struct verdict tern_run_listen(struct call *call);
struct verdict tern_run_accept(struct call *call);
/* A connection waits. */
void tern_run_arrived(struct group *group);
/* Stops listening on that port for sockets that were closed. */
void tern_run_check_listeners(struct run *run, uint16_t port);
/* The socket no longer listens. */
void tern_run_listen_end(struct sock *sock);

/* --- watch.c */
/* Where that fails, the sweep has to do. */
void tern_run_watch_begin(struct run *run);
/* Gives the program's socket a name, and watches it, if there is a folder for it. 0 or an errno. */
int tern_run_watch(struct sock *sock, int fd);
void tern_run_unwatch(struct sock *sock);
/* Frees the listening sockets that were closed. */
void tern_run_hear_closed(struct run *run);

/* --- name.c */
struct verdict tern_run_getsockname(struct call *call);
struct verdict tern_run_getpeername(struct call *call);

/* --- owner.c */
/* Calls visit for each socket, and each epoll set (inode 0), that a thread has. */
typedef void tern_run_visit(void *context, uint32_t inode, pid_t tid, int fd);
void tern_run_each_fd(pid_t tid, tern_run_visit *visit, void *context);
/* Looks for descriptors of the sockets in run->sought, in all processes; not too often. */
void tern_run_seek(struct run *run);
/* The method "owners" of docs/control.md; context: the run. */
json_t *tern_run_owners(void *context, json_t *params);
/* Adds program_unread and program_unsent to rows of "connections": bytes in the programs' own
 * sockets. */
void tern_run_amend(void *context, json_t *rows);

/* --- datagram.c */
/* A UDP socket of a program's. */
struct kernel_udp {
	struct tern_endpoint local, remote; /* port 0: not connected */
	uint32_t unsent, unread, inode;
};
/* Walks all there are. */
void tern_run_udp_rewind(struct run *run);
bool tern_run_udp_next(struct run *run, struct kernel_udp *out);
/* The method "udp" of docs/control.md; context: the run. */
json_t *tern_run_udp(void *context, json_t *params);

/* --- option.c */
struct verdict tern_run_setsockopt(struct call *call);
struct verdict tern_run_getsockopt(struct call *call);
struct verdict tern_run_ioctl(struct call *call);
void tern_run_options_begin(struct run *run);
/* What was asked for with a buffer size; 0: nothing. */
uint32_t tern_run_wish(const struct sock *sock, enum tern_tcp_option option);
/* Sets on the program's end what of the wishes is its business. */
void tern_run_apply_to_end(const struct sock *sock, int fd);
/* Sets on a listener what of them it has. */
void tern_run_apply_to_listener(const struct sock *sock);
/* Sets on a connection what was wished for before. */
void tern_run_apply_wishes(struct sock *sock);

#endif
