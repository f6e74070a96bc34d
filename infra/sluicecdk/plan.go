package sluicecdk

import (
	"errors"
	"fmt"
	"os"

	"sluice/internal/config"
)

// plan is what is known before the first construct is made: all that is wrong is found here, and told at once.
type plan struct {
	config      *config.Config
	environment map[string]string // Of each function: see brokerEnvironment.
	code        map[string]string // The folder with the code of each function, by its name.
	width       map[string]width  // How much the permissions of each function cover, by its name.
}

// newPlan reads and checks what the props name, and puts the functions' code together.
func newPlan(props *SluiceProps) (*plan, error) {
	switch {
	case props == nil || props.Config == nil:
		return nil, errors.New("SluiceProps.Config: is missing: name sluice.yaml")
	case props.Functions == nil:
		return nil, errors.New("SluiceProps.Functions: is missing: name the folder that `make lambdas` fills, build/lambda")
	case props.Vpc == nil && (props.VpcSubnets != nil || props.SecurityGroups != nil):
		return nil, errors.New("SluiceProps.Vpc: is missing: VpcSubnets and SecurityGroups mean nothing without it")
	}
	c, err := config.Load(*props.Config)
	if err != nil {
		return nil, err
	}
	p := &plan{config: c, code: make(map[string]string), width: make(map[string]width)}
	var problems []error
	if props.Vpc != nil && c.Deploy.VPC != nil {
		problems = append(problems, errors.New(
			"deploy.vpc: is given together with SluiceProps.Vpc, or with deploy.example, which sets it: keep one of them"))
	}
	if p.environment, err = brokerEnvironment(c, texts(props.Environment)); err != nil {
		problems = append(problems, err)
	}
	parent, err := codeParent()
	if err != nil {
		return nil, fmt.Errorf("make a folder for the functions' code: %w", err)
	}
	names := []string{scaleOut, check, scaleIn}
	if c.Deploy.Notify != nil {
		names = append(names, notify)
	}
	for _, name := range names {
		if p.width[name], err = widthFor(c, name); err != nil {
			problems = append(problems, err)
		}
		files, err := code(c, *props.Config, *props.Functions, name)
		if err == nil {
			p.code[name], err = write(parent, name, files)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return p, errors.Join(problems...)
}

// texts are the values behind the pointers that the CDK has for all texts.
func texts(pointers *map[string]*string) map[string]string {
	out := make(map[string]string)
	if pointers != nil {
		for name, value := range *pointers {
			if value != nil {
				out[name] = *value
			}
		}
	}
	return out
}

// readFile reads a file. Its error does not name the file once more, as those of package os do.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if e := new(os.PathError); errors.As(err, &e) {
		err = e.Err
	}
	return data, err
}
