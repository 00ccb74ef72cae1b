/* What the sweep makes of the kernel's list of sockets; the kernel's part is played here. */
#include "../support.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/run/run.h"

static int kernel; /* the other end of the sweep's diag socket */
static uint32_t question;

struct scene {
	struct run run;
	struct sandbox sandbox;
	struct sock *sock;
	uint64_t cookie;
	int fd;
};

static void begin(struct scene *s)
{
	int ends[2];
	memset(s, 0, sizeof *s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	s->run.diag = ends[0];
	kernel = ends[1];
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	s->sandbox.run = &s->run;
	s->sock = tern_sock_new(&s->sandbox, s->fd);
	assert_non_null(s->sock);
	s->cookie = s->sock->cookie;
}

static void end(struct scene *s)
{
	struct sock *left = tern_sock_find(&s->run, s->cookie);
	if (left)
		tern_sock_free(left);
	close(s->fd);
	close(s->run.diag);
	close(kernel);
}

/* The list, which is empty; it is the next question's answer. */
static void answer_list(void)
{
	struct {
		struct nlmsghdr header;
		int error;
	} done = {{sizeof done, NLMSG_DONE, NLM_F_MULTI, ++question, 0}, 0};
	assert_int_equal(send(kernel, &done, sizeof done, 0), sizeof done);
}

/* The answer to the question about the one socket: an errno, or 0 and the socket. */
static void answer_one(int error)
{
	struct {
		struct nlmsghdr header;
		union {
			struct nlmsgerr error;
			struct unix_diag_msg found;
		} is;
	} reply = {.header = {sizeof reply, error ? NLMSG_ERROR : SOCK_DIAG_BY_FAMILY, 0,
			   ++question, 0}};
	if (error)
		reply.is.error.error = -error;
	assert_int_equal(send(kernel, &reply, sizeof reply, 0), sizeof reply);
}

static bool survives(int error)
{
	struct scene s;
	begin(&s);
	answer_list();
	answer_one(error);
	tern_sock_sweep(&s.run);
	bool there = tern_sock_find(&s.run, s.cookie);
	end(&s);
	return there;
}

/* A dump over sockets that come and go leaves out some that live. */
static void a_socket_the_list_left_out_lives(void **state)
{
	(void)state;
	assert_true(survives(0));
}

static void a_socket_that_is_no_more_goes(void **state)
{
	(void)state;
	assert_false(survives(ENOENT));
	assert_false(survives(ESTALE));
}

static void no_memory_to_answer_is_no_answer(void **state)
{
	(void)state;
	assert_true(survives(ENOMEM));
}

/* A socket that went from one program to another on the same stack outlives the first. */
static void a_program_that_ends_in_order_leaves_its_sockets_to_who_has_them(void **state)
{
	(void)state;
	struct scene s;
	begin(&s);
	tern_sock_leave(&s.sandbox, false);
	assert_ptr_equal(tern_sock_find(&s.run, s.cookie), s.sock);
	assert_null(s.sock->sandbox);
	end(&s);
}

static void a_program_whose_starter_died_loses_its_sockets_and_nobody_elses(void **state)
{
	(void)state;
	struct scene s;
	begin(&s);
	struct sandbox other = {.run = &s.run};
	tern_sock_leave(&other, true);
	assert_ptr_equal(tern_sock_find(&s.run, s.cookie), s.sock);
	tern_sock_leave(&s.sandbox, true);
	assert_null(tern_sock_find(&s.run, s.cookie));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_the_list_left_out_lives),
		cmocka_unit_test(a_socket_that_is_no_more_goes),
		cmocka_unit_test(no_memory_to_answer_is_no_answer),
		cmocka_unit_test(a_program_that_ends_in_order_leaves_its_sockets_to_who_has_them),
		cmocka_unit_test(a_program_whose_starter_died_loses_its_sockets_and_nobody_elses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
