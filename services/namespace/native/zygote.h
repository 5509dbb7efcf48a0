/* A launch as the spawner hands it to the zygote: one message, a head and NUL-terminated words, with descriptors beside it. */
#ifndef DOLLY_ZYGOTE_H
#define DOLLY_ZYGOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a monitor inherits beside its standard streams: where it answers, and the program that it runs in turn. */
enum { SYNC_FD = 3, PROGRAM_FD, FIRST_CLOSED_FD, FIRST_SPARE_FD = 16 };

/* Sent in this order. */
enum { SENT_NOTHING, SENT_ERRORS, SENT_SYNC, SENT_PROGRAM, SENT };

/* How many of the words that follow the first, which is the directory, are the environment; the others are the command. */
struct launch_head {
	uint32_t variables;
};

enum {
	ZYGOTE_FD = 3, /* its end of the socket */
	MAX_LAUNCH_BYTES = 1 << 16,
	MAX_LAUNCH_WORDS = 256,
	COMMAND_LINE_BYTES = 8192, /* kept free for the command lines of monitors */
};

/* Starts it; answers whether it is there. */
bool start_zygote(const char *conmon, const char *library);
void end_zygote(void);
/* Answers whether it has the launch, of which it keeps descriptors of its own. */
bool ask_zygote(const struct launch_head *head, const char *text, size_t size, const int fds[SENT]);

#endif
