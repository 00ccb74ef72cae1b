#include <stdarg.h>
#include <stdio.h>
#include <tern/host.h>

#include "host/error.h"

static _Thread_local char text[256];

int tern_error_set(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return -1;
}

const char *tern_host_error(void)
{
	return text;
}
