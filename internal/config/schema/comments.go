package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// Comments returns the comments of the struct types in the Go files of dir, by Type and by Type.Field, each as one line.
func Comments(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("find Go files in %s: %d files, %w", dir, len(files), err)
	}
	comments := make(map[string]string)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read comments: %w", err)
		}
		for _, decl := range parsed.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				t := spec.(*ast.TypeSpec)
				s, ok := t.Type.(*ast.StructType)
				if !ok {
					continue
				}
				comments[t.Name.Name] = strings.Join(strings.Fields(g.Doc.Text()), " ")
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						comments[t.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
		}
	}
	return comments, nil
}
