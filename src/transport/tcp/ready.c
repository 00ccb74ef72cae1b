/*
 * Connections that want to send. Each interface has a ready queue of them, from which the device
 * pulls: whoever is first decides what goes in the next frame (output.c) and joins the back if it
 * may have more, so that all share the device, a frame each in turn. One whose neighbour is not
 * known yet is parked meanwhile, and ready again when anything has changed about neighbours. A
 * connection is on one queue at most, linked through its TCB, so that queueing needs no memory,
 * cannot fail, and whoever leaves early is taken out at once.
 */
#include "transport/tcp/tcp.h"

void tern_ready_init(struct tcp *tcp)
{
	for (unsigned i = 0; i < TERN_NIF_MAX; i++) {
		tcp->ready[i].tail = &tcp->ready[i].head;
		tcp->parked[i].tail = &tcp->parked[i].head;
	}
}

static void enqueue(struct send_queue *queues, struct tcb *tcb)
{
	struct send_queue *q = &queues[tcb->path->nif];
	tcb->send_nif = tcb->path->nif & 7u;
	tcb->send_next = NULL;
	tcb->send_link = q->tail;
	*q->tail = tcb;
	q->tail = &tcb->send_next;
}

void tern_want_send(struct tcp *tcp, struct tcb *tcb)
{
	if (!tcb->send_link)
		enqueue(tcp->ready, tcb);
}

void tern_park(struct tcp *tcp, struct tcb *tcb)
{
	tcb->flags |= TCB_PARKED;
	enqueue(tcp->parked, tcb);
}

/* The queue's tail must be known to take the last one out: it is found through the link. */
static void dequeue(struct send_queue *q, struct tcb *tcb)
{
	*tcb->send_link = tcb->send_next;
	if (tcb->send_next)
		tcb->send_next->send_link = tcb->send_link;
	else
		q->tail = tcb->send_link;
	tcb->send_link = NULL;
	tcb->flags &= ~TCB_PARKED;
}

void tern_unqueue(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->send_link)
		dequeue(&(tcb->flags & TCB_PARKED ? tcp->parked : tcp->ready)[tcb->send_nif], tcb);
}

void tern_tcp_path_changed(struct tcp *tcp, int nif)
{
	struct send_queue *parked = &tcp->parked[nif];
	tern_syncache_path_changed(tcp, nif);
	while (parked->head) {
		struct tcb *tcb = parked->head;
		dequeue(parked, tcb);
		tern_want_send(tcp, tcb);
	}
}

struct tcb *tern_ready_next(struct tcp *tcp, int nif)
{
	struct send_queue *q = &tcp->ready[nif];
	struct tcb *tcb = q->head;
	if (tcb)
		dequeue(q, tcb);
	return tcb;
}
