package local

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// keyPrefix begins the access key of a function, which tells the cloud who calls.
const keyPrefix = "local-"

// signer finds the access key in the header of a signed request.
var signer = regexp.MustCompile(`\bCredential=` + keyPrefix + `([a-z]+)/`)

// permit refuses a call of a function that its role does not allow. Others than functions may call whatever they like.
// Signatures are not verified: nobody here has a reason to forge one.
func (c *Cloud) permit(r *http.Request) error {
	m := signer.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || c.deployment.Access == nil {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	rights, ok := needed[operation]
	if !ok {
		return fmt.Errorf("the local cloud does not know which permission %s needs", cmp.Or(operation, r.URL.Path))
	}
	var in callInput
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	in.deployment = c.deployment
	context := map[string][]string{}
	if rights.clusters {
		context["ecs:cluster"] = []string{c.deployment.ARN("ecs", "cluster/"+in.cluster())}
	}
	for _, tag := range in.Tags {
		context["aws:TagKeys"] = append(context["aws:TagKeys"], tag.Key)
	}
	err = c.deployment.authorize(c.deployment.functionCaller(m[1]), rights.service+":"+operation, context, rights.resources(in)...)
	var denied *deniedError
	if errors.As(err, &denied) {
		c.feed.denied(Denied{m[1], denied.action, denied.resource})
	}
	return err
}

// callInput has the fields of all calls that a function may make, as far as permissions depend on them.
type callInput struct {
	Cluster, Service, ResourceArn string
	Services, Tasks               []string
	Tags                          []struct{ Key string }
	SecretID                      string `json:"SecretId"`
	Name                          string

	deployment Deployment
}

func (in callInput) cluster() string { return cmp.Or(lastPart(in.Cluster), "default") }

// arns are the ARNs of things in the cluster that are given by name or by ARN.
func (in callInput) arns(kind string, refs ...string) []string {
	var list []string
	for _, ref := range refs {
		if !strings.HasPrefix(ref, "arn:") {
			ref = in.deployment.ARN("ecs", kind+"/"+in.cluster()+"/"+ref)
		}
		list = append(list, ref)
	}
	return list
}

// right is what a call needs: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html.
type right struct {
	service   string
	clusters  bool // Whether its permission may depend on ecs:cluster.
	resources func(callInput) []string
}

func services(in callInput) []string { return in.arns("service", in.Services...) }
func service(in callInput) []string  { return in.arns("service", in.Service) }
func tasks(in callInput) []string    { return in.arns("task", in.Tasks...) }

var needed = map[string]right{
	"DescribeServices":     {"ecs", true, services},
	"UpdateService":        {"ecs", true, service},
	"DescribeTasks":        {"ecs", true, tasks},
	"GetTaskProtection":    {"ecs", true, tasks},
	"UpdateTaskProtection": {"ecs", true, tasks},
	// To IAM, tasks are listed of a container instance, whichever it is.
	"ListTasks":   {"ecs", true, func(in callInput) []string { return in.arns("container-instance", "any") }},
	"TagResource": {"ecs", false, func(in callInput) []string { return []string{in.ResourceArn} }},
	"GetSecretValue": {"secretsmanager", false, func(in callInput) []string {
		return []string{in.deployment.secretARN(in.SecretID)}
	}},
	"GetParameter": {"ssm", false, func(in callInput) []string {
		if strings.HasPrefix(in.Name, "arn:") {
			return []string{in.Name}
		}
		return []string{in.deployment.ARN("ssm", "parameter/"+strings.TrimPrefix(in.Name, "/"))}
	}},
}

// secretSuffix is what Secrets Manager appends to the name of a secret in its ARN: a hyphen and six characters of its own.
var secretSuffix = regexp.MustCompile(`^arn:.*-[A-Za-z0-9]{6}$`)

// secretARN is the ARN of a secret that is given by its name, its ARN, or its ARN without the suffix.
func (d Deployment) secretARN(ref string) string {
	switch {
	case secretSuffix.MatchString(ref):
		return ref
	case strings.HasPrefix(ref, "arn:"):
		return ref + "-LoCaL1"
	}
	return d.ARN("secretsmanager", "secret:"+ref+"-LoCaL1")
}
