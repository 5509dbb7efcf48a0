/* A request is its size (4 bytes, the machine's order) and NUL-terminated words, the first its number; a reply is one line. */
#define _GNU_SOURCE
#include "coprocess.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_whole(void *data, size_t size)
{
	char *bytes = data;
	while (size > 0) {
		const ssize_t got = read(STDIN_FILENO, bytes, size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		size -= (size_t)got;
	}
	return true;
}

/* One write: the replies of several forks must not mix, and a socket takes a short one whole. */
static int reply(const char *number, int error, char *said)
{
	char line[SAID_BYTES + 64];
	for (char *end = said; *end; end++)
		if (*end == '\n')
			*end = ' ';
	const int size = snprintf(line, sizeof line, "%.20s %d %s\n", number, error, said);
	return write(STDOUT_FILENO, line, (size_t)size) == size ? 0 : 1;
}

size_t split_words(char *request, size_t size, char **words)
{
	size_t count = 0;
	for (char *word = request; word < request + size; word += strlen(word) + 1) {
		if (count == MAX_WORDS)
			return MAX_WORDS + 1;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static int answer(task_fn perform, char *request, size_t size)
{
	static char *words[MAX_WORDS + 1];
	static char said[SAID_BYTES];
	const size_t count = split_words(request, size, words);
	if (count > MAX_WORDS)
		return reply(request, E2BIG, said);
	const int error = perform(words + 1, count - 1, said, sizeof said);
	return reply(request, error, said);
}

int serve_tasks(task_fn perform)
{
	static char request[MAX_REQUEST_BYTES];
	uint32_t size = 0;
	/* Ended forks are nobody's to wait for. */
	if (signal(SIGCHLD, SIG_IGN) == SIG_ERR)
		return 1;
	while (read_whole(&size, sizeof size)) {
		char nothing[] = "";
		if (size == 0 || size > sizeof request || !read_whole(request, size) || request[size - 1] != '\0')
			return 1;
		const pid_t fork_pid = fork();
		if (fork_pid == 0) {
			(void)signal(SIGCHLD, SIG_DFL);
			_exit(answer(perform, request, size));
		}
		if (fork_pid < 0 && reply(request, errno, nothing))
			return 1;
	}
	return 0;
}
