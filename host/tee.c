#include <tern/tee.h>

#include <stddef.h>

static void see(void *context, const struct tern_trace *trace)
{
	const struct tern_tee *tee = context;
	for (unsigned i = 0; i < tee->count; i++)
		tee->to[i].see(tee->to[i].context, trace);
}

int tern_tee_add(struct tern_tee *tee, struct tern_trace_listener listener)
{
	if (tee->count == TERN_TEE_MAX)
		return TERN_ENOSPC;
	tee->to[tee->count++] = listener;
	return 0;
}

struct tern_trace_listener tern_tee_listener(struct tern_tee *tee)
{
	if (tee->count < 2)
		return tee->count ? tee->to[0] : (struct tern_trace_listener){NULL, NULL};
	return (struct tern_trace_listener){see, tee};
}
