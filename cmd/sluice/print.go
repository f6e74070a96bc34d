package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sluice/internal/config"
	"sluice/internal/terminal"
)

// writeYAML writes the mapping's lines, each behind the indentation.
func (m mapping) writeYAML(b *bytes.Buffer, indent string) {
	for _, e := range m {
		b.WriteString(indent + yamlText(e.name) + ":")
		switch v := e.value.(type) {
		case mapping:
			if len(v) == 0 {
				b.WriteString(" {}")
				break
			}
			b.WriteByte('\n')
			v.writeYAML(b, indent+"  ")
			continue
		case []any:
			if isFlat(v) {
				b.WriteString(" " + yamlScalar(v))
				break
			}
			b.WriteByte('\n')
			for _, item := range v {
				var lines bytes.Buffer
				item.(mapping).writeYAML(&lines, indent+"    ")
				b.WriteString(indent + "  - " + strings.TrimPrefix(lines.String(), indent+"    "))
			}
			continue
		case string:
			if isBlock(v) {
				lines := strings.ReplaceAll(strings.TrimSuffix(v, "\n"), "\n", "\n"+indent+"  ")
				b.WriteString(" |\n" + indent + "  " + lines + "\n")
				continue
			}
			b.WriteString(" " + yamlText(v))
		default:
			b.WriteString(" " + yamlScalar(v))
		}
		if e.note != "" {
			b.WriteString(" # " + e.note)
		}
		b.WriteByte('\n')
	}
}

// isFlat says whether a list stands on one line: it does unless it holds mappings, and no empty ones.
func isFlat(list []any) bool {
	for _, item := range list {
		if m, ok := item.(mapping); !ok || len(m) == 0 {
			return true
		}
	}
	return len(list) == 0
}

// isBlock says whether a text of several lines can be written below `|`, as it is: a certificate, for one.
func isBlock(s string) bool { return strings.HasSuffix(s, "\n") && blockLines.MatchString(s) }

// blockLines are lines of which none is empty, and the first is not indented, so that nothing has to be said of either.
var blockLines = regexp.MustCompile(`^([!-~]([ -~]*[!-~])?\n)+$`)

// yamlScalar is a value as it stands on one line. What is nested there is written as in JSON, which is YAML, too.
func yamlScalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = yamlScalar(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case mapping:
		items := make([]string, len(v))
		for i, e := range v {
			items[i] = yamlText(e.name) + ": " + yamlScalar(e.value)
		}
		return "{" + strings.Join(items, ", ") + "}"
	case string:
		return yamlText(v)
	case config.Duration:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// plain are texts that no YAML reader takes for anything else, but for the words that yamlWords are.
var (
	plain     = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@-]*$`)
	yamlWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null)$`)
)

// yamlText writes a text, in quotes where there is any doubt. Go's escapes are YAML's.
func yamlText(s string) string {
	if plain.MatchString(s) && !yamlWords.MatchString(s) {
		return s
	}
	return terminal.Escape(strconv.Quote(s)) // Go shows some letters that nobody sees.
}

// writeJSON writes the mapping as JSON. The line break holds the indentation.
func (m mapping) writeJSON(b *bytes.Buffer, br string) {
	b.WriteByte('{')
	for i, e := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(br + "  ")
		writeJSON(b, e.name, "")
		b.WriteString(": ")
		writeJSON(b, e.value, br+"  ")
	}
	if len(m) > 0 {
		b.WriteString(br)
	}
	b.WriteByte('}')
}

func writeJSON(b *bytes.Buffer, v any, br string) {
	switch v := v.(type) {
	case mapping:
		v.writeJSON(b, br)
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			switch {
			case !isFlat(v) && i > 0:
				b.WriteString("," + br + "  ")
			case !isFlat(v):
				b.WriteString(br + "  ")
			case i > 0:
				b.WriteString(", ")
			}
			writeJSON(b, item, br+"  ")
		}
		if !isFlat(v) {
			b.WriteString(br)
		}
		b.WriteByte(']')
	default:
		var one bytes.Buffer
		e := json.NewEncoder(&one)
		e.SetEscapeHTML(false)
		_ = e.Encode(v)                                                        // A text, number or duration always encodes.
		b.WriteString(terminal.Escape(strings.TrimSuffix(one.String(), "\n"))) // Of U+007F to U+009F a configuration file may hold none.
	}
}
