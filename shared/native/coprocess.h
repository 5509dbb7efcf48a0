/* Small tasks for a Node process, each done by a thread with descriptors of its own: requests on standard input, replies on standard output. */
#ifndef DOLLY_COPROCESS_H
#define DOLLY_COPROCESS_H

#include <stddef.h>

enum { MAX_REQUEST_BYTES = 1 << 16, MAX_WORDS = 256, SAID_BYTES = 2048 };

/* Several at a time; what it opens is closed when it has answered. Answers 0 or an errno; what it writes to `said` (one line, else empty) goes with the answer. */
typedef int (*task_fn)(char **words, size_t count, char *said, size_t size);

/* The words of a request whose last byte is NUL, followed by NULL; answers how many, more than MAX_WORDS when there is no room. */
size_t split_words(char *request, size_t size, char **words);

/* Serves until standard input ends. Answers an exit status. */
int serve_tasks(task_fn perform);

#endif
