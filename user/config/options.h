/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/ only: the one table of settings, and how a text becomes a value. A row names the setting in each
 * source that has it; flags, YAML, environment, --help and docs/configuration.md all come from it.
 */
#ifndef SONDE_CONFIG_OPTIONS_H
#define SONDE_CONFIG_OPTIONS_H

#include "config/config.h"

enum option_type {
	OPTION_TEXT,	   /* char * */
	OPTION_FILE,	   /* char *, a path */
	OPTION_NAME,	   /* char *, one of the choices; the choice "auto" is NULL */
	OPTION_URL,	   /* char *, used as it is */
	OPTION_BASE_URL,   /* char * of traces and metrics: v1/traces and v1/metrics are appended */
	OPTION_HEADERS,	   /* char *, "k=v,k=v"; a YAML mapping is turned into it */
	OPTION_ATTRIBUTES, /* char *, the same with the rules of OTEL_RESOURCE_ATTRIBUTES */
	OPTION_NUMBER,	   /* uint32_t or size_t */
	OPTION_SIZE,	   /* size_t, bytes */
	OPTION_MS,	   /* uint32_t, milliseconds */
	OPTION_SECONDS,	   /* uint32_t, seconds */
	OPTION_DECIMAL,	   /* double */
	OPTION_BOOL,
	OPTION_CHOICE, /* bool or an int-sized value */
	OPTION_SET,    /* uint32_t: a list of choices, or-ed */
	OPTION_RULES,  /* struct config_rule array and its length; YAML only */
};

struct choice {
	const char *name; /* the last one of a list is NULL */
	int value;
	/* Set: a name of the specification that Sonde does not have. The environment warns with this text, YAML
	 * refuses. */
	const char *note;
};

enum { NO_OFFSET = 0xffff };

struct option {
	const char *yaml;     /* path with dots, NULL = not in YAML */
	const char *flag;     /* without --, NULL = no flag */
	const char *argument; /* of the flag, for --help */
	const char *env;      /* variable, NULL = none */
	const char *fallback; /* default as a text of the same syntax, NULL = not set */
	const char *help;
	const struct choice *choices;
	bool narrow;	       /* the row of one signal, after the row of both: --help names it there */
	uint64_t min, max;     /* numbers: limits in the stored unit */
	uint16_t offset, also; /* in struct config_state; also: the same value for the other signal, or NO_OFFSET */
	uint8_t type;	       /* enum option_type */
	uint8_t size;	       /* of the field */
	uint8_t commands;      /* enum config_command bits that take the flag */
};

extern const struct option options[];
extern const size_t options_n;

/* Fields of a rule of select.include and select.exclude. */
struct rule_field {
	const char *name, *help;
	size_t offset;
	enum { RULE_GLOB, RULE_PID, RULE_PORT, RULE_NAME } type;
};

extern const struct rule_field rule_fields[];
extern const size_t rule_fields_n;

enum exporter_bit { EXPORTER_OTLP = 1, EXPORTER_CONSOLE = 2, EXPORTER_NONE = 4 };
enum alias_bit { ALIAS_PEER_SERVICE = 1 };

/* What config_new() allocates: the public part, and what only config_finish() needs. */
struct config_state {
	struct config c;
	char *path;					  /* --config, OTEL_CONFIG_FILE */
	uint32_t traces_exporters, metrics_exporters;	  /* enum exporter_bit, 0 = not said */
	uint32_t aliases;				  /* enum alias_bit */
	uint32_t traces_deadline_ms, metrics_deadline_ms; /* of the processor, beside the exporter's own timeout */
	int protocol;					  /* one value: anything else has been warned of */
	bool format_asked;				  /* --format was given: the person wants to see spans */
	bool no_colour;					  /* NO_COLOR or TERM=dumb */
};

static inline struct config_state *config_state(struct config *c)
{
	return (struct config_state *)c;
}

/* Collects mistakes: formats one line and hands it on. */
struct complaints {
	config_complain_fn *fn;
	void *context;
	int count;
};

void complain(struct complaints *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The syntax differs a little between sources: the environment has plain milliseconds, a flag has plain seconds. */
enum option_source { SOURCE_DEFAULT, SOURCE_YAML, SOURCE_ENVIRONMENT, SOURCE_FLAG };

enum { OPTION_TEXT_MAX = 4096, EXPECT_MAX = 320 };

/*
 * Sets the option from a text. 0, -EINVAL when the text is not one (then nothing changed and option_expect() says what
 * would be), or -ENOMEM. *ret_note (may be NULL) is set when the value was taken, or left out, with a remark.
 */
int option_set(struct config_state *s, const struct option *o, enum option_source source, struct bytes text,
	       const char **ret_note);
/* What the option takes, in words: "a whole number from 1 to 65535". */
void option_expect(const struct option *o, enum option_source source, char *buf, size_t size);
/* text for a message: quoted, cut, control characters replaced; headers are secrets and never shown. */
const char *option_got(const struct option *o, struct bytes text, char *buf, size_t size);

/* Frees what the option holds and sets it to not set. */
void option_clear(struct config_state *s, const struct option *o);

/* Numbers with nothing around them. False when it is not one or does not fit. */
bool parse_number(struct bytes text, uint64_t *ret);
/* True when fnmatch() can mean something by it: brackets closed, no lone backslash at the end. */
bool glob_valid(const char *glob);

/* The whole file is in memory; name is for the messages. Number of mistakes, or -ENOMEM. */
int config_load_yaml_bytes(struct config *c, const char *name, struct bytes in, config_complain_fn *complain,
			   void *context);
/* As config_load_flags, for one command (or several, as bits). */
int flags_load(struct config *c, unsigned commands, int argc, char **argv, int *ret_rest, config_complain_fn *fn,
	       void *context);

#endif
