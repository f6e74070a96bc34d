// Package runtime records what the app does with the CDK. Each twin's method ends in one of the functions below, which
// writes one JSON line: the operation, its arguments and the place in the app that called it. The app runs before the
// CDK does, so no result is known yet. A result is given as something that can be passed on and recognized when it
// comes back: an object by its number, a string or a number as a token in the way of the CDK's own. What a program
// would branch on, such as a bool, panics.
package runtime

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// Object is what every twin embeds: the number of the recorded operation whose result it is.
type Object struct{ id int }

// TwinID is how Twin is told from everything else.
func (o *Object) TwinID() int { return o.id }

// Twin is anything that stands for an object of the CDK.
type Twin interface{ TwinID() int }

// element is the id of the one item in a list of objects that is known only at synthesis.
const element = -1

type op struct {
	Op     string `json:"op"`             // new, call, get, set, static (a method) or sget (a property)
	ID     int    `json:"id"`             // the number of the result
	On     int    `json:"on,omitempty"`   // the object, for call, get and set
	Type   string `json:"type,omitempty"` // the class, for new, static and sget
	Member string `json:"member,omitempty"`
	As     string `json:"as,omitempty"` // what the app asserts the result to be, which the replay checks
	Args   []any  `json:"args,omitempty"`
	At     string `json:"at"`
}

type enum struct {
	fqn     string
	members map[string]bool
}

var (
	out       *bufio.Writer
	file      *os.File
	last      int
	factories = map[reflect.Type]func(*Object) any{} // by the Go interface
	classes   = map[reflect.Type]string{}
	enums     = map[reflect.Type]enum{}
	structs   = map[reflect.Type]map[string]Check{} // with the checks of their fields
	asserted  = map[string]reflect.Type{}           // by file:line: results that the app asserts to be of another type
	pointers  = map[any]int{}                       // lists and structs that are results, by their pointer
)

// RegisterObject tells how to make a twin behind the interface T.
func RegisterObject[T any](fqn string, make func(*Object) any) {
	t := reflect.TypeFor[T]()
	factories[t], classes[t] = make, fqn
}

// RegisterEnum tells the members of the enum T.
func RegisterEnum[T ~string](fqn string, members ...string) {
	e := enum{fqn: fqn, members: map[string]bool{}}
	for _, m := range members {
		e.members[m] = true
	}
	enums[reflect.TypeFor[T]()] = e
}

// RegisterStruct tells that T is a struct of the API, and what to check of its fields.
func RegisterStruct[T any](checks map[string]Check) { structs[reflect.TypeFor[T]()] = checks }

// RegisterAssertion tells that the result of the call at a place in the app is asserted to be a T.
func RegisterAssertion[T any](at string) { asserted[at] = reflect.TypeFor[T]() }

// Create records a constructor.
func Create[T any](fqn, params string, args ...any) T {
	return record[T](op{Op: "new", Type: fqn}, params, args)
}

// Invoke records a method that returns something.
func Invoke[T any](on Twin, member, params string, args ...any) T {
	return record[T](op{Op: "call", On: object(on), Member: member}, params, args)
}

// InvokeVoid records a method that returns nothing.
func InvokeVoid(on Twin, member, params string, args ...any) {
	write(op{Op: "call", On: object(on), Member: member}, params, args)
}

// StaticInvoke records a static method that returns something.
func StaticInvoke[T any](fqn, member, params string, args ...any) T {
	return record[T](op{Op: "static", Type: fqn, Member: member}, params, args)
}

// StaticInvokeVoid records a static method that returns nothing.
func StaticInvokeVoid(fqn, member, params string, args ...any) {
	write(op{Op: "static", Type: fqn, Member: member}, params, args)
}

// Get records that a property was read.
func Get[T any](on Twin, member string) T {
	return record[T](op{Op: "get", On: object(on), Member: member}, "", nil)
}

// StaticGet records that a static property was read.
func StaticGet[T any](fqn, member string) T {
	return record[T](op{Op: "sget", Type: fqn, Member: member}, "", nil)
}

// Set records that a property was written.
func Set(on Twin, member string, value any) {
	write(op{Op: "set", On: object(on), Member: member}, "value?", []any{value})
}

// Cast makes *into another view of the object from.
func Cast(from, into any) {
	to := reflect.ValueOf(into).Elem()
	twin, ok := from.(Twin)
	if !ok {
		panic(fmt.Sprintf("%s: only an object of the CDK can be cast, not a %T", caller(), from))
	}
	make := factories[to.Type()]
	if make == nil {
		panic(fmt.Sprintf("%s: %s is no type of the CDK", caller(), to.Type()))
	}
	to.Set(reflect.ValueOf(make(&Object{object(twin)})))
}

