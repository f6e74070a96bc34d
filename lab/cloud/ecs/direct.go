package ecs

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// DirectClient calls a model in the same process, with the methods of the SDK's client that a scaler needs. It goes the way
// that a request by HTTP goes, but for HTTP and JSON: calls are counted, faults and rate limits apply, and errors are the
// SDK's own. It does not look at the options of a call, so nothing is tried again: a simulator cannot wait in real time.
type DirectClient struct{ m *Model }

// Direct returns a client that calls the model itself.
func Direct(m *Model) *DirectClient { return &DirectClient{m} }

// DescribeServices is the SDK's call of this name.
func (c *DirectClient) DescribeServices(
	ctx context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	return direct(ctx, c.m, "DescribeServices", in, (*Model).describeServices)
}

// ListTasks is the SDK's call of this name.
func (c *DirectClient) ListTasks(
	ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options),
) (*ecs.ListTasksOutput, error) {
	return direct(ctx, c.m, "ListTasks", in, (*Model).listTasks)
}

// DescribeTasks is the SDK's call of this name.
func (c *DirectClient) DescribeTasks(
	ctx context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options),
) (*ecs.DescribeTasksOutput, error) {
	return direct(ctx, c.m, "DescribeTasks", in, (*Model).describeTasks)
}

// GetTaskProtection is the SDK's call of this name.
func (c *DirectClient) GetTaskProtection(
	ctx context.Context, in *ecs.GetTaskProtectionInput, _ ...func(*ecs.Options),
) (*ecs.GetTaskProtectionOutput, error) {
	return direct(ctx, c.m, "GetTaskProtection", in, (*Model).getTaskProtection)
}

// UpdateTaskProtection is the SDK's call of this name.
func (c *DirectClient) UpdateTaskProtection(
	ctx context.Context, in *ecs.UpdateTaskProtectionInput, _ ...func(*ecs.Options),
) (*ecs.UpdateTaskProtectionOutput, error) {
	return direct(ctx, c.m, "UpdateTaskProtection", in, (*Model).updateTaskProtection)
}

// UpdateService is the SDK's call of this name.
func (c *DirectClient) UpdateService(
	ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options),
) (*ecs.UpdateServiceOutput, error) {
	return direct(ctx, c.m, "UpdateService", in, (*Model).updateService)
}

// TagResource is the SDK's call of this name.
func (c *DirectClient) TagResource(
	ctx context.Context, in *ecs.TagResourceInput, _ ...func(*ecs.Options),
) (*ecs.TagResourceOutput, error) {
	return direct(ctx, c.m, "TagResource", in, (*Model).tagResource)
}

// direct makes one call. The input's JSON is made only for a fault that asks for it.
func direct[In smithy.Serializable, Out any](
	ctx context.Context, m *Model, op string, in In, do func(*Model, In) (*Out, error),
) (*Out, error) {
	if err := ctx.Err(); err != nil {
		return nil, &smithy.OperationError{ServiceID: ecs.ServiceID, OperationName: op, Err: &aws.RequestCanceledError{Err: err}}
	}
	var out *Out
	err := m.call(ctx, op, func() ([]byte, error) { return serialize(in) }, func() (err error) {
		out, err = perform(m, in, do)
		return err
	})
	if err != nil {
		return nil, sdkError(op, err)
	}
	return out, nil
}

// sdkErrors make the SDK's types of the errors that the model answers with, and of those that faults are likely to have.
var sdkErrors = map[string]func(message *string) smithy.APIError{
	"AccessDeniedException":       func(m *string) smithy.APIError { return &types.AccessDeniedException{Message: m} },
	"ClientException":             func(m *string) smithy.APIError { return &types.ClientException{Message: m} },
	"ClusterNotFoundException":    func(m *string) smithy.APIError { return &types.ClusterNotFoundException{Message: m} },
	"InvalidParameterException":   func(m *string) smithy.APIError { return &types.InvalidParameterException{Message: m} },
	"ResourceNotFoundException":   func(m *string) smithy.APIError { return &types.ResourceNotFoundException{Message: m} },
	"ServerException":             func(m *string) smithy.APIError { return &types.ServerException{Message: m} },
	"ServiceNotActiveException":   func(m *string) smithy.APIError { return &types.ServiceNotActiveException{Message: m} },
	"ServiceNotFoundException":    func(m *string) smithy.APIError { return &types.ServiceNotFoundException{Message: m} },
	"UnsupportedFeatureException": func(m *string) smithy.APIError { return &types.UnsupportedFeatureException{Message: m} },
}

// sdkError is what the SDK's client would make of the model's refusal. A caller that has gone is told so.
func sdkError(op string, err error) error {
	wrap := func(err error) error {
		return &smithy.OperationError{ServiceID: ecs.ServiceID, OperationName: op, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return wrap(&aws.RequestCanceledError{Err: err})
	}
	e := asAPIError(err)
	var typed smithy.APIError = &smithy.GenericAPIError{Code: e.code, Message: e.message}
	if of := sdkErrors[e.code]; of != nil {
		typed = of(&e.message)
	}
	return wrap(&awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: e.status}}, Err: typed,
	}})
}
