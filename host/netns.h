/* Visiting another network namespace for a moment. */
#ifndef HOST_NETNS_H
#define HOST_NETNS_H

/* Enters the namespace named by a process id, a path, or a name in /run/netns. Returns a descriptor
 * that leads back, or -1 with tern_host_error() set. Only this thread moves. */
int tern_netns_enter(const char *name);
/* Goes back and closes the descriptor. There is no way on if that fails: aborts. */
void tern_netns_leave(int back);

#endif
