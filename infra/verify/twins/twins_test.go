package twins

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const nodeModules = "../../node_modules"

func TestNames(t *testing.T) {
	a, err := load(nodeModules, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const cdk = "github.com/aws/aws-cdk-go/awscdk/v2"
	for _, c := range []struct{ fqn, path, pkg, name string }{
		{"constructs.Construct", "github.com/aws/constructs-go/constructs/v10", "constructs", "Construct"},
		{"aws-cdk-lib.Stack", cdk, "awscdk", "Stack"},
		{"aws-cdk-lib.aws_sqs.Queue", cdk + "/awssqs", "awssqs", "Queue"},
		{"aws-cdk-lib.aws_scheduler.CfnSchedule.TargetProperty", cdk + "/awsscheduler", "awsscheduler", "CfnSchedule_TargetProperty"},
		{"aws-cdk-lib.cx_api.CloudAssembly", cdk + "/cxapi", "cxapi", "CloudAssembly"},
		{
			"aws-cdk-lib.interfaces.aws_sqs.IQueueRef", cdk + "/interfaces/interfacesawssqs",
			"interfacesawssqs", "IQueueRef",
		},
	} {
		p := a.of[c.fqn]
		if p == nil {
			t.Errorf("%s is in no package", c.fqn)
			continue
		}
		if p.path != c.path || p.name != c.pkg {
			t.Errorf("%s is in package %s of %s, want %s of %s", c.fqn, p.name, p.path, c.pkg, c.path)
		}
		if p.types[c.name] != a.types[c.fqn] {
			t.Errorf("%s is not %s in Go", c.fqn, c.name)
		}
		g := generator{api: a}
		if got := g.goName(c.fqn); got != c.name {
			t.Errorf("goName(%s) = %s, want %s", c.fqn, got, c.name)
		}
	}
	for name, want := range map[string]string{"enforceSSL": "EnforceSSL", "vpcId": "VpcId", "s3Bucket": "S3Bucket"} {
		if got := pascal(name); got != want {
			t.Errorf("pascal(%s) = %s, want %s", name, got, want)
		}
	}
}

// The statements of a function that has a scope, a queue q of class Queue and a function f of class Function.
func TestWhatCompiles(t *testing.T) {
	for name, c := range map[string]struct{ code, fault string }{
		"a class where its interface is asked for": {"var _ awssqs.IQueue = q", ""},
		"a class where its base is":                {"var _ awscdk.Resource = q", ""},
		"an interface of another library":          {"var _ constructs.IConstruct = q", ""},
		"an interface of the base":                 {"var _ awsiam.IGrantable = f", ""},
		"a nested namespace":                       {"var _ interfacesawssqs.IQueueRef = q", ""},
		"an inherited method":                      {`var _ awsiam.Grant = q.GrantSendMessages(f)`, ""},
		"an inherited static method":               {`var _ *bool = awssqs.Queue_IsConstruct(q)`, ""},
		"an inherited field":                       {`_ = awsecs.FargateServiceProps{Cluster: nil, DesiredCount: jsii.Number(1)}`, ""},
		"a variadic method":                        {`q.Grant(f, jsii.String("a"), jsii.String("b"))`, ""},
		"a method of an interface":                 {`var i awslambda.IFunction = f; var _ awscloudwatch.Metric = i.MetricErrors(nil)`, ""},
		"a map of lists":                           {`_ = awsiam.PolicyStatementProps{Conditions: &map[string]interface{}{}}`, ""},

		"an unknown function":               {`awssqs.NewQueu(scope, nil, nil)`, "undefined: awssqs.NewQueu"},
		"an unknown type":                   {`var _ awssqs.Kueue`, "undefined: awssqs.Kueue"},
		"an unknown field":                  {`_ = awssqs.QueueProps{RetentionPeriodDays: nil}`, "unknown field RetentionPeriodDays"},
		"an unknown method":                 {`q.Send()`, "q.Send undefined"},
		"an unknown static method":          {`awssqs.Queue_FromArn()`, "undefined: awssqs.Queue_FromArn"},
		"an unknown member of an enum":      {`_ = awslambda.Tracing_ON`, "undefined: awslambda.Tracing_ON"},
		"another enum's member":             {`_ = awslambda.FunctionProps{Tracing: awslambda.LogFormat_JSON}`, "cannot use"},
		"a field's name in the JavaScript":  {`_ = awssqs.QueueProps{enforceSSL: nil}`, "unknown field enforceSSL"},
		"a setter of what cannot be set":    {`q.SetQueueArn(nil)`, "q.SetQueueArn undefined"},
		"a constructor of an abstract type": {`awssqs.NewQueueBase(scope, nil, nil)`, "undefined: awssqs.NewQueueBase"},
		"another class for an interface":    {`var _ awssqs.IQueue = awssns.NewTopic(scope, nil, nil)`, "does not implement awssqs.IQueue"},
		"an interface for a class":          {`var _ awssqs.Queue = awssqs.Queue_FromQueueArn(scope, nil, nil)`, "does not implement awssqs.Queue"},
		"the base for a class":              {`var r awscdk.Resource; var _ awssqs.Queue = r`, "does not implement awssqs.Queue"},
		"an argument of another class":      {`q.GrantSendMessages(awscdk.Duration_Days(nil))`, "does not implement awsiam.IGrantable"},
		"an argument too many":              {`q.GrantPurge(f, f)`, "too many arguments"},
		"a string for a pointer":            {`_ = awssqs.QueueProps{QueueName: "q"}`, "cannot use"},
		"strings where any are asked for":   {`_ = awselasticache.CfnSubnetGroupProps{SubnetIds: jsii.Strings("a")}`, "cannot use"},
		"the props of another class":        {`awssqs.NewQueue(scope, nil, &awssns.TopicProps{})`, "cannot use"},
		"an implementation in Go":           {`awscdk.Aspects_Of(q).Add(&struct{}{}, nil)`, "does not implement awscdk.IAspect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := compile(t, c.code)
			if c.fault == "" && out != "" {
				t.Errorf("%s: it should compile:\n%s", c.code, out)
			}
			if c.fault != "" && !strings.Contains(out, c.fault) {
				t.Errorf("%s: the compiler says %q, want %q", c.code, out, c.fault)
			}
		})
	}
}

