#include "base/core.h"

void tern_core_trace(struct core *core, struct tern_trace *trace)
{
	trace->now = core->now;
	core->listener.see(core->listener.context, trace);
}

void tern_core_drop(struct core *core, enum tern_drop why)
{
	core->drop[why]++;
	if (!core_traced(core))
		return;
	struct tern_trace t = {.kind = TERN_TRACE_DROP, .nif = core->nif, .drop = why};
	tern_core_trace(core, &t);
}

void tern_notice_raise(struct core *core, struct notice *notice, unsigned kinds)
{
	notice->pending |= (uint16_t)kinds;
	if (notice->link)
		return;
	notice->next = NULL;
	notice->link = core->notices_tail;
	*core->notices_tail = notice;
	core->notices_tail = &notice->next;
}

void tern_notice_cancel(struct core *core, struct notice *notice)
{
	notice->pending = 0;
	if (!notice->link)
		return;
	*notice->link = notice->next;
	if (notice->next)
		notice->next->link = notice->link;
	else
		core->notices_tail = notice->link;
	notice->link = NULL;
}
