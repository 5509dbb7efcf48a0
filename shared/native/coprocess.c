/* A request is its size (4 bytes, the machine's order) and NUL-terminated words, the first its number; a reply is one line. */
#define _GNU_SOURCE
#include "coprocess.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 18, MOST_TASKS = 128 };

struct task {
	bool taken;
	task_fn perform;
	size_t size;
	char request[MAX_REQUEST_BYTES];
};

/* Pages that no request has reached take no memory. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	size_t count;
	struct task all[MOST_TASKS];
} tasks = { .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };

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

/* One write: the replies of several tasks must not mix, and a socket takes a short one whole. */
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
	char *words[MAX_WORDS + 1];
	char said[SAID_BYTES] = "";
	const size_t count = split_words(request, size, words);
	if (count > MAX_WORDS)
		return reply(request, E2BIG, said);
	const int error = perform(words + 1, count - 1, said, sizeof said);
	return reply(request, error, said);
}

/* Waits until fewer than the most are under way. */
static struct task *begin_task(void)
{
	size_t place = 0;
	pthread_mutex_lock(&tasks.lock);
	while (tasks.count == MOST_TASKS)
		pthread_cond_wait(&tasks.ended, &tasks.lock);
	while (tasks.all[place].taken)
		place++;
	tasks.all[place].taken = true;
	tasks.count++;
	pthread_mutex_unlock(&tasks.lock);
	return &tasks.all[place];
}

static void end_task(struct task *task)
{
	pthread_mutex_lock(&tasks.lock);
	task->taken = false;
	tasks.count--;
	pthread_cond_signal(&tasks.ended);
	pthread_mutex_unlock(&tasks.lock);
}

static void wait_for_tasks(void)
{
	pthread_mutex_lock(&tasks.lock);
	while (tasks.count > 0)
		pthread_cond_wait(&tasks.ended, &tasks.lock);
	pthread_mutex_unlock(&tasks.lock);
}

static void *run_task(void *given)
{
	struct task *task = given;
	char nothing[] = "";
	/* Descriptors of its own, which end with it, as a fork's do; a thread costs no copy of page tables. */
	if (unshare(CLONE_FILES))
		(void)reply(task->request, errno, nothing);
	else
		(void)answer(task->perform, task->request, task->size);
	end_task(task);
	return NULL;
}

/* Answers false at the end, or when what comes is no request: then `status` is not 0. */
static bool read_task(struct task *task, int *status)
{
	uint32_t size = 0;
	if (!read_whole(&size, sizeof size))
		return false;
	*status = size == 0 || size > sizeof task->request || !read_whole(task->request, size) || task->request[size - 1] != '\0';
	task->size = size;
	return *status == 0;
}

int serve_tasks(task_fn perform)
{
	pthread_attr_t attributes;
	pthread_t thread;
	char nothing[] = "";
	int status = 0;
	/* Children that nobody waits for leave nothing, and tasks go on when nobody hears their answers. */
	if (signal(SIGCHLD, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_attr_init(&attributes) ||
	    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) || pthread_attr_setstacksize(&attributes, STACK_BYTES))
		return 1;
	for (;;) {
		struct task *task = begin_task();
		task->perform = perform;
		const bool is_read = read_task(task, &status);
		const int error = is_read ? pthread_create(&thread, &attributes, run_task, task) : 0;
		if (error)
			(void)reply(task->request, error, nothing);
		if (error || !is_read)
			end_task(task);
		if (!is_read)
			break;
	}
	wait_for_tasks();
	return status;
}
