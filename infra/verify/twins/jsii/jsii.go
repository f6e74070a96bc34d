// Package jsii stands in for github.com/aws/jsii-runtime-go while the app is recorded: the helpers that code for the CDK
// calls, with the same signatures.
package jsii

import (
	"fmt"
	"time"

	"sluice/infra/verify/twins/jsii/runtime"
)

type basic interface {
	bool | string | float64 | time.Time
}

type number interface {
	~float32 | ~float64 |
		~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// Ptr returns a pointer to v.
func Ptr[T basic](v T) *T { return &v }

// PtrSlice returns a pointer to a slice of pointers to the values.
func PtrSlice[T basic](values ...T) *[]*T {
	slice := make([]*T, len(values))
	for i := range values {
		slice[i] = &values[i]
	}
	return &slice
}

// Bool returns a pointer to v.
func Bool(v bool) *bool { return &v }

// Bools returns a pointer to a slice of pointers to the values.
func Bools(values ...bool) *[]*bool { return PtrSlice(values...) }

// Number returns a pointer to v as a float64.
func Number[T number](v T) *float64 { return Ptr(float64(v)) }

// Numbers returns a pointer to a slice of pointers to the values as float64s.
func Numbers[T number](values ...T) *[]*float64 {
	slice := make([]*float64, len(values))
	for i, v := range values {
		slice[i] = Number(v)
	}
	return &slice
}

// String returns a pointer to v.
func String(v string) *string { return &v }

// Strings returns a pointer to a slice of pointers to the values.
func Strings(values ...string) *[]*string { return PtrSlice(values...) }

// Sprintf returns a pointer to the formatted string.
func Sprintf(format string, args ...any) *string { return Ptr(fmt.Sprintf(format, args...)) }

// Time returns a pointer to v.
func Time(v time.Time) *time.Time { return &v }

// Times returns a pointer to a slice of pointers to the values.
func Times(values ...time.Time) *[]*time.Time { return PtrSlice(values...) }

// AnyStrings returns a pointer to a slice of any of the strings.
func AnyStrings(values ...string) *[]any { return AnySlice(PtrSlice(values...)) }

// AnyNumbers returns a pointer to a slice of any of the numbers.
func AnyNumbers[T number](values ...T) *[]any { return AnySlice(Numbers(values...)) }

// AnySlice turns a pointer to a slice of pointers into one to a slice of any.
func AnySlice[T any](values *[]*T) *[]any {
	if values == nil {
		return nil
	}
	slice := make([]any, len(*values))
	for i, v := range *values {
		if v != nil {
			slice[i] = *v
		}
	}
	return &slice
}

// Close ends the record. The real one stops the Node process.
func Close() { runtime.Close() }

// UnsafeCast makes *into, an interface of the API, another view of from.
func UnsafeCast(from, into any) { runtime.Cast(from, into) }
