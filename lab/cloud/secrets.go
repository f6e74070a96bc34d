package cloud

import (
	"encoding/json"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud/wire"
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

// getParameter answers ssm:GetParameter.
func (s *secrets) getParameter(in struct {
	Name           string
	WithDecryption bool
},
) (map[string]any, error) {
	value, ok := s.parameters[in.Name]
	if !ok {
		return nil, wire.Errorf("ParameterNotFound", "%s: the local cloud has the parameters of sluice.yaml's brokers, if it has a Redis", in.Name)
	}
	return map[string]any{"Parameter": map[string]any{
		"Name": in.Name, "Type": "SecureString", "Value": value, "Version": 1, "LastModifiedDate": s.made,
	}}, nil
}

// getSecretValue answers secretsmanager:GetSecretValue.
func (s *secrets) getSecretValue(in struct{ SecretID string }) (map[string]any, error) {
	value, ok := s.secrets[in.SecretID]
	if !ok {
		return nil, wire.Errorf("ResourceNotFoundException", "%s: the local cloud has the secrets of sluice.yaml's brokers, if it has a Redis", in.SecretID)
	}
	return map[string]any{
		"Name": in.SecretID, "SecretString": value, "VersionId": "local", "VersionStages": []any{"AWSCURRENT"}, "CreatedDate": s.made,
	}, nil
}
