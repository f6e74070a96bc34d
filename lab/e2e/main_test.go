// Package e2e_test holds the tests of Sluice as a whole, from a message to the workers that it brings up and back to none.
//
// All parts are real: the functions are the bootstraps as they ship, the state machine is the file that is deployed, Redis
// is a redis-server or the embedded one, workers are Celery's in processes of their own, events come from boto3, and every
// call to AWS is an SDK's over HTTP. Only AWS itself is package local's.
//
// Nothing here waits for time to pass. Tasks end when the test opens a gate; sweeps begin when the test starts one; the test goes
// on when it has seen what it waits for; and a function that would not wait for the test is frozen meanwhile. The settle time is
// a second, the shortest that there is.
//
// What one package can show by itself is shown there. Here stands what only the whole can show: the main way, how workers are
// let go one by one while others work, the ways back after something was lost or killed, and that bad input of every kind ends
// in a clear error or a held decision under the very names that the state machine and the dead-letter queue see, with no count
// lowered and nothing dead.
package e2e_test

import (
	"flag"
	"os"
	"testing"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// lambdas is the folder with the functions.
var lambdas string

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // Or the AWS clients would read it, for a server without TLS.
	// The tests wait for processes much more than they compute. The flag -parallel wins over this.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := cloud.BuildFunctions(testenv.Root(), dir); err != nil {
		panic(err)
	}
	lambdas = dir
	defer endProducer()
	return m.Run()
}
