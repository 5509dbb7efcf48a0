/* A small coverage-guided fuzzer for gcc, where there is no clang with libFuzzer: driver COUNT SEED FILE… */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef main

enum { MAX_INPUT = 4096, MAX_CORPUS = 4096, EDGES = 1 << 16 };

struct input {
	uint8_t bytes[MAX_INPUT];
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_cov_trace_pc(void);
void __asan_on_error(void);

static struct input corpus[MAX_CORPUS], current;
static size_t corpus_count;
static uint8_t seen[EDGES], hit[EDGES];
static uint16_t touched[EDGES];
static size_t touched_count;
static uint64_t random_state, executions;

static const struct { const char *bytes; size_t size; } tokens[] = {
	{ "clone\0000", 8 }, { "wait\0001\0000", 9 }, { "exec\0001\000a", 9 }, { "env\0002\000A=b\000C=d", 14 },
	{ "65535", 6 }, { "65536", 6 }, { "18446744073709551617", 21 }, { "-1", 3 }, { "0x", 3 }, { "", 1 },
	{ "ada:x:1000:1001:A:/home:/bin/sh\n", 32 }, { "math:x:2000:root,ada\n", 21 }, { ":", 1 }, { ",ada", 4 }, { "\n", 1 },
};

/* Called at each edge of the code under test, and of nothing here. */
__attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void)
{
	const uintptr_t at = (uintptr_t)__builtin_return_address(0);
	const uint16_t edge = (uint16_t)(at ^ at >> 16);
	if (!hit[edge])
		touched[touched_count++] = edge;
	if (hit[edge] < UINT8_MAX)
		hit[edge]++;
}

/* The same seed and files try the same inputs: the number is enough to find the one. */
void __asan_on_error(void)
{
	(void)fprintf(stderr, "at execution %llu\n", (unsigned long long)executions);
}

/* xorshift64: the same seed tries the same inputs. */
__attribute__((no_sanitize_coverage)) static size_t below(size_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % limit);
}

/* Replaces `gone` bytes at an offset by others, as far as there is room. */
__attribute__((no_sanitize_coverage)) static void splice(size_t at, size_t gone, const uint8_t *bytes, size_t size)
{
	if (gone > current.size - at)
		gone = current.size - at;
	if (current.size - gone + size > MAX_INPUT)
		return;
	memmove(current.bytes + at + size, current.bytes + at + gone, current.size - at - gone);
	memcpy(current.bytes + at, bytes, size);
	current.size = current.size - gone + size;
}

__attribute__((no_sanitize_coverage)) static void mutate(void)
{
	const size_t at = below(current.size + 1), kind = below(6);
	const struct input *other = &corpus[below(corpus_count)];
	const size_t token = below(sizeof tokens / sizeof *tokens), from = below(other->size + 1);
	const uint8_t byte = (uint8_t)below(256);
	uint8_t copy[64];
	const size_t size = below(sizeof copy) % (other->size - from + 1);
	memcpy(copy, other->bytes + from, size);
	if (kind == 0 && at < current.size)
		current.bytes[at] = (uint8_t)(current.bytes[at] ^ 1U << below(8));
	else if (kind == 1)
		splice(at, 1, &byte, 1);
	else if (kind == 2)
		splice(at, below(64), copy, 0);
	else if (kind == 3)
		splice(at, 0, (const uint8_t *)tokens[token].bytes, tokens[token].size);
	else
		splice(at, kind == 4 ? 0 : size, copy, size);
}

/* The power of two of a count: more rounds of a loop are news too. */
__attribute__((no_sanitize_coverage)) static uint8_t bucket(uint8_t count)
{
	uint8_t bit = 1;
	while (count >>= 1)
		bit = (uint8_t)(bit << 1);
	return bit;
}

__attribute__((no_sanitize_coverage)) static void try_input(void)
{
	int news = 0;
	executions++;
	LLVMFuzzerTestOneInput(current.bytes, current.size);
	for (size_t index = 0; index < touched_count; index++) {
		const uint16_t edge = touched[index];
		const uint8_t now = bucket(hit[edge]);
		news |= (seen[edge] & now) == 0;
		seen[edge] |= now;
		hit[edge] = 0;
	}
	touched_count = 0;
	if (news && corpus_count < MAX_CORPUS)
		corpus[corpus_count++] = current;
}

__attribute__((no_sanitize_coverage)) static void try_file(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file) {
		perror(path);
		exit(1);
	}
	current.size = fread(current.bytes, 1, MAX_INPUT, file);
	(void)fclose(file);
	try_input();
}

__attribute__((no_sanitize_coverage)) int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const unsigned long long count = strtoull(argv[1], NULL, 10);
	random_state = strtoull(argv[2], NULL, 10) | 1;
	current.size = 0;
	try_input();
	for (int index = 3; index < argc; index++)
		try_file(argv[index]);
	while (executions < count) {
		current = corpus[below(corpus_count)];
		for (size_t rounds = 1 + below(8); rounds > 0; rounds--)
			mutate();
		try_input();
	}
	printf("%llu executions, %zu inputs kept\n", (unsigned long long)executions, corpus_count);
	return 0;
}
