package fleet

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sluice/internal/policy"
)

// fail makes an error of a known kind out of what a call of ECS ended with. doing is verb and object; action is the
// permission that the call needs.
func fail(doing, action string, err error) *policy.Error {
	kind := kindOf(err)
	switch kind {
	case policy.FleetDenied:
		err = fmt.Errorf("%s: not allowed; grant %s on it to the role of this function: %w", doing, action, err)
	case policy.ServiceMissing:
		err = fmt.Errorf("%s: %w; correct the cluster and service in sluice.yaml, or remove the target", doing, err)
	case policy.InvalidConfig:
		err = fmt.Errorf("%s: ECS takes the request for wrong; correct the cluster and service in sluice.yaml: %w", doing, err)
	default:
		err = fmt.Errorf("%s: %w", doing, err)
	}
	return &policy.Error{Kind: kind, Err: err}
}

// throttles are the codes by which AWS asks to slow down.
var throttles = retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}

func kindOf(err error) policy.Kind {
	var (
		service  *types.ServiceNotFoundException
		inactive *types.ServiceNotActiveException
		cluster  *types.ClusterNotFoundException
		api      smithy.APIError
		response *smithyhttp.ResponseError
	)
	switch {
	case errors.Is(err, errBudget), throttled(err):
		return policy.FleetThrottled
	case errors.As(err, &service), errors.As(err, &inactive), errors.As(err, &cluster):
		return policy.ServiceMissing
	}
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "UnrecognizedClientException",
			"InvalidSignatureException", "ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId",
			"MissingAuthenticationToken", "SignatureDoesNotMatch", "IncompleteSignature":
			return policy.FleetDenied
		case "ResourceNotFoundException":
			return policy.ServiceMissing
		case "InvalidParameterException", "ValidationException", "UnsupportedFeatureException":
			return policy.InvalidConfig // An ARN of another account, a service that has no desired count: the same every time.
		}
	}
	if errors.As(err, &response) && response.HTTPStatusCode() == http.StatusForbidden {
		return policy.FleetDenied
	}
	return policy.FleetUnavailable
}

func throttled(err error) bool { return throttles.IsErrorThrottle(err).Bool() }
