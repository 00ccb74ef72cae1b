/*
 * What to tell people of a setting that was refused.
 *
 *	int err = tern_set_pair(stack, "tcp_ecn=9");
 *	if (err != 0) {
 *		char why[TERN_SETTING_WHY];
 *		tern_setting_why("tcp_ecn=9", err, why, sizeof why);
 *		fprintf(stderr, "%s\n", why);    // value out of range: 0 to 2
 *	}
 */
#ifndef TERN_SETTING_H
#define TERN_SETTING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TERN_SETTING_WHY 256

/* Writes why tern_set_pair refused "NAME=VALUE" with that error: the range, the choice, or what
 * name was perhaps meant. */
void tern_setting_why(const char *pair, int err, char *why, size_t size);

#ifdef __cplusplus
}
#endif
#endif
