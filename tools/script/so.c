/*
 * A target behind packetdrill's shared-object interface: a library is asked to be the machine. Its
 * clock is its own; a call that blocks is made by a thread of its own.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/packetdrill/packetdrill.h"
#include "tools/script/run.h"

#define SLEEP_MAX 1000000000 /* us, a time */

struct library {
	void *handle;
	struct packetdrill_interface ifc;
	int (*state)(void *userdata, int fd); /* tern's own, optional */
	int64_t start;                        /* its clock at 0, us */
	struct drill_frame *held;             /* received, and not due yet */
	bool ended;                           /* nothing more will ever be sent */
	pthread_mutex_t lock;
	pthread_cond_t news;
	char sysctls[64]; /* a folder of our own that stands for /proc/sys/net */
};

static bool load(struct run *run, struct library *lib)
{
	packetdrill_interface_init_t *init;
	lib->handle = dlopen(run->opts->so, RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle) {
		tern_script_fail(run, "%s", dlerror());
		return false;
	}
	void *symbol = dlsym(lib->handle, "packetdrill_interface_init");
	if (!symbol) {
		tern_script_fail(run, "%s has no packetdrill_interface_init()", run->opts->so);
		return false;
	}
	memcpy(&init, &symbol, sizeof init);
	void *state = dlsym(lib->handle, "tern_packetdrill_state");
	memcpy(&lib->state, &state, sizeof lib->state);
	char local[TERN_ADDR_TEXT], flags[512];
	snprintf(flags, sizeof flags, "local=%s,mtu=%u,seed=%u,sysctl=%s%s%s",
		tern_addr_format(&run->set.local, local), run->set.mtu, run->set.seed, lib->sysctls,
		*run->opts->so_flags ? "," : "", run->opts->so_flags);
	init(flags, &lib->ifc);
	return true;
}

/* Each entry is a function of its own type; all are pointers of one size. */
static bool is_whole(struct run *run, const struct library *lib)
{
	void *entry[sizeof lib->ifc / sizeof(void *)];
	memcpy(entry, &lib->ifc, sizeof lib->ifc);
	for (size_t k = 1; k < sizeof entry / sizeof *entry; k++)
		if (!entry[k]) {
			tern_script_fail(run, "%s leaves entry %zu of the interface out",
				run->opts->so, k);
			return false;
		}
	return true;
}