// compile returns what the compiler says of the code.
func compile(t *testing.T, code string) string {
	t.Helper()
	app := t.TempDir()
	imports := map[string]string{
		"jsii": runtimeModule, "constructs": "github.com/aws/constructs-go/constructs/v10", "awscdk": "github.com/aws/aws-cdk-go/awscdk/v2",
		"interfacesawssqs": "github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawssqs",
	}
	for _, name := range []string{"awscloudwatch", "awsecs", "awselasticache", "awsiam", "awslambda", "awssns", "awssqs"} {
		imports[name] = imports["awscdk"] + "/" + name
	}
	var b strings.Builder
	b.WriteString("package app\n")
	body := "func app(scope constructs.Construct, q awssqs.Queue, f awslambda.Function) {\n" + code + "\n}\n"
	for name, path := range imports {
		if strings.Contains(body, name+".") {
			b.WriteString("import " + name + " \"" + path + "\"\n")
		}
	}
	b.WriteString(body)
	out := filepath.Join(app, "build")
	if err := os.WriteFile(filepath.Join(app, "app.go"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	modules, err := Generate(Options{App: app, NodeModules: nodeModules, Out: out, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	mod := "module app\n\ngo 1.26.0\n"
	for _, m := range modules {
		version := m.Version
		if version == "" {
			version = "v1.0.0"
		}
		mod += "require " + m.Path + " " + version + "\nreplace " + m.Path + " => ./build/" + m.Dir + "\n"
	}
	if err := os.WriteFile(filepath.Join(app, "go.mod"), []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", ".")
	cmd.Dir = app
	said, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(said)
}

var cache string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "twins")
	if err != nil {
		panic(err)
	}
	cache = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func TestAssertionsThatCannotBeKnown(t *testing.T) {
	a, err := load(nodeModules, cache)
	if err != nil {
		t.Fatal(err)
	}
	for code, at := range map[string]string{
		"r := c.(awscdk.CfnResource)":                         "app.go:3:24",
		"switch c.(type) {\ncase nil, awscdk.CfnResource:\n}": "app.go:4:11",
	} {
		dir := t.TempDir()
		source := "package app\nimport \"github.com/aws/aws-cdk-go/awscdk/v2\"\nfunc app(c any) { " + code + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "app.go"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := scan(dir, nil, a); err == nil || !strings.Contains(err.Error(), at+": assert the type") {
			t.Errorf("scan of %s: %v, want an error that names %s", code, err, at)
		}
	}
}

// Several syntheses at once share the folder of the twins: each has to find there what it would have written, and may not take
// away what another one is writing.
func TestGenerateTwice(t *testing.T) {
	o := Options{App: filepath.Join("..", ".."), NodeModules: nodeModules, Cache: cache, Out: t.TempDir()}
	times := map[string]time.Time{}
	const others = ".new-1"
	for i := range 3 {
		if _, err := Generate(o); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := os.WriteFile(filepath.Join(o.Out, others), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := filepath.WalkDir(o.Out, func(file string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if before, ok := times[file]; ok && !info.ModTime().Equal(before) {
				t.Errorf("%s was written again", file)
			}
			times[file] = info.ModTime()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(o.Out, others)); err != nil {
		t.Errorf("what another one is writing: %v", err)
	}
}
