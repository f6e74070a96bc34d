package local

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sluice/internal/config"
)

// What is answered of Secrets Manager and of SSM.
const (
	getSecretValue = "secretsmanager.GetSecretValue"
	getParameter   = "AmazonSSM.GetParameter"
)

// secrets stand in for Secrets Manager and SSM's parameters. Whatever the brokers of the config keep there is the URL of
// the one local Redis.
type secrets struct {
	secrets, parameters map[string]string // By the name or ARN that the config uses.
	made                time.Time
}

func newSecrets(c *config.Config, redisURL string) *secrets {
	s := &secrets{secrets: map[string]string{}, parameters: map[string]string{}, made: time.Now()}
	if redisURL == "" {
		return s
	}
	fields := map[string]map[string]string{} // Of secrets in JSON.
	for _, b := range c.Brokers {
		if b.URLParameter != "" {
			s.parameters[b.URLParameter] = redisURL
		}
		switch name, field, ok := strings.Cut(b.URLSecret, "#"); {
		case name == "":
		case ok:
			if fields[name] == nil {
				fields[name] = map[string]string{}
			}
			fields[name][field] = redisURL
		default:
			s.secrets[name] = redisURL
		}
	}
	for name, f := range fields {
		text, _ := json.Marshal(f) // A map of strings always encodes.
		s.secrets[name] = string(text)
	}
	return s
}

// ServeHTTP answers GetSecretValue and GetParameter.
func (s *secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req struct{ SecretId, Name string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&req); err != nil {
		refuse(w, "1.1", "SerializationException", err.Error())
		return
	}
	if r.Header.Get("X-Amz-Target") == getParameter {
		value, ok := s.parameters[req.Name]
		if !ok {
			refuse(w, "1.1", "ParameterNotFound", fmt.Sprintf("%s: the local cloud has the parameters of sluice.yaml's brokers, "+
				"if it has a Redis", req.Name))
			return
		}
		answer(w, "1.1", map[string]any{"Parameter": map[string]any{
			"Name": req.Name, "Type": "SecureString", "Value": value, "Version": 1, "LastModifiedDate": seconds(s.made),
		}})
		return
	}
	value, ok := s.secrets[req.SecretId]
	if !ok {
		refuse(w, "1.1", "ResourceNotFoundException", fmt.Sprintf("%s: the local cloud has the secrets of sluice.yaml's brokers, "+
			"if it has a Redis", req.SecretId))
		return
	}
	answer(w, "1.1", map[string]any{
		"Name": req.SecretId, "SecretString": value, "VersionId": "local", "VersionStages": []string{"AWSCURRENT"},
		"CreatedDate": seconds(s.made),
	})
}

// seconds is a time as AWS's JSON protocols write it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
