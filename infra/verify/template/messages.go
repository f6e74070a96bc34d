package template

import (
	"maps"
	"slices"
	"strings"
)

// fourteenDays is the longest that SQS keeps a message.
const fourteenDays = 14 * 24 * 3600

// checkDeadLetters: what fails for good has to end where somebody can look at it, with nobody else's messages among it.
func checkDeadLetters(d *Deployment, f *findings) {
	owner := map[string]string{} // By the queue's id.
	deadLetters := func(r *Resource, arn, whose string) *Resource {
		q := d.Sluice.target(arn, "AWS::SQS::Queue")
		switch {
		case q == nil:
			f.add(r, "give it one", "has no dead-letter queue of the template (%q)", arn)
			return nil
		case owner[q.ID] != "" && owner[q.ID] != whose:
			f.add(r, "give each its own, or nobody knows whose a message is", "shares its dead-letter queue %s with %s", q.ID, owner[q.ID])
		}
		owner[q.ID] = whose
		if retention, _ := q.number("MessageRetentionPeriod"); retention != fourteenDays {
			f.add(q, "set it to 1209600: the default is four days, a long weekend",
				"MessageRetentionPeriod is %v", q.at("MessageRetentionPeriod"))
		}
		return q
	}
	for _, name := range d.functionNames() {
		r := d.Functions[name]
		q := deadLetters(r, r.text("DeadLetterConfig", "TargetArn"), r.ID)
		if q != nil && !d.Sluice.allows(r.text("Role"), "sqs:SendMessage", arnOf(q)) {
			f.add(r, "allow its role sqs:SendMessage on it", "may not write to its dead-letter queue %s", q.ID)
		}
	}
	for _, r := range d.Sluice.of("AWS::Events::Rule") {
		for _, t := range r.list("Targets") {
			if q := deadLetters(r, text(at(t, "DeadLetterConfig", "Arn")), r.ID); q != nil && !d.Sluice.letsIn(q, "events.amazonaws.com", r) {
				f.add(r, "allow events.amazonaws.com sqs:SendMessage in the queue's policy, for this rule",
					"may not write to its dead-letter queue %s", q.ID)
			}
		}
	}
	for _, r := range d.Sluice.of("AWS::Scheduler::Schedule") {
		q := deadLetters(r, r.text("Target", "DeadLetterConfig", "Arn"), "the schedules")
		if q != nil && !d.Sluice.allows(r.text("Target", "RoleArn"), "sqs:SendMessage", arnOf(q)) {
			f.add(r, "allow its role sqs:SendMessage on it", "may not write to its dead-letter queue %s", q.ID)
		}
	}
}

func arnOf(r *Resource) string { return "${" + r.ID + ".Arn}" }

// letsIn says whether the queue's policy lets the service write to it for the sake of the resource.
func (s *Stack) letsIn(q *Resource, service string, from *Resource) bool {
	for _, st := range s.statements() {
		if st.effect == "Allow" && st.of == "AWS::SQS::QueuePolicy" && slices.Contains(st.actions, "sqs:SendMessage") &&
			slices.Contains(st.resources, arnOf(q)) && slices.Contains(st.principals["Service"], service) &&
			slices.Contains(s.refer(st.conditions), from) {
			return true
		}
	}
	return false
}

// checkEncryption: AWS's own key is enough for queues. A topic need not have a key: what alarms say goes out by plain mail anyhow.
// If it has one, the key has to let CloudWatch in, or alarms fail in silence; AWS's own for SNS (alias/aws/sns) does not.
func checkEncryption(d *Deployment, f *findings) {
	d.each(func(s *Stack, r *Resource) {
		if r.text("SqsManagedSseEnabled") != "true" && r.text("KmsMasterKeyId") == "" {
			f.add(r, "set Encryption to SQS_MANAGED", "is not encrypted by setting")
		}
		if !s.refusesHTTP("AWS::SQS::QueuePolicy", arnOf(r), "sqs:*") {
			f.add(r, "set EnforceSSL", "lets plain HTTP in")
		}
	}, "AWS::SQS::Queue")
	d.each(func(s *Stack, r *Resource) {
		ref := "${" + r.ID + "}"
		if !s.refusesHTTP("AWS::SNS::TopicPolicy", ref, "sns:Publish") {
			f.add(r, "set EnforceSSL", "lets plain HTTP in")
		}
		if !s.alarmed(r) {
			return
		}
		const cloudWatch = "cloudwatch.amazonaws.com"
		if !slices.ContainsFunc(s.statements(), func(st statement) bool {
			return st.of == "AWS::SNS::TopicPolicy" && st.effect == "Allow" && slices.Contains(st.actions, "sns:Publish") &&
				slices.Contains(st.resources, ref) && slices.Contains(st.principals["Service"], cloudWatch)
		}) {
			f.add(r, "allow it sns:Publish in the topic's policy", "has a policy by which %s may not publish", cloudWatch)
		}
		if key := r.text("KmsMasterKeyId"); key != "" {
			keys := s.refer(key)
			if len(keys) != 1 || !s.keyServes(keys[0], cloudWatch) {
				f.add(r, "give it no key, or one of the template whose policy lets "+cloudWatch+" use kms:Decrypt and kms:GenerateDataKey*",
					"is encrypted with the key %q, which alarms may not use", key)
			}
		}
	}, "AWS::SNS::Topic")
}

// refusesHTTP says whether a policy denies everybody the action on the resource without TLS.
func (s *Stack) refusesHTTP(policy, resource, action string) bool {
	for _, st := range s.statements() {
		if st.effect == "Deny" && st.of == policy && slices.Contains(st.actions, action) && slices.Contains(st.resources, resource) &&
			slices.Contains(append(st.principals["AWS"], st.principals["*"]...), "*") &&
			text(at(st.conditions, "Bool", "aws:SecureTransport")) == "false" {
			return true
		}
	}
	return false
}

// alarmed says whether an alarm speaks to the topic.
func (s *Stack) alarmed(topic *Resource) bool {
	return slices.ContainsFunc(s.of("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"), func(a *Resource) bool {
		return slices.Contains(s.refer(a.at("AlarmActions")), topic)
	})
}

// keyServes says whether the key's own policy lets the service encrypt and decrypt.
func (s *Stack) keyServes(key *Resource, service string) bool {
	var allowed []string
	for _, st := range s.statements() {
		if st.in == key && st.effect == "Allow" && slices.Contains(st.principals["Service"], service) {
			allowed = append(allowed, st.actions...)
		}
	}
	return slices.Contains(allowed, "kms:Decrypt") && slices.ContainsFunc(allowed, func(a string) bool {
		return strings.HasPrefix(a, "kms:GenerateDataKey")
	})
}

// sortedKeys are the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