// Close completes the record.
func Close() {
	if file == nil {
		return
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
	out, file = nil, nil
}

func object(t Twin) int {
	// jsii knows the pointers that it has made itself: what embeds one of them is another object to it, or a panic.
	if v := reflect.ValueOf(t); v.Kind() != reflect.Pointer || v.Elem().NumField() != 1 || v.Elem().Type().Field(0).Type != reflect.TypeFor[*Object]() {
		panic(fmt.Sprintf("%s: %T embeds an object of the CDK and is none: pass on what it embeds", caller(), t))
	}
	id := t.TwinID()
	if id == element {
		panic(caller() + ": the items of a list that the CDK returns are known only at synthesis: pass the list on whole")
	}
	return id
}

func record[T any](o op, params string, args []any) T {
	t := reflect.TypeFor[T]()
	if as, ok := asserted[caller()]; ok && t.Kind() == reflect.Interface && as.Implements(t) {
		o.As, t = classes[as], as
	}
	if !stands(t) {
		panic(fmt.Sprintf("%s: the result is a %s, which is known only at synthesis, after the app has run: "+
			"decide from the config instead", caller(), t))
	}
	return result(write(o, params, args), t).Interface().(T)
}

func write(o op, params string, args []any) int {
	o.At = caller()
	names := strings.Split(params, ",")
	for i, arg := range args {
		name := names[i]
		if strings.HasSuffix(name, "...") {
			v := reflect.ValueOf(arg)
			for j := range v.Len() {
				o.Args = append(o.Args, encode(v.Index(j), fmt.Sprintf("%s[%d]", strings.TrimSuffix(name, "..."), j)))
			}
			continue
		}
		name, optional := strings.CutSuffix(name, "?")
		value := encode(reflect.ValueOf(arg), name)
		if value == nil && !optional {
			panic(fmt.Sprintf("%s: parameter %s is required, but nil was provided", o.At, name))
		}
		o.Args = append(o.Args, value)
	}
	last++
	o.ID = last
	if out == nil {
		start()
	}
	line, err := json.Marshal(o)
	if err == nil {
		_, err = out.Write(append(line, '\n'))
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		panic(err)
	}
	return o.ID
}

func start() {
	path := os.Getenv("SLUICE_TWINS_RECORD")
	if path == "" {
		panic("SLUICE_TWINS_RECORD must name the file for the record: run the app with `go run ./synth app` in infra/verify")
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	file, out = f, bufio.NewWriter(f)
}

// The app is built with -trimpath, which names its files by their import path, so they start with its module's.
var appModule = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		panic("the app has no build information")
	}
	return info.Main.Path + "/"
})

// caller is the place in the app that called the CDK.
func caller() string {
	for skip := 1; ; skip++ {
		_, file, line, ok := goruntime.Caller(skip)
		if !ok {
			return "unknown"
		}
		if path, ours := strings.CutPrefix(file, appModule()); ours {
			return fmt.Sprintf("%s:%d", path, line)
		}
	}
}

// A number that is known only at synthesis has these high bits, far out of any real value, and the operation's id below.
const (
	numberToken = 0xfbff_0000_0000_0000
	numberMask  = 0xffff_0000_0000_0000
)

func stringToken(id int) string { return fmt.Sprintf("${Token[Twin.%d]}", id) }

func listToken(id int) string { return fmt.Sprintf("#{Token[Twin.%d]}", id) }

// stands says whether a value can stand for a result of type t that is known only at synthesis.
func stands(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[any](), reflect.TypeFor[*string](), reflect.TypeFor[*float64](), reflect.TypeFor[*[]*string]():
		return true
	}
	return factories[t] != nil || listOfObjects(t) || structPointer(t)
}

func listOfObjects(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Slice && factories[t.Elem().Elem()] != nil
}

func structPointer(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && structs[t.Elem()] != nil
}

// result makes what the app gets for the result of operation id, of a type that stands holds for.
func result(id int, t reflect.Type) reflect.Value {
	switch {
	case factories[t] != nil:
		return reflect.ValueOf(factories[t](&Object{id})).Convert(t)
	case t == reflect.TypeFor[any]():
		return reflect.ValueOf(&Object{id})
	case t == reflect.TypeFor[*string]():
		s := stringToken(id)
		return reflect.ValueOf(&s)
	case t == reflect.TypeFor[*float64]():
		n := math.Float64frombits(numberToken | uint64(id))
		return reflect.ValueOf(&n)
	case t == reflect.TypeFor[*[]*string]():
		s := listToken(id)
		list := &[]*string{&s}
		pointers[list] = id
		return reflect.ValueOf(list)
	case listOfObjects(t):
		list := reflect.New(t.Elem())
		item := reflect.ValueOf(factories[t.Elem().Elem()](&Object{element}))
		list.Elem().Set(reflect.Append(list.Elem(), item))
		pointers[list.Interface()] = id
		return list
	}
	// A struct: each field is read now. One that nothing can stand for, or a struct in it (which may have one like itself), stays
	// nil, which a program that goes by it cannot miss.
	object := reflect.New(t.Elem())
	for i := range object.Elem().NumField() {
		if field := object.Elem().Type().Field(i); stands(field.Type) && !structPointer(field.Type) {
			read := write(op{Op: "get", On: id, Member: field.Tag.Get("json")}, "", nil)
			object.Elem().Field(i).Set(result(read, field.Type))
		}
	}
	pointers[object.Interface()] = id
	return object
}
