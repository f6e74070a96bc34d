package function

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
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
