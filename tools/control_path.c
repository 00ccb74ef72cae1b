#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/control.h"

/* Who the user is outside a user namespace in which it is root: tern run makes one. */
static uid_t user(void)
{
	unsigned inside, outside, count;
	FILE *map = fopen("/proc/self/uid_map", "re");
	bool one = map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && count == 1;
	if (map)
		fclose(map);
	return one && inside == geteuid() ? (uid_t)outside : geteuid();
}

static int choose(char path[CONTROL_PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char run_user[64];
	struct stat st;
	snprintf(run_user, sizeof run_user, "/run/user/%u", user());
	if (!runtime || *runtime != '/')
		runtime = stat(run_user, &st) == 0 ? run_user : NULL;
	int n = runtime ? snprintf(path, CONTROL_PATH_MAX, "%s/tern", runtime)
			: snprintf(path, CONTROL_PATH_MAX, "/tmp/tern-%u", user());
	return n < CONTROL_PATH_MAX ? 0 : -1;
}

int tern_control_directory(char path[CONTROL_PATH_MAX], char *why, size_t why_size)
{
	struct stat st;
	if (choose(path) != 0) {
		snprintf(why, why_size, "the runtime directory's name is too long");
		return -1;
	}
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) || lstat(path, &st) != 0) {
		snprintf(why, why_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077) {
		snprintf(why, why_size, "%s: not a directory of this user's alone", path);
		return -1;
	}
	return 0;
}

int tern_control_name_check(const char *name, char *why, size_t why_size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	if (*name != '\0' && *name != '.' && name[strspn(name, letters)] == '\0')
		return 0;
	snprintf(why, why_size, "\"%s\": a name has letters, digits, '.', '_' and '-'", name);
	return -1;
}

int tern_control_path(char path[CONTROL_PATH_MAX], const char *name, const char *suffix, char *why,
	size_t why_size)
{
	char directory[CONTROL_PATH_MAX];
	if (tern_control_name_check(name, why, why_size) != 0)
		return -1;
	if (tern_control_directory(directory, why, why_size) != 0)
		return -1;
	if (snprintf(path, CONTROL_PATH_MAX, "%s/%s.%s", directory, name, suffix) <
		CONTROL_PATH_MAX)
		return 0;
	snprintf(why, why_size, "\"%s\": the name is too long", name);
	return -1;
}

int tern_control_dial(const char *path, int type, unsigned patience_s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = patience_s};
	strcpy(at.sun_path, path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}
