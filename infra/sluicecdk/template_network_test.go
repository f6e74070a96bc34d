package sluicecdk_test

import (
	"maps"
	"slices"
	"strings"

	"sluice/infra/lab"
	"sluice/lab/cloud/cfn/template"
)

// checkNetwork holds the functions to deploy.vpc. With the example they run in its VPC instead, which they know by
// references.
func checkNetwork(t lab.T, d *lab.Deployment) {
	vpc := d.Config.Deploy.VPC
	withRedis := d.Config.Deploy.Example != nil && d.Config.Deploy.Example.Redis != "external"
	if f := d.Function(notify); f != nil && f.At("VpcConfig") != nil {
		t.Errorf("Notify runs in a VPC, and asks AWS alone: it would need endpoints for CloudWatch Logs and SNS")
	}
	for _, name := range scalers {
		given := d.Function(name).At("VpcConfig")
		subnets := template.Texts(template.Within(given, "SubnetIds"))
		groups := template.Texts(template.Within(given, "SecurityGroupIds"))
		switch {
		case vpc == nil && !withRedis:
			if given != nil {
				t.Errorf("%s runs in a VPC, and deploy.vpc is not there", name)
			}
		case len(subnets) == 0 || len(groups) == 0:
			t.Errorf("%s runs outside the VPC (VpcConfig %v)", name, given)
		case vpc == nil: // The example's.
		case !sameSet(subnets, vpc.Subnets):
			t.Errorf("%s: SubnetIds are %q", name, subnets)
		case len(vpc.SecurityGroups) > 0 && !sameSet(groups, vpc.SecurityGroups):
			t.Errorf("%s: SecurityGroupIds are %q", name, groups)
		case len(vpc.SecurityGroups) == 0 && !madeGroup(d.Sluice, groups):
			t.Errorf("%s has the security groups %q, and deploy.vpc names none", name, groups)
		}
	}
	// Without a NAT the functions reach nothing but the VPC and its endpoints, each of which costs $7 a month in each
	// zone.
	need := map[string]bool{}
	if vpc != nil && vpc.Endpoints {
		need["ecs"] = true
		for _, b := range d.Config.Brokers {
			need["secretsmanager"] = need["secretsmanager"] || b.URLSecret != ""
			need["ssm"] = need["ssm"] || b.URLParameter != ""
		}
	}
	for _, r := range d.Sluice.Of("AWS::EC2::VPCEndpoint") {
		service := r.Text("ServiceName")
		service = service[strings.LastIndexByte(service, '.')+1:]
		if !need[service] {
			t.Errorf("%s is an endpoint for %s, which nothing calls", r.ID, service)
		}
		delete(need, service)
		if r.Text("PrivateDnsEnabled") != "true" || !madeGroup(d.Sluice, template.Texts(r.At("SecurityGroupIds"))) {
			t.Errorf("%s has no private DNS name, by which the SDK finds it, or no group that lets the functions in", r.ID)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(need)) {
		if need[service] {
			t.Errorf("there is no endpoint for %s, and deploy.vpc.endpoints is true", service)
		}
	}
}

// madeGroup reports whether these are one security group, which the template makes.
func madeGroup(s *lab.Stack, groups []string) bool {
	return len(groups) == 1 && s.Target(groups[0], "AWS::EC2::SecurityGroup") != nil
}
