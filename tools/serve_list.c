#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/serve_http.h"

char *tern_serve_escape_url(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *at = out;
	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (isalnum(c) || strchr("-._~/", c)) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	*at = '\0';
	return out;
}

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void print_entry(FILE *out, const struct dirent *entry)
{
	const char *slash = entry->d_type == DT_DIR ? "/" : "";
	char *link = tern_serve_escape_url(entry->d_name);
	if (!link)
		return;
	/* "./" keeps a name with a colon from being read as a scheme. */
	fprintf(out, "<li><a href=\"./%s%s\">", link, slash);
	print_escaped(out, entry->d_name);
	fprintf(out, "%s</a></li>\n", slash);
	free(link);
}

static void print_page(FILE *out, const char *url, struct dirent **entries, int n)
{
	fputs("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>", out);
	print_escaped(out, url);
	fputs("</title></head><body><h1>", out);
	print_escaped(out, url);
	fputs("</h1>\n<ul>\n", out);
	for (int i = 0; i < n; i++)
		print_entry(out, entries[i]);
	fputs("</ul></body></html>\n", out);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.' || (strcmp(entry->d_name, "..") == 0);
}

struct MHD_Response *tern_serve_list(int fd, const char *url)
{
	struct dirent **entries = NULL;
	struct MHD_Response *response = NULL;
	char *page = NULL;
	size_t size = 0;
	int n = scandirat(fd, ".", &entries, visible, alphasort);
	close(fd);
	FILE *out = n < 0 ? NULL : open_memstream(&page, &size);
	if (out) {
		print_page(out, url, entries, n);
		if (fclose(out) == 0)
			response =
				MHD_create_response_from_buffer(size, page, MHD_RESPMEM_MUST_FREE);
		if (response)
			MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"text/html; charset=utf-8");
		else
			free(page);
	}
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return response;
}