static int64_t clock_us(const struct library *lib)
{
	struct timeval tv = {0};
	lib->ifc.gettimeofday(lib->ifc.userdata, &tv, NULL);
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static bool open_library(struct run *run)
{
	struct library *lib = calloc(1, sizeof *lib);
	if (!lib)
		abort();
	run->lib = lib;
	pthread_mutex_init(&lib->lock, NULL);
	pthread_cond_init(&lib->news, NULL);
	snprintf(lib->sysctls, sizeof lib->sysctls, "/tmp/tern-script-XXXXXX");
	if (!mkdtemp(lib->sysctls)) {
		tern_script_fail(run, "no folder in /tmp: %m");
		lib->sysctls[0] = 0;
		return false;
	}
	if (!load(run, lib) || !is_whole(run, lib))
		return false;
	lib->start = clock_us(lib);
	return true;
}

static void remove_sysctls(const char *folder)
{
	char path[512], sub[128];
	snprintf(sub, sizeof sub, "%s/ipv4", folder);
	DIR *dir = opendir(sub);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		snprintf(path, sizeof path, "%s/%s", sub, e->d_name);
		if (*e->d_name != '.')
			unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(sub);
	rmdir(folder);
}

static void close_library(struct run *run)
{
	struct library *lib = run->lib;
	if (!lib)
		return;
	if (lib->ifc.free)
		lib->ifc.free(lib->ifc.userdata);
	if (lib->handle)
		dlclose(lib->handle);
	if (lib->sysctls[0])
		remove_sysctls(lib->sysctls);
	free(lib->held);
	pthread_cond_destroy(&lib->news);
	pthread_mutex_destroy(&lib->lock);
	free(lib);
}

static int64_t now(struct run *run)
{
	return (clock_us(run->lib) - run->lib->start) * 1000;
}

static void advance(struct run *run, int64_t to)
{
	for (int64_t us; (us = (to - now(run)) / 1000) > 0;)
		run->lib->ifc.usleep(run->lib->ifc.userdata,
			(useconds_t)(us < SLEEP_MAX ? us : SLEEP_MAX));
}

static struct drill_frame *receive(struct run *run, int64_t limit)
{
	struct library *lib = run->lib;
	if (!lib->held && !lib->ended) {
		uint8_t *buffer = malloc(SCRIPT_PACKET_MAX);
		size_t len = SCRIPT_PACKET_MAX;
		long long us = 0;
		if (!buffer)
			abort();
		int status = lib->ifc.netdev_receive(lib->ifc.userdata, buffer, &len, &us);
		lib->ended = status != 0;
		if (status == 0 && len) {
			lib->held = malloc(sizeof *lib->held + len);
			if (!lib->held)
				abort();
			*lib->held = (struct drill_frame){.time = (us - lib->start) * 1000,
				.len = (uint32_t)len};
			memcpy(lib->held->data, buffer, len);
			if (run->pcap)
				tern_script_pcap_write(run->pcap, lib->held->time, buffer,
					(uint32_t)len);
		}
		free(buffer);
	}
	struct drill_frame *f = lib->held;
	if (!f || f->time > limit)
		return NULL;
	lib->held = NULL;
	return f;
}

/* Looking would move the clock: only what was looked at before. */
static const struct drill_frame *held(struct run *run)
{
	return run->lib->held;
}

static void inject(struct run *run, const uint8_t *data, uint32_t len, uint16_t gso_size)
{
	(void)gso_size; /* the interface has no place for it */
	struct library *lib = run->lib;
	lib->ended = false;
	if (run->pcap)
		tern_script_pcap_write(run->pcap, now(run), data, len);
	if (lib->ifc.netdev_send(lib->ifc.userdata, data, len) != 0)
		tern_script_fail(run, "netdev_send() failed");
}

/* --- calls ------------------------------------------------------------------------------- */

#define P(n)    ((void *)a[n])
#define INT(n)  ((int)a[n])
#define SIZE(n) ((size_t)a[n])
#define LEN(n)  ((socklen_t)a[n])

static int64_t call_bytes(const struct packetdrill_interface *i, enum drill_op op,
	const intptr_t a[6])
{
	switch ((int)op) {
	case DRILL_READ:
		return i->read(i->userdata, INT(0), P(1), SIZE(2));
	case DRILL_READV:
		return i->readv(i->userdata, INT(0), P(1), INT(2));
	case DRILL_RECV:
		return i->recv(i->userdata, INT(0), P(1), SIZE(2), INT(3));
	case DRILL_RECVFROM:
		return i->recvfrom(i->userdata, INT(0), P(1), SIZE(2), INT(3), P(4), P(5));
	case DRILL_RECVMSG:
		return i->recvmsg(i->userdata, INT(0), P(1), INT(2));
	case DRILL_WRITE:
		return i->write(i->userdata, INT(0), P(1), SIZE(2));
	case DRILL_WRITEV:
		return i->writev(i->userdata, INT(0), P(1), INT(2));
	case DRILL_SEND:
		return i->send(i->userdata, INT(0), P(1), SIZE(2), INT(3));
	case DRILL_SENDTO:
		return i->sendto(i->userdata, INT(0), P(1), SIZE(2), INT(3), P(4), LEN(5));
	case DRILL_SENDMSG:
		return i->sendmsg(i->userdata, INT(0), P(1), INT(2));
	case DRILL_SPLICE:
		return i->splice(i->userdata, INT(0), P(1), INT(2), P(3), SIZE(4),
			(unsigned)INT(5));
	default:
		errno = ENOSYS;
		return -1;
	}
}

static int64_t accept4_of(const struct packetdrill_interface *i, const intptr_t a[6])
{
	int fd = i->accept(i->userdata, INT(0), P(1), P(2));
	if (fd >= 0 && INT(3) & SOCK_NONBLOCK)
		i->fcntl(i->userdata, fd, 4 /* F_SETFL */, 04000 /* O_NONBLOCK */);
	return fd;
}

static int64_t call_other(const struct packetdrill_interface *i, enum drill_op op,
	const intptr_t a[6])
{
	switch ((int)op) {
	case DRILL_SOCKET:
		return i->socket(i->userdata, INT(0), INT(1), INT(2));
	case DRILL_BIND:
		return i->bind(i->userdata, INT(0), P(1), LEN(2));
	case DRILL_LISTEN:
		return i->listen(i->userdata, INT(0), INT(1));
	case DRILL_ACCEPT:
		return accept4_of(i, a);
	case DRILL_CONNECT:
		return i->connect(i->userdata, INT(0), P(1), LEN(2));
	case DRILL_FCNTL:
		return i->fcntl(i->userdata, INT(0), INT(1), INT(2));
	case DRILL_IOCTL:
		return i->ioctl(i->userdata, INT(0), (unsigned long)a[1], P(2));
	case DRILL_CLOSE:
		return i->close(i->userdata, INT(0));
	case DRILL_SHUTDOWN:
		return i->shutdown(i->userdata, INT(0), INT(1));
	case DRILL_GETSOCKOPT:
		return i->getsockopt(i->userdata, INT(0), INT(1), INT(2), P(3), P(4));
	case DRILL_SETSOCKOPT:
		return i->setsockopt(i->userdata, INT(0), INT(1), INT(2), P(3), LEN(4));
	case DRILL_POLL:
		return i->poll(i->userdata, P(0), (nfds_t)a[1], INT(2));
	case DRILL_EPOLL_CREATE:
		return i->epoll_create(i->userdata, INT(0));
	case DRILL_EPOLL_CTL:
		return i->epoll_ctl(i->userdata, INT(0), INT(1), INT(2), P(3));
	case DRILL_EPOLL_WAIT:
		return i->epoll_wait(i->userdata, INT(0), P(1), INT(2), INT(3));
	case DRILL_PIPE:
		return i->pipe(i->userdata, P(0));
	default:
		return call_bytes(i, op, a);
	}
}

/* Makes the call, and asks when it was over. */
static void make(struct run *run, struct drill_call *call)
{
	int64_t result = call_other(&run->lib->ifc, call->op, call->arg);
	call->error = result < 0 ? errno : 0;
	call->result = result < 0 ? -1 : result;
	call->time = now(run);
}

static void *make_in_thread(void *context)
{
	struct script_pending *p = context;
	struct library *lib = p->run->lib;
	struct drill_call copy = p->call;
	pthread_mutex_lock(&lib->lock);
	p->started = true;
	p->tid = (int)syscall(SYS_gettid);
	pthread_cond_broadcast(&lib->news);
	pthread_mutex_unlock(&lib->lock);
	make(p->run, &copy);
	pthread_mutex_lock(&lib->lock);
	p->outcome = copy;
	p->over = true;
	pthread_cond_broadcast(&lib->news);
	pthread_mutex_unlock(&lib->lock);
	return NULL;
}

/* A thread of ours sleeps: it waits in the library. */
static bool sleeps(int tid)
{
	char path[64], state = 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	FILE *file = fopen(path, "re");
	if (!file)
		return true; /* it has ended */
	bool read = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
	fclose(file);
	return read && state == 'S';
}

static struct timespec in_ms(int ms)
{
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += ms % 1000 * 1000000L;
	at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	return at;
}

/* Waits until the call is over; whether it is. */
static bool wait_for(struct library *lib, struct script_pending *p, int ms)
{
	struct timespec until = in_ms(ms);
	pthread_mutex_lock(&lib->lock);
	while (!p->over && pthread_cond_timedwait(&lib->news, &lib->lock, &until) != ETIMEDOUT)
		;
	bool over = p->over;
	pthread_mutex_unlock(&lib->lock);
	return over;
}

/* The clock must not move on before the call has begun to wait. */
static void begin_thread(struct run *run, struct script_pending *p)
{
	struct library *lib = run->lib;
	p->threaded = true;
	if (pthread_create(&p->thread, NULL, make_in_thread, p) != 0)
		abort();
	pthread_mutex_lock(&lib->lock);
	while (!p->started)
		pthread_cond_wait(&lib->news, &lib->lock);
	pthread_mutex_unlock(&lib->lock);
	while (!wait_for(lib, p, 1) && !sleeps(p->tid))
		;
}

static void call(struct run *run, struct script_pending *p)
{
	run->lib->ended = false;
	if (p->event && p->event->time.range) {
		begin_thread(run, p);
		return;
	}
	make(run, &p->call);
	p->call.finished = true;
}

static void await(struct run *run, struct script_pending *p, int patience)
{
	if (!p->threaded || !wait_for(run->lib, p, patience))
		return;
	pthread_join(p->thread, NULL);
	p->threaded = false;
	p->call = p->outcome;
	p->call.finished = true;
}

static int state(struct run *run, int live)
{
	return run->lib->state ? run->lib->state(run->lib->ifc.userdata, live) : -1;
}

/* As sysctl(8) would, where the library looks. */
static int set(struct run *run, const char *name, int64_t value)
{
	char path[128];
	snprintf(path, sizeof path, "%s/ipv4", run->lib->sysctls);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/ipv4/%s", run->lib->sysctls, name);
	FILE *file = fopen(path, "we");
	if (!file)
		return TERN_ENOENT;
	fprintf(file, "%jd\n", (intmax_t)value);
	fclose(file);
	return 0;
}

static const char *fault(struct run *run)
{
	(void)run;
	return NULL;
}

const struct script_target tern_script_library = {open_library, close_library, now, advance,
	receive, held, inject, call, await, state, set, fault};
