// Package sluicecdk deploys Sluice with the AWS CDK: NewSluice makes everything that sluice.yaml asks for, as one construct.
//
//	sluicecdk.NewSluice(stack, jsii.String("Sluice"), &sluicecdk.SluiceProps{
//		Config:    jsii.String("sluice.yaml"),
//		Functions: jsii.String("build/lambda"), // made by `make lambdas`
//	})
//
// The app beside it (sluice/infra) is nothing but this and reads its answers from the file's `deploy:` section. Other CDK apps in
// Go embed the construct: go.mod requires sluice/infra and sluice, each with a replace to its folder in a checkout. The state
// machine's definition is part of the Go package sluice/stepfunctions, so that there is no path to it to get wrong.
//
// What it makes, a file for each: the functions (functions.go, notify.go) from folders that are put together and checked here
// (asset.go), what they may do (permissions.go, role.go), where they run (network.go), the rule for events (events.go), the state
// machine and its schedules (sweep.go), what tells people how it goes (metrics.go, observed.go, alarms.go, topics.go, queries.go,
// dashboard.go), and what tells the command line where all this is (outputs.go).
//
// What cannot be deployed is refused while the template is made: NewSluice panics, as CDK's own constructs do, with a Refusal
// that names the fields and the remedies. No secret gets into the template or an asset: see brokerEnvironment.
//
// The reasons stand in docs/design/0009-deploy.md.
package sluicecdk
