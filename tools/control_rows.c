/* What the methods "connections" and "udp" tell of each. */
#include "tools/control_rows.h"

static json_t *endpoint(const struct tern_endpoint *at)
{
	char text[TERN_ENDPOINT_TEXT];
	return json_string(tern_endpoint_format(at, text));
}

static void put(json_t *row, const char *name, uint64_t value)
{
	json_object_set_new(row, name, json_integer((json_int_t)value));
}

static void put_flag(json_t *row, const char *name, bool value)
{
	json_object_set_new(row, name, json_boolean(value));
}

static json_t *listener(const struct tern_tcp_info *i)
{
	json_t *row = json_pack("{s:s, s:o, s:I, s:I}", "state", tern_tcp_state_name(i->state),
		"local", endpoint(&i->local), "waiting", (json_int_t)i->unread, "backlog",
		(json_int_t)i->rcvbuf);
	put(row, "half_open", i->half_open);
	put(row, "half_open_limit", i->half_open_limit);
	if (i->cookies_left)
		put(row, "cookies_s", i->cookies_left);
	if (i->unread)
		put(row, "waiting_s", i->queue_age);
	if (i->unread > i->rcvbuf)
		put(row, "full_s", i->state_age);
	return row;
}

static void put_queues(json_t *row, const struct tern_tcp_info *i)
{
	put(row, "unread", i->unread);
	put(row, "unsent", i->unsent);
	put(row, "unacked", i->unacked);
	put(row, "out_of_order", i->out_of_order);
	put(row, "sndbuf", i->sndbuf);
	put(row, "rcvbuf", i->rcvbuf);
}

static void put_view(json_t *row, const struct tern_tcp_info *i)
{
	if (i->congestion) /* not there of what is no whole connection any more, or yet */
		json_object_set_new(row, "congestion", json_string(i->congestion));
	put(row, "cwnd", i->cwnd);
	if (i->ssthresh != UINT32_MAX)
		put(row, "ssthresh", i->ssthresh);
	put(row, "mss", i->mss);
	if (i->path_mtu)
		put(row, "path_mtu", i->path_mtu);
	if (i->mss_before)
		put(row, "mss_before", i->mss_before);
	put(row, "rtt_us", i->rtt_us);
	put(row, "rttvar_us", i->rttvar_us);
	put(row, "rto_us", i->rto_us);
	put(row, "retransmits", i->retransmits);
	put(row, "timeouts", i->backoff);
	put(row, "snd_wnd", i->snd_wnd);
	put(row, "rcv_wnd", i->rcv_wnd);
	put_flag(row, "timestamps", i->timestamps);
	put_flag(row, "sack", i->sack);
	put_flag(row, "ecn", i->ecn);
	put_flag(row, "wscale", i->wscale_ok);
	put(row, "snd_wscale", i->snd_wscale);
	put(row, "rcv_wscale", i->rcv_wscale);
}

/* What is in flight, as recovery sees it. */
static void put_recovery(json_t *row, const struct tern_tcp_info *i)
{
	put(row, "sacked", i->sacked);
	put(row, "lost", i->lost);
	put(row, "resending", i->resending);
	put(row, "reordering", i->reordering);
	put(row, "min_rtt_us", i->min_rtt_us);
	put(row, "duplicates", i->duplicates);
}

/* What it has done so far. */
static void put_tally(json_t *row, const struct tern_tcp_info *i)
{
	put(row, "bytes_acked", i->bytes_acked);
	put(row, "bytes_received", i->bytes_received);
	put(row, "bytes_sent", i->bytes_sent);
	put(row, "bytes_resent", i->bytes_resent);
	put(row, "segments_in", i->segments_in);
	put(row, "segments_out", i->segments_out);
	put(row, "text_segments_in", i->text_segments_in);
	put(row, "text_segments_out", i->text_segments_out);
	put(row, "beyond_holes", i->beyond_holes);
	put(row, "marked", i->marked);
	put(row, "rcv_rtt_us", i->rcv_rtt_us);
	put(row, "rcv_space", i->rcv_space);
	put(row, "busy_us", i->busy_us);
	put(row, "window_limited_us", i->window_limited_us);
	put(row, "buffer_limited_us", i->buffer_limited_us);
	if (i->sent_age != TERN_NEVER)
		put(row, "sent_us", i->sent_age / 1000);
	if (i->text_age != TERN_NEVER)
		put(row, "text_us", i->text_age / 1000);
	if (i->pacing_rate)
		put(row, "pacing_rate", i->pacing_rate);
	if (i->delivery_rate)
		put(row, "delivery_rate", i->delivery_rate);
	put_flag(row, "app_limited", i->app_limited);
}

static void put_standstill(json_t *row, const struct tern_tcp_info *i)
{
	put_flag(row, "orphan", i->orphan);
	put_flag(row, "unaccepted", i->unaccepted);
	put_flag(row, "recovering", i->recovering);
	put_flag(row, "shut", i->shut);
	put(row, "retries_max", i->retries_max);
	put(row, "unanswered", i->unanswered);
	if (i->held_by)
		json_object_set_new(row, "held_by", json_string(i->held_by));
	if (i->keepalive_probes_max) {
		put(row, "keepalive_probes", i->keepalive_probes);
		put(row, "keepalive_probes_max", i->keepalive_probes_max);
	}
	if (i->stalled_age)
		put(row, "stalled_us", i->stalled_age / 1000);
	if (i->heard_age != TERN_NEVER)
		put(row, "heard_us", i->heard_age / 1000);
	if (i->unread && i->unread_age != TERN_NEVER)
		put(row, "unread_us", i->unread_age / 1000);
	if (i->error)
		json_object_set_new(row, "error", json_string(tern_err_text(i->error)));
	if (i->soft_error)
		json_object_set_new(row, "soft_error", json_string(tern_err_text(i->soft_error)));
}

static json_t *connection(const struct tern_tcp_info *i)
{
	json_t *row = json_pack("{s:s, s:o, s:o, s:I}", "state", tern_tcp_state_name(i->state),
		"local", endpoint(&i->local), "remote", endpoint(&i->remote), "state_s",
		(json_int_t)i->state_age);
	put_queues(row, i);
	put_view(row, i);
	put_recovery(row, i);
	put_tally(row, i);
	put_standstill(row, i);
	if (i->timer)
		json_object_set_new(row, "timer",
			json_pack("{s:s, s:I}", "for", i->timer, "left_us",
				(json_int_t)(i->timer_left / 1000)));
	return row;
}

json_t *tern_control_row(const struct tern_tcp_info *info)
{
	return info->state == TERN_TCP_LISTEN ? listener(info) : connection(info);
}

json_t *tern_control_udp_row(const struct tern_udp_info *i)
{
	bool connected = i->remote.port;
	return json_pack("{s:s, s:s, s:o, s:o, s:I, s:i, s:I}", "netid", "udp", "state",
		connected ? "ESTABLISHED" : "UNCONN", "local", endpoint(&i->local), "remote",
		connected ? endpoint(&i->remote) : json_string("*"), "unread",
		(json_int_t)i->queued, "unsent", 0, "rcvbuf", (json_int_t)i->rcvbuf);
}
