/** The binary's memory, watched by the compiler's sanitizers, while agent, runtime and environment send noise. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, encodeResult } from '../../cni/wire.ts';
import { RUN_DIR } from '../../constants.ts';
import { enterLab } from '../lab/reenter.ts';
import { clean, newNetns } from './bed.ts';
import { withAgent } from './falseagent.ts';

await enterLab(import.meta.filename);

const SOURCES = join(import.meta.dirname, '../../cni/shim');
const BINARY = '/mnt/weft-cni';
const FLAGS = ['-std=gnu11', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

const built = ((): boolean => {
  const files = readdirSync(SOURCES).filter(file => file.endsWith('.c'));
  try {
    execFileSync('gcc', [...FLAGS, '-o', BINARY, ...files.map(file => join(SOURCES, file))], {
      stdio: 'pipe',
    });
    return true;
  } catch (error) {
    // Without the libraries, and not with a fault in our files.
    if (/cannot find .*(?:asan|ubsan)/.test(String(error))) return false;
    throw error;
  }
})();

const skip = built ? false : 'this compiler has no sanitizers';

/** Its exit status is that of the binary; a fault that a sanitizer finds is 99. */
const FOUND = 99;

type Run = {
  readonly args?: readonly string[];
  readonly argv0?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
};

/** Rejects with the sanitizer's words; `ms`: killed then. */
function run({ args = [], argv0, env = {}, stdin }: Run, ms = 3_000): Promise<void> {
  const child = spawn(BINARY, args, {
    env: {
      ...env,
      ASAN_OPTIONS: `exitcode=${FOUND}:detect_leaks=0`,
      UBSAN_OPTIONS: `exitcode=${FOUND}:print_stacktrace=1`,
    },
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(argv0 !== undefined && { argv0 }),
  });
  let said = '';
  child.stderr.on('data', chunk => {
    said += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const fault = code === FOUND || (signal !== null && signal !== 'SIGKILL');
      if (fault) reject(new Error(`${code} ${signal}: ${said}`));
      else resolve();
    });
  });
}

const RUNS = { numRuns: Number(process.env.WEFT_RUNS ?? 60), endOnFailure: true };

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength, size: 'max' }).map(noise => Buffer.from(noise));

const u32 = (n: number): Buffer => {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(n >>> 0);
  return four;
};

/** A step of a program, its length sometimes a lie. `u` that is answered by nothing takes a second, so it is not here. */
const step = fc
  .tuple(
    fc.constantFrom('n', 'h', 'f', 'w', '?'),
    fc.nat(1),
    fc.option(fc.nat(1 << 20), { nil: undefined, freq: 6 }),
    fc.oneof(bytes(300), fc.constantFrom(Buffer.from('ipv4/ip_forward\u00001'), Buffer.from('..\0'))),
  )
  .map(([kind, must, lie, body]) =>
    Buffer.concat([Buffer.from([kind.charCodeAt(0), must]), u32(lie ?? body.length), body]),
  );

const frame = fc.oneof(
  fc.array(step, { maxLength: 40 }).map(steps => encodeFrame('p', Buffer.concat(steps))),
  bytes(100).map(body => encodeFrame('p', body)),
  bytes(100).map(body => encodeFrame('n', body)),
  bytes(100).map(body => encodeFrame('x', body)),
  bytes(20).map(body => encodeFrame('o', body)),
  bytes(200),
  fc.tuple(fc.nat(), bytes(40)).map(([size, body]) => Buffer.concat([u32(size), body])),
);

const END = fc.constantFrom(encodeResult(3, 'x'), encodeFrame('r'), Buffer.alloc(0));

let netns = '';

before(async () => {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  netns = await newNetns();
});

after(clean);

const ENV = { CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' };

test('an agent that sends anything', { skip }, async () => {
  const command = fc.constantFrom('DEL', 'CHECK', 'GC');
  const property = fc.asyncProperty(command, fc.array(frame, { maxLength: 6 }), END, (verb, frames, end) =>
    withAgent(
      async (_ask, socket: Socket) => void socket.end(Buffer.concat([...frames, end])),
      () => run({ env: { ...ENV, CNI_COMMAND: verb, CNI_NETNS: netns }, stdin: Buffer.from('{}') }),
    ),
  );
  await fc.assert(property, RUNS);
});

const text = fc.string({ unit: 'binary', maxLength: 300 }).map(value => value.replaceAll('\0', ''));
const path = fc.oneof(text, fc.constantFrom('', '/', '/dev/null', '/proc/self/ns/net', '/proc/self/ns/mnt'));

test('a runtime that sends anything, while no agent is there', { skip }, async () => {
  const call = fc.record({
    CNI_COMMAND: fc.constantFrom('DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'no'),
    CNI_CONTAINERID: fc.oneof(
      text,
      fc.nat(400).map(n => 'a'.repeat(n)),
    ),
    CNI_IFNAME: text,
    CNI_NETNS: path,
    CNI_ARGS: text,
    CNI_PATH: text,
  });
  const stdin = fc.oneof(
    bytes(500),
    fc.tuple(bytes(40), bytes(60)).map(([a, b]) => Buffer.concat([a, Buffer.from('{"cniVersion":"'), b])),
    fc.nat(3 << 20).map(n => Buffer.alloc(n, 'x')),
  );
  const property = fc.asyncProperty(
    call,
    stdin,
    fc.constantFrom('weft-cni', '/x/loopback'),
    (env, input, argv0) => run({ argv0, env, stdin: input }),
  );
  await fc.assert(property, RUNS);
});

/** A request of the runner's: number, arguments, the program's stdin. */
const request = fc
  .tuple(
    fc.constantFrom('/bin/true', '/bin/cat', '/nonexistent', ''),
    fc.array(text, { maxLength: 3 }),
    fc.option(fc.nat(), { nil: undefined, freq: 8 }),
    bytes(200),
  )
  .map(([program, args, lie, input]) => {
    const argv = [program, ...(program === '/bin/cat' ? ['-'] : args)];
    const texts = Buffer.from(argv.map(one => `${one}\0`).join(''));
    const body = Buffer.concat([u32(7), u32(lie ?? argv.length), texts, input]);
    return Buffer.concat([u32(body.length), body]);
  });

test('requests of any shape to the runner of programs', { skip }, async () => {
  const property = fc.asyncProperty(fc.array(request, { maxLength: 40 }), bytes(30), (requests, rest) =>
    run({ args: ['runner'], stdin: Buffer.concat([...requests, rest]) }),
  );
  await fc.assert(property, RUNS);
});

test('the sanitizers find a fault where there is one', { skip }, async () => {
  // An index behind the end is what they are here for; this one is the test's own.
  const source = '/mnt/fault.c';
  execFileSync('sh', [
    '-c',
    `echo 'int main(int n, char **a) { char *p = __builtin_malloc(n); return p[n]; }' > ${source}`,
  ]);
  execFileSync('gcc', [...FLAGS, '-o', '/mnt/fault', source]);
  const env = { ASAN_OPTIONS: `exitcode=${FOUND}` };
  assert.throws(() => execFileSync('/mnt/fault', { env, stdio: 'pipe' }), { status: FOUND });
});
