// Package config reads sluice.yaml: it loads the file, fills in the defaults and refuses what makes no sense.
//
// The Go types are the one source of everything. Their tags hold the names, defaults, bounds and patterns that decoding
// checks, that the JSON Schema for editors (package schema) repeats, and that docs/config.md lists; their comments are the
// descriptions in both. A value is checked where it stands (decode.go), then values are checked against each other
// (validate.go), and all that is wrong is reported in one run, each Problem with its line, column, field and remedy.
//
// A Lambda reads the file at each cold start, so this has to be fast, and the schema library is not linked here. The file
// may also come from a stranger's pull request: its size and depth are bounded before it is parsed, and anchors, aliases
// and tags are refused, so that nothing in it can expand.
//
// Broker URLs are read as Celery reads them (url.go), but for TLS: what cannot be verified is refused, never accepted in
// silence. No text made here, error or log, holds a password.
package config
