package cloud

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"sluice/internal/awsname"
	"sluice/lab/cloud/wire"
)

// keyPrefix begins the access key of a function, which tells the cloud who calls.
const keyPrefix = "local-"

// signer finds the access key in the header of a signed request.
var signer = regexp.MustCompile(`\bCredential=` + keyPrefix + `([a-z]+)/`)

// permit refuses a call of a function that its role does not allow. Others than functions may call whatever they like.
// Signatures are not verified: nobody here has a reason to forge one.
func (c *Cloud) permit(r *http.Request, call wire.Call) error {
	d := c.deployed()
	m := signer.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || d.Access == nil {
		return nil
	}
	action := call.Service + ":" + call.Operation
	rights, ok := needed[action]
	if !ok {
		return wire.Errorf("AccessDeniedException", "the local cloud does not know which permission %s needs",
			cmp.Or(strings.Trim(action, ":"), r.URL.Path))
	}
	var in callInput
	if err := call.Peek(&in); err != nil {
		return err
	}
	in.deployment = d
	context := map[string][]string{}
	if rights.clusters {
		context["ecs:cluster"] = []string{d.ARN("ecs", "cluster/"+in.cluster())}
	}
	for _, tag := range in.Tags {
		context["aws:TagKeys"] = append(context["aws:TagKeys"], tag.Key)
	}
	err := d.authorize(d.functionCaller(m[1]), action, context, rights.resources(in)...)
	var denied *deniedError
	if errors.As(err, &denied) {
		c.feed.denied(Denied{m[1], denied.action, denied.resource})
		return wire.Errorf("AccessDeniedException", "%v", err)
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
	TopicArn, LogGroupName        string

	deployment Deployment
}

func (in callInput) cluster() string { return cmp.Or(awsname.Last(in.Cluster), "default") }

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
	clusters  bool // Whether its permission may depend on ecs:cluster.
	resources func(callInput) []string
}

func services(in callInput) []string { return in.arns("service", in.Services...) }
func service(in callInput) []string  { return in.arns("service", in.Service) }
func tasks(in callInput) []string    { return in.arns("task", in.Tasks...) }

var needed = map[string]right{
	"ecs:DescribeServices":     {true, services},
	"ecs:UpdateService":        {true, service},
	"ecs:DescribeTasks":        {true, tasks},
	"ecs:GetTaskProtection":    {true, tasks},
	"ecs:UpdateTaskProtection": {true, tasks},
	// To IAM, tasks are listed of a container instance, whichever it is.
	"ecs:ListTasks":   {true, func(in callInput) []string { return in.arns("container-instance", "any") }},
	"ecs:TagResource": {false, func(in callInput) []string { return []string{in.ResourceArn} }},
	// AWS has definitions allowed all together or not at all.
	"ecs:DescribeTaskDefinition": {false, func(callInput) []string { return []string{"*"} }},
	"logs:FilterLogEvents": {false, func(in callInput) []string {
		return []string{in.deployment.ARN("logs", "log-group:"+in.LogGroupName+":*")}
	}},
	"sns:Publish": {false, func(in callInput) []string { return []string{in.TopicArn} }},
	"secretsmanager:GetSecretValue": {false, func(in callInput) []string {
		return []string{in.deployment.secretARN(in.SecretID)}
	}},
	"ssm:GetParameter": {false, func(in callInput) []string {
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
