package awsname

import "testing"

func TestLast(t *testing.T) {
	for ref, want := range map[string]string{
		"media": "media",
		"arn:aws:ecs:eu-central-1:123456789012:cluster/media":         "media",
		"arn:aws:ecs:eu-central-1:123456789012:service/media/workers": "workers",
		"arn:aws:ecs:eu-central-1:123456789012:service/workers":       "workers", // The old form.
		"": "", "a/": "",
	} {
		if got := Last(ref); got != want {
			t.Errorf("Last(%q) = %q, want %q", ref, got, want)
		}
	}
}
