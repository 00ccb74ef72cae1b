/* The sentence behind tern_host_error(), one per thread. */
#ifndef HOST_ERROR_H
#define HOST_ERROR_H

/* Formats the reason of a failure. Returns -1, for `return tern_error_set(...)`. */
int tern_error_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
