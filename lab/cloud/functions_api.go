package cloud

import (
	"net/http"
	"strings"

	"sluice/lab/cloud/wire"
)

// function finds a function of the deployment by its name or ARN.
func (d Deployment) function(ref string) (Function, error) {
	_, name, ok := strings.Cut(ref, ":function:")
	if !ok {
		name = ref
	}
	name = strings.TrimSuffix(name, ":$LATEST")
	for _, f := range d.Functions {
		if f.Name == name {
			return f, nil
		}
	}
	return Function{}, &wire.Error{Code: "ResourceNotFoundException", Message: "Function not found: " + d.functionARN(name), Status: http.StatusNotFound}
}

// getFunctionConfiguration answers lambda:GetFunctionConfiguration.
func (c *Cloud) getFunctionConfiguration(r *http.Request) (map[string]any, error) {
	d := c.deployed()
	f, err := d.function(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	env := map[string]any{}
	for name, value := range f.Env {
		env[name] = value
	}
	out := map[string]any{
		"FunctionName": f.Name, "FunctionArn": d.functionARN(f.Name), "Role": d.roleARN(f.Name), "Version": "$LATEST",
		"Runtime": "provided.al2023", "Handler": "bootstrap", "PackageType": "Zip", "Timeout": int(f.Timeout.Seconds()), "MemorySize": f.MemoryMB,
		"Environment": map[string]any{"Variables": env}, "State": "Active", "LastUpdateStatus": "Successful",
		"LastModified":  c.began.UTC().Format("2006-01-02T15:04:05.000-0700"),
		"LoggingConfig": map[string]any{"LogFormat": f.LogFormat, "LogGroup": f.LogGroup},
	}
	if f.DeadLetters != "" {
		out["DeadLetterConfig"] = map[string]any{"TargetArn": d.queueARN(f.DeadLetters)}
	}
	return out, nil
}

// getFunctionConcurrency answers lambda:GetFunctionConcurrency: what is reserved, if anything is.
func (c *Cloud) getFunctionConcurrency(r *http.Request) (map[string]any, error) {
	f, err := c.deployed().function(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if f.Stopped || f.Reserved > 0 {
		out["ReservedConcurrentExecutions"] = f.Reserved
		if f.Stopped {
			out["ReservedConcurrentExecutions"] = 0
		}
	}
	return out, nil
}
