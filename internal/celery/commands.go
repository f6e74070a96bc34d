package celery

// The only commands that are ever sent. Those that ask answer from any pool but a solo one that executes, and cannot fail to
// be encoded by the worker: reserved, scheduled, stats, and active without safe leave a worker deaf if an argument of a
// task, or a transport option, cannot be written in the application's serializer. Those that change something go to named
// workers and can be taken back. shutdown is none of them: it cannot.
const (
	methodQueues     = "active_queues"
	methodActive     = "active"
	methodRegistered = "registered"
	methodCancel     = "cancel_consumer"
	methodAdd        = "add_consumer"
)

// askQueues asks every worker for the queues that it consumes from.
func askQueues() command {
	return command{method: methodQueues, ticket: uuid()}
}

// askActive asks every worker for what it executes, with the arguments as shortened text.
func askActive() command {
	return command{method: methodActive, arguments: map[string]any{"safe": true}, ticket: uuid()}
}

// askTasks asks workers for one attribute of each of their tasks, Celery's own tasks included: task_annotations may change these, too.
// Each entry of the answer is made by str and format, so that it is text whatever the application has set.
// Source: celery.worker.control.registered, of 5.2 to 5.7 alike.
func askTasks(attribute string, nodes []string, answers int) command {
	arguments := map[string]any{"taskinfoitems": []string{attribute}, "builtins": true}
	return command{method: methodRegistered, arguments: arguments, nodes: nodes, answers: answers, ticket: uuid()}
}

// consumer tells workers to stop (methodCancel) or begin (methodAdd) to fetch from a queue.
func consumer(method, queue string, nodes []string, answers int) command {
	return command{method: method, arguments: map[string]any{"queue": queue}, nodes: nodes, answers: answers, ticket: uuid()}
}
