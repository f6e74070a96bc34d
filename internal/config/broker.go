package config

import (
	"fmt"
	"log/slog"
)

// Broker is a message broker: where it is, and how the application has set it up.
type Broker struct {
	// What targets call the broker.
	Name string `yaml:"name" required:"true" pattern:"name"`
	// What speaks through the broker.
	Kind string `yaml:"kind" default:"celery" enum:"celery"`

	// The broker's URL itself, as Celery has it. Better kept elsewhere if it holds a password. Exactly one of the four `url` fields is needed.
	URL Secret `yaml:"url"`
	// The name of an environment variable that holds the URL.
	URLEnv string `yaml:"url_env" pattern:"environment variable"`
	// The name or ARN of an AWS Secrets Manager secret that holds the URL. `#key` at the end picks a field of a JSON secret.
	URLSecret string `yaml:"url_secret" pattern:"secret"`
	// The name or ARN of an SSM parameter (SecureString) that holds the URL.
	URLParameter string `yaml:"url_parameter" pattern:"parameter"`

	// How to verify the broker. Where it is given TLS is used, also for a `redis://` URL (Celery's `broker_use_ssl`).
	TLS *TLS `yaml:"tls"`
	// Whether Redis runs in cluster mode. Celery then needs a `key_prefix` with a hash tag, such as `{celery}:`.
	ClusterMode bool `yaml:"cluster_mode" default:"false"`
	// What stands before every key: Celery's `global_keyprefix`.
	KeyPrefix string `yaml:"key_prefix" pattern:"key prefix"`
	// The priorities that have a list of their own: Celery's `priority_steps`. Ascending from 0, each 0 to 255.
	PrioritySteps []int `yaml:"priority_steps" default:"0,3,6,9" min:"1" max:"256"`
	// What stands between a queue and its priority in a key: Celery's `sep`. Put it in double quotes.
	Separator string `yaml:"separator" default:"\x06\x16" pattern:"separator"`
	// The exchange of Celery's remote control: `control_exchange`.
	ControlExchange string `yaml:"control_exchange" default:"celery" pattern:"exchange"`
	// The exchange of Celery's events: `event_exchange`.
	EventExchange string `yaml:"event_exchange" default:"celeryev" pattern:"exchange"`
	// After what time a message that is not acknowledged comes back: Celery's `visibility_timeout`. It has to be the application's, or vanished messages count too early or too late.
	VisibilityTimeout Duration `yaml:"visibility_timeout" default:"1h" min:"1s" max:"720h"`
	// Messages due (ETA, countdown) within this time count as work now. The default is a sweep and a task's start.
	Horizon Duration `yaml:"horizon" default:"6m" min:"0s" max:"24h"`
}

// TLS says how to verify the broker.
type TLS struct {
	// A PEM file with the certificate authorities to trust in place of the system's, relative to sluice.yaml.
	CAFile string `yaml:"ca_file" pattern:"path"`
	// The same as text in place of a file.
	CAPEM string `yaml:"ca_pem" pattern:"PEM"`
	// The name in the broker's certificate, where it is not the URL's host.
	ServerName string `yaml:"server_name" pattern:"host"`
	// Accept any certificate. Whoever stands between Sluice and the broker can then read and change everything, the password included.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify" default:"false"`
}

// KindCelery is the kind of broker that Celery applications use through Redis.
const KindCelery = "celery"

// urls returns the fields that say where the URL is, with their names, in the order of the type.
func (b *Broker) urls() (names []string) {
	for _, u := range []struct{ name, value string }{
		{"url", b.URL.Reveal()}, {"url_env", b.URLEnv}, {"url_secret", b.URLSecret}, {"url_parameter", b.URLParameter},
	} {
		if u.value != "" {
			names = append(names, u.name)
		}
	}
	return names
}

// String names the broker and where its URL is, without the URL.
func (b Broker) String() string {
	where := "url"
	switch {
	case b.URLEnv != "":
		where = "url_env " + b.URLEnv
	case b.URLSecret != "":
		where = "url_secret " + b.URLSecret
	case b.URLParameter != "":
		where = "url_parameter " + b.URLParameter
	}
	return fmt.Sprintf("broker %s (%s, %s)", b.Name, b.Kind, where)
}

// LogValue is String for structured logs.
func (b Broker) LogValue() slog.Value { return slog.StringValue(b.String()) }
