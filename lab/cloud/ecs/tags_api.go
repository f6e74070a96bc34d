package ecs

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/awsname"
)

func sdkTags(tags map[string]string) []types.Tag {
	out := []types.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

// tagged finds the tags of the service or task with an ARN: the only kinds of resource whose tags are kept.
func (m *Model) tagged(arn *string) (*map[string]string, error) {
	if !strings.HasPrefix(aws.ToString(arn), "arn:") {
		return nil, refuse("InvalidParameterException", "Invalid resource ARN.")
	}
	for _, s := range m.ordered {
		if s.arn == *arn && s.status != inactive {
			return &s.Tags, nil
		}
	}
	if t := m.byID[awsname.Last(*arn)]; t != nil && t.arn == *arn {
		return &t.tags, nil
	}
	return nil, refuse("ResourceNotFoundException", "The specified resource could not be found.")
}

func (m *Model) tagResource(in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	kept, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(*kept)
	if tags == nil {
		tags = map[string]string{}
	}
	for _, t := range in.Tags {
		k, v := aws.ToString(t.Key), aws.ToString(t.Value)
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, refuse("InvalidParameterException", "Invalid tag %q.", k)
		}
		tags[k] = v
	}
	if len(tags) > 50 {
		return nil, refuse("InvalidParameterException", "A resource cannot have more than 50 tags.")
	}
	*kept = tags
	return &ecs.TagResourceOutput{}, nil
}

func (m *Model) untagResource(in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	tags, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(*tags, k)
	}
	return &ecs.UntagResourceOutput{}, nil
}

func (m *Model) listTags(in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	tags, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: sdkTags(*tags)}, nil
}
