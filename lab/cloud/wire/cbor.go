package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// timeTag marks a time in CBOR: seconds since 1970.
const timeTag = 1

// decodeCBOR is a body in CBOR as JSON.
func decodeCBOR(body []byte) ([]byte, error) {
	value, err := cbor.Decode(body)
	if err != nil {
		return nil, err
	}
	plain, err := fromCBOR(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

func fromCBOR(value cbor.Value) (any, error) {
	switch v := value.(type) {
	case cbor.Uint:
		return uint64(v), nil
	case cbor.NegInt:
		return -int64(v), nil
	case cbor.String:
		return string(v), nil
	case cbor.Bool:
		return bool(v), nil
	case cbor.Float32:
		return float32(v), nil
	case cbor.Float64:
		return float64(v), nil
	case *cbor.Nil:
		return nil, nil
	case *cbor.Tag:
		if v.ID == timeTag {
			return fromCBOR(v.Value)
		}
	case cbor.List:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = fromCBOR(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case cbor.Map:
		object := map[string]any{}
		for key, item := range v {
			var err error
			if object[key], err = fromCBOR(item); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return nil, fmt.Errorf("%T is of no use here", value)
}

func encodeCBOR(value any) cbor.Value {
	switch v := value.(type) {
	case map[string]any:
		out := cbor.Map{}
		for key, item := range v {
			out[key] = encodeCBOR(item)
		}
		return out
	case []any:
		out := make(cbor.List, len(v))
		for i, item := range v {
			out[i] = encodeCBOR(item)
		}
		return out
	case string:
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	case int:
		if v < 0 {
			return cbor.NegInt(uint64(-int64(v)))
		}
		return cbor.Uint(uint64(v))
	case float64:
		return cbor.Float64(v)
	case time.Time:
		return &cbor.Tag{ID: timeTag, Value: cbor.Float64(float64(v.UnixMilli()) / 1000)}
	}
	panic(fmt.Sprintf("no way to write %T in CBOR", value))
}
