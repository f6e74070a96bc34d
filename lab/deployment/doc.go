// Package deployment holds the roles of the Lambda functions to what their code does: each function is to have exactly the
// IAM actions that its code calls, on exactly the services, clusters, secrets and parameters of sluice.yaml.
//
// It goes in three steps. Calls derives from the code which operations of AWS each function can reach, and by which way. Needs
// turns them into what IAM has to grant under one configuration: actions.go has the action and the resources of each operation,
// and conditions.go the few that a function calls for some targets only. Compare holds the roles of a synthesized template to that,
// and reports each action and each resource that is one too many or too few.
//
// Calls takes a call for possible if the static types allow it: it may find too much, and then a person has to see whether the
// code can be made plainer. It finds too little only where a call is made that no analysis of Go code sees: a request that is
// signed and sent without the SDK's clients, or a method that is called by its name through package reflect. Linked is a second
// opinion which has no such gap for the latter: it tells which operations the linker, which drops whatever cannot be
// reached, has left in the function's binary. The tests hold both to each other, and to what is called when the use cases run.
//
// Commands derives the same of the command line, more cheaply; the tests hold to it the policies that docs/deploy.md has for operators.
package deployment
