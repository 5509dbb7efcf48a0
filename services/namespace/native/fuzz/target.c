/* What reads bytes that it did not write, on any bytes at all: nothing is enacted. The entry is libFuzzer's. */
#include "../dolly-init.h"
#include "coprocess.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A plan that is taken points into its own bytes, and is one that enacting may rely on. */
static void check_plan(const char *bytes, size_t size)
{
	if (plan.count < 3 || plan.count > MAX_OPERATIONS || plan.clone + 2 >= plan.count)
		abort();
	for (size_t index = 0; index < plan.count; index++) {
		const struct step *step = &plan.steps[index];
		if (step->count < step->operation->least || step->count > step->operation->most || step->args[step->count])
			abort();
		for (size_t argument = 0; argument < step->count; argument++) {
			const char *text = step->args[argument];
			if (text < bytes || text + strlen(text) >= bytes + size)
				abort();
		}
	}
}

static void read_plan(char *bytes, size_t size)
{
	char problem[DETAIL_BYTES];
	if (plan_parse(bytes, size, problem, sizeof problem) == 0)
		check_plan(bytes, size);
	else if (strlen(problem) >= sizeof problem)
		abort();
}

/* The parsers of single arguments, which a plan's strings reach once it is enacted. */
static void read_arguments(const char *text)
{
	uint64_t value = 0, set = 0, clear = 0;
	if (number(text, 4095, &value) == 0 && value > 4095)
		abort();
	(void)attributes_of(text, &set, &clear);
}

static void read_request(char *bytes, size_t size)
{
	char *words[MAX_WORDS + 1];
	if (size == 0 || size > MAX_REQUEST_BYTES || bytes[size - 1])
		return;
	const size_t count = split_words(bytes, size, words);
	for (size_t index = 0; count <= MAX_WORDS && index < count; index++)
		read_arguments(words[index]);
}

/* The users and groups of an image: the same bytes as both, for a name that they have and one that they do not. */
static void read_databases(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "ada", "0", "4294967294", "" };
	for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
		struct identity who = { .uid = 0 };
		char *text = calloc(size + 1, 1);
		if (!text)
			abort();
		memcpy(text, data, size);
		(void)user_in(text, names[index], &who);
		memcpy(text, data, size);
		(void)groups_in(text, NULL, &who);
		memcpy(text, data, size);
		(void)groups_in(text, names[index], &who);
		if (who.uid >= UINT32_MAX || who.gid >= UINT32_MAX || who.group_count > MAX_GROUPS || strlen(who.home) >= sizeof who.home)
			abort();
		free(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size: the sanitizer sees the first byte beyond it. */
	char *bytes = malloc(size ? size : 1);
	if (!bytes)
		abort();
	memcpy(bytes, data, size);
	read_request(bytes, size);
	read_plan(bytes, size);
	free(bytes);
	read_databases(data, size);
	return 0;
}
