#include "tools/errnos.h"

#include <errno.h>
#include <stdbool.h>
#include <tern/types.h>

int tern_errno_of(int err)
{
	static const int errnos[] = {
		[-TERN_EINVAL] = EINVAL,
		[-TERN_ESTALE] = EBADF,
		[-TERN_ENOMEM] = ENOMEM,
		[-TERN_EAGAIN] = EAGAIN,
		[-TERN_EADDRINUSE] = EADDRINUSE,
		[-TERN_EADDRNOTAVAIL] = EADDRNOTAVAIL,
		[-TERN_ENETUNREACH] = ENETUNREACH,
		[-TERN_EHOSTUNREACH] = EHOSTUNREACH,
		[-TERN_ECONNREFUSED] = ECONNREFUSED,
		[-TERN_ECONNRESET] = ECONNRESET,
		[-TERN_ETIMEDOUT] = ETIMEDOUT,
		[-TERN_ENOTCONN] = ENOTCONN,
		[-TERN_EPIPE] = EPIPE,
		[-TERN_EMSGSIZE] = EMSGSIZE,
		[-TERN_ENOENT] = ENOENT,
		[-TERN_ERANGE] = EINVAL,
		[-TERN_EEXIST] = EEXIST,
		[-TERN_ECONNABORTED] = ECONNABORTED,
		[-TERN_ENOPROTOOPT] = ENOPROTOOPT,
		[-TERN_ENOSPC] = ENOSPC,
		[-TERN_EISCONN] = EISCONN,
		[-TERN_EACCES] = EACCES,
		[-TERN_EPROTO] = EPROTO,
	};
	if (err >= 0)
		return 0;
	bool known = -err < (int)(sizeof errnos / sizeof *errnos) && errnos[-err];
	return known ? errnos[-err] : EIO;
}
