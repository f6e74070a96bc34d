module sluice/infra

go 1.26.0

require (
	github.com/aws/aws-cdk-go/awscdk/v2 v2.276.0
	github.com/aws/constructs-go/constructs/v10 v10.8.1
	github.com/aws/jsii-runtime-go v1.139.0
	github.com/goccy/go-yaml v1.19.2
	sluice v0.0.0
)

require github.com/robfig/cron/v3 v3.0.1 // indirect

replace sluice => ../

ignore ./node_modules
