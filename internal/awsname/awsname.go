// Package awsname reads the names of AWS's things. It imports the standard library only, and everything of ours may import it.
package awsname

import "strings"

// Last returns the name at the end of an ARN of ECS or of a URL, behind its last slash, or the bare name that is given.
func Last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
