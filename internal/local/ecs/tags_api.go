package ecs

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func sdkTags(tags map[string]string) []types.Tag {
	out := []types.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

// tagged finds the service with an ARN: the only kind of resource whose tags are kept.
func (m *Model) tagged(arn *string) (*service, error) {
	if !strings.HasPrefix(aws.ToString(arn), "arn:") {
		return nil, refuse("InvalidParameterException", "Invalid resource ARN.")
	}
	for _, s := range m.ordered {
		if s.arn == *arn && s.status != inactive {
			return s, nil
		}
	}
	return nil, refuse("ResourceNotFoundException", "The specified resource could not be found.")
}

func (m *Model) tagResource(in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	s, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(s.Tags)
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
	s.Tags = tags
	return &ecs.TagResourceOutput{}, nil
}

func (m *Model) untagResource(in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	s, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(s.Tags, k)
	}
	return &ecs.UntagResourceOutput{}, nil
}

func (m *Model) listTags(in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	s, err := m.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: sdkTags(s.Tags)}, nil
}
