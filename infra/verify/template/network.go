package template

import (
	"slices"
	"strings"
)

// checkNetwork holds the functions to deploy.vpc. With the example they run in its VPC instead, which they know by references.
func checkNetwork(d *Deployment, f *findings) {
	vpc := d.Config.Deploy.VPC
	withRedis := d.Config.Deploy.Example != nil && d.Config.Deploy.Example.Redis != "external"
	if r := d.Functions[notify]; r != nil && r.at("VpcConfig") != nil {
		f.add(r, "leave it out: it would need endpoints for CloudWatch Logs and SNS", "runs in a VPC, and asks AWS alone")
	}
	for _, name := range scalers {
		r := d.Functions[name]
		subnets, groups := texts(r.at("VpcConfig", "SubnetIds")), texts(r.at("VpcConfig", "SecurityGroupIds"))
		switch {
		case vpc == nil && !withRedis:
			if r.at("VpcConfig") != nil {
				f.add(r, "leave it out", "runs in a VPC, and deploy.vpc is not there")
			}
		case len(subnets) == 0 || len(groups) == 0:
			f.add(r, "give it subnets and security groups", "runs outside the VPC (VpcConfig %v)", r.at("VpcConfig"))
		case vpc == nil: // The example's.
		case !sameSet(subnets, vpc.Subnets):
			f.add(r, "use deploy.vpc.subnets", "SubnetIds are %s", quoted(subnets))
		case len(vpc.SecurityGroups) > 0 && !sameSet(groups, vpc.SecurityGroups):
			f.add(r, "use deploy.vpc.security_groups", "SecurityGroupIds are %s", quoted(groups))
		case len(vpc.SecurityGroups) == 0 && d.Sluice.madeGroup(groups) == nil:
			f.add(r, "make one", "has the security groups %s, and deploy.vpc names none", quoted(groups))
		}
	}
	d.checkEndpoints(f, vpc != nil && vpc.Endpoints)
}

// checkEndpoints: without a NAT the functions reach nothing but the VPC and its endpoints.
func (d *Deployment) checkEndpoints(f *findings, wanted bool) {
	need := map[string]bool{}
	if wanted {
		need["ecs"] = true
		for _, b := range d.Config.Brokers {
			need["secretsmanager"] = need["secretsmanager"] || b.URLSecret != ""
			need["ssm"] = need["ssm"] || b.URLParameter != ""
		}
	}
	for _, r := range d.Sluice.of("AWS::EC2::VPCEndpoint") {
		service := r.text("ServiceName")
		service = service[strings.LastIndexByte(service, '.')+1:]
		if !need[service] {
			f.add(r, "leave it out: it costs $7 a month in each zone", "is an endpoint for %s, which nothing calls", service)
		}
		delete(need, service)
		if r.text("PrivateDnsEnabled") != "true" {
			f.add(r, "set it", "PrivateDnsEnabled is not true, so that the SDK does not find it")
		}
		if d.Sluice.madeGroup(texts(r.at("SecurityGroupIds"))) == nil {
			f.add(r, "give it a group that lets the functions in", "has no security group of the template")
		}
	}
	for _, service := range sortedKeys(need) {
		if need[service] {
			f.addAt("the stack "+d.Sluice.Name, "make it", "has no endpoint for %s, and deploy.vpc.endpoints is true", service)
		}
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// madeGroup is the one security group of the template that these are; nil if it is not one, or not of the template.
func (s *Stack) madeGroup(groups []string) *Resource {
	if len(groups) != 1 {
		return nil
	}
	return s.target(groups[0], "AWS::EC2::SecurityGroup")
}
