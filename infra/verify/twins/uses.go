package twins

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// uses is what the app's code names.
type uses struct {
	packages map[string]map[string]bool // import path -> the names taken from it
	names    map[string]bool            // every identifier, of which some are methods and fields of the API
	asserted map[string]typeName        // file:line of a call -> the type that its result is asserted to be
}

type typeName struct{ path, name string }

// scan reads the Go files of the app, those of the overlay in their place.
func scan(dir string, overlay map[string]string, a *api) (*uses, error) {
	u := &uses{packages: map[string]map[string]bool{}, names: map[string]bool{}, asserted: map[string]typeName{}}
	replaced := map[string]string{}
	for file, by := range overlay {
		replaced[file] = by
	}
	read := func(file string) error {
		actual := file
		if by, ok := replaced[file]; ok {
			delete(replaced, file)
			if by == "" { // The overlay deletes it.
				return nil
			}
			actual = by
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return u.file(filepath.ToSlash(name), actual, a)
	}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != dir:
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil || d.Name() == "node_modules" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
		case strings.HasSuffix(file, ".go"):
			return read(file)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for file := range replaced { // What the overlay adds.
		if strings.HasPrefix(file, dir+string(filepath.Separator)) && strings.HasSuffix(file, ".go") {
			if err := read(file); err != nil {
				return nil, err
			}
		}
	}
	return u, nil
}

func (u *uses) file(name, actual string, a *api) error {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, actual, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	imports := map[string]string{} // the name in the file -> import path
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		p, ok := a.packages[path]
		if !ok {
			continue
		}
		imports[p.name] = path
		if spec.Name != nil {
			delete(imports, p.name)
			imports[spec.Name.Name] = path
		}
		if u.packages[path] == nil {
			u.packages[path] = map[string]bool{}
		}
	}
	apiType := func(e ast.Expr) (typeName, bool) {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok {
			return typeName{}, false
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || imports[x.Name] == "" {
			return typeName{}, false
		}
		return typeName{imports[x.Name], sel.Sel.Name}, true
	}
	var failed error
	unknowable := func(pos token.Pos, t typeName) {
		failed = fmt.Errorf("%s: assert the type of a CDK object at the call that returns it, as in f().(%s): "+
			"elsewhere the recording cannot know it", files.Position(pos), t.name)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			u.names[n.Name] = true
		case *ast.SelectorExpr:
			if t, ok := apiType(n); ok {
				u.packages[t.path][t.name] = true
			}
		case *ast.TypeAssertExpr:
			t, ok := apiType(n.Type)
			if !ok {
				break
			}
			call, ok := n.X.(*ast.CallExpr)
			if !ok {
				unknowable(n.Pos(), t)
				break
			}
			// The position that the runtime reports for a call in a chain is that of its opening parenthesis.
			u.asserted[fmt.Sprintf("%s:%d", name, files.Position(call.Lparen).Line)] = t
		case *ast.TypeSwitchStmt:
			for _, clause := range n.Body.List {
				for _, e := range clause.(*ast.CaseClause).List {
					if t, ok := apiType(e); ok {
						unknowable(e.Pos(), t)
					}
				}
			}
		}
		return true
	})
	return failed
}

// readOverlay reads a file for `go build -overlay`. Paths in it may be relative to dir.
func readOverlay(file, dir string) (map[string]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(content, &overlay); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	absolute := map[string]string{}
	abs := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	for from, to := range overlay.Replace {
		absolute[abs(from)] = abs(to)
	}
	return absolute, nil
}
