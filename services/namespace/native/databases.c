/* The texts of /etc/passwd and /etc/group, which an image has filled as it pleased: they are split in place. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FIELDS = 7 };

/* Splits the next line at colons; answers the number of fields, 0 at the end. */
static size_t next_entry(char **cursor, char **fields)
{
	char *line = *cursor;
	size_t count = 0;
	if (!line || !*line)
		return 0;
	char *end = strchr(line, '\n');
	*cursor = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	while (line && count < MAX_FIELDS) {
		fields[count++] = line;
		line = strchr(line, ':');
		if (line)
			*line++ = '\0';
	}
	return count;
}

bool user_in(char *text, const char *user, struct identity *who)
{
	char *cursor = text, *fields[MAX_FIELDS] = { NULL };
	const bool numeric = number(user, UINT32_MAX - 1, &who->uid) == 0;
	for (size_t count; (count = next_entry(&cursor, fields)) > 0;) {
		uint64_t uid = 0, gid = 0;
		if (count < 6 || number(fields[2], UINT32_MAX - 1, &uid) || number(fields[3], UINT32_MAX - 1, &gid))
			continue;
		if (strcmp(fields[0], user) != 0 && !(numeric && uid == who->uid))
			continue;
		who->uid = uid;
		who->gid = gid;
		(void)snprintf(who->name, sizeof who->name, "%s", fields[0]);
		(void)snprintf(who->home, sizeof who->home, "%s", fields[5]);
		return true;
	}
	return numeric;
}

static bool lists(char *members, const char *name)
{
	const size_t length = strlen(name);
	for (char *member = members; member; member = strchr(member, ',') ? strchr(member, ',') + 1 : NULL)
		if (strncmp(member, name, length) == 0 && (member[length] == ',' || member[length] == '\0'))
			return true;
	return false;
}

/* A named or numbered group replaces the user's own and its further ones, as in Docker. */
bool groups_in(char *text, const char *group, struct identity *who)
{
	char *cursor = text, *fields[MAX_FIELDS] = { NULL };
	uint64_t gid = 0;
	const bool numeric = group && number(group, UINT32_MAX - 1, &gid) == 0;
	if (numeric)
		who->gid = gid;
	for (size_t count; !numeric && (count = next_entry(&cursor, fields)) > 0;) {
		if (count < 3 || number(fields[2], UINT32_MAX - 1, &gid))
			continue;
		if (group && strcmp(fields[0], group) == 0) {
			who->gid = gid;
			return true;
		}
		if (!group && count > 3 && *who->name && lists(fields[3], who->name) && who->group_count < MAX_GROUPS)
			who->groups[who->group_count++] = (gid_t)gid;
	}
	return !group || numeric;
}
