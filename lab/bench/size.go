package main

import (
	"context"
	"fmt"
	"os"
)

// shipped are the functions that ship.
var shipped = []string{"scaleout", "check", "scalein"}

// sizes measures the bootstraps as they are uploaded, before the zip file makes them smaller.
func sizes(ctx context.Context, l *lab) ([]row, error) {
	hello, err := l.hello(ctx, "arm64")
	if err != nil {
		return nil, err
	}
	base, err := size("hello-world, linux/arm64", hello)
	if err != nil {
		return nil, err
	}
	rows := []row{base}
	for _, name := range shipped {
		path, err := l.built("lambda", name, "bootstrap")
		if err != nil {
			return rows, err
		}
		r, err := size(name+", linux/arm64", path)
		if err != nil {
			return rows, err
		}
		rows = append(rows, r.counted(14), ratio(name+" / hello-world", r, base))
	}
	return rows, nil
}

func size(what, path string) (row, error) {
	info, err := os.Stat(path)
	if err != nil {
		return row{}, fmt.Errorf("measure %s: %w", what, err)
	}
	return measured(what, "MB", []float64{float64(info.Size()) / 1e6}), nil
}
