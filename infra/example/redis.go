package example

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/config"
)

// redisPort is not the usual 6379, which whoever looks for an open Redis tries first. Nobody else needs to know it: it is in the URL.
const redisPort = 6380

// newRedis makes the Redis, and the secret that holds its URL. Of an external Redis it takes the secret that exists.
//
// What Celery needs of a broker, and not all of it is the default: no eviction, which would throw messages away when memory is
// short; and not cluster mode, in which Celery's keys would have to be in one slot and the listeners of its remote control cannot be
// counted. Without cluster mode ElastiCache offers no durability: a failover loses what the replica had not received yet, most
// often less than a second. Where that is too much the producer has to be able to send a message again.
func newRedis(stack awscdk.Stack, p *plan, n *network) awssecretsmanager.ISecret {
	if !p.makesRedis() {
		return existingSecret(stack, p.secret)
	}
	password := awssecretsmanager.NewSecret(stack, jsii.String("RedisPassword"), &awssecretsmanager.SecretProps{
		Description: jsii.String("The password of the example's Redis; its URL is in another secret"),
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			PasswordLength:     jsii.Number(64),
			ExcludePunctuation: jsii.Bool(true), // ElastiCache takes little of it, and in a URL it would have to be escaped.
		},
	})
	acknowledge(password, "AwsSolutions-SMG4",
		"A new password is in use only after a deployment that puts it into Redis and into the URL, and a restart of the tasks.")

	engine, version, family := "valkey", "8.2", "valkey8"
	if p.redis == config.ExampleRedis {
		engine, version, family = "redis", "7.1", "redis7"
	}
	parameters := awselasticache.NewCfnParameterGroup(stack, jsii.String("RedisParameters"), &awselasticache.CfnParameterGroupProps{
		CacheParameterGroupFamily: &family,
		Description:               jsii.String("For a broker of Celery: nothing is evicted"),
		Properties:                &map[string]*string{"maxmemory-policy": jsii.String("noeviction")},
	})
	var subnetIDs []any
	for _, subnet := range *n.vpc.SelectSubnets(n.private).SubnetIds {
		subnetIDs = append(subnetIDs, subnet)
	}
	subnets := awselasticache.NewCfnSubnetGroup(stack, jsii.String("RedisSubnets"), &awselasticache.CfnSubnetGroupProps{
		Description: jsii.String("The private subnets"),
		SubnetIds:   &subnetIDs,
	})
	group := awselasticache.NewCfnReplicationGroup(stack, jsii.String("Redis"), &awselasticache.CfnReplicationGroupProps{
		ReplicationGroupDescription: jsii.String("The broker of the example's Celery"),
		Engine:                      &engine,
		EngineVersion:               &version,
		CacheNodeType:               jsii.String("cache.t4g.micro"), // 0.5 GiB, of which a quarter is kept for replication and snapshots.
		CacheParameterGroupName:     parameters.Ref(),
		CacheSubnetGroupName:        subnets.Ref(),
		SecurityGroupIds:            &[]*string{n.redis.SecurityGroupId()},
		Port:                        jsii.Number(redisPort),

		NumCacheClusters:         jsii.Number(2), // A primary and a replica, in different zones.
		MultiAzEnabled:           jsii.Bool(true),
		AutomaticFailoverEnabled: jsii.Bool(true),

		TransitEncryptionEnabled: jsii.Bool(true),
		AtRestEncryptionEnabled:  jsii.Bool(true),
		AuthToken:                password.SecretValue().UnsafeUnwrap(), // A reference, which CloudFormation resolves.

		SnapshotRetentionLimit:     jsii.Number(1),
		SnapshotWindow:             jsii.String("02:00-03:00"),
		PreferredMaintenanceWindow: jsii.String("sun:03:30-sun:04:30"),
		AutoMinorVersionUpgrade:    jsii.Bool(true),
	})
	// Whoever deletes the stack, or makes a change that replaces the Redis, can get at the messages that were in it.
	group.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)

	// The primary's name stays when a replica takes over. Celery wants to be told to verify the certificate.
	url := awscdk.SecretValue_UnsafePlainText(jsii.Sprintf("rediss://:%s@%s:%d/0?ssl_cert_reqs=required",
		*password.SecretValue().UnsafeUnwrap(), *group.AttrPrimaryEndPointAddress(), redisPort))
	props := &awssecretsmanager.SecretProps{
		SecretName:  &p.secret,
		Description: jsii.String("The URL of the example's Redis, for the workers, the API and Sluice"),
	}
	if p.field == "" {
		props.SecretStringValue = url
	} else {
		props.SecretObjectValue = &map[string]awscdk.SecretValue{p.field: url}
	}
	secret := awssecretsmanager.NewSecret(stack, jsii.String("RedisUrl"), props)
	acknowledge(secret, "AwsSolutions-SMG4", "It is made of the password and changes with it.")
	return secret
}

// existingSecret is a secret by its name, or by its ARN with or without the six characters that Secrets Manager adds to the name.
func existingSecret(stack awscdk.Stack, ref string) awssecretsmanager.ISecret {
	id := jsii.String("RedisUrl")
	switch {
	case !isARN(ref):
		return awssecretsmanager.Secret_FromSecretNameV2(stack, id, &ref)
	case completeARN.MatchString(ref):
		return awssecretsmanager.Secret_FromSecretCompleteArn(stack, id, &ref)
	default:
		return awssecretsmanager.Secret_FromSecretPartialArn(stack, id, &ref)
	}
}
