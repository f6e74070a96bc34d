package cloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalable "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
)

func TestScalableTargets(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := applicationautoscaling.NewFromConfig(client(c))
	find := func(ids ...string) int {
		out, err := api.DescribeScalableTargets(t.Context(), &applicationautoscaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs", ResourceIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.ScalableTargets {
			if *s.ResourceId != "service/media/workers" || *s.MinCapacity != 1 || *s.MaxCapacity != 9 || s.CreationTime.IsZero() {
				t.Errorf("scalable target %+v", s)
			}
		}
		return len(out.ScalableTargets)
	}
	id, dimension := aws.String("service/media/workers"), scalable.ScalableDimensionECSServiceDesiredCount
	for _, most := range []int32{5, 9} { // The same one.
		if _, err := api.RegisterScalableTarget(t.Context(), &applicationautoscaling.RegisterScalableTargetInput{
			ServiceNamespace: "ecs", ResourceId: id, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(most),
		}); err != nil {
			t.Fatal(err)
		}
	}
	if all, mine, others := find(), find("service/media/workers"), find("service/media/x"); all != 1 || mine != 1 || others != 0 {
		t.Errorf("%d, %d, %d scalable targets", all, mine, others)
	}
	for _, want := range []string{"", "ObjectNotFoundException"} {
		_, err := api.DeregisterScalableTarget(t.Context(), &applicationautoscaling.DeregisterScalableTargetInput{ServiceNamespace: "ecs", ResourceId: id, ScalableDimension: dimension})
		if code(err) != want || err != nil != (want != "") {
			t.Errorf("deregister: %v, want %q", err, want)
		}
	}
	if n := find(); n != 0 {
		t.Errorf("%d scalable targets are left", n)
	}
}
