package function

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// awsSettings are the settings of every AWS client, from the environment that Lambda gives a function: the Region, its
// role's credentials, and for AWS_ENDPOINT_URL another place than AWS.
//
// The SDK's own config package would find them, too, and look in files, at an instance's metadata service and at three
// ways of single sign-on, none of which a function has. It costs 2 MB and a good part of a cold start.
func awsSettings() (aws.Config, error) {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		return aws.Config{}, fmt.Errorf("read AWS settings: the environment variable AWS_REGION is not set: Lambda sets it; elsewhere set it yourself")
	}
	c := aws.Config{
		Region: region,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		c.BaseEndpoint = &url
	}
	return c, nil
}

// Whole are the settings with a client that sends each request in one piece: see wholeRequests. Scaler, Broker and BrokerURL see to
// it themselves.
func Whole(c aws.Config) aws.Config {
	if _, ok := c.HTTPClient.(wholeRequests); ok {
		return c
	}
	if c.HTTPClient == nil {
		c.HTTPClient = awshttp.NewBuildableClient()
	}
	c.HTTPClient = wholeRequests{c.HTTPClient}
	return c
}

// wholeRequests sends each request in one piece, from memory.
//
// The SDK closes the body of a request as soon as the head of the answer is there, and a closed body reads as broken
// (smithy-go 1.28.8: its WriteTo returns io.EOF). net/http sends the body of a type that it does not know on its own, and
// may still be asking it for more when the answer is there already. It then takes the connection for broken and closes it,
// and the answer is lost: a count that was written counts as unknown. On loopback that was one call in some hundred.
type wholeRequests struct{ aws.HTTPClient }

// Do satisfies aws.HTTPClient. Each try of a call is a span of its own, if the invocation has one.
func (w wholeRequests) Do(r *http.Request) (*http.Response, error) {
	whole := *r
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		whole.Body = io.NopCloser(bytes.NewReader(body))
	}
	span := callSpan(r)
	answer, err := w.HTTPClient.Do(&whole)
	endCall(span, answer, err)
	return answer, err
}
