/* Prints what TCP_INFO says a connection has counted. */
#ifndef TEST_RUN_TALLY_H
#define TEST_RUN_TALLY_H

void tally(const char *who, int fd);

#endif
