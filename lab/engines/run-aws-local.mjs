// Runs every scenario on standard input in aws-local-stepfunctions, and prints what happened. Functions answer from the
// scenario's script. Waits and the pauses before retries take no time; a task's time-out is shortened to a five-hundredth.
import { readFileSync } from "node:fs";
import { StateMachine } from "aws-local-stepfunctions";

const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (f, ms, ...args) => setTimer(f, ms >= 1000 && ms <= 600_000 ? ms / 500 : ms, ...args);

const canonical = (v) =>
  JSON.stringify(v, (_, o) =>
    o && typeof o === "object" && !Array.isArray(o)
      ? Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)))
      : o);

async function run({ definition, input, functions, answers }) {
  const calls = {};
  const handler = (arn) => async (input) => {
    const key = `${functions[arn]} ${canonical(input)}`;
    calls[key] = (calls[key] ?? 0) + 1;
    const answer = answers[key]?.[calls[key] - 1] ?? { fails: "Unscripted" };
    if (answer.hangs) await new Promise(() => {});
    if (answer.fails) throw Object.assign(new Error("scripted"), { name: answer.fails });
    return answer.returns;
  };
  const handlers = {}, waits = {}, retries = {};
  const prepare = (states) => {
    for (const [name, s] of Object.entries(states)) {
      if (s.Type === "Task") handlers[name] = handler(s.Resource);
      if (s.Type === "Wait") waits[name] = 0;
      if (s.Retry) retries[name] = 0;
      if (s.ItemProcessor) prepare(s.ItemProcessor.States);
    }
  };
  prepare(definition.States);
  const execution = new StateMachine(definition, { validationOptions: { noValidate: true } }).run(input, {
    overrides: { taskResourceLocalHandlers: handlers, waitTimeOverrides: waits, retryIntervalOverrides: retries },
  });
  execution.result.catch(() => {}); // Its end is read from the log of events.
  const out = { path: [], items: [], calls };
  for await (const e of execution.eventLogs) {
    if (e.type === "StateEntered") (e.index === undefined ? out.path : (out.items[e.index] ??= [])).push(e.state.name);
    if (e.type === "ExecutionSucceeded") Object.assign(out, { status: "SUCCEEDED", output: e.output });
    if (e.type === "ExecutionFailed") Object.assign(out, { status: "FAILED", error: e.Error, cause: String(e.Cause) });
  }
  return out;
}

const results = await Promise.all(JSON.parse(readFileSync(0, "utf8")).map(run));
process.stdout.write(JSON.stringify(results), () => process.exit(0));
