#include <tern/types.h>

const char *tern_err_text(int err)
{
	switch (err) {
	case 0:
		return "success";
#define TERN_ERROR(name, value, text)                                                              \
	case name:                                                                                 \
		return text;
#include <tern/errors.def>
#undef TERN_ERROR
	default:
		return "unknown error";
	}
}

const char *tern_err_name(int err)
{
	switch (err) {
#define TERN_ERROR(name, value, text)                                                              \
	case name:                                                                                 \
		return #name;
#include <tern/errors.def>
#undef TERN_ERROR
	default:
		return "TERN_E?";
	}
}
