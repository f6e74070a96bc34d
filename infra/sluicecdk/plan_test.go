package sluicecdk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
)

func TestPlanNamesAllThatIsWrong(t *testing.T) {
	t.Setenv("CDK_OUTDIR", t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(plain, "url_secret: prod/redis", "url_env: REDIS_URL", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "none.yaml")
	tests := []struct {
		name  string
		props *SluiceProps
		want  []string
	}{
		{"nothing", nil, []string{"SluiceProps.Config: is missing"}},
		{"no functions", &SluiceProps{Config: &file}, []string{"SluiceProps.Functions: is missing"}},
		{"no file", &SluiceProps{Config: &missing, Functions: &dir}, []string{"none.yaml: no such file"}},
		{
			"subnets of no VPC", &SluiceProps{Config: &file, Functions: &dir, VpcSubnets: &awsec2.SubnetSelection{}},
			[]string{"SluiceProps.Vpc: is missing"},
		},
		{
			"an empty folder and no URL", &SluiceProps{Config: &file, Functions: &dir},
			[]string{"no value for REDIS_URL", "scaleout/bootstrap", "check/bootstrap", "scalein/bootstrap", "make lambdas"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newPlan(tt.props)
			for _, want := range tt.want {
				wantProblem(t, err, want)
			}
		})
	}
}
