package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"sluice/internal/policy"
)

// secret reads a secret of AWS Secrets Manager: the name or ARN, and after a "#" the field of a JSON secret.
func secret(ctx context.Context, sdk aws.Config, ref string) (string, error) {
	id, field, _ := strings.Cut(ref, "#")
	out, err := secretsmanager.NewFromConfig(sdk).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", unreadable("secret", id, "secretsmanager:GetSecretValue", err)
	}
	value := aws.ToString(out.SecretString)
	if field == "" {
		return value, nil
	}
	var fields map[string]json.RawMessage
	var url string
	// The errors of encoding/json are not passed on: they may quote the secret.
	if json.Unmarshal([]byte(value), &fields) != nil {
		return "", broken("read secret %s: it is no JSON object: leave out %q", id, "#"+field)
	}
	raw, ok := fields[field]
	if !ok {
		return "", broken("read secret %s: it has no field %q: correct what stands after the #", id, field)
	}
	if json.Unmarshal(raw, &url) != nil {
		return "", broken("read secret %s: its field %q is no text", id, field)
	}
	return url, nil
}

// parameter reads a parameter of AWS Systems Manager, decrypted.
func parameter(ctx context.Context, sdk aws.Config, name string) (string, error) {
	out, err := ssm.NewFromConfig(sdk).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", unreadable("parameter", name, "ssm:GetParameter", err)
	}
	return aws.ToString(out.Parameter.Value), nil
}

func broken(format string, args ...any) error {
	return &policy.Error{Kind: policy.InvalidConfig, Err: fmt.Errorf(format, args...)}
}

// unreadable tells what a person has to mend from what is worth another try.
func unreadable(what, name, action string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorFault() == smithy.FaultServer {
		return &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("read %s %s: %w", what, name, err)}
	}
	switch code := api.ErrorCode(); code {
	case "ThrottlingException", "InternalServiceError", "InternalServerError":
		return &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("read %s %s: %w", what, name, err)}
	case "AccessDeniedException":
		return broken("read %s %s: the function may not: allow it %s: %w", what, name, action, err)
	default:
		return broken("read %s %s: %w: correct its name in sluice.yaml, or create it", what, name, err)
	}
}
