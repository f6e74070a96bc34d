package config

import (
	"regexp"
	"sync"
	"unicode/utf8"
)

// Pattern is what a text may look like.
type Pattern struct {
	Regexp string // In the syntax that Go's RE2 and JSON Schema's ECMA 262 share.
	Max    int    // The most characters. Not in the expression, which would be slow to compile.
	Says   string // The same in words, to end "use ...".
}

// patterns are the patterns by the name that the fields' tags give. The lengths and characters of AWS names are those of the
// API references of ECS, EventBridge, Secrets Manager and Systems Manager.
var patterns = map[string]Pattern{
	"name":                 {`^[a-z0-9][a-z0-9._-]*$`, 63, "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"},
	"cluster":              {`^([A-Za-z0-9_-]+|arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]+)$`, 330, "the cluster's name (letters, digits, '_', '-') or its ARN"},
	"service":              {`^([A-Za-z0-9_-]+|arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:service/([A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+)$`, 590, "the service's name (letters, digits, '_', '-') or its ARN"},
	"queue":                {`^[^\x00-\x1f\x7f]+$`, 255, "1 to 255 printable characters"},
	"key":                  {`^[^\x00-\x1f\x7f]+$`, 512, "1 to 512 printable characters"},
	"key prefix":           {`^[^\x00-\x1f\x7f]+$`, 128, "1 to 128 printable characters"},
	"separator":            {`^[^\x00]+$`, 16, "1 to 16 characters, as the application has them"},
	"exchange":             {`^[A-Za-z0-9._-]+$`, 128, "1 to 128 letters, digits, '.', '_' and '-'"},
	"environment variable": {`^[A-Za-z_][A-Za-z0-9_]*$`, 255, "letters, digits and '_', not beginning with a digit"},
	"secret":               {`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@!-]+(#[A-Za-z0-9_.-]+)?$`, 700, "the secret's name or ARN, with #key at the end for a field of a JSON secret"},
	"parameter":            {`^(arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter/)?[A-Za-z0-9_./-]+$`, 1011, "the parameter's name, such as /prod/redis-url, or its ARN"},
	"event source":         {`^[A-Za-z0-9._/-]+$`, 256, "1 to 256 letters, digits, '.', '_', '/' and '-'"},
	"detail type":          {`^[^\x00-\x1f\x7f]+$`, 128, "1 to 128 printable characters"},
	"event bus":            {`^(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[A-Za-z0-9._/-]+$`, 330, "the event bus's name or its ARN"},
	"stack":                {`^[A-Za-z][A-Za-z0-9-]*$`, 100, "1 to 100 letters, digits and '-', beginning with a letter"},
	"account":              {`^[0-9]{12}$`, 12, "the 12 digits of the account, in quotes"},
	"region":               {`^(af|ap|ca|cn|eu|il|me|mx|sa|us)(-[a-z]+)+-[0-9]+$`, 25, "a Region of AWS, such as eu-central-1"},
	"VPC":                  {`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`, 21, "the VPC's id, such as vpc-0123456789abcdef0"},
	"subnet":               {`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`, 24, "the subnet's id, such as subnet-0123456789abcdef0"},
	"security group":       {`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`, 20, "the security group's id, such as sg-0123456789abcdef0"},
	"key ARN":              {`^arn:aws(-cn|-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`, 256, "the key's ARN, such as arn:aws:kms:eu-central-1:123456789012:key/ID; no alias, for IAM grants nothing on one"},
	"e-mail address":       {`^[^@\x00-\x20\x7f]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`, 254, "one address, such as oncall@example.com"},
	"topic ARN":            {`^arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$`, 330, "the topic's ARN, such as arn:aws:sns:eu-central-1:123456789012:oncall; no FIFO topic"},
	"image":                {`^([0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/)?[a-z0-9]+([._/-][a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$`, 512, "repository:tag for an ECR repository of the same account and Region, or the whole URI of an image in ECR with its tag or digest"},
	"window":               {`^[A-Za-z0-9][A-Za-z0-9 ._-]*$`, 63, "1 to 63 letters, digits, ' ', '.', '_' and '-', beginning with a letter or digit"},
	"cron":                 {`^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$`, 255, "five fields: minute, hour, day of the month, month and day of the week (sun to sat, or 0 to 6), such as 0 8 * * mon-fri"},
	"time zone":            {`^[A-Z][A-Za-z0-9_+/-]*$`, 64, "the name of a time zone in the IANA database, such as Europe/Berlin or UTC"},
	"collector":            {`^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$`, 512, "the collector's address, such as http://collector:4318, without user, password and query"},
	"host":                 {`^[A-Za-z0-9._:-]+$`, 253, "a host name"},
	"path":                 {`^[^\x00-\x1f\x7f]+$`, 4096, "a path without control characters"},
	"PEM":                  {`^\s*-----BEGIN CERTIFICATE-----`, 262144, "the certificates in PEM form, from -----BEGIN CERTIFICATE----- on, below `ca_pem: |`"},
}

// compiled holds the patterns in use. They are compiled at their first use: most files need few of them, and a cold start
// waits for each.
var compiled sync.Map

func (p Pattern) matches(s string) bool {
	if len(s) > p.Max && utf8.RuneCountInString(s) > p.Max {
		return false
	}
	re, ok := compiled.Load(p.Regexp)
	if !ok {
		re, _ = compiled.LoadOrStore(p.Regexp, regexp.MustCompile(p.Regexp))
	}
	return re.(*regexp.Regexp).MatchString(s)
}
