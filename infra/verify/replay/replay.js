// Replays what the twins recorded of the app (../twins) on the real aws-cdk-lib, in order. The CDK's command line runs
// it in the app's place, in infra/:
//
//   cdk synth --app "node verify/replay/replay.js RECORD"
//
// cdk-nag's AWS Solutions rules look on. An error names the place in the Go code that made the call.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const libraries = { 'aws-cdk-lib': require('aws-cdk-lib'), constructs: require('constructs') };
const { App, Validations } = libraries['aws-cdk-lib'];
const { Construct } = libraries.constructs;
const { AwsSolutionsChecks } = require('cdk-nag');

const results = new Map(); // the number of an operation -> what it returned
const madeAt = new Map(); // a construct's path -> the place in the Go code

class ReplayError extends Error {}

// byName finds a class or an enum by jsii's name for it, aws-cdk-lib.aws_sqs.Queue.
function byName(name) {
  const [library, ...parts] = name.split('.');
  return parts.reduce((found, part) => found?.[part], libraries[library]);
}

function result(id) {
  if (!results.has(id)) throw new ReplayError(`operation ${id} is not in the record`);
  return results.get(id);
}

// text puts the real values, mostly tokens of the CDK's own, in the place of the recording's.
function text(s) {
  const whole = /^\$\{Token\[Twin\.(\d+)\]\}$/.exec(s);
  if (whole) return result(Number(whole[1]));
  const filled = s.replace(/\$\{Token\[Twin\.(\d+)\]\}/g, (_, id) => {
    const value = result(Number(id));
    if (typeof value !== 'string') throw new ReplayError(`${typeof value} cannot stand inside a string: ${s}`);
    return value;
  });
  if (filled.includes('Token[Twin.')) {
    throw new ReplayError(`a piece of what is known only at synthesis: ${s}; use Fn_Select, Fn_Split or Fn_Join`);
  }
  return filled;
}

// decode is the reverse of encode in the twins' runtime.
function decode(value) {
  if (value === null) return undefined;
  if (typeof value === 'string') return text(value);
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) {
    const list = value.length === 1 && /^#\{Token\[Twin\.(\d+)\]\}$/.exec(value[0]);
    return list ? result(Number(list[1])) : value.map(decode);
  }
  if ('$ref' in value) return result(value.$ref);
  if ('$date' in value) return new Date(value.$date);
  if ('$enum' in value) return byName(value.$enum);
  return Object.fromEntries(Object.entries(value.$map ?? value).map(([k, v]) => [text(k), decode(v)]));
}

function receiver(op) {
  const on = op.type ? byName(op.type) : result(op.on);
  if (on === undefined || on === null) {
    throw new ReplayError(op.type ? `the library has no ${op.type}` : `the value that it is called on is ${on}`);
  }
  return on;
}

const code = {
  new: '(on, member, args) => new on(...args)',
  call: '(on, member, args) => on[member](...args)',
  static: '(on, member, args) => on[member](...args)',
  get: '(on, member) => on[member]',
  sget: '(on, member) => on[member]',
  set: '(on, member, args) => { on[member] = args[0]; }',
};

function perform(op) {
  const on = receiver(op);
  const args = (op.args ?? []).map(decode);
  if ((op.op === 'call' || op.op === 'static') && typeof on[op.member] !== 'function') {
    throw new ReplayError(`it has no method ${op.member}`);
  }
  // As if it stood in the Go file: stack traces, and what the CDK makes of them in its reports, then name that.
  const [, filename, line] = /^(.*):(\d+)$/.exec(op.at);
  const call = vm.runInThisContext(code[op.op], { filename: path.resolve(filename), lineOffset: Number(line) - 1 });
  return call(on, op.member, args);
}

function replay(op) {
  const value = perform(op);
  if (op.as && !isA(value, op.as)) {
    throw new ReplayError(`the app asserts a ${op.as}, and it is a ${value?.constructor?.name}`);
  }
  if (op.op === 'new' && Construct.isConstruct(value)) madeAt.set(value.node.path, op.at);
  if (value instanceof App && op.op === 'new') Validations.of(value).addPlugins(new AwsSolutionsChecks(value));
  results.set(op.id, value);
}

// Interfaces do not exist in JavaScript: only an assertion to a class can be checked.
function isA(value, name) {
  const type = byName(name);
  return typeof type !== 'function' || value instanceof type;
}

// where adds to a message of the CDK where the Go code made the constructs that it names.
function where(message) {
  const named = [...madeAt.keys()].filter((construct) => construct && message.includes(construct));
  if (!named.length) return '';
  const longest = named.reduce((a, b) => (b.length > a.length ? b : a));
  return `\n    ${longest} is made at ${madeAt.get(longest)}`;
}

const [file] = process.argv.slice(2);
const ops = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
for (const op of ops) {
  try {
    replay(op);
  } catch (err) {
    const what = op.op === 'new' ? `new ${op.type}` : `${op.type ?? ''}.${op.member}`.replace(/^\./, '');
    console.error(`${op.at}: ${what}: ${err.message}${where(err.message)}`);
    if (!(err instanceof ReplayError) && process.env.SLUICE_TWINS_TRACE) console.error(err.stack);
    process.exit(1);
  }
}
