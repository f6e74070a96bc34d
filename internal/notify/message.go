package notify

import (
	"fmt"
	"strings"
	"time"
)

// The bounds of a message. SNS takes 256 KB and a subject of 100 ASCII characters; nobody reads more than a page.
const (
	maxSubject = 100
	maxLines   = 50
	maxCause   = 300 // The remedy stands at the end.
)

// message is a digest as it is sent.
type message struct {
	stack              string
	since, until, read time.Time
	lines              []line
}

// subject says the most important, and how much there is beside it.
func (m message) subject() string {
	subject := "Sluice"
	if m.stack != "" && m.stack != "sluice" { // There may be several.
		subject += " " + m.stack
	}
	if len(m.lines) == 0 {
		return ascii(clip(subject+": the log could not be read to its end", maxSubject))
	}
	for i, l := range m.lines {
		longer, rest := subject+"; "+l.short, len(m.lines)-i-1
		if i == 0 {
			longer = subject + ": " + l.short
		}
		if i > 0 && len(longer)+len(more(rest)) > maxSubject {
			return ascii(subject + more(len(m.lines)-i))
		}
		subject = longer
	}
	return ascii(clip(subject, maxSubject))
}

// more is how much has been left out of a subject.
func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d more", n)
}

// ascii is the text with what SNS refuses in a subject replaced.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// body is the digest as a plain text.
func (m message) body() string {
	var b strings.Builder
	for i, l := range m.lines {
		if i == maxLines {
			_, _ = fmt.Fprintf(&b, "and %d more\n", len(m.lines)-i)
			break
		}
		b.WriteString(l.text)
		if l.saved > 0 {
			b.WriteString("; " + dollars(l.saved) + " saved today")
		}
		b.WriteByte('\n')
	}
	if m.read.Before(m.until) {
		_, _ = fmt.Fprintf(&b, "The log was too long to be read in time: nothing is told of what came after %s.\n", m.read.Format("15:04:05"))
	}
	of := ""
	if m.stack != "" {
		of = ", stack " + m.stack
	}
	_, _ = fmt.Fprintf(&b, "\n%s%s. Times are UTC.\n", m.period(), of)
	b.WriteString("Why: sluice why TARGET\n")
	return b.String()
}

// period is the time that the message is about.
func (m message) period() string {
	until := "15:04"
	if m.since.Format(time.DateOnly) != m.until.Format(time.DateOnly) {
		until = "2006-01-02 15:04"
	}
	return m.since.Format("2006-01-02 15:04") + " to " + m.until.Format(until)
}

// dollars is an amount as one says it.
func dollars(d float64) string {
	if d < 0.005 {
		return "less than $0.01"
	}
	return fmt.Sprintf("$%.2f", d)
}
